//! Tables as other programs find them, after whatever has happened on the way.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and one with a seed prints it"
)]

mod faults;
mod flat;
mod landers;
mod splits;
mod support;
mod table;
