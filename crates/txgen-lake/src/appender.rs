//! Events in, commits out.

use std::collections::BTreeMap;
use std::time::Duration;

use deltalake_core::DeltaTableError;
use deltalake_core::kernel::Add;
use deltalake_core::parquet::basic::Compression;
use deltalake_core::parquet::file::properties::{EnabledStatistics, WriterProperties};
use deltalake_core::writer::{DeltaWriter as _, RecordBatchWriter};

use crate::columns::Layout;
use crate::error::LakeError;
use crate::event::Event;
use crate::location::Store;
use crate::rows::Rows;
use crate::source::Source;
use crate::split;
use crate::table::{Move, Opening, Outcome, Position, Table};

/// Rows that are handed to the file's writer at once.
const BATCH: usize = 8_192;
/// Rows of a row group, which the writer holds in memory until it is full.
const ROW_GROUP: usize = 128 * 1_024;

/// How a table is written.
#[derive(Clone, Debug)]
pub struct Options {
    /// The table's name in messages.
    pub table: String,
    /// Who writes: the name in the error of a process whose partitions were taken over.
    pub lander: String,
    /// The column by whose values a new table's files are kept apart.
    pub partition_by: Option<String>,
    /// How long a commit is tried while the store fails.
    pub retry_for: Duration,
    /// Between two tries of a commit, at first; it doubles up to five seconds.
    pub pause: Duration,
}

/// A commit that is in the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The table's version.
    pub version: u64,
    /// Transactions in it.
    pub transactions: u64,
    /// Events in it that are no transactions.
    pub rejected: u64,
    /// Files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Appends the events of one source to a table.
///
/// After an error that [`LakeError::may_heal`], drop this appender and open another one: it begins where the table ends.
pub struct Appender {
    source: Source,
    /// Where each partition is in the table: the last sequence number.
    landed: BTreeMap<u32, Option<i64>>,
    transactions: Sink,
    table: Table,
    rejected: Rejected,
    /// How far each partition that has new events has got.
    moved: BTreeMap<u32, i64>,
    taken: u64,
}

/// Rows on their way into the files of one commit.
struct Sink {
    rows: Rows,
    writer: RecordBatchWriter,
}

impl Sink {
    fn new(layout: Layout, table: &Table) -> Result<Self, DeltaTableError> {
        let writer = RecordBatchWriter::for_table(table.inner())?.with_writer_properties(properties());
        Ok(Self { rows: Rows::new(layout), writer })
    }

    async fn hand_over(&mut self) -> Result<(), DeltaTableError> {
        if self.rows.len() > 0 {
            let batch = self.rows.take()?;
            self.writer.write(batch).await?;
        }
        Ok(())
    }

    async fn files(&mut self) -> Result<Vec<Add>, DeltaTableError> {
        self.hand_over().await?;
        self.writer.flush().await
    }
}

/// Snappy, and Parquet's first page format: what every reader of Delta tables knows.
fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_created_by(format!("txgen {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .build()
}

/// The events that are no transactions.
struct Rejected {
    opening: Opening,
    /// Of every partition.
    applications: Vec<String>,
    /// Opened when the first one comes.
    table: Option<Table>,
    /// Until the next commit, with the reason.
    waiting: Vec<(Event, String)>,
    bytes: usize,
}

impl Appender {
    /// Opens the table at `store`, which is made if it is not there, for these partitions of the source. Rejected events
    /// go to the table at `rejected`, which is made when the first one comes.
    ///
    /// # Errors
    /// When the store fails, or holds a table with other columns.
    pub async fn open(
        source: Source,
        partitions: impl IntoIterator<Item = u32>,
        store: Store,
        rejected: Store,
        options: Options,
    ) -> Result<Self, LakeError> {
        let partitions: Vec<u32> = partitions.into_iter().collect();
        let applications = || partitions.iter().map(|partition| source.application(*partition)).collect::<Vec<_>>();
        let opening = Opening {
            name: options.table.clone(),
            store,
            layout: Layout::Transactions,
            partition_by: options.partition_by,
            lander: options.lander,
            retry_for: options.retry_for,
            pause: options.pause,
        };
        let of_rejected = Opening {
            name: format!("{}_rejected", options.table),
            store: rejected,
            layout: Layout::Rejected,
            partition_by: None,
            ..opening.clone()
        };
        let mut table = Table::open(opening, applications(), true)
            .await?
            .ok_or_else(|| LakeError::Unfit { table: options.table.clone(), problem: "it was not made".to_owned() })?;
        let mut rejected_table = Table::open(of_rejected.clone(), applications(), false).await?;
        split::adopt(&source, &mut table).await?;
        if let Some(rejected) = &mut rejected_table {
            split::adopt(&source, rejected).await?;
        }
        let landed = partitions
            .iter()
            .map(|partition| (*partition, table.position(&source.application(*partition)).sequence_number))
            .collect();
        let transactions =
            Sink::new(Layout::Transactions, &table).map_err(|error| LakeError::of(&options.table, &error))?;
        let rejected = Rejected {
            opening: of_rejected,
            applications: applications(),
            table: rejected_table,
            waiting: Vec::new(),
            bytes: 0,
        };
        Ok(Self { source, landed, transactions, table, rejected, moved: BTreeMap::new(), taken: 0 })
    }

    /// The last sequence number of each partition that is in the table, if any is.
    #[must_use]
    pub fn landed(&self) -> &BTreeMap<u32, Option<i64>> {
        &self.landed
    }

    /// The table's version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.table.version()
    }

    /// About how large the files of the next commit are by now, in bytes.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.transactions.writer.buffer_len() + self.rejected.bytes
    }

    /// How many events the next commit has by now.
    #[must_use]
    pub fn pending_events(&self) -> u64 {
        self.taken
    }

    /// Passes over a partition's events up to this one: with the next commit it is the partition's position.
    pub fn skip_to(&mut self, partition: u32, sequence_number: i64) {
        if self.landed.contains_key(&partition) {
            self.moved.insert(partition, sequence_number);
        }
    }

    /// Takes the next event of its partition. One that is in the table already, or was taken before, is passed over.
    /// Whether it is a transaction.
    ///
    /// # Errors
    /// When the store fails, or the partition is none of this appender's.
    pub async fn take(&mut self, event: Event) -> Result<bool, LakeError> {
        let Some(landed) = self.landed.get(&event.partition) else {
            let problem = format!("partition {} was not asked for", event.partition);
            return Err(LakeError::Unfit { table: self.table_name(), problem });
        };
        // Changes that share a number come together, and with them the position is not moved in between.
        let taken = self.moved.get(&event.partition).filter(|_| self.source.has_unique_numbers()).copied();
        if taken.max(*landed).is_some_and(|last| event.sequence_number <= last) {
            return Ok(true);
        }
        self.moved.insert(event.partition, event.sequence_number);
        self.taken += 1;
        match self.transactions.rows.push_transaction(&event) {
            Ok(()) => {
                if self.transactions.rows.len() >= BATCH {
                    let handed_over = self.transactions.hand_over().await;
                    handed_over.map_err(|error| LakeError::of(&self.table_name(), &error))?;
                }
                Ok(true)
            }
            Err(rejection) => {
                self.rejected.bytes += event.body.len() + size_of::<Event>();
                self.rejected.waiting.push((event, rejection.to_string()));
                Ok(false)
            }
        }
    }

    /// Puts everything that was taken into the table; `None` where that is nothing.
    ///
    /// # Errors
    /// [`LakeError::Fenced`] when another process has moved one of the partitions; when the store fails for too long.
    pub async fn commit(&mut self) -> Result<Option<Committed>, LakeError> {
        if self.moved.is_empty() {
            return Ok(None);
        }
        let name = self.table_name();
        let files = self.transactions.files().await.map_err(|error| LakeError::of(&name, &error))?;
        // First, because the position of the events is in the other table: after a kill in between they are taken again,
        // and passed over where they are.
        let rejected = self.rejected.waiting.len() as u64;
        self.rejected.commit(&self.source).await?;
        let moves = self.moves(&self.moved);
        let version = match self.table.commit(&files, &moves).await? {
            Outcome::Done(version) => version,
            Outcome::Moved { application, found } => return Err(self.fenced(&application, found)),
        };
        let size = |file: &Add| u64::try_from(file.size).unwrap_or_default();
        let committed = Committed {
            version,
            transactions: self.taken - rejected,
            rejected,
            files: files.len() as u64,
            bytes: files.iter().map(size).sum(),
        };
        for (partition, sequence_number) in std::mem::take(&mut self.moved) {
            self.landed.insert(partition, Some(sequence_number));
        }
        self.taken = 0;
        Ok(Some(committed))
    }

    /// Ends: both tables get a checkpoint, so that readers need not read every commit. What was taken and not committed is
    /// not in the table.
    pub async fn finish(mut self) {
        self.table.finish().await;
        if let Some(rejected) = &mut self.rejected.table {
            rejected.finish().await;
        }
    }

    fn moves(&self, moved: &BTreeMap<u32, i64>) -> Vec<Move> {
        let step = |(partition, to): (&u32, &i64)| Move {
            application: self.source.application(*partition),
            from: self.landed.get(partition).copied().flatten(),
            to: *to,
        };
        moved.iter().map(step).collect()
    }

    fn fenced(&self, application: &str, found: Position) -> LakeError {
        let partition = self.landed.keys().find(|partition| self.source.application(**partition) == application);
        let partition = partition.copied().unwrap_or_default();
        let shown = |number: Option<i64>| match number {
            None => "nothing".to_owned(),
            Some(split::CLOSED) => "the split that ended it".to_owned(),
            Some(number) => number.to_string(),
        };
        LakeError::Fenced {
            table: self.table_name(),
            partition,
            by: found.by.unwrap_or_else(|| "another process".to_owned()),
            theirs: shown(found.sequence_number),
            ours: shown(self.landed.get(&partition).copied().flatten()),
        }
    }

    fn table_name(&self) -> String {
        self.rejected.opening.name.trim_end_matches("_rejected").to_owned()
    }
}

impl Rejected {
    /// Puts the waiting events into their table, those that are not there yet: another process that was about to land the
    /// same partition may have put them there.
    async fn commit(&mut self, source: &Source) -> Result<(), LakeError> {
        while !self.waiting.is_empty() {
            let name = self.opening.name.clone();
            let fail = |error: DeltaTableError| LakeError::of(&name, &error);
            let table = match &mut self.table {
                Some(table) => table,
                none => {
                    let opened = Table::open(self.opening.clone(), self.applications.clone(), true).await?;
                    let Some(opened) = opened else { continue };
                    none.insert(opened)
                }
            };
            let position = |partition: u32| table.position(&source.application(partition)).sequence_number;
            let mut moved: BTreeMap<u32, i64> = BTreeMap::new();
            let mut sink = Sink::new(Layout::Rejected, table).map_err(fail)?;
            for (event, reason) in &self.waiting {
                if position(event.partition).is_none_or(|last| event.sequence_number > last) {
                    sink.rows.push_rejected(event, reason);
                    moved.insert(event.partition, event.sequence_number);
                }
            }
            if !moved.is_empty() {
                let moves: Vec<Move> = moved
                    .iter()
                    .map(|(partition, to)| Move {
                        application: source.application(*partition),
                        from: position(*partition),
                        to: *to,
                    })
                    .collect();
                let files = sink.files().await.map_err(fail)?;
                if let Outcome::Moved { .. } = table.commit(&files, &moves).await? {
                    continue;
                }
            }
            self.waiting.clear();
            self.bytes = 0;
        }
        Ok(())
    }
}
