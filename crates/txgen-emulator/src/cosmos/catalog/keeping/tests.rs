//! An account that is opened again is the one that was closed, whatever happened to it, and wherever its log was cut.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use azure_core::credentials::Secret;
use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, StatusCode};
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::cosmos::WELL_KNOWN_KEY;
use crate::cosmos::auth::Gate;
use crate::cosmos::call::Call;
use crate::cosmos::catalog::{Limits, Reach};
use crate::cosmos::routes;

const EVERYTHING: std::ops::Range<Epk> = Epk::MIN..Epk::MAX;

fn open(folder: &Path) -> Account {
    let gate = Gate::new(&Secret::new(WELL_KNOWN_KEY), true).unwrap();
    let account = Account::new(gate, Limits { throughput: false, memory: None }, Reach::HTTP);
    account.keep_in(&DataDir { folder: folder.to_owned(), sync: crate::data::DataSync::Os }).unwrap()
}

/// All that a client could see, and all that decides what it will see.
fn seen(account: &Account) -> String {
    let mut seen = String::new();
    let numbers = (account.last_database.load(Ordering::Relaxed), account.last_offer.load(Ordering::Relaxed));
    writeln!(seen, "{numbers:?}").unwrap();
    for database in account.databases() {
        let last = database.last_container.load(Ordering::Relaxed);
        writeln!(seen, "{} {last}", database.to_json()).unwrap();
        for container in database.containers() {
            let (ranges, version) = container.ranges();
            let store = container.store();
            store.check();
            writeln!(seen, "{} {ranges:?} {version} {:?}", container.to_json(), store.last()).unwrap();
            for (place, document) in store.changes(0, 0) {
                let unique = store.unique_of(place);
                writeln!(seen, "{place:?} {document:?} {unique:?} {}", String::from_utf8_lossy(&document.body))
                    .unwrap();
            }
            writeln!(seen, "{:?}", store.scan(&EVERYTHING, None, 0).map(|(place, _)| place).collect::<Vec<_>>())
                .unwrap();
        }
    }
    for offer in account.offers() {
        writeln!(seen, "{}", offer.to_json()).unwrap();
    }
    seen
}

/// Asks for something; gives the status.
async fn ask(
    account: &Account,
    method: Method,
    path: &str,
    headers: &[(&'static str, &str)],
    body: &str,
) -> StatusCode {
    let header =
        |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    let headers: HeaderMap = headers.iter().map(header).collect();
    let call = Call::new(method, &path.parse().unwrap(), headers);
    match routes::answer(account, &call, Bytes::copy_from_slice(body.as_bytes())).await {
        Ok(_) => StatusCode::OK,
        Err(failure) => failure.status,
    }
}

#[derive(Clone, Debug)]
enum Step {
    CreateDatabase(u8, bool),
    DeleteDatabase(u8),
    CreateContainer(u8, u8),
    DeleteContainer(u8, u8),
    ReplaceContainer(u8, u8, i32),
    ReplaceOffer(u8, u32),
    Put(u8, u8, u8, u8),
    Rename(u8, u8, u8),
    Patch(u8, u8),
    Delete(u8, u8),
    DeleteByKey(u8),
    Batch(u8, u8, bool),
    Later(u8),
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let few = || 0..3_u8;
    prop_oneof![
        1 => (few(), any::<bool>()).prop_map(|(d, shared)| CreateDatabase(d, shared)),
        1 => few().prop_map(DeleteDatabase),
        3 => (few(), few()).prop_map(|(d, c)| CreateContainer(d, c)),
        1 => (few(), few()).prop_map(|(d, c)| DeleteContainer(d, c)),
        1 => (few(), few(), prop_oneof![Just(-1), Just(5)]).prop_map(|(d, c, ttl)| ReplaceContainer(d, c, ttl)),
        1 => (few(), 4..30_u32).prop_map(|(offer, throughput)| ReplaceOffer(offer, throughput * 1000)),
        9 => (few(), 0..6_u8, few(), any::<u8>()).prop_map(|(c, id, ttl, value)| Put(c, id, ttl, value)),
        2 => (few(), 0..6_u8, 0..6_u8).prop_map(|(c, from, to)| Rename(c, from, to)),
        2 => (few(), 0..6_u8).prop_map(|(c, id)| Patch(c, id)),
        3 => (few(), 0..6_u8).prop_map(|(c, id)| Delete(c, id)),
        1 => few().prop_map(DeleteByKey),
        2 => (few(), 0..6_u8, any::<bool>()).prop_map(|(c, id, fails)| Batch(c, id, fails)),
        1 => (1..9_u8).prop_map(Later),
    ]
}

async fn take(account: &Account, step: &Step) {
    const KEY: &str = "x-ms-documentdb-partitionkey";
    let docs = |c: &u8| format!("/dbs/d0/colls/c{c}/docs");
    // All documents of one id are under one key, so that renaming stays within it.
    let key = (KEY, "[\"k\"]");
    let document = |id: &u8, more: &str| format!("{{\"id\":\"{id}\",\"k\":\"k\"{more}}}");
    match step {
        Step::CreateDatabase(d, shared) => {
            let throughput: &[_] = if *shared { &[("x-ms-offer-throughput", "12000")] } else { &[] };
            ask(account, Method::POST, "/dbs", throughput, &json!({ "id": format!("d{d}") }).to_string()).await
        }
        Step::DeleteDatabase(d) => ask(account, Method::DELETE, &format!("/dbs/d{d}"), &[], "").await,
        Step::CreateContainer(d, c) => {
            let definition = json!({
                "id": format!("c{c}"), "partitionKey": { "paths": ["/k"] }, "defaultTtl": -1,
                "uniqueKeyPolicy": { "uniqueKeys": if *c == 2 { json!([{ "paths": ["/u"] }]) } else { json!([]) } },
            });
            let throughput: &[_] = if *c == 1 { &[("x-ms-offer-throughput", "15000")] } else { &[] };
            ask(account, Method::POST, &format!("/dbs/d{d}/colls"), throughput, &definition.to_string()).await
        }
        Step::DeleteContainer(d, c) => ask(account, Method::DELETE, &format!("/dbs/d{d}/colls/c{c}"), &[], "").await,
        Step::ReplaceContainer(d, c, ttl) => {
            let unique = if *c == 2 { json!([{ "paths": ["/u"] }]) } else { json!([]) };
            let definition = json!({
                "id": format!("c{c}"), "partitionKey": { "paths": ["/k"] }, "defaultTtl": ttl,
                "uniqueKeyPolicy": { "uniqueKeys": unique },
            });
            ask(account, Method::PUT, &format!("/dbs/d{d}/colls/c{c}"), &[], &definition.to_string()).await
        }
        Step::ReplaceOffer(index, throughput) => {
            let offers = account.offers();
            let Some(offer) = offers.get(usize::from(*index)) else { return };
            let content = json!({ "content": { "offerThroughput": throughput } });
            ask(account, Method::PUT, &format!("/offers/{}", offer.rid), &[], &content.to_string()).await
        }
        Step::Put(c, id, ttl, value) => {
            let ttl = if *ttl == 0 { String::new() } else { format!(",\"ttl\":{ttl}") };
            let body = document(id, &format!("{ttl},\"u\":{value},\"pad\":\"{}\"", "x".repeat(usize::from(*value))));
            let upsert = ("x-ms-documentdb-is-upsert", "true");
            ask(account, Method::POST, &docs(c), &[key, upsert], &body).await
        }
        Step::Rename(c, from, to) => {
            ask(account, Method::PUT, &format!("{}/{from}", docs(c)), &[key], &document(to, ",\"u\":\"renamed\"")).await
        }
        Step::Patch(c, id) => {
            let patch = r#"{"operations":[{"op":"set","path":"/p","value":[1]}]}"#;
            ask(account, Method::PATCH, &format!("{}/{id}", docs(c)), &[key], patch).await
        }
        Step::Delete(c, id) => ask(account, Method::DELETE, &format!("{}/{id}", docs(c)), &[key], "").await,
        Step::DeleteByKey(c) => {
            let path = format!("/dbs/d0/colls/c{c}/operations/partitionkeydelete");
            ask(account, Method::POST, &path, &[key], "").await
        }
        Step::Batch(c, id, fails) => {
            let one = |kind: &str, id: u8, u: &str| {
                json!({
                    "operationType": kind, "id": id.to_string(),
                    "resourceBody": { "id": id.to_string(), "k": "k", "u": u },
                })
            };
            let mut operations = vec![one("Upsert", *id, "a"), one("Upsert", 7, "b"), one("Delete", *id, "")];
            if *fails {
                operations.push(one("Create", 7, "c"));
            }
            let batch = ("x-ms-cosmos-is-batch-request", "true");
            ask(account, Method::POST, &docs(c), &[key, batch], &serde_json::to_string(&operations).unwrap()).await
        }
        Step::Later(seconds) => {
            account.clock.skip(Duration::from_secs((*seconds).into()));
            account.expire(2).await;
            StatusCode::OK
        }
    };
}

/// The one file of a log that is not long.
fn log(folder: &Path) -> std::path::PathBuf {
    folder.join("cosmos-db-00000001.log")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn an_account_opened_again_is_as_it_was_after_a_whole_number_of_steps(
        steps in prop::collection::vec(step(), 1..40), rewrite in any::<bool>(), cuts in prop::collection::vec(any::<u16>(), 6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let folder = TempDir::new().unwrap();
        let steps = [Step::CreateDatabase(0, false), Step::CreateContainer(0, 0)].iter().chain(&steps);
        // How long the log was after each step, what there was, and whether the step is several writes.
        let mut history = Vec::new();
        {
            let account = open(folder.path());
            for step in steps {
                runtime.block_on(take(&account, step));
                let length = std::fs::metadata(log(folder.path())).unwrap().len();
                history.push((length, seen(&account), matches!(step, Step::Later(_))));
            }
        }
        let (length, last, _) = history.last().unwrap().clone();
        let whole = std::fs::read(log(folder.path())).unwrap();
        prop_assert_eq!(whole.len() as u64, length);
        {
            let again = open(folder.path());
            prop_assert_eq!(&seen(&again), &last);
            if rewrite {
                again.keeper().unwrap().rewrite(&again).unwrap();
                prop_assert_eq!(&seen(&again), &last);
                drop(again);
                prop_assert_eq!(&seen(&open(folder.path())), &last);
            }
        }
        for cut in cuts {
            let cut = 16 + usize::from(cut) % (whole.len() - 15);
            let folder = TempDir::new().unwrap();
            std::fs::write(log(folder.path()), &whole[..cut]).unwrap();
            let found = seen(&open(folder.path()));
            let at = history.partition_point(|(length, ..)| *length <= cut as u64);
            let before = at.checked_sub(1).map_or("(0, 0)\n", |before| history[before].1.as_str());
            // Each container's expired documents are a write of their own, all others of a step are one.
            if !history.get(at).is_some_and(|(.., is_several)| *is_several) {
                prop_assert_eq!(found, before, "cut at {}", cut);
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_kept_does_not_happen() {
    let folder = TempDir::new().unwrap();
    let account = open(folder.path());
    for step in
        [Step::CreateDatabase(0, true), Step::CreateContainer(0, 0), Step::Put(0, 1, 0, 9), Step::Put(0, 2, 0, 9)]
    {
        take(&account, &step).await;
    }
    let before = seen(&account);
    let offer = format!("/offers/{}", account.offers()[0].rid);
    // A log that is closed is one that cannot be written to.
    account.close();
    let key = ("x-ms-documentdb-partitionkey", "[\"k\"]");
    for (method, path, body) in [
        (Method::POST, "/dbs", r#"{"id":"d9"}"#),
        (Method::DELETE, "/dbs/d0", ""),
        (Method::POST, "/dbs/d0/colls", r#"{"id":"c9","partitionKey":{"paths":["/k"]}}"#),
        (Method::DELETE, "/dbs/d0/colls/c0", ""),
        (Method::PUT, "/dbs/d0/colls/c0", r#"{"id":"c0","partitionKey":{"paths":["/k"]}}"#),
        (Method::PUT, offer.as_str(), r#"{"content":{"offerThroughput":20000}}"#),
        (Method::POST, "/dbs/d0/colls/c0/docs", r#"{"id":"3","k":"k"}"#),
        (Method::PUT, "/dbs/d0/colls/c0/docs/1", r#"{"id":"renamed","k":"k"}"#),
        (Method::PATCH, "/dbs/d0/colls/c0/docs/1", r#"{"operations":[{"op":"set","path":"/p","value":1}]}"#),
        (Method::DELETE, "/dbs/d0/colls/c0/docs/1", ""),
        (Method::POST, "/dbs/d0/colls/c0/operations/partitionkeydelete", ""),
    ] {
        let answered = ask(&account, method.clone(), path, &[key], body).await;
        assert_eq!(answered, StatusCode::SERVICE_UNAVAILABLE, "{method} {path}");
    }
    // Numbers that were taken in vain are not given again; all else is as before.
    let after = seen(&account);
    assert_eq!(before.lines().skip(2).collect::<Vec<_>>(), after.lines().skip(2).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_was_deleted_of_a_batch_does_not_come_back_when_the_log_is_rewritten() {
    let folder = TempDir::new().unwrap();
    let account = open(folder.path());
    for step in [Step::CreateDatabase(0, true), Step::CreateContainer(0, 0)] {
        take(&account, &step).await;
    }
    let create = |id| json!({ "operationType": "Create", "resourceBody": { "id": id, "k": "k" } });
    let batch = json!([create("stays"), create("goes")]).to_string();
    let headers = [("x-ms-documentdb-partitionkey", "[\"k\"]"), ("x-ms-cosmos-is-batch-request", "true")];
    assert_eq!(ask(&account, Method::POST, "/dbs/d0/colls/c0/docs", &headers, &batch).await, StatusCode::OK);
    assert_eq!(ask(&account, Method::DELETE, "/dbs/d0/colls/c0/docs/goes", &headers[..1], "").await, StatusCode::OK);
    let before = seen(&account);
    account.keeper().unwrap().rewrite(&account).unwrap();
    drop(account);
    let again = seen(&open(folder.path()));
    assert_eq!(again, before);
    assert!(again.contains("stays") && !again.contains("goes"));
}
