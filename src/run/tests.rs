//! Whole runs on fake services and a paused clock: what happens is decided by the test, to the millisecond.

use std::future::pending;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::fan_out::FanOut;
use super::feed::{Feed, Row};
use super::recorder::{Event, Recorder};
use super::transaction_log::TransactionLog;
use super::*;
use crate::description;
use crate::identity::RunId;
use crate::report::{blocks, totals};
use crate::service::{Attempts, Counters, Failure, FailureKind, Receipt, Service, ServiceName};
use crate::settings::RunSettings;
use crate::stats::{ServiceSummary, Stats, StopReason, Summary};
use crate::transaction::Transaction;

/// A service that does as the test says.
pub(super) struct Fake<F> {
    name: ServiceName,
    behaviour: F,
    pub(super) record: Record,
}

/// What a fake service saw.
#[derive(Default)]
pub(super) struct Record {
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    answered: AtomicUsize,
    rows: Mutex<Vec<u64>>,
}

/// One transaction in flight at a fake service; it leaves however its future ends.
struct InFlight<'a>(&'a Record);

impl Record {
    fn enter(&self, row: u64) -> InFlight<'_> {
        self.rows.lock().unwrap().push(row);
        let in_flight = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_in_flight.fetch_max(in_flight, Ordering::Relaxed);
        InFlight(self)
    }

    pub(super) fn most_in_flight(&self) -> usize {
        self.most_in_flight.load(Ordering::Relaxed)
    }

    /// How many it confirmed.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed) as u64
    }

    pub(super) fn rows(&self) -> Vec<u64> {
        self.rows.lock().unwrap().clone()
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<F: Fn(u64) -> Behaviour + Send + Sync + 'static> Fake<F> {
    pub(super) fn new(name: ServiceName, behaviour: F) -> Arc<Self> {
        Arc::new(Self { name, behaviour, record: Record::default() })
    }
}

/// What a fake service does with one transaction.
pub(super) enum Behaviour {
    StoreAfter(Duration),
    FailAfter(Duration, FailureKind),
    ThrottleThenStore { wait: Duration, attempts: u32 },
    NeverAnswer,
    LoseThenWait,
    Panic,
}

impl<F: Fn(u64) -> Behaviour + Send + Sync + 'static> Service for Fake<F> {
    fn name(&self) -> ServiceName {
        self.name
    }

    async fn send(&self, transaction: &Transaction, attempts: &Attempts<'_>) -> Result<Receipt, Failure> {
        let _in_flight = self.record.enter(transaction.row);
        let mut attempt = Some(attempts.send());
        let result = match (self.behaviour)(transaction.row) {
            Behaviour::StoreAfter(latency) => {
                tokio::time::sleep(latency).await;
                Ok(Receipt { request_units: 14.5, ..Receipt::default() })
            }
            Behaviour::FailAfter(latency, kind) => {
                tokio::time::sleep(latency).await;
                Err(Failure::new(kind, "as the test says"))
            }
            Behaviour::ThrottleThenStore { wait, attempts: count } => {
                for _ in 0..count {
                    attempt.replace(attempts.send()).unwrap().throttled();
                    tokio::time::sleep(wait).await;
                }
                Ok(Receipt { request_units: 14.5, ..Receipt::default() })
            }
            Behaviour::NeverAnswer => pending().await,
            Behaviour::LoseThenWait => {
                attempt.take().unwrap().lost();
                pending().await
            }
            Behaviour::Panic => panic!("as the test says"),
        };
        attempt.unwrap().answered();
        if result.is_ok() {
            self.record.answered.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    async fn close(&self) {}
}

fn store_after(ms: u64) -> impl Fn(u64) -> Behaviour + Send + Sync + 'static {
    move |_| Behaviour::StoreAfter(Duration::from_millis(ms))
}

pub(super) fn settings() -> RunSettings {
    RunSettings {
        lead: Duration::ZERO,
        duration: None,
        ttl_seconds: 60,
        rate: None,
        limit: None,
        repeat: false,
        max_pending: NonZeroUsize::new(100_000).unwrap(),
        drain_timeout: Duration::from_secs(30),
    }
}

pub(super) fn rows(count: u64) -> Vec<Row> {
    let run = run_id();
    (1..=count)
        .map(|row| {
            let (id, body) = (run.transaction_id(row), Bytes::from_static(b"{}"));
            Row::Transaction(Transaction::new(row, id, "us".into(), body))
        })
        .collect()
}

fn run_id() -> RunId {
    RunId::sample()
}

/// A run in a test, and what its observers saw.
pub(super) struct Scene {
    fan_out: FanOut,
    events: mpsc::Receiver<Event>,
    pub(super) stop: Stop,
}

impl Scene {
    pub(super) fn new(
        settings: RunSettings,
        rows: Vec<Row>,
        event_hubs: Arc<impl Service>,
        cosmos_db: Arc<impl Service>,
        limits: (usize, usize),
    ) -> Self {
        Self::guarded((None, None), settings, rows, event_hubs, cosmos_db, limits)
    }

    /// A run that so many failures end, and whose transactions are all logged.
    pub(super) fn guarded(
        (max_failures, log): (Option<NonZeroU64>, Option<Arc<dyn TransactionLog>>),
        settings: RunSettings,
        rows: Vec<Row>,
        event_hubs: Arc<impl Service>,
        cosmos_db: Arc<impl Service>,
        limits: (usize, usize),
    ) -> Self {
        let counters: [Arc<Counters>; 2] = Default::default();
        let names = [ServiceName::EventHubs, ServiceName::CosmosDb];
        let stats = Stats::new(names.into_iter().zip(counters.iter().cloned()), Instant::now());
        let (sender, events) = mpsc::channel(1000);
        let stop = Stop::default();
        let recorder = Recorder::new(stats, sender).with_log(log);
        let recorder = Arc::new(recorder.with_max_failures(max_failures, stop.clone()));
        let mut fan_out = FanOut::new(settings, Feed::of(rows), recorder, stop.clone());
        let [a, b] = counters;
        fan_out.add_service(event_hubs, NonZeroUsize::new(limits.0).unwrap(), a);
        fan_out.add_service(cosmos_db, NonZeroUsize::new(limits.1).unwrap(), b);
        Self { fan_out, events, stop }
    }

    pub(super) async fn play(mut self) -> (Summary, Vec<Event>) {
        let (conclusion, figures) = self.fan_out.execute().await;
        let summary = Summary::new(&description::sample(), conclusion, figures, |_| Vec::new());
        let mut events = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            events.push(event);
        }
        (summary, events)
    }
}

fn event_hubs(summary: &Summary) -> &ServiceSummary {
    &summary.services[&ServiceName::EventHubs]
}

fn cosmos_db(summary: &Summary) -> &ServiceSummary {
    &summary.services[&ServiceName::CosmosDb]
}

pub(super) fn assert_all_accounted_for(summary: &Summary) {
    for (name, service) in &summary.services {
        let counts = service.counts;
        assert_eq!(counts.pending, 0, "{name}: {counts:?}");
        assert_eq!(counts.requested, counts.succeeded + counts.failed + counts.not_sent, "{name}: {counts:?}");
    }
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[tokio::test(start_paused = true)]
async fn every_transaction_reaches_both_services_once_and_in_order() {
    let (fast, slow) =
        (Fake::new(ServiceName::EventHubs, store_after(5)), Fake::new(ServiceName::CosmosDb, store_after(10)));
    let (summary, _) = Scene::new(settings(), rows(2500), fast.clone(), slow.clone(), (1, 1)).play().await;
    for service in [&summary.services[&ServiceName::EventHubs], &summary.services[&ServiceName::CosmosDb]] {
        assert_eq!((service.counts.requested, service.counts.succeeded, service.counts.failed), (2500, 2500, 0));
    }
    let in_order: Vec<u64> = (1..=2500).collect();
    assert_eq!(fast.record.rows(), in_order);
    assert_eq!(slow.record.rows(), in_order);
}

#[tokio::test(start_paused = true)]
async fn the_output_of_a_run_with_a_slow_cosmos_db() {
    let event_hubs = Fake::new(ServiceName::EventHubs, store_after(5));
    let cosmos_db = Fake::new(ServiceName::CosmosDb, |row| match row {
        700 => Behaviour::FailAfter(Duration::from_millis(40), FailureKind::TooLarge),
        row if row % 100 == 0 => Behaviour::ThrottleThenStore { wait: Duration::from_millis(100), attempts: 2 },
        _ => Behaviour::StoreAfter(Duration::from_millis(40)),
    });
    let (summary, events) = Scene::new(settings(), rows(2000), event_hubs, cosmos_db, (50, 50)).play().await;
    let text: String = events
        .iter()
        .map(|event| match event {
            Event::Batch(batch) => blocks::block(batch),
            other => crate::report::trouble(other).unwrap() + "\n\n",
        })
        .chain([totals::totals(&summary)])
        .collect();
    insta::assert_snapshot!(plain(&text), @r"
    Total requests: requested 1000

    Event Hubs: inserted 950 events @ 10000.00 writes/s
    Event Hubs: processing time 95 ms for the first 950
    Event Hubs: latency p50 5.0 ms, p99 5.0 ms, max 5.0 ms
    Event Hubs: total elapsed time 0.10 seconds (faster)
    Event Hubs: total succeeded 950
    Event Hubs: total pending 50
    Event Hubs: total throttled 0
    Event Hubs: total failed 0

    Cosmos DB: inserted 99 documents @ 1042.11 writes/s, 15110.53 RU/s (2.70B documents a month at this rate)
    Cosmos DB: processing time 80 ms for the first 99
    Cosmos DB: latency p50 40.0 ms, p99 40.0 ms, max 40.0 ms
    Cosmos DB: total elapsed time 0.08 seconds
    Cosmos DB: total succeeded 99
    Cosmos DB: total pending 901
    Cosmos DB: total throttled 1
    Cosmos DB: total failed 0

    Total requests: requested 2000

    Event Hubs: inserted 1000 events @ 10000.00 writes/s
    Event Hubs: processing time 100 ms
    Event Hubs: latency p50 5.0 ms, p99 5.0 ms, max 5.0 ms
    Event Hubs: total elapsed time 0.20 seconds (faster)
    Event Hubs: total succeeded 1950
    Event Hubs: total pending 50
    Event Hubs: total throttled 0
    Event Hubs: total failed 0

    Cosmos DB: inserted 98 documents @ 980.00 writes/s, 14210.00 RU/s (2.54B documents a month at this rate)
    Cosmos DB: processing time 160 ms for the first 197
    Cosmos DB: latency p50 40.0 ms, p99 40.0 ms, max 40.0 ms
    Cosmos DB: total elapsed time 0.16 seconds
    Cosmos DB: total succeeded 197
    Cosmos DB: total pending 1803
    Cosmos DB: total throttled 3
    Cosmos DB: total failed 0

    Cosmos DB: transaction 700 failed: too_large: as the test says

    Total requests: requested 2000

    Event Hubs: inserted 50 events @ 65.36 writes/s
    Event Hubs: processing time 100 ms (faster)
    Event Hubs: latency p50 5.0 ms, p99 5.0 ms, max 5.0 ms
    Event Hubs: total elapsed time 0.20 seconds (faster)
    Event Hubs: total succeeded 2000
    Event Hubs: total pending 0
    Event Hubs: total throttled 0
    Event Hubs: total failed 0

    Cosmos DB: inserted 949 documents @ 1240.52 writes/s, 17987.58 RU/s (3.22B documents a month at this rate)
    Cosmos DB: processing time 840 ms
    Cosmos DB: latency p50 40.0 ms, p99 40.0 ms, max 200 ms
    Cosmos DB: total elapsed time 0.96 seconds
    Cosmos DB: total succeeded 1146
    Cosmos DB: total pending 853
    Cosmos DB: total throttled 19
    Cosmos DB: total failed 1

    Total requests: requested 2000

    Event Hubs: inserted 0 events @ 0.00 writes/s
    Event Hubs: processing time 100 ms (faster)
    Event Hubs: latency -, nothing inserted in this batch
    Event Hubs: total elapsed time 0.20 seconds (faster)
    Event Hubs: total succeeded 2000
    Event Hubs: total pending 0
    Event Hubs: total throttled 0
    Event Hubs: total failed 0

    Cosmos DB: inserted 853 documents @ 969.32 writes/s, 14055.11 RU/s (2.51B documents a month at this rate)
    Cosmos DB: processing time 1000 ms
    Cosmos DB: latency p50 40.0 ms, p99 200 ms, max 200 ms
    Cosmos DB: total elapsed time 1.84 seconds
    Cosmos DB: total succeeded 1999
    Cosmos DB: total pending 0
    Cosmos DB: total throttled 38
    Cosmos DB: total failed 1

    Run 0b5c1f6e-93d2-8a47: 2000 transactions requested in 1.84 s
                                    Event Hubs       Cosmos DB
    requested                             2000            2000
    succeeded                             2000            1999
    failed                                   0               1
    not sent                                 0               0
    throttled attempts                       0              38
    ambiguous attempts                       0               0
    resent                                   0               0
    elapsed                             0.20 s          1.84 s
    writes/s                          10000.00         1086.41
    RU                                       -        28985.50
    RU/s                                     -        15752.99
    service time p50                    5.0 ms         40.0 ms
    service time p90                    5.0 ms         40.0 ms
    service time p99                    5.0 ms         40.0 ms
    service time p99.9                  5.0 ms          200 ms
    service time max                    5.0 ms          200 ms
    response time p50                   5.0 ms          745 ms
    response time p90                   5.0 ms         1340 ms
    response time p99                  10.0 ms         1486 ms
    response time p99.9                10.0 ms         1576 ms
    response time max                  10.0 ms         1645 ms

    Cosmos DB: 1 failed as too_large: a document can have at most 2 MiB; shorten these rows
    The data is at its end; not every transaction requested was stored: Cosmos DB has 1999 of 2000.
    ");
}

#[tokio::test(start_paused = true)]
async fn the_faster_service_sets_the_pace_and_the_slower_one_piles_up() {
    let (fast, slow) =
        (Fake::new(ServiceName::EventHubs, store_after(5)), Fake::new(ServiceName::CosmosDb, store_after(50)));
    let (summary, events) = Scene::new(settings(), rows(3000), fast, slow, (10, 10)).play().await;
    assert_eq!(event_hubs(&summary).elapsed_seconds, 1.5, "3,000 of 5 ms, 10 at a time");
    assert_eq!(event_hubs(&summary).response_time_ms.max, 5.0, "no queue before the faster service");
    assert_eq!(cosmos_db(&summary).elapsed_seconds, 15.0);
    assert!(cosmos_db(&summary).response_time_ms.max > 13_000.0, "queueing counts");
    assert_eq!(cosmos_db(&summary).service_time_ms.max, 50.0);
    let pending = events.iter().find_map(|event| match event {
        Event::Batch(batch) if batch.requested == 3000 => Some(batch.services[1].total.pending),
        _ => None,
    });
    assert!(pending > Some(2500));
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_limit_are_ever_in_flight() {
    let (fast, slow) =
        (Fake::new(ServiceName::EventHubs, store_after(3)), Fake::new(ServiceName::CosmosDb, store_after(17)));
    Scene::new(settings(), rows(1000), fast.clone(), slow.clone(), (7, 13)).play().await;
    assert_eq!(fast.record.most_in_flight(), 7);
    assert_eq!(slow.record.most_in_flight(), 13);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_never_answers_does_not_slow_the_other_one_down() {
    let (fast, stalled) = (
        Fake::new(ServiceName::EventHubs, store_after(5)),
        Fake::new(ServiceName::CosmosDb, |_| Behaviour::NeverAnswer),
    );
    let settings = RunSettings { duration: Some(Duration::from_secs(60)), ..settings() };
    let (summary, _) = Scene::new(settings, rows(2000), fast, stalled, (10, 10)).play().await;
    assert_eq!(event_hubs(&summary).counts.succeeded, 2000);
    assert_eq!(event_hubs(&summary).elapsed_seconds, 1.0);
    let stalled = cosmos_db(&summary).counts;
    assert_eq!((stalled.failed, stalled.not_sent, stalled.ambiguous), (10, 1990, 10));
    assert_eq!(summary.stop_reason, StopReason::TimeUp);
    assert_all_accounted_for(&summary);
}

#[tokio::test(start_paused = true)]
async fn requesting_waits_at_the_most_pending() {
    let (fast, slow) =
        (Fake::new(ServiceName::EventHubs, store_after(1)), Fake::new(ServiceName::CosmosDb, store_after(100)));
    let settings = RunSettings { max_pending: NonZeroUsize::new(50).unwrap(), ..settings() };
    let (summary, events) = Scene::new(settings, rows(2000), fast, slow, (10, 10)).play().await;
    for event in &events {
        if let Event::Batch(batch) = event {
            assert!(batch.services[1].total.pending <= 50);
        }
    }
    assert_eq!(cosmos_db(&summary).counts.succeeded, 2000);
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_whatever_the_services_do() {
    let (fast, slow) =
        (Fake::new(ServiceName::EventHubs, store_after(1)), Fake::new(ServiceName::CosmosDb, store_after(200)));
    let settings = RunSettings { rate: Some(100.0), ..settings() };
    let (summary, _) = Scene::new(settings, rows(1001), fast, slow, (10, 10)).play().await;
    assert!((10.0..10.1).contains(&event_hubs(&summary).elapsed_seconds), "1,001 at 100/s");
    assert!(summary.lateness_ms.max <= 1.0);
    assert!(cosmos_db(&summary).response_time_ms.max > 9_000.0, "50/s of 100/s: the queue counts");
}

#[tokio::test(start_paused = true)]
async fn the_limit_ends_the_requests() {
    let services =
        (Fake::new(ServiceName::EventHubs, store_after(1)), Fake::new(ServiceName::CosmosDb, store_after(1)));
    let settings = RunSettings { limit: Some(150), ..settings() };
    let (summary, _) = Scene::new(settings, rows(1000), services.0, services.1, (10, 10)).play().await;
    assert_eq!((summary.requested, summary.stop_reason), (150, StopReason::LimitReached));
    assert!(summary.all_succeeded());
}

#[tokio::test(start_paused = true)]
async fn a_hopeless_run_ends_at_the_most_failures_that_were_allowed() {
    let refusing = |row| match row % 4 {
        0 => Behaviour::FailAfter(Duration::from_millis(10), FailureKind::Unauthorized),
        _ => Behaviour::StoreAfter(Duration::from_millis(10)),
    };
    let services = (Fake::new(ServiceName::EventHubs, refusing), Fake::new(ServiceName::CosmosDb, refusing));
    let most = NonZeroU64::new(20);
    let scene = Scene::guarded((most, None), settings(), rows(100_000), services.0, services.1, (8, 8));
    let (summary, _) = scene.play().await;
    assert_eq!(summary.stop_reason, StopReason::TooManyFailures);
    assert!(!summary.interrupted);
    let failed = event_hubs(&summary).counts.failed + cosmos_db(&summary).counts.failed;
    assert!((20..30).contains(&failed), "both together, and what was in flight then: {failed}");
    assert!(summary.requested < 100, "{}", summary.requested);
    assert_all_accounted_for(&summary);
}

#[tokio::test(start_paused = true)]
async fn stopping_settles_what_is_in_flight_and_counts_the_queue_as_not_sent() {
    let (fast, slow) =
        (Fake::new(ServiceName::EventHubs, store_after(1)), Fake::new(ServiceName::CosmosDb, store_after(5_000)));
    let scene = Scene::new(settings(), rows(1000), fast, slow, (10, 10));
    let stop = scene.stop.clone();
    let started = Instant::now();
    let (played, ()) = tokio::join!(scene.play(), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.gently(StopReason::Interrupted);
    });
    let (summary, _) = played;
    assert_eq!(started.elapsed(), Duration::from_secs(5), "as long as the slowest in flight");
    assert!(summary.interrupted);
    let slow = cosmos_db(&summary).counts;
    assert_eq!((slow.succeeded, slow.failed, slow.not_sent), (10, 0, 990));
    assert_all_accounted_for(&summary);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_settle_within_the_drain_timeout_is_given_up_as_ambiguous() {
    let (fast, stalled) = (
        Fake::new(ServiceName::EventHubs, store_after(1)),
        Fake::new(ServiceName::CosmosDb, |_| Behaviour::NeverAnswer),
    );
    let settings = RunSettings { drain_timeout: Duration::from_secs(7), ..settings() };
    let scene = Scene::new(settings, rows(20), fast, stalled, (10, 10));
    scene.stop.gently(StopReason::Interrupted);
    let started = Instant::now();
    let (summary, _) = scene.play().await;
    assert_eq!(summary.requested, 0, "stopped before the first");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn stopping_twice_gives_up_at_once() {
    let (fast, stalled) = (
        Fake::new(ServiceName::EventHubs, store_after(1)),
        Fake::new(ServiceName::CosmosDb, |_| Behaviour::NeverAnswer),
    );
    let scene = Scene::new(settings(), rows(20), fast, stalled, (10, 10));
    let stop = scene.stop.clone();
    let started = Instant::now();
    let ((summary, events), ()) = tokio::join!(scene.play(), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.gently(StopReason::Interrupted);
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.at_once(StopReason::Interrupted);
    });
    assert_eq!(started.elapsed(), Duration::from_secs(2));
    let stalled = cosmos_db(&summary);
    assert_eq!((stalled.counts.failed, stalled.counts.not_sent, stalled.counts.ambiguous), (10, 10, 10));
    assert_eq!(stalled.failures[&FailureKind::Abandoned], 10);
    let shown = events.iter().filter(|event| matches!(event, Event::Failed { .. })).count();
    assert_eq!(shown, 5, "the first few whole, the rest by kind");
    assert_all_accounted_for(&summary);
}

#[tokio::test(start_paused = true)]
async fn giving_up_between_a_lost_answer_and_the_repeat_is_ambiguous() {
    let (fast, losing) = (
        Fake::new(ServiceName::EventHubs, store_after(1)),
        Fake::new(ServiceName::CosmosDb, |_| Behaviour::LoseThenWait),
    );
    let settings = RunSettings { duration: Some(Duration::from_secs(1)), ..settings() };
    let (summary, events) = Scene::new(settings, rows(1), fast, losing, (1, 1)).play().await;
    assert_eq!((cosmos_db(&summary).counts.failed, cosmos_db(&summary).counts.ambiguous), (1, 1));
    assert!(events.iter().any(|event| matches!(event, Event::Failed { failure, .. } if failure.ambiguous)));
}

#[tokio::test(start_paused = true)]
async fn time_up_stops_a_run_that_its_data_would_not_end() {
    let services =
        (Fake::new(ServiceName::EventHubs, store_after(10)), Fake::new(ServiceName::CosmosDb, store_after(10)));
    let settings = RunSettings { duration: Some(Duration::from_secs(2)), ..settings() };
    let (summary, _) = Scene::new(settings, rows(10_000), services.0, services.1, (10, 10)).play().await;
    assert_eq!(summary.stop_reason, StopReason::TimeUp);
    assert!((2000..=2010).contains(&summary.requested), "{}", summary.requested);
    assert_all_accounted_for(&summary);
}

#[tokio::test(start_paused = true)]
async fn leading_is_not_part_of_the_run() {
    let services =
        (Fake::new(ServiceName::EventHubs, store_after(5)), Fake::new(ServiceName::CosmosDb, store_after(5)));
    let settings = RunSettings { lead: Duration::from_secs(30), duration: Some(Duration::from_secs(10)), ..settings() };
    let (summary, _) = Scene::new(settings, rows(10), services.0, services.1, (10, 10)).play().await;
    assert_eq!(summary.requested, 10);
    assert!(summary.wall_seconds < 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_never_silent_for_longer_than_ten_seconds() {
    let (fast, stalled) = (
        Fake::new(ServiceName::EventHubs, store_after(1)),
        Fake::new(ServiceName::CosmosDb, |_| Behaviour::NeverAnswer),
    );
    let settings = RunSettings { duration: Some(Duration::from_secs(65)), ..settings() };
    let (_, events) = Scene::new(settings, rows(20), fast, stalled, (10, 10)).play().await;
    let walls: Vec<Duration> = events
        .iter()
        .filter_map(|event| match event {
            Event::Batch(batch) => Some(batch.wall),
            _ => None,
        })
        .collect();
    assert!(walls.len() >= 6, "{walls:?}");
    assert!(walls.iter().all(|wall| *wall <= Duration::from_millis(10_500)), "{walls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_service_fails_its_transaction_and_no_other() {
    let panicky = Fake::new(ServiceName::EventHubs, |row| match row {
        5 => Behaviour::Panic,
        _ => Behaviour::StoreAfter(Duration::from_millis(1)),
    });
    let (summary, _) =
        Scene::new(settings(), rows(20), panicky, Fake::new(ServiceName::CosmosDb, store_after(1)), (2, 2))
            .play()
            .await;
    assert_eq!((event_hubs(&summary).counts.succeeded, event_hubs(&summary).counts.failed), (19, 1));
    assert_eq!(event_hubs(&summary).failures[&FailureKind::Internal], 1);
}

#[tokio::test(start_paused = true)]
async fn rejected_rows_are_counted_and_the_run_goes_on() {
    let services =
        (Fake::new(ServiceName::EventHubs, store_after(1)), Fake::new(ServiceName::CosmosDb, store_after(1)));
    let mut rows = rows(10);
    (0..8).for_each(|line| rows.insert(3, Row::Rejected { line, reason: "no".into() }));
    let (summary, events) = Scene::new(settings(), rows, services.0, services.1, (2, 2)).play().await;
    assert_eq!((summary.requested, summary.rejected_rows), (10, 8));
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Rejected { .. })).count(), 5);
}

#[tokio::test(start_paused = true)]
async fn data_that_breaks_off_ends_the_requests_and_settles_what_was_requested() {
    let services =
        (Fake::new(ServiceName::EventHubs, store_after(1)), Fake::new(ServiceName::CosmosDb, store_after(1)));
    let mut rows = rows(10);
    rows.push(Row::Failed("the disk is gone".into()));
    let (summary, events) = Scene::new(settings(), rows, services.0, services.1, (2, 2)).play().await;
    assert_eq!((summary.requested, summary.stop_reason), (10, StopReason::DataFailed));
    assert!(summary.all_succeeded());
    assert!(events.iter().any(|event| matches!(event, Event::DataFailed(reason) if reason == "the disk is gone")));
}
