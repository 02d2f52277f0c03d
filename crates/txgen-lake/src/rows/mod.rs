//! From events to rows: pure, and the same for the same event, so that a repeat gives the same row or the same rejection.

mod builder;
mod moment;
mod transaction;

pub(crate) use builder::Rows;
pub use transaction::Rejection;
