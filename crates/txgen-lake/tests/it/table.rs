//! What a table is like.

use std::sync::Arc;

use object_store::{ObjectStore, ObjectStoreExt as _};
use serde_json::Value;
use txgen_lake::{Appender, LakeError, Reader, Source, Store};

use crate::support::{event, load, memory, open, open_with, options, rejected_url, source, table_url};

async fn commit(root: &Arc<dyn ObjectStore>, version: u64) -> Vec<Value> {
    let path = format!("lake/t/_delta_log/{version:020}.json").into();
    let bytes = root.get(&path).await.unwrap().bytes().await.unwrap();
    bytes.split(|byte| *byte == b'\n').map(|line| serde_json::from_slice(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reader_can_read_it() {
    let root = memory();
    let mut appender = open(&root, [0, 1], "lander").await.unwrap();
    appender.take(event(0, 0)).await.unwrap();
    appender.take(event(1, 4)).await.unwrap();
    let committed = appender.commit().await.unwrap().unwrap();
    assert_eq!((committed.version, committed.transactions, committed.rejected, committed.files), (1, 2, 0, 1));
    let created = commit(&root, 0).await;
    let find = |actions: &[Value], name: &str| actions.iter().find_map(|action| action.get(name)).unwrap().clone();
    assert_eq!(
        find(&created, "protocol"),
        serde_json::json!({"minReaderVersion": 1, "minWriterVersion": 2}),
        "no table features"
    );
    let schema: Value = serde_json::from_str(find(&created, "metaData")["schemaString"].as_str().unwrap()).unwrap();
    let types: Vec<String> = schema["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| format!("{} {}", field["name"].as_str().unwrap(), field["type"].as_str().unwrap()))
        .collect();
    assert_eq!(types.len(), 36);
    for expected in [
        "id string",
        "transactionAmount double",
        "localHour long",
        "isProxyIP boolean",
        "transactionDateTime timestamp",
        "_partition integer",
        "_sequenceNumber long",
        "_enqueuedTime timestamp",
        "_extra string",
    ] {
        assert!(types.contains(&expected.to_owned()), "{expected} of {types:?}");
    }
    let first = commit(&root, 1).await;
    let moved: Vec<(String, i64)> = first
        .iter()
        .filter_map(|action| action.get("txn"))
        .map(|txn| (txn["appId"].as_str().unwrap().to_owned(), txn["version"].as_i64().unwrap()))
        .collect();
    let application =
        |partition| format!("txgen:event-hubs:ns.example/transactions@1700000000000/$default/{partition}");
    assert_eq!(moved, [(application(0), 0), (application(1), 4)]);
    let statistics: Value = serde_json::from_str(find(&first, "add")["stats"].as_str().unwrap()).unwrap();
    assert_eq!(statistics["numRecords"], 2);
    assert_eq!(
        (&statistics["minValues"]["_sequenceNumber"], &statistics["maxValues"]["_sequenceNumber"]),
        (&0.into(), &4.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_was_created_anew_begins_at_its_beginning() {
    let root = memory();
    let mut appender = open(&root, [0], "lander").await.unwrap();
    appender.take(event(0, 5)).await.unwrap();
    appender.commit().await.unwrap();
    let anew = Source::event_hub("ns.example", "transactions", 1_800_000_000_000, "$Default");
    let (table, rejected) = (Store::new(root.clone(), table_url()), Store::new(root.clone(), rejected_url()));
    let appender = Appender::open(anew, [0], table, rejected, options("lander")).await.unwrap();
    assert_eq!(appender.landed()[&0], None);
    assert_eq!(open(&root, [0], "lander").await.unwrap().landed()[&0], Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_events_alone_move_the_position_too() {
    let root = memory();
    let mut appender = open(&root, [0], "lander").await.unwrap();
    assert!(!appender.take(event(0, 3)).await.unwrap());
    let committed = appender.commit().await.unwrap().unwrap();
    assert_eq!((committed.transactions, committed.rejected, committed.files), (0, 1, 0));
    assert_eq!(open(&root, [0], "lander").await.unwrap().landed()[&0], Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commits_leave_checkpoints_behind() {
    let root = memory();
    let mut appender = open(&root, [0], "lander").await.unwrap();
    for number in 4..160 {
        appender.take(event(0, number)).await.unwrap();
        appender.commit().await.unwrap();
    }
    appender.finish().await;
    let last: Value = serde_json::from_slice(
        &root.get(&"lake/t/_delta_log/_last_checkpoint".into()).await.unwrap().bytes().await.unwrap(),
    )
    .unwrap();
    assert_eq!(last["version"], 156);
    assert_eq!(open(&root, [0], "lander").await.unwrap().landed()[&0], Some(159));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partitioned_table_has_its_files_by_the_columns_values() {
    let root = memory();
    let by = |column: Option<&str>| {
        let options = txgen_lake::Options { partition_by: column.map(str::to_owned), ..options("lander") };
        let root = root.clone();
        async move { open_with(&root, [0], options).await }
    };
    let mut appender = by(Some("ipCountryCode")).await.unwrap();
    for number in 0..3 {
        appender.take(event(0, number)).await.unwrap();
    }
    assert_eq!(appender.commit().await.unwrap().unwrap().files, 3);
    let table = load(root.clone(), &table_url()).await.unwrap();
    let files: Vec<String> = table.get_file_uris().unwrap().collect();
    assert!(files.iter().any(|file| file.contains("ipCountryCode=us/")), "{files:?}");
    let error = by(Some("cardType")).await.err().unwrap().to_string();
    assert!(error.contains("is partitioned by ipCountryCode, not by cardType"), "{error}");
    assert!(by(None).await.is_ok(), "a table that is there keeps its partitions");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_read_back_are_the_events_that_they_were() {
    let root = memory();
    let store = || Store::new(root.clone(), table_url());
    let none = Reader::open("t", &store()).await.err().unwrap();
    assert_eq!(none.to_string(), "there is no Delta table in t");
    let mut appender = open(&root, [7], "lander").await.unwrap();
    let document: Value = serde_json::from_str(
        r#"{"id":"i","transactionID":"t","accountID":"a","ipCountryCode":"us","localHour":5,"isProxyIP":false,
            "transactionAmount":5499.5,"transactionDateTime":"2013-08-15T06:55:00","ttl":60,"collectionType":"Transaction",
            "new":{"x":[1]}}"#,
    )
    .unwrap();
    appender.take(txgen_lake::Event { body: document.to_string().into(), ..event(7, 0) }).await.unwrap();
    appender.commit().await.unwrap();
    let mut rows = Vec::new();
    Reader::open("t", &store()).await.unwrap().rows(&mut |row| rows.push(row)).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].partition, rows[0].sequence_number), (7, 0));
    assert_eq!(Value::Object(rows[0].document.clone()), document);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partitioned_table_is_read_back_with_the_column_of_its_partitions() {
    for column in ["ipCountryCode", "localHour", "cardType", "transactionDateTime", "_partition", "_sequenceNumber"] {
        let root = memory();
        let options = txgen_lake::Options { partition_by: Some(column.to_owned()), ..options("lander") };
        let mut appender = open_with(&root, [7], options).await.unwrap();
        let documents: Vec<Value> = ["2013-08-15T06:55:00", "2013-08-15T06:55:00.250000"]
            .into_iter()
            .zip(["us", "de"])
            .map(|(moment, country)| {
                serde_json::json!({
                    "id": moment, "transactionID": "t", "accountID": "a", "ipCountryCode": country,
                    "localHour": country.len(), "transactionDateTime": moment
                })
            })
            .collect();
        for (number, document) in (0..).zip(&documents) {
            appender.take(txgen_lake::Event { body: document.to_string().into(), ..event(7, number) }).await.unwrap();
        }
        appender.commit().await.unwrap();
        let mut rows = Vec::new();
        let reader = Reader::open("t", &Store::new(root.clone(), table_url())).await.unwrap();
        reader.rows(&mut |row| rows.push(row)).await.unwrap();
        rows.sort_by_key(|row| row.sequence_number);
        let read: Vec<Value> = rows.iter().map(|row| Value::Object(row.document.clone())).collect();
        assert_eq!(read, documents, "by {column}");
        assert_eq!(rows.iter().map(|row| (row.partition, row.sequence_number)).collect::<Vec<_>>(), [(7, 0), (7, 1)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_other_columns_is_left_alone() {
    let root = memory();
    let mut appender = open(&root, [0], "lander").await.unwrap();
    appender.take(event(0, 3)).await.unwrap();
    appender.commit().await.unwrap();
    // The table of rejected events has other columns.
    let (table, rejected) = (Store::new(root.clone(), rejected_url()), Store::new(root.clone(), table_url()));
    let error = Appender::open(source(), [0], table, rejected, options("lander")).await.err().unwrap();
    assert!(matches!(error, LakeError::Unfit { .. }));
    assert!(error.to_string().contains("choose another folder"), "{error}");
}
