//! txgen from outside: the built binary as a user runs it, and the services over sockets, against the local services.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    reason = "a test that cannot go on fails"
)]

mod support;

// What is marked `cfg(unix)` stops processes in order, by signals that Windows does not have; what is marked otherwise needs
// OpenSSL, which the other systems' own TLS takes the place of.
#[cfg(unix)]
mod addresses;
mod bad_input;
mod book;
#[cfg(unix)]
mod built_in_data;
mod check;
mod cosmos_reading;
mod cosmos_service;
#[cfg(unix)]
mod data_dir;
mod dry_run;
#[cfg(unix)]
mod emulator;
mod errors;
mod event_hubs_service;
#[cfg(not(any(windows, target_vendor = "apple")))]
mod event_hubs_tls;
mod first_contact;
mod habits;
mod key_vault;
#[cfg(unix)]
mod land;
mod layers;
mod leftovers;
#[cfg(unix)]
mod live;
mod log_secrets;
#[cfg(unix)]
mod metrics;
mod output_lost;
mod proxies;
#[cfg(unix)]
mod recovery;
mod report;
mod run;
#[cfg(unix)]
mod schemas;
mod shards;
mod smoke;
mod thresholds;
#[cfg(unix)]
mod verify;
#[cfg(unix)]
mod verify_findings;
#[cfg(unix)]
mod verify_reading;
