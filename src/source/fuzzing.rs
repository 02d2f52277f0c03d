//! What a fuzzer takes through the CSV reader.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is what a fuzzer looks for")]

use std::io::{self, Read};

use super::{RowError, Source, SourceOptions};

/// Gives a few bytes at a time, as a pipe may do.
struct Dribble {
    data: Vec<u8>,
    at: usize,
    most: usize,
}

impl Read for Dribble {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.data[self.at..];
        let count = rest.len().min(buffer.len()).min(self.most);
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

/// A whole CSV file, behind one byte that says how it is read: strictly or not, and in pieces of which size. Every row
/// becomes a transaction with a JSON object in it, or is rejected with its line, and none is left out.
pub fn csv(data: &[u8]) {
    let Some((how, data)) = data.split_first() else { return };
    // What editors call a line.
    let lines = String::from_utf8_lossy(data).replace("\r\n", "\n").split(['\r', '\n']).count() as u64;
    let options = SourceOptions {
        strict: how & 1 == 1,
        keep_records: how & 8 == 8,
        ..SourceOptions::new("0b5c1f6e-93d2-8a47".parse().unwrap(), 60)
    };
    let most = [1, 7, 64, usize::MAX][usize::from(how >> 1) % 4];
    let Ok(mut source) = Source::from_reader("data.csv", Dribble { data: data.to_vec(), at: 0, most }, options) else {
        return;
    };
    let (mut rows, mut rejected, mut last_line) = (0, 0, 0);
    for row in source.by_ref() {
        rows += 1;
        match row {
            Ok(transaction) => {
                assert_eq!(transaction.row, rows);
                let body: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&transaction.body)
                    .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&transaction.body)));
                assert_eq!(body["id"], transaction.id.to_string());
                assert_eq!(body["ipCountryCode"], transaction.partition_key.as_ref());
                assert!(!transaction.partition_key.is_empty());
            }
            Err(RowError::Rejected(row)) => {
                rejected += 1;
                assert_eq!(row.row, rows);
                assert!(row.line > last_line && row.line <= lines, "line {} of {lines}", row.line);
                last_line = row.line;
            }
            Err(RowError::Fatal(_)) => break,
        }
    }
    let report = source.report();
    assert_eq!((report.rows_read, report.rejected_rows), (rows, rejected));
}
