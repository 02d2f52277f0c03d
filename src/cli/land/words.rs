//! What `txgen land` says in text; pure.

use std::collections::BTreeMap;

use txgen_lake::{Committed, Location};

use super::args::From;
use crate::land::{Ended, Lag, Landed, Step};
use crate::text::counted;

/// A commit, on one line.
pub(super) fn commit_text(committed: &Committed, landed: &Landed) -> String {
    let rejected = if committed.rejected == 0 { String::new() } else { format!(", {} rejected", committed.rejected) };
    format!(
        "version {}: {}{rejected}, {} of {:.1} MB; {} in all, {:.0}/s\n",
        committed.version,
        counted(committed.transactions, "transaction"),
        counted(committed.files, "file"),
        megabytes(committed.bytes),
        landed.transactions + landed.rejected,
        rate(landed),
    )
}

/// How it ended, and how to read the table.
pub(super) fn ended_text(location: &Location, ended: Ended, landed: &Landed) -> String {
    let how = match ended {
        Ended::CaughtUp => "Caught up",
        Ended::Stopped => "Stopped",
    };
    let mut text = format!(
        "{how}: {} in {} of {:.1} MB, {:.0}/s. The table {location} has version {}.\n",
        counted(landed.transactions, "transaction"),
        counted(landed.files, "file"),
        megabytes(landed.bytes),
        rate(landed),
        landed.version
    );
    if landed.rejected > 0 {
        text.push_str(&format!(
            "{} that {} no transaction: see the table {location}_rejected.\n",
            counted(landed.rejected, "event"),
            if landed.rejected == 1 { "is" } else { "are" }
        ));
    }
    if landed.lost > 0 {
        text.push_str(&format!("{} had been deleted before they were landed.\n", counted(landed.lost, "event")));
    }
    text.push_str(&format!(
        "Read it:\n  DuckDB    SELECT * FROM delta_scan('{location}');\n  Python    \
         deltalake.DeltaTable(\"{location}\").to_pandas()\n  Spark     spark.read.format(\"delta\").load(\"{location}\")\n"
    ));
    text
}

/// What belongs on standard error, if it does.
pub(super) fn step(what: &Step, from: From) -> Option<String> {
    match what {
        Step::Began { version, positions, behind } => {
            let known = positions.values().flatten().count() as u64;
            let (place, most) = match from {
                From::EventHub => ("event hub", ""),
                // Deletes and replaced versions have numbers, too.
                From::CosmosDb => ("container", "at most "),
            };
            let from_there = match known {
                0 => format!("nothing of this {place} is in it yet"),
                known => format!("it has positions of {}", counted(known, "partition")),
            };
            let partitions = counted(positions.len() as u64, "partition");
            let behind = counted(*behind, noun(from));
            Some(format!("The table has version {version}: {from_there}; {most}{behind} to land in {partitions}."))
        }
        Step::Behind(lags) => Some(behind(lags, noun(from))),
        _ => trouble(what),
    }
}

/// What is wrong, if this step says so.
pub(super) fn trouble(what: &Step) -> Option<String> {
    match what {
        Step::Gap { partition, lost } => {
            Some(format!("warning: partition {partition} has lost {} before they were landed", counted(*lost, "event")))
        }
        Step::Again { why } => Some(format!("warning: {why}; landing begins again where the table ends")),
        Step::Began { .. } | Step::Committed(..) | Step::Behind(_) => None,
    }
}

fn noun(from: From) -> &'static str {
    match from {
        From::EventHub => "event",
        From::CosmosDb => "change",
    }
}

/// How far the partitions are behind, the worst of them one by one.
fn behind(lags: &BTreeMap<u32, Lag>, noun: &str) -> String {
    const SHOWN: usize = 10;
    let events: u64 = lags.values().map(|lag| lag.events).sum();
    if events == 0 {
        return "Caught up: nothing is left to land.".to_owned();
    }
    let mut worst: Vec<(&u32, &Lag)> = lags.iter().filter(|(_, lag)| lag.events > 0).collect();
    worst.sort_by_key(|(partition, lag)| (std::cmp::Reverse(lag.events), **partition));
    let of = |(partition, lag): &(&u32, &Lag)| format!("{partition}: {} ({:.0} s)", lag.events, lag.seconds);
    let shown: Vec<String> = worst.iter().take(SHOWN).map(of).collect();
    let more = if worst.len() > SHOWN { ", …" } else { "" };
    format!("Behind by {}, by partition {}{more}", counted(events, noun), shown.join(", "))
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

pub(super) fn rate(landed: &Landed) -> f64 {
    let seconds = landed.took.as_secs_f64();
    if seconds > 0.0 { (landed.transactions + landed.rejected) as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;

    pub(in super::super) fn landed() -> Landed {
        Landed {
            transactions: 19_000,
            rejected: 1_000,
            lost: 0,
            commits: 2,
            files: 2,
            bytes: 3_400_000,
            version: 2,
            took: Duration::from_secs(2),
        }
    }

    #[test]
    fn a_commit_is_one_line() {
        let committed = Committed { version: 2, transactions: 1, rejected: 3, files: 1, bytes: 1_200_000 };
        assert_eq!(
            commit_text(&committed, &landed()),
            "version 2: 1 transaction, 3 rejected, 1 file of 1.2 MB; 20000 in all, 10000/s\n"
        );
    }

    #[test]
    fn the_end_tells_how_to_read_the_table() {
        let location = Location::parse("lake/transactions").unwrap();
        let text = ended_text(&location, Ended::CaughtUp, &landed());
        assert!(text.starts_with("Caught up: 19000 transactions in 2 files of 3.4 MB, 10000/s. The table lake/transactions has version 2.\n1000 events that are no transaction: see the table lake/transactions_rejected.\n"), "{text}");
        assert!(text.contains("SELECT * FROM delta_scan('lake/transactions');"), "{text}");
    }

    #[test]
    fn the_partitions_that_are_furthest_behind_come_first() {
        let lag = |events| Lag { events, seconds: 1.5 };
        let lags = BTreeMap::from([(0, lag(5)), (1, lag(0)), (2, lag(70))]);
        assert_eq!(behind(&lags, "event"), "Behind by 75 events, by partition 2: 70 (2 s), 0: 5 (2 s)");
        assert_eq!(behind(&BTreeMap::from([(0, lag(0))]), "event"), "Caught up: nothing is left to land.");
    }

    #[test]
    fn a_container_has_at_most_so_many_changes() {
        let began = Step::Began { version: 3, positions: BTreeMap::from([(0, Some(7)), (1, None)]), behind: 40 };
        assert_eq!(
            step(&began, From::CosmosDb).unwrap(),
            "The table has version 3: it has positions of 1 partition; at most 40 changes to land in 2 partitions."
        );
    }
}
