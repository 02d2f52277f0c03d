use std::collections::BTreeMap;

use super::*;
use crate::description;
use crate::identity::RunId;
use crate::service::FailureKind;

const EVENT_HUBS: ServiceName = ServiceName::EventHubs;
const COSMOS_DB: ServiceName = ServiceName::CosmosDb;

fn stats(now: Instant) -> Stats {
    Stats::new([(EVENT_HUBS, Arc::default()), (COSMOS_DB, Arc::default())], now)
}

fn stored(start: Instant, after: u64, request_units: f64) -> Outcome {
    let settled = start + Duration::from_millis(after);
    let receipt = Receipt { request_units, server_time: None };
    Outcome { result: Ok(receipt), intended: start, admitted: start, settled, ambiguous: false }
}

fn transaction(row: u64, key: &str) -> Transaction {
    Transaction::new(row, RunId::random().transaction_id(row), key.into(), "{}".into())
}

fn request(stats: &mut Stats, now: Instant) {
    stats.requested(&transaction(1, "us"), now, now);
}

fn summary(stats: &mut Stats, now: Instant) -> Summary {
    let conclusion = Conclusion {
        started_at: time::OffsetDateTime::UNIX_EPOCH,
        reason: StopReason::DataEnded,
        rejected_rows: 0,
        unreadable_cells: BTreeMap::new(),
        data: None,
        session_token: None,
    };
    Summary::new(&description::sample(), conclusion, stats.finish(now), |_| Vec::new())
}

#[test]
fn a_batch_is_due_at_every_thousand_requested() {
    let start = Instant::now();
    let mut stats = stats(start);
    (0..999).for_each(|_| request(&mut stats, start));
    assert!(!stats.is_due(start));
    request(&mut stats, start);
    assert!(stats.is_due(start));
    let batch = stats.close_batch(start + Duration::from_secs(1));
    assert_eq!((batch.number, batch.requested), (1, 1000));
    assert!(!stats.is_due(start + Duration::from_secs(1)));
}

#[test]
fn once_all_are_requested_a_batch_is_due_at_every_thousand_settled() {
    let start = Instant::now();
    let mut stats = stats(start);
    (0..1500).for_each(|_| request(&mut stats, start));
    stats.close_batch(start);
    (0..900).for_each(|_| _ = stats.settled(EVENT_HUBS, 1, &stored(start, 1, 0.0)));
    stats.all_requested();
    (0..999).for_each(|_| _ = stats.settled(COSMOS_DB, 1, &stored(start, 1, 0.0)));
    assert!(!stats.is_due(start));
    stats.settled(EVENT_HUBS, 1, &stored(start, 1, 0.0));
    assert!(stats.is_due(start));
}

#[test]
fn a_batch_is_due_after_ten_seconds_whatever_happens() {
    let start = Instant::now();
    let stats = stats(start);
    assert!(!stats.is_due(start + Duration::from_millis(9_999)));
    assert!(stats.is_due(start + Duration::from_secs(10)));
}

#[test]
fn every_transaction_is_in_exactly_one_place() {
    let start = Instant::now();
    let mut stats = stats(start);
    (0..10).for_each(|_| request(&mut stats, start));
    (0..4).for_each(|_| _ = stats.settled(COSMOS_DB, 1, &stored(start, 1, 14.0)));
    let failed = Outcome { result: Err(Failure::new(FailureKind::TooLarge, "x")), ..stored(start, 1, 0.0) };
    (0..3).for_each(|_| _ = stats.settled(COSMOS_DB, 1, &failed));
    stats.not_sent(COSMOS_DB, 2);
    let batch = stats.close_batch(start);
    let total = batch.services[1].total;
    assert_eq!((total.requested, total.succeeded, total.failed, total.not_sent, total.pending), (10, 4, 3, 2, 1));
    assert_eq!(batch.services[0].total.pending, 10);
}

#[test]
fn a_batch_counts_only_what_happened_in_it_and_the_totals_everything() {
    let start = Instant::now();
    let mut stats = stats(start);
    (0..4).for_each(|_| request(&mut stats, start));
    stats.settled(COSMOS_DB, 1, &stored(start, 10, 14.5));
    stats.close_batch(start + Duration::from_secs(1));
    stats.settled(COSMOS_DB, 1, &stored(start, 20, 14.5));
    stats.settled(COSMOS_DB, 1, &stored(start, 30, 14.5));
    let batch = stats.close_batch(start + Duration::from_secs(3));
    let cosmos = &batch.services[1];
    assert_eq!((cosmos.succeeded, cosmos.total.succeeded), (2, 3));
    assert_eq!(cosmos.writes_per_second(), 1.0);
    assert_eq!(cosmos.request_units_per_second(), 14.5);
    assert_eq!(cosmos.service_time.max, 30.0);
    let summary = summary(&mut stats, start + Duration::from_secs(3));
    let cosmos = &summary.services[&COSMOS_DB];
    assert_eq!(cosmos.request_units.unwrap().request_units, 43.5);
    assert_eq!(cosmos.elapsed_seconds, 0.03);
    assert_eq!(cosmos.writes_per_second, 100.0);
    assert!((cosmos.service_time_ms.p50 - 20.0).abs() < 0.02);
}

#[test]
fn no_time_passed_gives_a_rate_of_zero() {
    let start = Instant::now();
    let mut stats = stats(start);
    request(&mut stats, start);
    stats.settled(COSMOS_DB, 1, &stored(start, 0, 14.5));
    let batch = stats.close_batch(start);
    assert_eq!(batch.services[1].writes_per_second(), 0.0);
    assert_eq!(batch.services[1].request_units_per_second(), 0.0);
}

#[test]
fn queueing_counts_in_the_response_time_only() {
    let start = Instant::now();
    let outcome = Outcome { admitted: start + Duration::from_secs(5), ..stored(start, 5_010, 1.0) };
    assert_eq!(outcome.service_time(), Duration::from_millis(10));
    assert_eq!(outcome.response_time(), Duration::from_millis(5_010));
}

#[test]
fn latencies_are_of_what_was_stored() {
    let start = Instant::now();
    let mut stats = stats(start);
    request(&mut stats, start);
    let failed = Outcome { result: Err(Failure::new(FailureKind::Unauthorized, "x")), ..stored(start, 900, 0.0) };
    stats.settled(EVENT_HUBS, 1, &failed);
    let batch = stats.close_batch(start);
    assert_eq!(batch.services[0].service_time, Percentiles::default());
}

#[test]
fn the_faster_service_is_the_one_that_took_less_time_for_its_latest_thousand() {
    let start = Instant::now();
    let mut stats = stats(start);
    for i in 1..=1000 {
        request(&mut stats, start);
        stats.settled(EVENT_HUBS, 1, &stored(start, i / 10, 0.0));
        if i < 1000 {
            stats.settled(COSMOS_DB, 1, &stored(start, i, 14.0));
        }
    }
    let batch = stats.close_batch(start + Duration::from_secs(1));
    assert_eq!(batch.faster_processing(), None, "Cosmos DB has settled 999 only");
    assert_eq!(batch.faster_elapsed(), Some(EVENT_HUBS));
    stats.settled(COSMOS_DB, 1, &stored(start, 1000, 14.0));
    assert_eq!(stats.close_batch(start + Duration::from_secs(1)).faster_processing(), Some(EVENT_HUBS));
}

#[test]
fn a_single_service_is_not_compared() {
    let start = Instant::now();
    let mut stats = Stats::new([(COSMOS_DB, Arc::default())], start);
    request(&mut stats, start);
    stats.settled(COSMOS_DB, 1, &stored(start, 5, 14.0));
    assert_eq!(stats.close_batch(start).faster_elapsed(), None);
}

#[test]
fn the_summary_document_has_the_documented_names() {
    let start = Instant::now();
    let mut stats = stats(start);
    request(&mut stats, start);
    stats.settled(COSMOS_DB, 1, &stored(start, 5, 14.0));
    let failed = Outcome { result: Err(Failure::new(FailureKind::TooLarge, "x")), ..stored(start, 1, 0.0) };
    stats.settled(EVENT_HUBS, 1, &failed);
    let json = serde_json::to_value(summary(&mut stats, start + Duration::from_secs(2))).unwrap();
    assert_eq!(json["type"], "summary");
    assert_eq!(json["requested"], 1);
    assert_eq!(json["wall_seconds"], 2.0);
    assert_eq!(json["stop_reason"], "data_ended");
    assert_eq!(json["interrupted"], false);
    let cosmos = &json["services"]["cosmos_db"];
    for name in ["requested", "succeeded", "failed", "not_sent", "pending", "throttled", "ambiguous", "resent"] {
        assert!(cosmos[name].is_u64(), "{name}");
    }
    for name in ["p50", "p90", "p99", "p999", "max", "mean"] {
        assert!(cosmos["service_time_ms"][name].is_f64(), "{name}");
        assert!(cosmos["response_time_ms"][name].is_f64(), "{name}");
    }
    assert_eq!(cosmos["request_units"], 14.0);
    assert_eq!(json["services"]["event_hubs"]["failures"]["too_large"], 1);
    assert!(json["services"]["event_hubs"].get("request_units").is_none());
}

#[test]
fn the_summary_document_survives_being_written_and_read() {
    let start = Instant::now();
    let mut stats = stats(start);
    for row in 1..=50 {
        stats.requested(&transaction(row, "us"), start, start);
        stats.settled(COSMOS_DB, row, &stored(start, 37 * row, 14.29));
        let lost = Outcome { ambiguous: row == 7, ..stored(start, row, 0.0) };
        let failed = Outcome { result: Err(Failure::new(FailureKind::TooLarge, "x").with_status(413)), ..lost };
        stats.settled(EVENT_HUBS, row, &failed);
    }
    let summary = summary(&mut stats, start + Duration::from_secs(2));
    let read: Summary = serde_json::from_str(&serde_json::to_string(&summary).unwrap()).unwrap();
    assert_eq!((read.first_row, read.last_row), (Some(1), Some(50)));
    assert_eq!(read.partition_keys, BTreeMap::from([("us".to_owned(), 50)]));
    let event_hubs = &read.services[&EVENT_HUBS];
    assert!(event_hubs.ambiguous_rows.contains(7) && !event_hubs.ambiguous_rows.contains(8));
    assert_eq!(event_hubs.failure_examples.iter().map(|failure| failure.row).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(serde_json::to_value(&read).unwrap(), serde_json::to_value(&summary).unwrap());
    let wrong = serde_json::from_str::<Summary>(r#"{"type": "batch"}"#).unwrap_err().to_string();
    assert!(wrong.contains("expected `summary`"), "{wrong}");
}

#[test]
fn the_series_adds_up_to_the_totals() {
    let start = Instant::now();
    let mut stats = stats(start);
    for row in 1..=50 {
        let now = start + Duration::from_millis(100 * row);
        stats.requested(&transaction(row, "us"), now, now);
        stats.settled(COSMOS_DB, row, &stored(start, 100 * row, 14.0));
    }
    let summary = summary(&mut stats, start + Duration::from_secs(6));
    let points = &summary.series.points;
    assert_eq!(points.iter().map(|point| point.requested).sum::<u64>(), 50);
    assert_eq!(points.iter().map(|point| point.services[&COSMOS_DB].succeeded).sum::<u64>(), 50);
    assert_eq!(points.last().unwrap().elapsed_seconds, 6.0);
    assert_eq!(points.last().unwrap().services[&EVENT_HUBS].pending, 50);
    assert_eq!(summary.services[&COSMOS_DB].histograms.service_time.count(), 50);
}

#[test]
fn a_snapshot_tells_queued_from_in_flight() {
    let start = Instant::now();
    let counters = Arc::new(Counters::default());
    let mut stats = Stats::new([(COSMOS_DB, counters.clone())], start);
    (0..10).for_each(|_| request(&mut stats, start));
    (0..4).for_each(|_| counters.admit());
    stats.settled(COSMOS_DB, 1, &stored(start, 5, 14.0));
    let snapshot = stats.snapshot(start);
    let counts = snapshot.services[0].counts;
    assert_eq!((counts.succeeded, counts.pending, counts.in_flight, counts.queued), (1, 9, 3, 6));
    assert_eq!(snapshot.services[0].service_time.count(), 1);
    assert_eq!(snapshot.busiest_keys, [("us".into(), 10)]);
}
