//! What a fuzzer takes through the thresholds: conditions as they are typed.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a panic is what a fuzzer looks for")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Threshold, passed};
use crate::description::{self, RunDescription};
use crate::identity::RunId;
use crate::service::{Counters, Failure, FailureKind, Receipt, ServiceName};
use crate::stats::{Conclusion, Outcome, Stats, StopReason, Summary};
use crate::transaction::Transaction;

/// So long is an error at most, in bytes, however long the text is.
const LONGEST_ERROR: usize = 1000;

/// A threshold in the first line, and the summary that it judges in the rest, or else one of ours. What can be read is the
/// same after it was written and read again, and a run that crosses it has not passed; what cannot be read is reported in one
/// short line.
pub fn threshold(data: &[u8]) {
    let place = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (Ok(text), rest) = (std::str::from_utf8(&data[..place]), &data[place..]) else { return };
    match text.parse::<Threshold>() {
        Ok(threshold) => {
            let written = threshold.to_string();
            assert_eq!(written.parse().as_ref(), Ok(&threshold), "{written}");
            let summary = Summary::read(rest).unwrap_or_else(|_| summary());
            let verdicts = threshold.judge(&summary);
            assert!(verdicts.iter().all(|verdict| verdict.threshold == written), "{verdicts:?}");
            let crossed = verdicts.iter().any(|verdict| verdict.crossed);
            assert!(!crossed || !passed(&[threshold], &summary));
        }
        Err(error) => {
            let error = error.to_string();
            assert!(error.len() <= LONGEST_ERROR && !error.contains(char::is_control), "{error:?}");
        }
    }
}

/// Ten transactions, requested in time: Event Hubs stores all, each in a millisecond more; Cosmos DB refuses the last.
pub(super) fn summary() -> Summary {
    let (start, run) = (Instant::now(), RunId::random());
    let services = [ServiceName::EventHubs, ServiceName::CosmosDb];
    let mut stats = Stats::new(services.map(|name| (name, Arc::<Counters>::default())), start);
    for row in 1..=10 {
        let transaction = Transaction::new(row, run.transaction_id(row), "us".into(), "{}".into());
        stats.requested(&transaction, start, start);
        let stored = Outcome {
            result: Ok(Receipt { request_units: 14.5, server_time: None }),
            intended: start,
            admitted: start,
            settled: start + Duration::from_millis(row),
            ambiguous: false,
        };
        stats.settled(ServiceName::EventHubs, row, &stored);
        let result = if row < 10 { stored.result.clone() } else { Err(Failure::new(FailureKind::TooLarge, "x")) };
        stats.settled(ServiceName::CosmosDb, row, &Outcome { result, ..stored });
    }
    let conclusion = Conclusion {
        started_at: time::OffsetDateTime::UNIX_EPOCH,
        reason: StopReason::DataEnded,
        rejected_rows: 2,
        unreadable_cells: BTreeMap::from([("localHour".to_owned(), 3)]),
        data: None,
        session_token: None,
    };
    let description = RunDescription { event_hubs: None, cosmos_db: None, ..description::sample() };
    Summary::new(&description, conclusion, stats.finish(start + Duration::from_secs(1)), |_| Vec::new())
}
