//! Killed at any instant, with a store that refuses, fails, and answers too late: the table holds every event once.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use object_store::ObjectStore;
use txgen_lake::LakeError;

use crate::support::{Weather, assert_exactly_once, event, open};

const PARTITIONS: [u32; 2] = [0, 1];
const EVENTS: i64 = 120;
/// Kills and faults of the store, all histories together.
const WANTED: u64 = 600;

/// One life of a lander: from where the table ends until everything is landed, or something is wrong.
async fn live(weather: &Weather) -> Result<(), LakeError> {
    let root: Arc<dyn ObjectStore> = Arc::new(weather.clone());
    let mut appender = open(&root, PARTITIONS, "lander").await?;
    loop {
        let mut is_done = true;
        for partition in PARTITIONS {
            let next = appender.landed()[&partition].map_or(0, |last| last + 1);
            let end = EVENTS.min(next + i64::from(weather.number(1..25)));
            for number in next..end {
                appender.take(event(partition, number)).await?;
            }
            is_done &= next >= EVENTS;
        }
        if is_done {
            return Ok(());
        }
        appender.commit().await?;
    }
}

/// Lives one after the other, until one ends well.
async fn history(seed: u64, bad: u32, kills: u32) -> (u64, u64) {
    let weather = Weather::new(seed, bad, kills);
    for life in 0.. {
        // A history that does not end by itself has shown enough.
        if life == 200 {
            weather.calm();
        }
        let ended = tokio::select! {
            ended = live(&weather) => ended,
            () = weather.death() => continue,
        };
        match ended {
            Ok(()) => break,
            Err(error) => assert!(error.may_heal(), "seed {seed}: {error}"),
        }
    }
    assert_exactly_once(weather.within(), &PARTITIONS, EVENTS, seed).await;
    weather.end();
    (weather.faults.load(Ordering::SeqCst), weather.killed.load(Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_and_whenever_it_is_killed_every_event_is_there_once() {
    let (mut faults, mut kills) = (0, 0);
    let first = std::env::var("TXGEN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    for seed in first.. {
        let (more, killed) = history(seed, 60, 35).await;
        (faults, kills) = (faults + more, kills + killed);
        println!("seed {seed}: {more} faults, {killed} of them kills");
        if faults >= WANTED {
            break;
        }
    }
    assert!(kills >= WANTED / 6, "{kills} kills among {faults} faults are too few");
}
