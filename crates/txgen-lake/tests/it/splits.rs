//! Change feeds: numbers that several changes share, and physical partitions that split.

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::ObjectStore;
use txgen_lake::{Appender, LakeError, Source, Span, Store};

use crate::support::{contents, event, memory, options, rejected_url, table_url};

fn feed(spans: &[(u32, &str, &str)]) -> Source {
    let span = |(partition, min, max): &(u32, &str, &str)| {
        (*partition, Span { min: (*min).to_owned(), max: (*max).to_owned() })
    };
    Source::change_feed("acme.example", "rid=", spans.iter().map(span).collect())
}

async fn open(root: &Arc<dyn ObjectStore>, source: Source, partitions: &[u32], lander: &str) -> Appender {
    let (table, rejected) = (Store::new(root.clone(), table_url()), Store::new(root.clone(), rejected_url()));
    Appender::open(source, partitions.to_vec(), table, rejected, options(lander)).await.unwrap()
}

fn whole() -> Source {
    feed(&[(0, "", "FF")])
}

fn halves() -> Source {
    feed(&[(1, "", "1F"), (2, "1F", "FF")])
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_share_a_number_are_all_landed_and_only_once() {
    let root = memory();
    for _ in 0..2 {
        let mut appender = open(&root, whole(), &[0], "lander").await;
        // A batch of three, and the page's end behind it.
        for _ in 0..3 {
            appender.take(event(0, 4)).await.unwrap();
        }
        appender.skip_to(0, 6);
        appender.commit().await.unwrap();
        assert_eq!(open(&root, whole(), &[0], "lander").await.landed()[&0], Some(6));
    }
    assert_eq!(contents(root, &table_url()).await, BTreeMap::from([((0, 4), 3)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_partitions_of_a_split_begin_where_theirs_ended_in_one_process_or_several() {
    let root = memory();
    let mut before = open(&root, whole(), &[0], "before").await;
    before.take(event(0, 4)).await.unwrap();
    before.commit().await.unwrap();
    let first = open(&root, halves(), &[1], "first").await;
    assert_eq!(first.landed()[&1], Some(4));
    let mut second = open(&root, halves(), &[2], "second").await;
    assert_eq!(second.landed()[&2], Some(4));
    second.take(event(2, 9)).await.unwrap();
    second.commit().await.unwrap();
    // The second half splits again: its halves go on from 9, the first one from 4.
    let quarters = feed(&[(1, "", "1F"), (3, "1F", "2F"), (4, "2F", "FF")]);
    let all = open(&root, quarters, &[1, 3, 4], "all").await;
    assert_eq!(all.landed(), &BTreeMap::from([(1, Some(4)), (3, Some(9)), (4, Some(9))]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lander_that_still_reads_the_partition_that_split_is_fenced() {
    let root = memory();
    let mut stale = open(&root, whole(), &[0], "stale").await;
    stale.take(event(0, 4)).await.unwrap();
    stale.commit().await.unwrap();
    stale.take(event(0, 5)).await.unwrap();
    let mut current = open(&root, halves(), &[1, 2], "current").await;
    current.take(event(1, 5)).await.unwrap();
    current.commit().await.unwrap();
    let error = stale.commit().await.unwrap_err();
    assert!(matches!(&error, LakeError::Fenced { by, .. } if by == "current"), "{error}");
    assert!(error.to_string().contains("the split that ended it"), "{error}");
    assert_eq!(contents(root, &table_url()).await, BTreeMap::from([((0, 4), 1), ((1, 5), 1)]));
}
