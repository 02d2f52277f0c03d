//! Two landers on one table.

use std::time::Duration;

use txgen_lake::{LakeError, Options};

use crate::support::{assert_exactly_once, contents, event, memory, open, open_with, options, rejected_url, table_url};

#[tokio::test(flavor = "multi_thread")]
async fn the_one_that_finds_its_partition_taken_over_ends_and_says_by_whom() {
    let root = memory();
    let mut first = open(&root, [0], "host-a").await.unwrap();
    first.take(event(0, 0)).await.unwrap();
    first.commit().await.unwrap();
    let mut second = open(&root, [0], "host-b").await.unwrap();
    assert_eq!(second.landed()[&0], Some(0));
    for number in 1..=2 {
        second.take(event(0, number)).await.unwrap();
        first.take(event(0, number)).await.unwrap();
    }
    second.commit().await.unwrap();
    let error = first.commit().await.unwrap_err();
    assert!(matches!(&error, LakeError::Fenced { partition: 0, by, .. } if by == "host-b"), "{error}");
    assert!(!error.may_heal());
    assert_eq!(
        error.to_string(),
        "partition 0 was taken over by host-b: the table t has its events up to 2, where this process had landed 0; only \
         one process can land a partition"
    );
    assert_exactly_once(root, &[0], 3, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_repeat_is_refused_also_when_it_begins_from_the_newest_version() {
    let root = memory();
    let mut stale = open(&root, [0], "stale").await.unwrap();
    let mut other = open(&root, [1], "other").await.unwrap();
    let mut fresh = open(&root, [0], "fresh").await.unwrap();
    fresh.take(event(0, 0)).await.unwrap();
    fresh.commit().await.unwrap();
    // A commit of another partition brings the log forward, which a stale lander then begins from.
    other.take(event(1, 0)).await.unwrap();
    other.commit().await.unwrap();
    stale.take(event(0, 0)).await.unwrap();
    assert!(matches!(stale.commit().await, Err(LakeError::Fenced { .. })));
    assert_exactly_once(root, &[0, 1], 1, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn different_partitions_get_along() {
    const EVENTS: i64 = 60;
    let root = memory();
    let land = |partition: u32| {
        let root = root.clone();
        async move {
            // Of three that commit all the time, one may be unlucky for a while.
            let options = Options { retry_for: Duration::from_secs(60), ..options(&format!("lander {partition}")) };
            let mut appender = open_with(&root, [partition], options).await.unwrap();
            for number in 0..EVENTS {
                appender.take(event(partition, number)).await.unwrap();
                if number % 5 == 4 {
                    appender.commit().await.unwrap();
                }
            }
        }
    };
    let landers: Vec<_> = (0..3).map(|partition| tokio::spawn(land(partition))).collect();
    for lander in landers {
        lander.await.unwrap();
    }
    assert_exactly_once(root, &[0, 1, 2], EVENTS, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_events_that_a_fenced_lander_has_left_are_not_stored_again() {
    let root = memory();
    let mut current = open(&root, [0], "current").await.unwrap();
    let mut stale = open(&root, [0], "stale").await.unwrap();
    // The third event is no transaction. The stale lander gets as far as the rejected ones.
    for number in 0..3 {
        current.take(event(0, number)).await.unwrap();
    }
    current.commit().await.unwrap();
    for number in 0..=3 {
        stale.take(event(0, number)).await.unwrap();
    }
    assert!(matches!(stale.commit().await, Err(LakeError::Fenced { .. })));
    assert_eq!(contents(root.clone(), &rejected_url()).await.len(), 1, "left by the stale lander");
    for number in 3..14 {
        current.take(event(0, number)).await.unwrap();
    }
    current.commit().await.unwrap();
    assert_exactly_once(root.clone(), &[0], 14, 0).await;
    assert_eq!(contents(root, &table_url()).await.len(), 12);
}
