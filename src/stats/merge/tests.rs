use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::description::{self, RunDescription};
use crate::identity::RunId;
use crate::service::{Failure, FailureKind, Receipt};
use crate::settings::RunSettings;
use crate::stats::{Conclusion, Outcome, Stats};
use crate::transaction::Transaction;

const RUN: &str = "0b5c1f6e-93d2-8a47";
const SERVICES: [ServiceName; 2] = [ServiceName::EventHubs, ServiceName::CosmosDb];
const KINDS: [FailureKind; 3] = [FailureKind::TooLarge, FailureKind::Conflict, FailureKind::Throttled];

/// What becomes of one transaction: its key, when it is requested, and its end at each service.
#[derive(Clone, Debug)]
struct Fate {
    key: u8,
    requested: u64,
    ends: [End; 2],
}

/// Microseconds from the request to the first attempt and to the end; request units in hundredths, or a failure.
#[derive(Clone, Debug)]
struct End {
    admitted: u64,
    settled: u64,
    result: Result<u32, usize>,
    ambiguous: bool,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let end = (
        0u64..5_000,
        0u64..5_000_000,
        prop_oneof![9 => (0u32..5_000).prop_map(Ok), 1 => (0usize..3).prop_map(Err)],
        prop::bool::weighted(0.1),
    )
        .prop_map(|(admitted, settled, result, ambiguous)| End {
            admitted,
            settled: admitted + settled,
            result,
            ambiguous,
        });
    let fate =
        (0u8..5, 0u64..20_000_000, [end.clone(), end]).prop_map(|(key, requested, ends)| Fate { key, requested, ends });
    prop::collection::vec(fate, 0..80)
}

/// The summary of those rows that a shard owns. Its clock starts `late` seconds after that of the whole run.
fn summary(fates: &[Fate], shard: Shard, late: u64, zero: Instant) -> Summary {
    let at = |micros| zero + Duration::from_micros(micros);
    let mut stats = Stats::new(SERVICES.map(|name| (name, Default::default())), zero + Duration::from_secs(late));
    let mut end = zero + Duration::from_secs(late);
    for (row, fate) in (1..).zip(fates).filter(|(row, _)| shard.owns(*row)) {
        let requested = at(fate.requested) + Duration::from_secs(late);
        let run: RunId = RUN.parse().unwrap();
        let key = format!("key {}", fate.key).into();
        let transaction = Transaction::new(row, run.transaction_id(row), key, "{}".into());
        stats.requested(&transaction, requested, requested + Duration::from_micros(u64::from(fate.key)));
        for (name, end_there) in SERVICES.into_iter().zip(&fate.ends) {
            let after = |micros| requested + Duration::from_micros(micros);
            let outcome = Outcome {
                result: match end_there.result {
                    Ok(hundredths) => Ok(Receipt {
                        request_units: f64::from(hundredths) / 100.0,
                        server_time: (name == ServiceName::CosmosDb)
                            .then(|| Duration::from_micros(end_there.settled / 2)),
                    }),
                    Err(kind) => Err(Failure::new(KINDS[kind], "refused")),
                },
                intended: requested,
                admitted: after(end_there.admitted),
                settled: after(end_there.settled),
                ambiguous: end_there.ambiguous,
            };
            end = end.max(outcome.settled);
            stats.settled(name, row, &outcome);
        }
    }
    let description = RunDescription {
        run_id: RUN.parse().unwrap(),
        shard,
        run: RunSettings { rate: Some(100.0), ..description::sample().run },
        event_hubs: None,
        cosmos_db: None,
        ..description::sample()
    };
    let conclusion = Conclusion {
        started_at: OffsetDateTime::UNIX_EPOCH + Duration::from_secs(late),
        reason: StopReason::DataEnded,
        rejected_rows: 1,
        unreadable_cells: BTreeMap::from([("localHour".to_owned(), 2)]),
        data: None,
        session_token: None,
    };
    let summary = Summary::new(&description, conclusion, stats.finish(end), |_| Vec::new());
    // As it comes out of its file.
    Summary::read(&serde_json::to_vec(&summary).unwrap()).unwrap()
}

fn shards(count: u32) -> impl Iterator<Item = Shard> {
    (0..count).map(move |index| Shard::new(index, count).unwrap())
}

fn parts(fates: &[Fate], count: u32) -> Vec<Part> {
    let zero = Instant::now();
    shards(count)
        .map(|shard| Part { name: format!("{}.json", shard.index()), summary: summary(fates, shard, 0, zero) })
        .collect()
}

fn some_fates() -> Vec<Fate> {
    let end = |row| End { admitted: 10, settled: 1000 * row, result: Ok(1429), ambiguous: false };
    (1..=20).map(|row| Fate { key: 1, requested: 1_000 * row, ends: [end(row), end(row)] }).collect()
}

fn refusal(parts: &[Part]) -> String {
    merge(parts, false).unwrap_err().to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_shards_add_up_to_what_one_process_would_have_counted(fates in fates(), count in 2u32..6) {
        let zero = Instant::now();
        let whole = summary(&fates, Shard::WHOLE, 0, zero);
        let mut parts = parts(&fates, count);
        parts.reverse();
        let merged = merge(&parts, false).unwrap();
        prop_assert_eq!(merged.requested, whole.requested);
        prop_assert_eq!((merged.first_row, merged.last_row), (whole.first_row, whole.last_row));
        prop_assert_eq!(&merged.partition_keys, &whole.partition_keys);
        prop_assert_eq!(merged.lateness_ms, whole.lateness_ms);
        prop_assert_eq!(merged.rejected_rows, u64::from(count));
        prop_assert_eq!(merged.unreadable_cells["localHour"], 2 * u64::from(count));
        prop_assert_eq!(merged.rate, Some(100.0 * f64::from(count)));
        prop_assert_eq!(merged.wall_seconds, whole.wall_seconds);
        for name in SERVICES {
            let (merged, whole) = (&merged.services[&name], &whole.services[&name]);
            prop_assert_eq!(merged.counts, whole.counts);
            // Histograms of all outcomes together, every bucket of them, and so every percentile.
            prop_assert_eq!(merged.histograms.service_time.histogram(), whole.histograms.service_time.histogram());
            prop_assert_eq!(merged.histograms.response_time.histogram(), whole.histograms.response_time.histogram());
            prop_assert_eq!(merged.service_time_ms, whole.service_time_ms);
            prop_assert_eq!(merged.response_time_ms, whole.response_time_ms);
            prop_assert_eq!(&merged.failures, &whole.failures);
            prop_assert_eq!(&merged.failure_examples, &whole.failure_examples);
            prop_assert_eq!(&merged.ambiguous_rows, &whole.ambiguous_rows);
            prop_assert_eq!(merged.request_units.map(|units| units.request_units), whole.request_units.map(|units| units.request_units));
            // Each shard rounds its own times to a millisecond.
            prop_assert!((merged.elapsed_seconds - whole.elapsed_seconds).abs() <= 0.002);
        }
    }

    #[test]
    fn the_merged_series_loses_nothing_and_stays_small(
        fates in fates(), late in prop::collection::vec(0u64..2_000, 2..5)
    ) {
        let zero = Instant::now();
        let count = late.len() as u32;
        let parts: Vec<Part> = shards(count)
            .zip(&late)
            .map(|(shard, late)| Part { name: String::new(), summary: summary(&fates, shard, *late, zero) })
            .collect();
        let merged = merge(&parts, false).unwrap();
        let points = &merged.series.points;
        prop_assert!(points.len() <= POINTS as usize);
        prop_assert_eq!(points.iter().map(|point| point.requested).sum::<u64>(), merged.requested);
        for name in SERVICES {
            let of = |figure: fn(&ServicePoint) -> u64| {
                points.iter().filter_map(|point| point.services.get(&name)).map(figure).sum::<u64>()
            };
            prop_assert_eq!(of(|point| point.succeeded), merged.services[&name].counts.succeeded);
            prop_assert_eq!(of(|point| point.failed), merged.services[&name].counts.failed);
            let units: f64 = points.iter().filter_map(|point| point.services.get(&name)).map(|point| point.request_units).sum();
            if let Some(total) = merged.services[&name].request_units {
                prop_assert!((units - total.request_units).abs() < 0.001 * (points.len() + 1) as f64);
            }
        }
        let ends: Vec<f64> = points.iter().map(|point| point.elapsed_seconds).collect();
        prop_assert!(ends.is_sorted());
        prop_assert_eq!(ends.last().copied(), Some(merged.wall_seconds));
    }
}

#[test]
fn the_whole_lasts_from_the_first_start_to_the_last_end() {
    let zero = Instant::now();
    let part = |index, late| Part {
        name: String::new(),
        summary: summary(&some_fates(), Shard::new(index, 2).unwrap(), late, zero),
    };
    let merged = merge(&[part(0, 5), part(1, 0)], false).unwrap();
    assert_eq!(merged.started_at, OffsetDateTime::UNIX_EPOCH);
    // Row 19 is the last one of shard 0: requested 19 ms after its start, settled another 19 ms later.
    assert_eq!(merged.wall_seconds, 5.038);
    let cosmos_db = &merged.services[&ServiceName::CosmosDb];
    // Row 2 is the first one of shard 1.
    assert_eq!(cosmos_db.first_sent_seconds, Some(0.002));
    assert_eq!(cosmos_db.elapsed_seconds, 5.036);
    assert_eq!(cosmos_db.writes_per_second, 3.971);
    assert_eq!(cosmos_db.request_units.unwrap().request_units, 285.8);
}

#[test]
fn a_merged_summary_says_so_and_is_not_merged_again() {
    let merged = merge(&parts(&some_fates(), 3), false).unwrap();
    assert_eq!(merged.merged, Some(Merged { shards: 3, missing: Vec::new() }));
    assert_eq!(merged.shard, None);
    assert!(merged.all_succeeded());
    let again = Part { name: "whole.json".to_owned(), summary: merged };
    assert_eq!(
        refusal(&[again]),
        "whole.json is not the summary of a shard: one process did the whole run, or it is merged already"
    );
}

#[test]
fn missing_shards_are_named_and_may_be_left_out_on_request() {
    let mut there = parts(&some_fates(), 4);
    there.remove(2);
    assert_eq!(refusal(&there), "one shard is missing: 2/4");
    there.remove(0);
    assert_eq!(refusal(&there), "2 shards are missing: 0/4, 2/4");
    let merged = merge(&there, true).unwrap();
    assert_eq!(merged.merged.as_ref().unwrap().missing, ["0/4".parse().unwrap(), "2/4".parse().unwrap()]);
    assert_eq!(merged.requested, 10);
    assert!(!merged.all_succeeded(), "half of the run is not known");
}

#[test]
fn a_shard_that_is_there_twice_is_named_with_its_files() {
    let mut twice = parts(&some_fates(), 3);
    twice.push(Part { name: "copy.json".to_owned(), ..twice[1].clone() });
    assert_eq!(refusal(&twice), "shard 1/3 is there 2 times: 1.json, copy.json");
    assert_eq!(merge(&twice, true).unwrap_err().to_string(), refusal(&twice), "with --partial, too");
}

#[test]
fn shards_of_different_runs_data_or_targets_are_refused() {
    let change = |how: fn(&mut Summary)| {
        let mut parts = parts(&some_fates(), 2);
        how(&mut parts[1].summary);
        refusal(&parts)
    };
    assert_eq!(
        change(|summary| summary.run_id = "ffffffff-93d2-8a47".parse().unwrap()),
        format!("these are not shards of one run: the run differs\n  0.json: {RUN}\n  1.json: ffffffff-93d2-8a47")
    );
    assert_eq!(
        change(|summary| summary.shard = Some(Shard::new(1, 3).unwrap())),
        "these are not shards of one run: the number of shards differs\n  0.json: 2\n  1.json: 3"
    );
    assert_eq!(
        change(|summary| {
            summary.data = Some(DataFile { file: "a.csv".to_owned(), bytes: Some(7), sha256: Some("ab".to_owned()) });
        }),
        "these are not shards of one run: the data differs\n  0.json: cannot be read again\n  1.json: SHA-256 ab"
    );
    assert_eq!(
        change(|summary| _ = summary.services.remove(&ServiceName::EventHubs)),
        "these are not shards of one run: what was written to differs\n  0.json: Event Hubs; Cosmos DB\n  1.json: Cosmos DB"
    );
    assert_eq!(merge(&[], false).unwrap_err().to_string(), "there is nothing to merge");
}

#[test]
fn settings_in_which_shards_differ_name_them() {
    let setting = |key: &str, value: &str| Setting {
        key: key.to_owned(),
        value: value.to_owned(),
        source: "environment".to_owned(),
    };
    let mut parts = parts(&some_fates(), 3);
    for (index, part) in parts.iter_mut().enumerate() {
        let lead = if index == 1 { "5s" } else { "0s" };
        part.summary.settings = vec![setting("SECONDS_TO_LEAD", lead), setting("SECONDS_TO_RUN", "600s")];
    }
    let message: Vec<String> = merge(&parts, false)
        .unwrap()
        .settings
        .into_iter()
        .map(|setting| format!("{} {} {}", setting.key, setting.value, setting.source))
        .collect();
    assert_eq!(
        message,
        [
            "SECONDS_TO_LEAD 0s environment (shard 0/3, 2/3)",
            "SECONDS_TO_LEAD 5s environment (shard 1/3)",
            "SECONDS_TO_RUN 600s environment",
        ]
    );
}

#[test]
fn the_reason_to_stop_is_the_one_that_cut_the_run_shortest() {
    let mut parts = parts(&some_fates(), 2);
    parts[0].summary.stop_reason = StopReason::LimitReached;
    assert_eq!(merge(&parts, false).unwrap().stop_reason, StopReason::LimitReached);
    parts[1].summary.stop_reason = StopReason::Interrupted;
    parts[1].summary.interrupted = true;
    let merged = merge(&parts, false).unwrap();
    assert_eq!((merged.stop_reason, merged.interrupted), (StopReason::Interrupted, true));
}

#[test]
fn figures_that_no_run_can_have_do_no_harm() {
    let mut parts = parts(&some_fates(), 2);
    for part in &mut parts {
        let summary = &mut part.summary;
        (summary.requested, summary.other_partition_keys) = (u64::MAX, u64::MAX);
        summary.rate = Some(f64::MAX);
        summary.wall_seconds = f64::MAX;
        summary.started_at = time::PrimitiveDateTime::MAX.assume_utc();
        summary.services.values_mut().for_each(|service| service.counts.succeeded = u64::MAX);
        summary.series.points.iter_mut().for_each(|point| point.requested = u64::MAX);
    }
    let merged = merge(&parts, false).unwrap();
    assert_eq!((merged.requested, merged.other_partition_keys), (u64::MAX, u64::MAX));
    assert_eq!(merged.services[&ServiceName::CosmosDb].counts.succeeded, u64::MAX);
    // Every number in it is one that JSON has.
    assert!(Summary::read(&serde_json::to_vec(&merged).unwrap()).is_ok());
}

#[test]
fn a_summary_is_found_at_the_end_of_a_log_that_others_write_into() {
    let fates = some_fates();
    let summary = summary(&fates, Shard::new(0, 2).unwrap(), 0, Instant::now());
    let line = serde_json::to_string(&summary).unwrap();
    let log =
        format!("{{\"type\":\"start\"}}\nEvent Hubs: transaction 3 failed\n{{\"type\":\"batch\"}}\n{line}\nbye\n");
    assert_eq!(Summary::read(log.as_bytes()).unwrap().requested, 10);
    assert!(Summary::read(b"{\"type\":\"start\"}\n").is_err());
    assert!(Summary::read(b"").is_err());
}
