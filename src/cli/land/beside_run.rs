//! `txgen run --emulator --land LAKE`: what the run sends is landed while it is sent.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use azure_core::credentials::Secret;
use tokio::task::JoinHandle;
use txgen_lake::{Location, Store};

use super::landing::{self, CONSUMER_GROUP};
use super::{lines, words};
use crate::cli::CliError;
use crate::land::{Ended, LandError, Landed, Origin, Plan, Start, Until, land};
use crate::observers::notice;
use crate::run::Stop;
use crate::service::event_hubs::Followed;
use crate::settings::{ConnectionString, EventHubTransport, Proxies};

/// Commits while the run goes on: often enough to be looked at.
const COMMIT_EVERY: Duration = Duration::from_secs(10);
const COMMIT_BYTES: usize = 128_000_000;
/// The store is this machine's.
const RETRY_FOR: Duration = Duration::from_secs(30);

/// The folder of tables that a run is landed in.
pub(in crate::cli) struct Lake {
    text: String,
}

impl Lake {
    /// Reads `--land LAKE`.
    pub(in crate::cli) fn of_flag(text: &str) -> Result<Self, CliError> {
        let lake = Self { text: text.trim_end_matches('/').to_owned() };
        lake.table("transactions").map(|_| lake)
    }

    fn table(&self, hub: &str) -> Result<Location, CliError> {
        let table = if self.text.is_empty() { hub.to_owned() } else { format!("{}/{hub}", self.text) };
        Location::parse(&table).map_err(|error| CliError::usage(anyhow!("--land: {error}")))
    }

    /// Begins to land the event hub of this connection string in the table of its name.
    pub(in crate::cli) fn land(self, listener: &Secret) -> Result<Landing, CliError> {
        let hub =
            ConnectionString::parse(listener.secret()).context("the local event hub").map_err(CliError::failed)?;
        let location = self.table(&hub.hub)?;
        let (store, rejected) = landing::stores(&location)?;
        let plan = plan(hub, location.clone(), store, rejected);
        let until = Until::default();
        let ends = until.clone();
        let task = tokio::spawn(async move {
            let mut watch = |what| {
                if let Some(trouble) = words::trouble(&what) {
                    notice(&trouble);
                }
            };
            land(&plan, &ends, &mut watch).await
        });
        Ok(Landing { location, until, task })
    }
}

fn plan(hub: ConnectionString, location: Location, store: Store, rejected: Store) -> Plan {
    let followed = Followed {
        hub,
        key_name: "the local event hub",
        transport: EventHubTransport::Tcp,
        proxies: Proxies::default(),
        consumer_group: CONSUMER_GROUP.to_owned(),
    };
    Plan {
        origin: Origin::EventHub(followed),
        partitions: BTreeSet::new(),
        location,
        store,
        rejected,
        partition_by: None,
        start: Start::Earliest,
        until_caught_up: false,
        commit_every: COMMIT_EVERY,
        commit_bytes: COMMIT_BYTES,
        allow_gaps: false,
        retry_for: RETRY_FOR,
        lander: landing::lander(),
    }
}

/// A landing beside a run.
pub(in crate::cli) struct Landing {
    location: Location,
    until: Until,
    task: JoinHandle<Result<(Ended, Landed), LandError>>,
}

impl Landing {
    /// Lands what the run has left to land, and says how to read the table; as one line of JSON where `json` says so. A
    /// second Ctrl-C saves the time that it takes.
    pub(in crate::cli) async fn catch_up(self, stop: &Stop, json: bool) -> Result<String, CliError> {
        let Self { location, until, mut task } = self;
        until.caught_up.cancel();
        let landed = tokio::select! {
            landed = &mut task => landed,
            () = stop.requested_at_once() => {
                until.stopped.cancel();
                task.await
            }
        };
        let landed = landed.map_err(|_| CliError::failed(anyhow!("the task that lands the run ended unexpectedly")))?;
        let (ended, landed) = landed.map_err(|error| CliError::failed(anyhow::Error::new(error).context("--land")))?;
        let show = if json { lines::end } else { words::ended_text };
        Ok(show(&location, ended, &landed))
    }
}
