//! One Delta table: opened or created, its positions, and commits that are in it once or not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use deltalake_core::checkpoints;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{Action, Add, Transaction};
use deltalake_core::logstore::get_actions;
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableError, TableProperty};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::columns::{Layout, WITH_STATISTICS};
use crate::error::LakeError;
use crate::location::Store;

/// Commits after which the table is opened anew: the library keeps something of each, and slows down by it.
const REOPEN_AFTER: u32 = 50;
/// Names in a commit's metadata.
const COMMIT: &str = "txgenCommit";
const LANDER: &str = "txgenLander";

/// A partition's position in the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// The last sequence number that is in it.
    pub(crate) sequence_number: Option<i64>,
    /// Who moved it, where that was seen.
    pub(crate) by: Option<String>,
}

/// How a table is opened, and how long its commits are tried.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    /// Its name in messages.
    pub(crate) name: String,
    pub(crate) store: Store,
    pub(crate) layout: Layout,
    pub(crate) partition_by: Option<String>,
    /// Who writes.
    pub(crate) lander: String,
    /// How long a commit is tried.
    pub(crate) retry_for: Duration,
    /// Between two tries, at first.
    pub(crate) pause: Duration,
}

/// A table that is open.
pub(crate) struct Table {
    opening: Opening,
    inner: DeltaTable,
    /// By application id, as of the version that is loaded.
    positions: BTreeMap<String, Position>,
    commits: u32,
}

/// A position that a commit moves.
#[derive(Clone, Debug)]
pub(crate) struct Move {
    pub(crate) application: String,
    /// Where it must be.
    pub(crate) from: Option<i64>,
    /// Where it goes.
    pub(crate) to: i64,
}

/// How a commit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is in the table, as this version.
    Done(u64),
    /// It is not: this application's position is not where it was expected.
    Moved { application: String, found: Position },
}

impl Table {
    /// Opens the table, and makes it where there is none and `create` is set; `None` where there is none otherwise.
    /// Positions of these applications are kept from then on.
    pub(crate) async fn open(
        opening: Opening,
        applications: impl IntoIterator<Item = String>,
        create: bool,
    ) -> Result<Option<Self>, LakeError> {
        let fail = |error: DeltaTableError| LakeError::of(&opening.name, &error);
        let mut inner = DeltaTable::new(opening.store.log().map_err(fail)?);
        match inner.load().await {
            Ok(()) => {}
            Err(DeltaTableError::NotATable(_)) if create => inner = opening.create().await.map_err(fail)?,
            Err(DeltaTableError::NotATable(_)) => return Ok(None),
            Err(error) => return Err(fail(error)),
        }
        opening.check(&inner)?;
        let mut table = Self { opening, inner, positions: BTreeMap::new(), commits: 0 };
        for application in applications {
            table.watch(&application).await?;
        }
        Ok(Some(table))
    }

    pub(crate) fn inner(&self) -> &DeltaTable {
        &self.inner
    }

    pub(crate) fn version(&self) -> u64 {
        self.inner.version().unwrap_or_default()
    }

    /// Where an application is, which is kept from now on.
    pub(crate) async fn watch(&mut self, application: &str) -> Result<Option<i64>, LakeError> {
        if let Some(known) = self.positions.get(application) {
            return Ok(known.sequence_number);
        }
        // A table that was only made has no positions.
        let version = match self.version() {
            0 => None,
            _ => transaction_version(&self.inner, application)
                .await
                .map_err(|error| LakeError::of(&self.opening.name, &error))?,
        };
        self.positions.insert(application.to_owned(), Position { sequence_number: version, by: None });
        Ok(version)
    }

    pub(crate) fn position(&self, application: &str) -> Position {
        self.positions.get(application).cloned().unwrap_or_default()
    }

    /// Adds the files and moves the positions, together or not at all.
    ///
    /// Tries again while the store fails, for as long as it may: what was stored although the store said otherwise is
    /// found by its id and is not stored again.
    pub(crate) async fn commit(&mut self, files: &[Add], moves: &[Move]) -> Result<Outcome, LakeError> {
        let id = Uuid::new_v4().to_string();
        let deadline = Instant::now() + self.opening.retry_for;
        let mut pause = self.opening.pause;
        loop {
            match self.try_commit(&id, files, moves).await {
                Ok(Some(outcome)) => {
                    if let Outcome::Done(_) = outcome {
                        self.moved(moves);
                        self.care().await;
                    }
                    return Ok(outcome);
                }
                // Another process has committed in between: look at what, and try again at once.
                Ok(None) if Instant::now() < deadline => {}
                Ok(None) => {
                    let problem = "other processes commit without a pause".to_owned();
                    return Err(LakeError::Store { table: self.opening.name.clone(), problem });
                }
                Err(error) if Instant::now() + pause < deadline => {
                    tracing::warn!(table = self.opening.name, %error, "the commit is tried again");
                    sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
                Err(error) => return Err(LakeError::of(&self.opening.name, &error)),
            }
        }
    }

    /// One try; `None` when another process was faster.
    async fn try_commit(
        &mut self,
        id: &str,
        files: &[Add],
        moves: &[Move],
    ) -> Result<Option<Outcome>, DeltaTableError> {
        if let Some(version) = self.catch_up(id).await? {
            return Ok(Some(Outcome::Done(version)));
        }
        // The library accepts any version of an application from a fresh snapshot, a stale one, too.
        for Move { application, from, .. } in moves {
            let found = self.position(application);
            if found.sequence_number != *from {
                return Ok(Some(Outcome::Moved { application: application.clone(), found }));
            }
        }
        let snapshot = self.inner.snapshot()?;
        let now = i64::try_from(time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).ok();
        let applications =
            moves.iter().map(|step| Transaction { last_updated: now, ..Transaction::new(&step.application, step.to) });
        let properties = CommitProperties::default()
            .with_metadata([
                (COMMIT.to_owned(), Value::from(id)),
                (LANDER.to_owned(), Value::from(self.opening.lander.as_str())),
            ])
            .with_application_transactions(applications.collect())
            // Conflicts are looked at here.
            .with_max_retries(0)
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false));
        let partition_by = self.opening.partition_by.clone().map(|column| vec![column]);
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by, predicate: None };
        let committed = CommitBuilder::from(properties)
            .with_actions(files.iter().cloned().map(Action::Add).collect())
            .build(Some(snapshot), self.inner.log_store(), operation)
            .await;
        match committed {
            Ok(committed) => {
                let version = committed.version();
                self.inner.state = Some(committed.snapshot);
                Ok(Some(Outcome::Done(version)))
            }
            Err(error) if is_conflict(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Loads what others have committed since, and what this process has without knowing it; the version of the
    /// commit with this id, if it is among that.
    async fn catch_up(&mut self, id: &str) -> Result<Option<u64>, DeltaTableError> {
        let known = self.version();
        self.inner.update_state().await?;
        let mut own = None;
        for version in known + 1..=self.version() {
            let log = self.inner.log_store();
            let Some(entry) = log.read_commit_entry(version).await? else { continue };
            let actions = get_actions(version, &entry)?;
            let info = actions.iter().find_map(|action| match action {
                Action::CommitInfo(info) => Some(info),
                _ => None,
            });
            let text = |name| info.and_then(|info| info.info.get(name)).and_then(Value::as_str);
            if text(COMMIT) == Some(id) {
                own = Some(version);
                continue;
            }
            let by = text(LANDER).map_or_else(
                || info.and_then(|info| info.engine_info.clone()).unwrap_or_else(|| "another writer".to_owned()),
                str::to_owned,
            );
            for action in &actions {
                if let Action::Txn(moved) = action
                    && let Some(position) = self.positions.get_mut(&moved.app_id)
                {
                    *position = Position { sequence_number: Some(moved.version), by: Some(by.clone()) };
                }
            }
        }
        Ok(own)
    }

    fn moved(&mut self, moves: &[Move]) {
        for Move { application, to, .. } in moves {
            let position = Position { sequence_number: Some(*to), by: None };
            self.positions.insert(application.clone(), position);
        }
    }

    /// Every so many commits: a checkpoint, so that readers need not read each commit, old log files away, and the table
    /// anew. Nothing depends on it: what fails is done the next time.
    async fn care(&mut self) {
        self.commits += 1;
        if self.commits < REOPEN_AFTER {
            return;
        }
        self.commits = 0;
        let cared = async {
            checkpoints::create_checkpoint(&self.inner, None).await?;
            checkpoints::cleanup_metadata(&self.inner, None).await?;
            let mut fresh = DeltaTable::new(self.opening.store.log()?);
            // The same version: `catch_up` has to see what others have committed since.
            fresh.load_version(self.version()).await?;
            Ok::<_, DeltaTableError>(fresh)
        };
        match cared.await {
            Ok(fresh) => self.inner = fresh,
            Err(error) => tracing::warn!(table = self.opening.name, %error, "no checkpoint was written"),
        }
    }

    /// Writes a checkpoint of the loaded version, for those who read the table now.
    pub(crate) async fn finish(&mut self) {
        if self.commits > 0 && self.version() > 0 {
            if let Err(error) = checkpoints::create_checkpoint(&self.inner, None).await {
                tracing::warn!(table = self.opening.name, %error, "no checkpoint was written");
            }
            self.commits = 0;
        }
    }
}

/// The version that the loaded table has of an application.
async fn transaction_version(table: &DeltaTable, application: &str) -> Result<Option<i64>, DeltaTableError> {
    table.snapshot()?.transaction_version(table.log_store().as_ref(), application).await
}

fn is_conflict(error: &DeltaTableError) -> bool {
    use deltalake_core::kernel::transaction::TransactionError::{
        CommitConflict, MaxCommitAttempts, VersionAlreadyExists,
    };
    match error {
        DeltaTableError::VersionAlreadyExists(_) => true,
        DeltaTableError::Transaction { source } => {
            matches!(source, CommitConflict(_) | MaxCommitAttempts(_) | VersionAlreadyExists(_))
        }
        _ => false,
    }
}

impl Opening {
    /// Makes the table: reader version 1, writer version 2, so that every reader takes it. Another process may do so at
    /// the same time.
    async fn create(&self) -> Result<DeltaTable, DeltaTableError> {
        let statistics = (self.layout == Layout::Transactions).then(|| WITH_STATISTICS.join(","));
        let created = CreateBuilder::new()
            .with_log_store(self.store.log()?)
            .with_columns(self.layout.delta())
            .with_partition_columns(self.partition_by.clone())
            .with_configuration_property(TableProperty::DataSkippingStatsColumns, statistics)
            .with_comment(match self.layout {
                Layout::Transactions => "Payment transactions, landed by txgen",
                Layout::Rejected => "Events that are no transactions, landed by txgen",
            })
            .with_save_mode(SaveMode::Ignore)
            .await;
        match created {
            Err(error) => {
                // It may be there all the same: from another process, or from this one without its knowing.
                let mut table = DeltaTable::new(self.store.log()?);
                match table.load().await {
                    Ok(()) => Ok(table),
                    Err(_) => Err(error),
                }
            }
            created => created,
        }
    }

    /// Whether the table has the columns that are written.
    fn check(&self, table: &DeltaTable) -> Result<(), LakeError> {
        let unfit = |problem: String| LakeError::Unfit { table: self.name.clone(), problem };
        let snapshot = table.snapshot().map_err(|error| LakeError::of(&self.name, &error))?;
        let metadata = snapshot.metadata();
        let partitioned: Vec<&str> = metadata.partition_columns().iter().map(String::as_str).collect();
        if let Some(column) = &self.partition_by
            && partitioned != [column.as_str()]
        {
            let found = if partitioned.is_empty() {
                "is not partitioned".to_owned()
            } else {
                format!("is partitioned by {}", partitioned.join(", "))
            };
            return Err(unfit(format!(
                "it {found}, not by {column}; leave out --partition-by, or choose another folder"
            )));
        }
        let schema = snapshot.schema();
        let found: Vec<String> = schema.fields().map(|field| format!("{} {}", field.name, field.data_type)).collect();
        let wanted: Vec<String> =
            self.layout.delta().iter().map(|field| format!("{} {}", field.name, field.data_type)).collect();
        if found == wanted {
            return Ok(());
        }
        let only = |these: &[String], those: &[String]| {
            these.iter().filter(|column| !those.contains(column)).cloned().collect::<Vec<_>>().join(", ")
        };
        Err(unfit(format!(
            "its columns are not those of txgen (lacking: [{}], besides: [{}]); choose another folder",
            only(&wanted, &found),
            only(&found, &wanted)
        )))
    }
}
