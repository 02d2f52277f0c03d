//! The record of a run with dead letters, written before it starts: enough to go on where it ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::description::{RunDescription, Setting, Target};
use crate::identity::RunId;
use crate::service::ServiceName;
use crate::shard::Shard;
use crate::source::DataFile;
use crate::stats::Rows;

/// Where a run with dead letters stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is going on; or it was killed, when no process holds the journal.
    Running,
    /// It has ended, and every dead letter is written.
    Finished,
    /// It was killed, and its dead letters have been completed from the data.
    Recovered,
}

/// What kind of document it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    DeadLetters,
}

/// What a run sends: the document `run.json` of a folder of dead letters (`"type": "dead_letters"`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    #[serde(rename = "type")]
    kind: Kind,
    version: String,
    /// The run's id.
    pub run_id: RunId,
    /// Which part of the run this is; `null` where one process does it all.
    pub shard: Option<Shard>,
    /// When it started, by the wall clock: RFC 3339.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// Where it stands.
    pub state: State,
    /// The data that is sent, by its full path.
    pub data: DataFile,
    /// Seconds that Cosmos DB keeps each document.
    pub ttl_seconds: u32,
    /// Whether rows with unreadable cells are rejected.
    pub strict: bool,
    /// Transactions at most.
    pub limit: Option<u64>,
    /// Whether the data starts again at its end.
    #[serde(rename = "loop")]
    pub repeat: bool,
    /// The settings of the run, and where each came from. No secrets get in here.
    pub settings: Vec<Setting>,
    /// By service: `event_hubs`, `cosmos_db`.
    pub services: BTreeMap<ServiceName, ServiceRecord>,
}

/// One service that a run writes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// What is written to.
    pub target: Option<Target>,
    /// How many dead letters it has; only known once the run has ended, or was recovered.
    pub dead_letters: u64,
    /// Rows that may have been stored although they are dead letters, because the run was killed.
    pub ambiguous_rows: Rows,
}

impl RunRecord {
    /// The record of a run that starts now; `data` is the file by its full path.
    #[must_use]
    pub fn new(description: &RunDescription, data: DataFile) -> Self {
        let service = |target| ServiceRecord { target: Some(target), ..ServiceRecord::default() };
        let targets = description.targets().into_iter();
        Self {
            kind: Kind::DeadLetters,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run_id: description.run_id,
            shard: description.part(),
            started_at: OffsetDateTime::now_utc(),
            state: State::Running,
            data,
            ttl_seconds: description.run.ttl_seconds,
            strict: description.strict,
            limit: description.run.limit,
            repeat: description.run.repeat,
            settings: description.settings.clone(),
            services: targets.map(|(name, target)| (name, service(target))).collect(),
        }
    }
}
