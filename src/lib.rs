//! txgen streams payment transactions to Azure Event Hubs and Azure Cosmos DB side by side, one request per
//! transaction, and measures both.
//!
//! The map. A module uses those below it, never one above (`tests/it/layers.rs`):
//!
//! | module | owns |
//! |---|---|
//! | [`cli`] | the commands: arguments in, a call, an exit code out |
//! | `observers` | what shows a run: the terminal, standard output, files, metrics |
//! | [`report`] | figures in, text, JSON and HTML out; live views among them; pure |
//! | [`verify`] | what the services hold, held against the data; pure |
//! | `land` | what a hub holds, into a Delta table (Cargo feature `lake`) |
//! | [`run`] | a run from its settings to its summary: the pace, the bulkheads, stopping, dead letters |
//! | [`threshold`] | conditions on the figures of a summary; pure |
//! | [`stats`] | outcomes and clock readings in, batch figures and totals out; pure |
//! | [`description`] | one description of a run, from which everything that speaks of it is drawn |
//! | [`source`] | CSV rows in, transactions out; the profile of a CSV |
//! | [`service`] | one request per transaction to Event Hubs ([`service::event_hubs`]) or Cosmos DB ([`service::cosmos`]) |
//! | [`settings`] | what the user asked for: flags, environment, `appsettings.json`, defaults |
//! | [`data`] | generated data like the real data |
//! | [`transaction`], [`identity`], [`shard`] | a transaction, its id, and whose it is when processes share a run |
//! | `likeness`, [`private_file`], [`text`], `trust` | the known name nearest to a mistyped one; files for the user alone; text for people; certificate authorities for a Linux that has none |
//! | `encoding`, `characters` | what editors and spreadsheets leave in files; pure |
//!
//! The local services are a crate of their own, [`txgen_emulator`]. `docs/architecture.md` says more, above all what each
//! module must not know. Nothing below `main` exits the process.

pub(crate) mod characters;
pub mod cli;
pub mod data;
pub mod description;
pub(crate) mod encoding;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod identity;
#[cfg(feature = "lake")]
pub mod land;
pub(crate) mod likeness;
mod observers;
pub mod private_file;
pub mod report;
pub mod run;
pub mod service;
pub mod settings;
pub mod shard;
pub mod source;
pub mod stats;
pub mod text;
pub mod threshold;
pub mod transaction;
#[cfg(target_os = "linux")]
pub mod trust;
pub mod verify;
