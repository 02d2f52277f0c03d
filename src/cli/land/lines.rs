//! What `txgen land` says in JSON, line by line; pure.

use std::collections::BTreeMap;

use serde::Serialize;
use txgen_lake::Location;

use super::words::rate;
use crate::land::{Ended, Lag, Landed, Step};

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "the types of lines are named after the command")]
enum Line<'a> {
    LandStart {
        version: u64,
        positions: &'a BTreeMap<u32, Option<i64>>,
        events_behind: u64,
    },
    LandCommit {
        version: u64,
        transactions: u64,
        rejected: u64,
        files: u64,
        bytes: u64,
        events_in_all: u64,
        events_per_second: f64,
    },
    LandGap {
        partition: u32,
        events_lost: u64,
    },
    LandLag {
        partitions: &'a BTreeMap<u32, Lag>,
    },
    LandRetry {
        reason: &'a str,
    },
    LandEnd {
        table: String,
        ended: Ended,
        version: u64,
        transactions: u64,
        rejected: u64,
        lost: u64,
        commits: u64,
        files: u64,
        bytes: u64,
        seconds: f64,
        events_per_second: f64,
    },
}

/// A step, as one line of JSON.
pub(super) fn step(what: &Step) -> Option<String> {
    Some(written(&match what {
        Step::Began { version, positions, behind } => {
            Line::LandStart { version: *version, positions, events_behind: *behind }
        }
        Step::Committed(committed, landed) => Line::LandCommit {
            version: committed.version,
            transactions: committed.transactions,
            rejected: committed.rejected,
            files: committed.files,
            bytes: committed.bytes,
            events_in_all: landed.transactions + landed.rejected,
            events_per_second: rate(landed),
        },
        Step::Gap { partition, lost } => Line::LandGap { partition: *partition, events_lost: *lost },
        Step::Behind(partitions) => Line::LandLag { partitions },
        Step::Again { why } => Line::LandRetry { reason: why },
    }))
}

/// The end, as one line of JSON.
pub(super) fn end(location: &Location, ended: Ended, landed: &Landed) -> String {
    written(&Line::LandEnd {
        table: location.to_string(),
        ended,
        version: landed.version,
        transactions: landed.transactions,
        rejected: landed.rejected,
        lost: landed.lost,
        commits: landed.commits,
        files: landed.files,
        bytes: landed.bytes,
        seconds: landed.took.as_secs_f64(),
        events_per_second: rate(landed),
    })
}

fn written(line: &Line<'_>) -> String {
    // Neither maps nor numbers of these kinds can fail to be written.
    serde_json::to_string(line).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::words::tests::landed;
    use super::*;

    #[test]
    fn lines_of_json_have_a_type() {
        let location = Location::parse("lake/t").unwrap();
        let end: serde_json::Value = serde_json::from_str(&end(&location, Ended::Stopped, &landed())).unwrap();
        assert_eq!((&end["type"], &end["ended"], &end["version"]), (&"land_end".into(), &"stopped".into(), &2.into()));
        let start = step(&Step::Began { version: 0, positions: BTreeMap::from([(0, None)]), behind: 7 }).unwrap();
        assert_eq!(start, "{\"type\":\"land_start\",\"version\":0,\"positions\":{\"0\":null},\"events_behind\":7}\n");
    }
}
