//! Many random runs on a paused clock: whatever the services do and whenever the run is stopped, everything that was
//! requested is accounted for. A failing seed is printed; put it into `REGRESSIONS` to keep it.

use std::collections::BTreeSet;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::tests::{Behaviour, Fake, Scene, assert_all_accounted_for, rows, settings};
use super::*;
use crate::run::recorder::Event;
use crate::service::{FailureKind, ServiceName};

/// Seeds that once failed.
const REGRESSIONS: [u64; 0] = [];
/// How many seeds are tried besides.
const SEEDS: u64 = 200;

#[test]
fn whatever_happens_everything_requested_is_accounted_for() {
    for seed in REGRESSIONS.into_iter().chain(0..SEEDS) {
        let outcome = std::panic::catch_unwind(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
            runtime.block_on(simulate(seed));
        });
        assert!(outcome.is_ok(), "seed {seed} fails");
    }
}

/// A service that decides by seed and row, so that the same seed gives the same run.
fn random_behaviour(seed: u64) -> impl Fn(u64) -> Behaviour + Send + Sync + 'static {
    move |row| {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ row.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let time = Duration::from_millis(random.random_range(0..200));
        match random.random_range(0..100) {
            0..70 => Behaviour::StoreAfter(time),
            70..85 => Behaviour::ThrottleThenStore { wait: time, attempts: random.random_range(1..5) },
            85..97 => Behaviour::FailAfter(time, FailureKind::Unavailable),
            97..99 => Behaviour::StoreAfter(Duration::from_secs(60)),
            _ => Behaviour::NeverAnswer,
        }
    }
}

async fn simulate(seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let event_hubs = Fake::new(ServiceName::EventHubs, random_behaviour(random.random()));
    let cosmos_db = Fake::new(ServiceName::CosmosDb, random_behaviour(random.random()));
    let limits = (random.random_range(1..30), random.random_range(1..30));
    let max_pending = random.random_range(1..200);
    let stop_after = random.random_bool(0.5).then(|| Duration::from_millis(random.random_range(0..3000)));
    let again_after = random.random_bool(0.3).then(|| Duration::from_millis(random.random_range(0..2000)));
    let duration = Duration::from_millis(random.random_range(1..100_000));
    let settings = RunSettings {
        duration: Some(duration),
        rate: random.random_bool(0.3).then(|| random.random_range(10.0..5000.0)),
        limit: random.random_bool(0.3).then(|| random.random_range(1..600)),
        max_pending: NonZeroUsize::new(max_pending).unwrap(),
        drain_timeout: Duration::from_millis(random.random_range(0..20_000)),
        ..settings()
    };
    let longest = duration + settings.drain_timeout + Duration::from_secs(10);
    let scene = Scene::new(settings, rows(random.random_range(0..1500)), event_hubs.clone(), cosmos_db.clone(), limits);
    let stop = scene.stop.clone();
    let started = Instant::now();
    let signals = tokio::spawn(async move {
        let Some(after) = stop_after else { return };
        tokio::time::sleep(after).await;
        stop.gently(StopReason::Interrupted);
        let Some(after) = again_after else { return };
        tokio::time::sleep(after).await;
        stop.at_once(StopReason::Interrupted);
    });
    let (summary, events) = scene.play().await;
    signals.abort();

    assert!(started.elapsed() <= longest, "ended after {:?}", started.elapsed());
    assert_all_accounted_for(&summary);
    for (service, limit) in [(&event_hubs.record, limits.0), (&cosmos_db.record, limits.1)] {
        assert!(service.most_in_flight() <= limit);
        let sent = service.rows();
        assert_eq!(sent.iter().collect::<BTreeSet<_>>().len(), sent.len(), "a transaction was sent twice");
    }
    for (name, totals) in &summary.services {
        let in_batches = |count: fn(&crate::stats::ServiceBatch) -> u64| -> u64 {
            let batches = events.iter().filter_map(|event| match event {
                Event::Batch(batch) => batch.services.iter().find(|service| service.service == *name),
                _ => None,
            });
            batches.map(count).sum()
        };
        assert_eq!(in_batches(|batch| batch.succeeded), totals.counts.succeeded, "batches add up to the totals");
        assert_eq!(in_batches(|batch| batch.failed), totals.counts.failed, "batches add up to the totals");
    }
}
