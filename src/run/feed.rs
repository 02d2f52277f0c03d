//! Rows on their way from the source's own thread into the run.
//!
//! Reading a file blocks, so it happens on a thread of its own; rows arrive in chunks, because one hand-over per row
//! would cost more than parsing it. A few chunks wait ready, no more: the file is never whole in memory.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::source::{RowError, Source};
use crate::transaction::Transaction;

/// Rows in one chunk at most.
const CHUNK: usize = 128;
/// Chunks that wait ready.
const CHUNKS_READY: usize = 4;
/// How long the reading thread has to end.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// What becomes of one row of the data.
#[derive(Clone, Debug)]
pub(super) enum Row {
    /// It can be sent.
    Transaction(Transaction),
    /// It cannot be read.
    Rejected {
        /// The line on which it starts.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Neither this row nor any after it can be read.
    Failed(String),
}

impl From<Result<Transaction, RowError>> for Row {
    fn from(row: Result<Transaction, RowError>) -> Self {
        match row {
            Ok(transaction) => Self::Transaction(transaction),
            Err(RowError::Rejected(row)) => Self::Rejected { line: row.line, reason: row.reason },
            Err(error) => Self::Failed(error.to_string()),
        }
    }
}

/// The run's end of the feed.
#[derive(Debug)]
pub(super) struct Feed {
    chunks: mpsc::Receiver<Vec<Row>>,
    ready: VecDeque<Row>,
    unreadable_cells: oneshot::Receiver<BTreeMap<String, u64>>,
}

impl Feed {
    /// Starts to read `source` on a thread of its own, which ends with the data or with the feed.
    pub(super) fn start(mut source: Source) -> Self {
        let (sender, chunks) = mpsc::channel(CHUNKS_READY);
        let (ended, unreadable_cells) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            while send_chunk(&mut source, &sender) {}
            drop(sender);
            let _ = ended.send(cells_without_value(&source));
        });
        Self { chunks, ready: VecDeque::new(), unreadable_cells }
    }

    /// A feed of rows that are there already.
    #[cfg(test)]
    pub(super) fn of(rows: impl IntoIterator<Item = Row>) -> Self {
        let (_, chunks) = mpsc::channel(1);
        let (_, unreadable_cells) = oneshot::channel();
        Self { chunks, ready: rows.into_iter().collect(), unreadable_cells }
    }

    /// The next row, if it is there already.
    pub(super) fn try_next(&mut self) -> Option<Row> {
        self.ready.pop_front()
    }

    /// Waits for the next row; `None` at the end. Nothing is lost when the wait is given up.
    pub(super) async fn next(&mut self) -> Option<Row> {
        if self.ready.is_empty() {
            self.ready = self.chunks.recv().await?.into();
        }
        self.ready.pop_front()
    }

    /// Ends the reading and returns how many cells had no readable value, by column.
    pub(super) async fn finish(mut self) -> BTreeMap<String, u64> {
        self.chunks.close();
        while self.chunks.recv().await.is_some() {}
        // A source that hangs in a read (a pipe, a network drive) must not keep the totals from being printed.
        timeout(FINISH_TIMEOUT, self.unreadable_cells).await.ok().and_then(Result::ok).unwrap_or_default()
    }
}

/// Cells without a readable value so far, by column.
fn cells_without_value(source: &Source) -> BTreeMap<String, u64> {
    let columns = source.report().cells.columns();
    columns.map(|(column, count)| (column.to_owned(), count.empty + count.unreadable)).collect()
}

/// Reads one chunk and hands it over; whether there is more to read and the run still wants it.
fn send_chunk(source: &mut Source, sender: &mpsc::Sender<Vec<Row>>) -> bool {
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut more = true;
    while more && chunk.len() < CHUNK {
        match source.next().map(Row::from) {
            Some(row) => {
                more = !matches!(row, Row::Failed(_));
                chunk.push(row);
            }
            None => more = false,
        }
    }
    sender.blocking_send(chunk).is_ok() && more
}
