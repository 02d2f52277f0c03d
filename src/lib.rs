//! txgen streams payment transactions to Azure Event Hubs and Azure Cosmos DB side by side, one request per
//! transaction, and measures both.
//!
//! The map, in the order in which a transaction travels:
//!
//! | module | owns |
//! |---|---|
//! | [`settings`] | what the user asked for: flags, environment, `appsettings.json`, defaults |
//! | [`source`], [`transaction`], [`identity`] | CSV rows in, transactions with an id and their JSON out; the profile of a CSV |
//! | [`shard`] | which rows are whose, when several processes share a run |
//! | [`run`] | the pace, the bulkheads, stopping |
//! | [`service`] | one request per transaction to Event Hubs ([`service::event_hubs`]) or Cosmos DB ([`service::cosmos`]) |
//! | [`stats`] | outcomes and clock readings in, batch figures and totals out; pure |
//! | [`threshold`] | what a run must not do: conditions on the figures of its summary; pure |
//! | [`dead_letters`] | what was not stored, as data that can be sent again |
//! | [`verify`] | what the services hold, held against the data; pure |
//! | [`report`] | figures in, text and JSON out; pure |
//! | [`live`] | a run while it goes on: its progress lines and its full-screen view; pure |
//! | `trust` | certificate authorities for a Linux that has none |
//! | `encoding`, `characters` | what editors and spreadsheets leave in files; pure |
//! | `likeness` | which name a mistyped one is most like; pure |
//! | [`data`] | made-up data like the real data |
//! | [`cli`] | the commands: the only place that prints, apart from `main` |
//!
//! The local services are a crate of their own, [`txgen_emulator`]. `docs/architecture.md` says more, above all what each
//! module must not know. Nothing below `main` exits the process.

pub(crate) mod characters;
pub mod cli;
pub mod data;
pub mod dead_letters;
pub(crate) mod encoding;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod identity;
pub(crate) mod likeness;
pub mod live;
pub mod private_file;
pub mod report;
pub mod run;
pub mod service;
pub mod settings;
pub mod shard;
pub mod source;
pub mod stats;
pub mod threshold;
pub mod transaction;
#[cfg(target_os = "linux")]
pub mod trust;
pub mod verify;
