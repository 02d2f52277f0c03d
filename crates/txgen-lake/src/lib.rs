//! Appends a stream of payment transactions to a [Delta table](https://github.com/delta-io/delta/blob/master/PROTOCOL.md),
//! every event exactly once.
//!
//! The position of each partition is in the table and nowhere else: one commit holds the files and, for each partition that
//! moved, a `txn` action with the last sequence number. Whatever happens in between, killed processes and failing stores
//! included, the table says what comes next. An [`Appender`] takes [`Event`]s and commits them; events that are no
//! transactions go to a second table, `…_rejected`.
//!
//! Delta's log is the business of [deltalake-core](https://docs.rs/deltalake-core), stores that of
//! [object_store](https://docs.rs/object_store).

mod appender;
mod columns;
mod error;
mod event;
mod location;
mod read;
mod rows;
mod source;
mod split;
mod table;

pub use appender::{Appender, Committed, Options};
pub use columns::{Column, EXTRA, Kind, Layout, POSITION, REJECTED, TRANSACTION};
pub use error::LakeError;
pub use event::Event;
pub use location::{Location, LocationError, Store};
pub use read::{Reader, Row};
pub use rows::Rejection;
pub use source::{Source, Span};
