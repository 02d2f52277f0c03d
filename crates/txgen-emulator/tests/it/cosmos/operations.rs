//! Whatever is done to documents other than one by one: batches, partial updates, hierarchical keys, unique keys, queries
//! over several partitions.

use serde_json::{Value, json};

use super::client::{Client, Reply};
use super::emulator;

const KEY: &str = "x-ms-documentdb-partitionkey";
const US: (&str, &str) = (KEY, r#"["us"]"#);

async fn container(client: &mut Client, definition: Value) {
    let created = client.send("POST", "/dbs/d/colls", &[], &definition.to_string()).await;
    assert_eq!(created.status, 201, "{created:?}");
}

async fn batch(client: &mut Client, operations: Value) -> Reply {
    let headers = [US, ("x-ms-cosmos-is-batch-request", "True"), ("x-ms-cosmos-batch-atomic", "True")];
    client.send("POST", "/dbs/d/colls/c/docs", &headers, &operations.to_string()).await
}

fn statuses(reply: &Reply) -> Vec<u64> {
    reply.json().as_array().unwrap().iter().map(|result| result["statusCode"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_batch_is_carried_out_as_a_whole() {
    let (emulator, mut client) = emulator().await;
    let reply = batch(
        &mut client,
        json!([
            { "operationType": "Create", "resourceBody": { "id": "a", "pk": "us", "n": 1 } },
            { "operationType": "Upsert", "resourceBody": { "id": "b", "pk": "us" } },
            { "operationType": "Patch", "id": "a", "resourceBody": { "operations": [{ "op": "incr", "path": "/n", "value": 2 }] } },
            { "operationType": "Read", "id": "a" },
            { "operationType": "Delete", "id": "b" },
        ]),
    )
    .await;
    assert_eq!((reply.status, statuses(&reply)), (200, vec![201, 201, 200, 200, 204]));
    assert_eq!(reply.json()[3]["resourceBody"]["n"], 3);
    assert_eq!((emulator.counts().documents, emulator.counts().created), (1, 2));
}

#[tokio::test]
async fn a_batch_returns_what_it_reads_even_to_those_who_want_no_bodies() {
    let (_emulator, mut client) = emulator().await;
    let operations = json!([
        { "operationType": "Create", "resourceBody": { "id": "a", "pk": "us" } },
        { "operationType": "Read", "id": "a" },
    ]);
    let headers = [US, ("x-ms-cosmos-is-batch-request", "True"), ("prefer", "return=minimal")];
    let reply = client.send("POST", "/dbs/d/colls/c/docs", &headers, &operations.to_string()).await;
    assert_eq!((&reply.json()[0]["resourceBody"], &reply.json()[1]["resourceBody"]["id"]), (&Value::Null, &json!("a")));
}

#[tokio::test]
async fn a_batch_of_which_one_operation_fails_changes_nothing() {
    let (emulator, mut client) = emulator().await;
    client.create(&json!({ "id": "a", "pk": "us", "n": 1 })).await;
    let before = client.send("GET", "/dbs/d/colls/c/docs/a", &[US], "").await.json();
    let reply = batch(
        &mut client,
        json!([
            { "operationType": "Create", "resourceBody": { "id": "b", "pk": "us" } },
            { "operationType": "Replace", "id": "a", "resourceBody": { "id": "a", "pk": "us", "n": 2 } },
            { "operationType": "Delete", "id": "none" },
            { "operationType": "Delete", "id": "a" },
        ]),
    )
    .await;
    assert_eq!((reply.status, statuses(&reply)), (207, vec![424, 424, 404, 424]));
    assert_eq!(client.send("GET", "/dbs/d/colls/c/docs/a", &[US], "").await.json(), before);
    assert_eq!(emulator.counts().documents, 1);
    assert_eq!(batch(&mut client, json!([])).await.status, 400);
}

#[tokio::test]
async fn a_document_is_updated_in_part_if_its_condition_holds() {
    let (_emulator, mut client) = emulator().await;
    client.create(&json!({ "id": "a", "pk": "us", "n": 1 })).await;
    let patch =
        |operation: Value, condition: &str| json!({ "operations": [operation], "condition": condition }).to_string();
    let path = "/dbs/d/colls/c/docs/a";
    let set = json!({ "op": "set", "path": "/x", "value": { "y": 1 } });
    let reply = client.send("PATCH", path, &[US], &patch(set.clone(), "FROM c WHERE c.n = 1")).await;
    assert_eq!((reply.status, &reply.json()["x"]["y"]), (200, &json!(1)));
    assert_eq!(client.send("PATCH", path, &[US], &patch(set.clone(), "FROM c WHERE c.n = 2")).await.status, 412);
    let key = json!({ "op": "set", "path": "/pk", "value": "gb" });
    assert_eq!(client.send("PATCH", path, &[US], &patch(key, "FROM c")).await.status, 400);
    assert_eq!(client.send("PATCH", path, &[US, ("if-match", "\"x\"")], &patch(set, "FROM c")).await.status, 412);
}

#[tokio::test]
async fn documents_can_be_named_by_their_resource_ids() {
    let (_emulator, mut client) = emulator().await;
    let document = client.create(&json!({ "id": "a", "pk": "us" })).await.json();
    let path = format!("/{}", document["_self"].as_str().unwrap());
    assert_eq!(client.send("GET", &path, &[US], "").await.json()["id"], "a");
    let replaced = client.send("PUT", &path, &[US], &json!({ "id": "a", "pk": "us", "z": 1 }).to_string()).await;
    assert_eq!((replaced.status, &replaced.json()["_rid"]), (200, &document["_rid"]));
    assert_eq!(client.send("GET", &path, &[(KEY, r#"["gb"]"#)], "").await.status, 404);
    assert_eq!(client.send("DELETE", &path, &[US], "").await.status, 204);
    assert_eq!(client.send("GET", &path, &[US], "").await.status, 404);
}

#[tokio::test]
async fn answers_say_what_they_are_about_and_how_far_it_has_got() {
    let (_emulator, mut client) = emulator().await;
    let created = client.create(&json!({ "id": "a", "pk": "us" })).await;
    let missing = client.send("GET", "/dbs/d/colls/c/docs/none", &[US], "").await;
    assert_eq!(missing.status, 404);
    for reply in [&created, &missing] {
        assert_eq!(reply.header("x-ms-alt-content-path"), Some("dbs/d/colls/c"));
        assert_eq!(reply.header("x-ms-session-token"), Some("0:-1#1"));
        assert_eq!(reply.header("lsn"), Some("1"));
        assert!(reply.header("x-ms-request-duration-ms").is_some());
    }
    // A container is in its database. Java's client makes its path of this and of its name.
    let container = client.send("GET", "/dbs/d/colls/c", &[], "").await;
    let database = client.send("GET", "/dbs/d", &[], "").await.json();
    assert_eq!(container.header("x-ms-alt-content-path"), Some("dbs/d"));
    assert_eq!(container.header("x-ms-content-path"), database["_rid"].as_str());
}

#[tokio::test]
async fn all_documents_under_a_partition_key_go_at_once() {
    let (emulator, mut client) = emulator().await;
    // Clients sign it as one or the other.
    for kind in ["partitionkey", "colls"] {
        for (id, pk) in [("a", "us"), ("b", "us"), ("c", "gb")] {
            client.create(&json!({ "id": id, "pk": pk })).await;
        }
        let key = client.sign_as("POST", kind, "dbs/d/colls/c");
        let key = key.each_ref().map(|(name, value)| (*name, value.as_str()));
        let headers: Vec<_> = key.into_iter().chain([US]).collect();
        let reply = client.send_as_is("POST", "/dbs/d/colls/c/operations/partitionkeydelete", &headers, "").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(emulator.counts().documents, 1);
    }
}

#[tokio::test]
async fn conflicts_of_all_partitions_are_queried_by_those_who_say_so() {
    let (_emulator, mut client) = emulator().await;
    let path = "/dbs/d/colls/c/conflicts";
    let query = ("x-ms-documentdb-isquery", "True");
    let body = r#"{"query":"SELECT * FROM c"}"#;
    let across = ("x-ms-documentdb-query-enablecrosspartition", "True");
    assert_eq!(client.send("POST", path, &[query], body).await.status, 400);
    assert_eq!(client.send("POST", path, &[query, across], body).await.status, 200);
    assert_eq!(client.send("POST", path, &[query, US], body).await.status, 200);
}

#[tokio::test]
async fn what_is_not_there_is_a_400_that_names_it_whatever_was_signed() {
    let (_emulator, mut client) = emulator().await;
    for (path, named) in [
        ("/dbs/d/colls/c/sprocs", "stored procedures"),
        ("/dbs/d/users/u/permissions", "permissions"),
        ("/dbs/d/colls/c/operations/other", "operations/other"),
    ] {
        let [_, date] = client.sign("POST", "/dbs", std::time::SystemTime::now());
        let token = "type%3Dmaster%26ver%3D1.0%26sig%3DAAAA";
        let reply = client.send_as_is("POST", path, &[("authorization", token), (date.0, &date.1)], "{}").await;
        assert_eq!(reply.status, 400, "{path}");
        assert!(reply.json()["message"].as_str().unwrap().contains(named), "{reply:?}");
    }
}

#[tokio::test]
async fn a_hierarchical_key_is_found_by_its_beginning() {
    let (_emulator, mut client) = emulator().await;
    container(
        &mut client,
        json!({ "id": "h", "partitionKey": { "paths": ["/a", "/b"], "kind": "MultiHash", "version": 2 } }),
    )
    .await;
    let docs = "/dbs/d/colls/h/docs";
    for (id, a, b) in [("1", "x", "1"), ("2", "x", "2"), ("3", "y", "1")] {
        let key = json!([a, b]).to_string();
        let body = json!({ "id": id, "a": a, "b": b }).to_string();
        assert_eq!(client.send("POST", docs, &[(KEY, &key)], &body).await.status, 201);
    }
    let one = client.send("GET", &format!("{docs}/2"), &[(KEY, r#"["x","2"]"#)], "").await;
    assert_eq!(one.json()["b"], "2");
    assert_eq!(client.send("GET", &format!("{docs}/2"), &[(KEY, r#"["x"]"#)], "").await.status, 400);
    let found = client.send("GET", docs, &[(KEY, r#"["x"]"#)], "").await.documents();
    // In the order of the hashes of what follows.
    let mut ids: Vec<_> = found.iter().map(|document| document["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["1", "2"]);
}

#[tokio::test]
async fn unique_keys_hold_within_a_partition_key() {
    let (_emulator, mut client) = emulator().await;
    let unique = json!({ "uniqueKeys": [{ "paths": ["/e/f"] }] });
    container(&mut client, json!({ "id": "u", "partitionKey": { "paths": ["/pk"] }, "uniqueKeyPolicy": unique })).await;
    let mut create = async |id: &str, pk: &str, value: u8| {
        let key = json!([pk]).to_string();
        let body = json!({ "id": id, "pk": pk, "e": { "f": value } }).to_string();
        client
            .send("POST", "/dbs/d/colls/u/docs", &[(KEY, &key), ("x-ms-documentdb-is-upsert", "True")], &body)
            .await
            .status
    };
    assert_eq!(create("1", "us", 1).await, 201);
    assert_eq!(create("2", "us", 1).await, 409);
    assert_eq!(create("2", "gb", 1).await, 201);
    assert_eq!(create("1", "us", 2).await, 200);
    assert_eq!(create("2", "us", 1).await, 201);
}

#[tokio::test]
async fn a_query_over_several_partitions_is_left_to_the_client_to_merge() {
    let (_emulator, mut client) = emulator().await;
    client.create(&json!({ "id": "a", "pk": "us" })).await;
    let across = [("x-ms-documentdb-query-enablecrosspartition", "True")];
    assert_eq!(client.query_as_is("SELECT * FROM c", &across).await.documents().len(), 1);
    assert_eq!(client.query_as_is("SELECT * FROM c", &[]).await.status, 400);
    for query in ["SELECT VALUE COUNT(1) FROM c", "SELECT TOP 1 * FROM c", "SELECT * FROM c ORDER BY c.id"] {
        let reply = client.query_as_is(query, &across).await;
        assert_eq!((reply.status, reply.substatus()), (400, "1004"), "{query}");
        let plan: Value = serde_json::from_str(reply.json()["additionalErrorInfo"].as_str().unwrap()).unwrap();
        assert!(plan["queryInfo"].is_object());
        let pinned = query.replace("FROM c", "FROM c WHERE c.pk = 'us'");
        assert_eq!(client.query_as_is(&pinned, &across).await.status, 200, "{pinned}");
        assert_eq!(client.query_as_is(query, &[US]).await.status, 200, "{query}");
    }
    let fields = "SELECT COUNT(1) FROM c WHERE c.pk = 'us'";
    assert_eq!(client.query_as_is(fields, &across).await.status, 400);
    assert_eq!(client.query_as_is(fields, &[US]).await.status, 200);
}

#[tokio::test]
async fn a_feed_begins_where_the_client_knows_of_no_place_to_go_on() {
    let (_emulator, mut client) = emulator().await;
    client.create(&json!({ "id": "a", "pk": "us" })).await;
    // As Java's client writes it.
    let none = ("x-ms-continuation", "");
    assert_eq!(client.query_page("SELECT * FROM c", &[none]).await.documents().len(), 1);
    assert_eq!(client.send("GET", "/dbs/d/colls/c/docs", &[none], "").await.documents().len(), 1);
}

#[tokio::test]
async fn queries_join_group_and_tell_results_apart() {
    let (_emulator, mut client) = emulator().await;
    for (id, n, tags) in [("a", 1, json!(["x", "y"])), ("b", 2, json!(["x"])), ("c", 1, json!([]))] {
        client.create(&json!({ "id": id, "pk": "us", "n": n, "tags": tags })).await;
    }
    for (query, expected) in [
        (
            "SELECT c.id, t FROM c JOIN t IN c.tags",
            json!([{ "id": "a", "t": "x" }, { "id": "a", "t": "y" }, { "id": "b", "t": "x" }]),
        ),
        ("SELECT VALUE t FROM t IN c.tags", json!(["x", "y", "x"])),
        ("SELECT DISTINCT VALUE t FROM c JOIN t IN c.tags", json!(["x", "y"])),
        ("SELECT VALUE t FROM c JOIN t IN c.tags ORDER BY t DESC, c.id DESC", json!(["y", "x", "x"])),
        ("SELECT DISTINCT VALUE c.n FROM c ORDER BY c.n DESC", json!([2, 1])),
        (
            "SELECT c.n, ARRAY_LENGTH(c.tags) AS l, COUNT(1) AS k FROM c GROUP BY c.n, ARRAY_LENGTH(c.tags)",
            json!([{ "n": 1, "l": 0, "k": 1 }, { "n": 1, "l": 2, "k": 1 }, { "n": 2, "l": 1, "k": 1 }]),
        ),
        ("SELECT VALUE c.id FROM c WHERE EXISTS(SELECT VALUE t FROM t IN c.tags WHERE t LIKE 'y%')", json!(["a"])),
        ("SELECT VALUE MAX(c.nope) FROM c", json!([])),
        ("SELECT VALUE [{item: MAX(c.nope)}] FROM c", json!([[{}]])),
        ("SELECT VALUE 1", json!([1])),
    ] {
        for size in ["1", "2", "100"] {
            let mut found = client.query(query, &[("x-ms-max-item-count", size)]).await;
            if query.contains("GROUP BY") {
                found.sort_by_key(|group| (group["n"].as_u64(), group["l"].as_u64()));
            }
            assert_eq!(Value::from(found), expected, "{query} by {size}");
        }
    }
}

#[tokio::test]
async fn computed_properties_can_be_asked_for() {
    let (_emulator, mut client) = emulator().await;
    let computed = json!([{ "name": "low", "query": "SELECT VALUE LOWER(c.name) FROM c" }]);
    container(&mut client, json!({ "id": "p", "partitionKey": { "paths": ["/pk"] }, "computedProperties": computed }))
        .await;
    client.send("POST", "/dbs/d/colls/p/docs", &[US], r#"{"id":"a","pk":"us","name":"AB"}"#).await;
    let headers = [US, ("x-ms-documentdb-isquery", "True")];
    let body = json!({ "query": "SELECT c.low FROM c WHERE c.low = 'ab'" }).to_string();
    let found = client.send("POST", "/dbs/d/colls/p/docs", &headers, &body).await;
    assert_eq!(found.documents(), [json!({ "low": "ab" })]);
}

#[tokio::test]
async fn the_change_feed_begins_where_it_is_asked_to() {
    let (_emulator, mut client) = emulator().await;
    client.create(&json!({ "id": "a", "pk": "us" })).await;
    let feed = ("a-im", "Incremental feed");
    let all = client.send("GET", "/dbs/d/colls/c/docs", &[feed], "").await;
    assert_eq!(all.documents()[0]["_lsn"], 1);
    let later = ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT");
    assert_eq!(client.send("GET", "/dbs/d/colls/c/docs", &[feed, later], "").await.status, 304);
    let full = client.send("GET", "/dbs/d/colls/c/docs", &[("a-im", "Full-Fidelity Feed")], "").await;
    assert_eq!(full.status, 400);
    assert!(full.json()["message"].as_str().unwrap().contains("all versions"));
}

#[tokio::test]
async fn queries_tell_of_their_work_when_asked() {
    let (_emulator, mut client) = emulator().await;
    client.create(&json!({ "id": "a", "pk": "us" })).await;
    let wanted = [("x-ms-documentdb-populatequerymetrics", "True"), ("x-ms-cosmos-populateindexmetrics", "True")];
    let reply = client.query_page("SELECT * FROM c WHERE c.pk = 'us'", &wanted).await;
    assert!(reply.header("x-ms-documentdb-query-metrics").unwrap().contains("outputDocumentCount=1;"));
    assert!(reply.header("x-ms-cosmos-index-utilization").is_some());
    assert!(client.query_page("SELECT * FROM c", &[]).await.header("x-ms-documentdb-query-metrics").is_none());
    let quota =
        [("x-ms-documentdb-populatequotainfo", "True"), ("x-ms-documentdb-populatepartitionstatistics", "True")];
    let read = client.send("GET", "/dbs/d/colls/c", &quota, "").await;
    assert!(read.header("x-ms-resource-usage").unwrap().contains("documentsCount=1;"));
    assert_eq!(read.json()["statistics"][0]["documentCount"], 1);
}
