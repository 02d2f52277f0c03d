//! The cheapest client that a create can come from: HTTP/1.1 on connections that are kept, one request at a time on each,
//! with everything but the document made once. A signature covers verb, resource and date, not the body, so one serves
//! for a quarter of an hour.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;
use time::macros::format_description;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use txgen::transaction::Transaction;

/// Bounds what hangs.
const TIME_LIMIT: Duration = Duration::from_secs(60);
const CONTAINER: &str = "dbs/Woodgrove/colls/transactions";

/// A local Cosmos DB with a container, and connections to it.
pub(crate) struct CosmosDb {
    streams: Vec<TcpStream>,
    signed: String,
}

impl CosmosDb {
    /// Creates database and container, and connects so many times.
    pub(crate) async fn connect(address: &str, key: &str, connections: usize) -> anyhow::Result<Self> {
        let mut streams = Vec::with_capacity(connections);
        for _ in 0..connections.max(1) {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        for (parent, kind, body) in [
            ("", "dbs", r#"{"id":"Woodgrove"}"#),
            (
                "dbs/Woodgrove",
                "colls",
                r#"{"id":"transactions","partitionKey":{"paths":["/ipCountryCode"],"kind":"Hash","version":2},"defaultTtl":-1}"#,
            ),
        ] {
            let signed = sign(key, kind, parent)?;
            let parent = if parent.is_empty() { String::new() } else { format!("/{parent}") };
            let length = body.len();
            let request =
                format!("POST {parent}/{kind} HTTP/1.1\r\nhost: x\r\n{signed}content-length: {length}\r\n\r\n{body}");
            let status = exchange(&mut streams[0], request.as_bytes(), &mut Vec::new()).await?;
            ensure!(status == 201, "{kind} answered {status}");
        }
        Ok(Self { streams, signed: sign(key, "docs", CONTAINER)? })
    }

    /// Creates each of these documents, and waits until all are there.
    pub(crate) async fn create(&mut self, transactions: &Arc<Vec<Transaction>>) -> anyhow::Result<()> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for mut stream in self.streams.drain(..) {
            let (transactions, next, signed) = (Arc::clone(transactions), Arc::clone(&next), self.signed.clone());
            workers.spawn(async move {
                let (mut request, mut answer) = (Vec::new(), Vec::new());
                while let Some(transaction) = transactions.get(next.fetch_add(1, Ordering::Relaxed)) {
                    write_create(&mut request, &signed, transaction);
                    let status = exchange(&mut stream, &request, &mut answer).await?;
                    ensure!(status == 201, "a create was answered {status}: {}", String::from_utf8_lossy(&answer));
                }
                anyhow::Ok(stream)
            });
        }
        while let Some(worker) = workers.join_next().await {
            self.streams.push(worker??);
        }
        Ok(())
    }
}

fn write_create(request: &mut Vec<u8>, signed: &str, transaction: &Transaction) {
    request.clear();
    let head = format!(
        "POST /{CONTAINER}/docs HTTP/1.1\r\nhost: x\r\n{signed}x-ms-documentdb-partitionkey: [\"{}\"]\r\nprefer: \
         return=minimal\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        transaction.partition_key,
        transaction.body.len()
    );
    request.extend_from_slice(head.as_bytes());
    request.extend_from_slice(&transaction.body);
}

/// Sends a request and reads its answer into `answer`; gives the status.
async fn exchange(stream: &mut TcpStream, request: &[u8], answer: &mut Vec<u8>) -> anyhow::Result<u16> {
    stream.write_all(request).await?;
    answer.clear();
    loop {
        let read = timeout(TIME_LIMIT, stream.read_buf(answer)).await.context("no answer")??;
        ensure!(read > 0, "the connection was closed");
        let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&answer[..end])?;
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(Ok(0), str::parse::<usize>)?;
        if answer.len() >= end + 4 + length {
            let Some(status) = head.get(9..12) else { bail!("no status: {head}") };
            return Ok(status.parse()?);
        }
    }
}

/// The headers that sign a POST of this kind of resource below `parent`.
fn sign(key: &str, kind: &str, parent: &str) -> anyhow::Result<String> {
    let format =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    let date = OffsetDateTime::now_utc().format(&format)?;
    let payload = format!("post\n{kind}\n{parent}\n{}\n\n", date.to_lowercase());
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&STANDARD.decode(key)?)?;
    mac.update(payload.as_bytes());
    let token = format!("type=master&ver=1.0&sig={}", STANDARD.encode(mac.finalize().into_bytes()));
    let token = utf8_percent_encode(&token, NON_ALPHANUMERIC);
    Ok(format!("authorization: {token}\r\nx-ms-date: {date}\r\nx-ms-version: 2018-12-31\r\n"))
}
