//! Documents read back from the emulator, over sockets: with the session of the run that wrote them, and while the container
//! changes its partitions.

// Clippy's leave for tests covers test functions, not the helpers beside them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;
use txgen::identity::RunId;
use txgen::service::Counters;
use txgen::service::cosmos::{Reader, SessionToken};
use txgen::settings::{CosmosDbClient, CosmosDbSettings};
use txgen::transaction::Transaction;
use txgen_emulator::cosmos::CosmosEmulator;

use super::cosmos_service::{connect, emulator, send, settings_at, url_of};
use crate::support::documents::Documents;
use crate::support::scripted::{self, Answer};

/// An emulator before which `rule` hears the head of each request, and answers some itself.
async fn before(
    emulator: &CosmosEmulator,
    client: CosmosDbClient,
    rule: impl Fn(&str) -> Option<Answer> + Send + Sync + 'static,
) -> CosmosDbSettings {
    let upstream = emulator.endpoint().socket_addrs(|| None).unwrap()[0];
    let address = scripted::before_heads(upstream, rule).await;
    settings_at(url_of(address), emulator.key().clone(), client)
}

/// Writes this many documents under as many keys, and returns the session token of that.
async fn write(settings: &CosmosDbSettings, run: RunId, count: u64) -> SessionToken {
    let cosmos = connect(settings).await.unwrap();
    for row in 1..=count {
        let (id, key) = (run.transaction_id(row), format!("k{row}"));
        let body = format!(r#"{{"id":"{id}","ipCountryCode":"{key}"}}"#);
        let transaction = Transaction::new(row, id, key.as_str().into(), body.into());
        send(&cosmos, &transaction, &Counters::default()).await.unwrap();
    }
    cosmos.session_token().unwrap()
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(own, _)| own.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

async fn what_is_read_comes_with_the_session_token_of_what_was_written(client: CosmosDbClient) {
    let emulator = emulator().await;
    let tokens: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
    let heard = tokens.clone();
    let settings = before(&emulator, client, move |head| {
        if header(head, "x-ms-documentdb-isquery").is_some() && head.contains("/docs ") {
            heard.lock().unwrap().push(header(head, "x-ms-session-token").map(str::to_owned));
        }
        None
    })
    .await;
    let run = RunId::random();
    let token = write(&settings, run, 3).await;
    let of_ranges: BTreeSet<String> = token.to_string().split(',').map(str::to_owned).collect();
    let reader = Reader::connect(&settings, token, CancellationToken::new()).await.unwrap();
    let mut read = 0;
    let keys = (1..=3).map(|row| format!("k{row}"));
    reader.read_keys(&run.to_string(), keys, &mut |_, _| read += 1).await.unwrap();
    let sent = std::mem::take(&mut *tokens.lock().unwrap());
    assert_eq!((read, sent.len()), (3, 3), "{sent:?}");
    assert_eq!(sent.into_iter().map(Option::unwrap).collect::<BTreeSet<_>>(), of_ranges);
    reader.read_everywhere(&run.to_string(), &mut |_| read += 1).await.unwrap();
    let sent = std::mem::take(&mut *tokens.lock().unwrap());
    assert_eq!((read, sent.len()), (6, 2), "{sent:?}");
    assert_eq!(sent.into_iter().flatten().collect::<BTreeSet<_>>(), of_ranges);
}

mod native {
    #[tokio::test]
    async fn what_is_read_comes_with_the_session_token_of_what_was_written() {
        super::what_is_read_comes_with_the_session_token_of_what_was_written(super::CosmosDbClient::Native).await;
    }
}

mod sdk {
    #[tokio::test]
    async fn what_is_read_comes_with_the_session_token_of_what_was_written() {
        super::what_is_read_comes_with_the_session_token_of_what_was_written(super::CosmosDbClient::Sdk).await;
    }
}

#[tokio::test]
async fn a_split_while_everything_is_read_costs_no_document_and_doubles_none() {
    const DOCUMENTS: u64 = 500;
    let emulator = emulator().await;
    let (is_asked, is_split) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (asked, split) = (is_asked.clone(), is_split.clone());
    // The second page of a partition waits for the split.
    let settings = before(&emulator, CosmosDbClient::Native, move |head| {
        let is_second_page = head.contains("/docs ") && header(head, "x-ms-continuation").is_some();
        if !is_second_page || split.load(Ordering::SeqCst) {
            return None;
        }
        asked.store(true, Ordering::SeqCst);
        Some(Answer::new(503, 0, "not now"))
    })
    .await;
    let run = RunId::random();
    write(&settings, run, DOCUMENTS).await;
    let splitting = async {
        while !is_asked.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        Documents::in_process(&emulator).await.set_throughput(60_000).await;
        is_split.store(true, Ordering::SeqCst);
    };
    let reader = Reader::connect(&settings, SessionToken::default(), CancellationToken::new()).await.unwrap();
    let mut ids = Vec::new();
    let mut take = |document: txgen::service::cosmos::Document| ids.push(document["id"].as_str().unwrap().to_owned());
    let prefix = run.to_string();
    let (read, ()) = tokio::join!(reader.read_everywhere(&prefix, &mut take), splitting);
    read.unwrap();
    assert_eq!(ids.len() as u64, DOCUMENTS);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len() as u64, DOCUMENTS);
}
