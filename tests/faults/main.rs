//! The fault matrix: what goes wrong around a run, and what the run makes of it, through the real binary against
//! `txgen emulator --fault` and bad networks.
//!
//! Every case holds the same promises, whatever its own expectations: the run ends within its time limit, its drain
//! time-out and ten seconds; requested = succeeded + failed + not sent for each service; the services hold everything
//! that was confirmed, and nothing beyond it that was not called ambiguous; and no secret shows anywhere.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)] // tests, helpers included

mod case;
#[allow(dead_code, reason = "the emulator's own tests use the rest")]
mod clock;
mod cosmos_db;
mod event_hubs;
mod files;
#[cfg(target_os = "linux")]
mod names;
mod network;
mod outages;
mod proof;
mod secrets;
mod signals;
mod stage;
#[path = "../it/support/mod.rs"]
mod support;
