//! The local services over sockets, with plain clients, with hostile ones, and with Azure's own for Rust.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    reason = "a test that cannot go on fails"
)]

mod cosmos;
mod event_hubs;
