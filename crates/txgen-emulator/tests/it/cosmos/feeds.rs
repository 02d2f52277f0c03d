//! Documents, many at a time: feeds and queries.

use serde_json::{Value, json};
use txgen_emulator::cosmos::CosmosEmulator;

use super::client::Client;
use super::emulator;

/// An emulator with the documents 0 to 29: `us` has every second, `gb` and `fr` the others in turn.
async fn filled() -> (CosmosEmulator, Client) {
    let (emulator, mut client) = emulator().await;
    for n in 0..30 {
        let pk = ["us", "gb", "us", "fr"][n % 4];
        let mut document =
            json!({ "id": format!("id{n:02}"), "pk": pk, "n": n, "even": n % 2 == 0, "o": { "x": [n] } });
        if n < 3 {
            document["rare"] = json!(format!("r{n}"));
        }
        assert_eq!(client.create(&document).await.status, 201);
    }
    (emulator, client)
}

fn ids(documents: &[Value]) -> Vec<&str> {
    let mut ids: Vec<_> = documents.iter().map(|document| document["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn a_feed_gives_each_document_once_page_by_page() {
    let (_emulator, mut client) = filled().await;
    let mut documents = Vec::new();
    let mut token = None::<String>;
    let mut pages = 0;
    loop {
        let mut headers = vec![("x-ms-max-item-count", "7")];
        headers.extend(token.as_deref().map(|token| ("x-ms-continuation", token)));
        let page = client.send("GET", "/dbs/d/colls/c/docs", &headers, "").await;
        assert_eq!(page.header("x-ms-item-count").unwrap(), page.documents().len().to_string());
        documents.extend(page.documents());
        pages += 1;
        token = page.header("x-ms-continuation").map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!(pages, 5);
    let mut seen = ids(&documents);
    seen.dedup();
    assert_eq!(seen.len(), 30);
    assert!(documents.iter().all(|document| document["_rid"].is_string() && document["_ts"].is_u64()));
}

#[tokio::test]
async fn a_feed_can_be_limited_to_a_partition_key_or_to_hashes() {
    let (_emulator, mut client) = filled().await;
    let mut count =
        async |headers: &[(&str, &str)]| client.send("GET", "/dbs/d/colls/c/docs", headers, "").await.documents().len();
    assert_eq!(count(&[("x-ms-documentdb-partitionkey", "[\"us\"]")]).await, 15);
    let kind = ("x-ms-read-key-type", "EffectivePartitionKeyRange");
    let middle = "20000000000000000000000000000000";
    let low = count(&[kind, ("x-ms-start-epk", ""), ("x-ms-end-epk", middle)]).await;
    let high = count(&[kind, ("x-ms-start-epk", middle), ("x-ms-end-epk", "FF")]).await;
    assert_eq!(low + high, 30);
    assert!(low > 0 && high > 0);
}

#[tokio::test]
async fn the_change_feed_goes_on_from_where_it_was() {
    let (_emulator, mut client) = filled().await;
    let mut etag = None::<String>;
    let mut changed = Vec::new();
    loop {
        let mut headers = vec![("a-im", "Incremental Feed"), ("x-ms-max-item-count", "8")];
        headers.extend(etag.as_deref().map(|etag| ("if-none-match", etag)));
        let page = client.send("GET", "/dbs/d/colls/c/docs", &headers, "").await;
        etag = page.header("etag").map(str::to_owned);
        if page.status == 304 {
            break;
        }
        changed.extend(page.documents());
    }
    let order: Vec<_> = changed.iter().map(|document| document["n"].as_u64().unwrap()).collect();
    assert_eq!(order, (0..30).collect::<Vec<_>>());

    client.create(&json!({ "id": "new", "pk": "us" })).await;
    let headers = [("a-im", "Incremental Feed"), ("if-none-match", etag.as_deref().unwrap())];
    let page = client.send("GET", "/dbs/d/colls/c/docs", &headers, "").await;
    assert_eq!(ids(&page.documents()), ["new"]);
    let from_now = [("a-im", "Incremental Feed"), ("if-none-match", "*")];
    assert_eq!(client.send("GET", "/dbs/d/colls/c/docs", &from_now, "").await.status, 304);
}

#[tokio::test]
async fn queries_filter_and_project() {
    let (_emulator, mut client) = filled().await;
    for (query, expected) in [
        ("SELECT c.id, c.n AS x FROM c WHERE c.n = 4", json!([{ "id": "id04", "x": 4 }])),
        ("SELECT VALUE c.o.x[0] FROM c WHERE c.id IN ('id07', 'none')", json!([7])),
        ("SELECT VALUE c.id FROM c WHERE c.pk = @p AND c.n > 10 AND c.n <= 14", json!(["id12", "id14"])),
        (
            "SELECT VALUE c.id FROM c WHERE STARTSWITH(c.id, 'id2') AND NOT c.even AND c.pk != 'fr'",
            json!(["id21", "id25", "id29"]),
        ),
        ("SELECT VALUE c.rare FROM c WHERE IS_DEFINED(c.rare) AND c.pk = 'us'", json!(["r0", "r2"])),
        ("SELECT VALUE c.rare FROM c WHERE c.pk = 'fr'", json!([])),
        ("SELECT c.rare, c.n FROM c WHERE c.n = 5", json!([{ "n": 5 }])),
        ("SELECT VALUE COUNT(1) FROM c", json!([30])),
        ("SELECT VALUE COUNT(c.rare) FROM c", json!([3])),
        ("SELECT VALUE SUM(c.n) FROM c WHERE c.pk = 'us'", json!([210])),
        (
            "SELECT COUNT(1) AS n, MIN(c.n) AS least, MAX(c.n) AS most, AVG(c.n) AS mean FROM c WHERE c.n < 5",
            json!([{ "n": 5, "least": 0, "most": 4, "mean": 2 }]),
        ),
        (
            "SELECT c.pk, COUNT(1) AS n, SUM(c.n) AS s FROM c GROUP BY c.pk",
            json!([{ "pk": "fr", "n": 7, "s": 105 }, { "pk": "gb", "n": 8, "s": 120 }, { "pk": "us", "n": 15, "s": 210 }]),
        ),
        ("SELECT VALUE COUNT(1) FROM c WHERE c.n > 100", json!([0])),
        ("SELECT VALUE SUM(c.n) FROM c WHERE c.n > 100", json!([])),
        ("SELECT VALUE c.n FROM c ORDER BY c.n DESC OFFSET 2 LIMIT 3", json!([27, 26, 25])),
        ("SELECT TOP 2 VALUE c.n FROM c ORDER BY c.n", json!([0, 1])),
        (
            "SELECT VALUE {\"n\": c.n, \"all\": [c.even, c.none]} FROM c WHERE c.n = 1",
            json!([{ "n": 1, "all": [false] }]),
        ),
    ] {
        assert_eq!(Value::from(client.query(query, &[]).await), expected, "{query}");
    }
}

#[tokio::test]
async fn whole_documents_come_with_their_system_properties() {
    let (_emulator, mut client) = filled().await;
    let all = client.query("SELECT * FROM c WHERE c._ts > 0", &[]).await;
    assert_eq!(all.len(), 30);
    let one = client.query("SELECT VALUE c FROM c WHERE c.n = 3", &[]).await;
    assert!(one[0]["_etag"].is_string());
    let by_rid = client.query(&format!("SELECT VALUE c.id FROM c WHERE c._rid = {}", one[0]["_rid"]), &[]).await;
    assert_eq!(by_rid, [json!("id03")]);
}

#[tokio::test]
async fn pages_of_any_query_add_up_to_the_whole() {
    let (_emulator, mut client) = filled().await;
    for query in [
        "SELECT * FROM c WHERE c.n != 5",
        "SELECT VALUE c.n FROM c ORDER BY c.n DESC",
        "SELECT VALUE c.id FROM c ORDER BY c.rare",
        "SELECT VALUE c.id FROM c ORDER BY c.even",
        "SELECT c.n, COUNT(1) AS x FROM c GROUP BY c.n",
        "SELECT TOP 17 c.id FROM c",
        "SELECT VALUE c.id FROM c WHERE c.n > 3 ORDER BY c.pk OFFSET 4 LIMIT 13",
        "SELECT VALUE c.id FROM c OFFSET 4 LIMIT 13",
    ] {
        let whole = client.query(query, &[]).await;
        assert!(whole.len() > 12, "{query}");
        for size in ["1", "4", "29"] {
            assert_eq!(client.query(query, &[("x-ms-max-item-count", size)]).await, whole, "{query} by {size}");
        }
    }
}

#[tokio::test]
async fn a_query_can_be_limited_to_a_partition_key() {
    let (_emulator, mut client) = filled().await;
    let gb = [("x-ms-documentdb-partitionkey", "[\"gb\"]")];
    assert_eq!(client.query("SELECT VALUE COUNT(1) FROM c", &gb).await, [json!(8)]);
    assert_eq!(client.query("SELECT VALUE COUNT(1) FROM c WHERE c.pk = 'us'", &gb).await, [json!(0)]);
}

#[tokio::test]
async fn a_query_that_is_not_supported_is_refused_by_name() {
    let (_emulator, mut client) = filled().await;
    for (query, named) in [
        ("SELECT * FROM c ORDER BY RANK c.x", "RANK"),
        ("SELECT udf.f(c) FROM c", "user-defined"),
        ("SELECT VALUE ST_DISTANCE(c.a, c.b) FROM c", "ST_DISTANCE"),
        ("SELECT * FROM c WHERE c.x = @missing", "@missing"),
        ("SELEC * FROM c", "SELECT"),
    ] {
        let reply = client.query_page(query, &[]).await;
        assert_eq!((reply.status, reply.json()["code"].as_str()), (400, Some("BadRequest")), "{query}");
        assert!(reply.json()["message"].as_str().unwrap().contains(named), "{query}: {reply:?}");
    }
}

#[tokio::test]
async fn a_plan_tells_a_client_how_to_merge() {
    let (_emulator, mut client) = filled().await;
    let plan_request = [("x-ms-cosmos-is-query-plan-request", "True")];
    let plan = client.query_page("SELECT * FROM c ORDER BY c.n", &plan_request).await.json();
    assert_eq!(plan["queryInfo"]["orderBy"], json!(["Ascending"]));
    let rewritten = plan["queryInfo"]["rewrittenQuery"].as_str().unwrap();
    let sent = rewritten.replace("{documentdb-formattableorderbyquery-filter}", "true");
    let rows = client.query(&sent, &[("x-ms-documentdb-partitionkeyrangeid", "0")]).await;
    assert_eq!(rows.len(), 30);
    assert_eq!(rows[4]["orderByItems"], json!([{ "item": 4 }]));
    assert_eq!(rows[4]["payload"]["id"], "id04");
    let plan = client.query_page("SELECT * FROM c WHERE c.pk = 'us'", &plan_request).await.json();
    assert_ne!(plan["queryRanges"][0]["min"], "");
}

#[tokio::test]
async fn a_token_of_somebody_else_is_refused() {
    let (_emulator, mut client) = filled().await;
    for token in ["x", "eyJhIjoxfQ", "0.0.0"] {
        let headers = [("x-ms-continuation", token)];
        assert_eq!(client.query_page("SELECT * FROM c", &headers).await.status, 400);
        assert_eq!(client.send("GET", "/dbs/d/colls/c/docs", &headers, "").await.status, 400);
    }
}
