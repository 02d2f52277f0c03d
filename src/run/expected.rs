//! How many transactions a run will request, as far as that is known while the file is still being streamed.

use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::settings::RunSettings;
use crate::shard::Shard;
use crate::source::input;

/// How many transactions will be requested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// So many.
    Exactly(u64),
    /// So many, give or take: rows are not counted yet, or may still turn out unreadable.
    About(u64),
    /// The data is a stream, or starts again and again.
    #[default]
    Unknown,
}

impl Expected {
    /// The number, where there is one.
    #[must_use]
    pub fn count(self) -> Option<u64> {
        match self {
            Self::Exactly(count) | Self::About(count) => Some(count),
            Self::Unknown => None,
        }
    }

    /// The same with another number, where there is one.
    #[must_use]
    pub fn map(self, change: impl FnOnce(u64) -> u64) -> Self {
        match self {
            Self::Exactly(count) => Self::Exactly(change(count)),
            Self::About(count) => Self::About(change(count)),
            Self::Unknown => Self::Unknown,
        }
    }

    /// The same with a limit on the number of transactions. `repeat` says whether the data starts again at its end.
    #[must_use]
    pub fn limited(self, limit: Option<u64>, repeat: bool) -> Self {
        match (limit, self) {
            (Some(limit), _) if repeat => Self::Exactly(limit),
            (None, _) if repeat => Self::Unknown,
            (Some(limit), Self::Exactly(count)) => Self::Exactly(count.min(limit)),
            (Some(limit), Self::About(count)) => Self::About(count.min(limit)),
            // A stream may end earlier.
            (Some(limit), Self::Unknown) => Self::About(limit),
            (None, expected) => expected,
        }
    }
}

impl fmt::Display for Expected {
    /// `20000`, `~20000`, `?`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(count) => write!(f, "{count}"),
            Self::About(count) => write!(f, "~{count}"),
            Self::Unknown => f.write_str("?"),
        }
    }
}

/// The lines of a file, counted on the side while the run goes on.
#[derive(Debug, Default)]
struct LineCount {
    lines: AtomicU64,
    bytes: AtomicU64,
    ended: AtomicBool,
    /// Set when the count is not wanted any more.
    cancelled: AtomicBool,
}

impl LineCount {
    /// How many rows a file of `size` bytes has, from what is counted so far; the header is none.
    ///
    /// Never exact: a row may hold line breaks, and a row that cannot be read is not sent.
    fn rows(&self, size: u64) -> Expected {
        // `ended` is read first: what is read after it belongs to a finished count if it is set.
        let ended = self.ended.load(Ordering::Acquire);
        let (lines, bytes) = (self.lines.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        let lines = match (ended, bytes) {
            (true, _) => lines,
            (false, 0) => return Expected::Unknown,
            (false, bytes) => {
                let scaled = u128::from(lines) * u128::from(size.max(bytes)) / u128::from(bytes);
                u64::try_from(scaled).unwrap_or(u64::MAX)
            }
        };
        Expected::About(lines.saturating_sub(1))
    }

    /// Ends the counting.
    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// Counts the lines that are not empty; blocks. What is counted can be read from `count` meanwhile. A file that cannot
/// be read any more leaves the count where it is: the run itself reports that.
fn count_lines(mut input: impl Read, count: &LineCount) {
    let mut buffer = vec![0; 1 << 16];
    let mut line_is_empty = true;
    while !count.cancelled.load(Ordering::Relaxed) {
        let read = match input.read(&mut buffer) {
            Ok(0) => {
                count.lines.fetch_add(u64::from(!line_is_empty), Ordering::Relaxed);
                count.ended.store(true, Ordering::Release);
                return;
            }
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let mut lines = 0;
        for &byte in &buffer[..read] {
            match byte {
                b'\n' => {
                    lines += u64::from(!line_is_empty);
                    line_is_empty = true;
                }
                b'\r' => {}
                _ => line_is_empty = false,
            }
        }
        count.lines.fetch_add(lines, Ordering::Relaxed);
        count.bytes.fetch_add(read as u64, Ordering::Relaxed);
    }
}

/// How many transactions the data makes: its lines are counted on the side, on a thread of their own.
#[derive(Debug)]
pub(super) struct RowCount {
    /// `None` where there is no regular file to count: a stream is read once, by the run.
    lines: Option<(Arc<LineCount>, u64)>,
    shard: Shard,
    limit: Option<u64>,
    repeat: bool,
}

impl RowCount {
    /// Counts the rows of this file, for a run with these settings of which this process has this part.
    pub(super) fn start(data: &Path, settings: &RunSettings, shard: Shard) -> Self {
        let lines = if settings.repeat { None } else { count(data) };
        Self { lines, shard, limit: settings.limit, repeat: settings.repeat }
    }

    pub(super) fn expected(&self) -> Expected {
        let rows = self.lines.as_ref().map_or(Expected::Unknown, |(count, size)| count.rows(*size));
        let rows = rows.map(|rows| self.shard.part_of(rows));
        rows.limited(self.limit, self.repeat)
    }
}

impl Drop for RowCount {
    fn drop(&mut self) {
        if let Some((count, _)) = &self.lines {
            count.cancel();
        }
    }
}

fn count(data: &Path) -> Option<(Arc<LineCount>, u64)> {
    // Whatever is wrong with the file, the run itself reports.
    let size = input::size(data).ok()??;
    let file = input::open(data).ok()?;
    let count = Arc::new(LineCount::default());
    let counting = Arc::clone(&count);
    tokio::task::spawn_blocking(move || count_lines(file, &counting));
    Some((count, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_of(text: &str) -> Expected {
        let count = LineCount::default();
        count_lines(text.as_bytes(), &count);
        count.rows(text.len() as u64)
    }

    #[test]
    fn rows_are_the_lines_below_the_header() {
        assert_eq!(rows_of("header\r\n1\r\n2\r\n\r\n"), Expected::About(2), "empty lines are none");
        assert_eq!(rows_of("header\n1\n2"), Expected::About(2), "the last line needs no end");
        assert_eq!(rows_of(""), Expected::About(0));
    }

    #[test]
    fn what_is_not_counted_yet_is_taken_to_be_like_what_is() {
        let count = LineCount::default();
        assert_eq!(count.rows(1000), Expected::Unknown);
        count.lines.store(11, Ordering::Relaxed);
        count.bytes.store(100, Ordering::Relaxed);
        assert_eq!(count.rows(1000), Expected::About(109));
    }

    #[test]
    fn a_count_that_is_cancelled_ends() {
        let count = LineCount::default();
        count.cancel();
        count_lines(std::io::repeat(b'x'), &count);
        assert_eq!(count.rows(1000), Expected::Unknown);
    }

    #[test]
    fn a_limit_bounds_what_the_file_holds_and_makes_repeated_data_exact() {
        assert_eq!(Expected::About(20_000).limited(Some(500), false), Expected::About(500));
        assert_eq!(Expected::About(20_000).limited(Some(50_000), false), Expected::About(20_000));
        assert_eq!(Expected::About(20_000).limited(Some(50_000), true), Expected::Exactly(50_000));
        assert_eq!(Expected::About(20_000).limited(None, true), Expected::Unknown);
        assert_eq!(Expected::Unknown.limited(Some(10), false), Expected::About(10));
    }
}
