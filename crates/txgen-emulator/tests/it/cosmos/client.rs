//! The plainest client that there can be: what it sends is what stands in the test.

use std::collections::HashMap;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use txgen_emulator::cosmos::CosmosEmulator;

/// One connection to an emulator.
pub(crate) struct Client {
    pub(crate) stream: BufReader<TcpStream>,
    key: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn substatus(&self) -> &str {
        self.header("x-ms-substatus").unwrap_or("0")
    }

    /// The items of a feed of documents.
    pub(crate) fn documents(&self) -> Vec<Value> {
        self.json()["Documents"].as_array().unwrap_or_else(|| panic!("{self:?}")).clone()
    }
}

impl Client {
    pub(crate) async fn connect(emulator: &CosmosEmulator) -> Self {
        Self::connect_with(emulator, emulator.key().secret()).await
    }

    pub(crate) async fn connect_with(emulator: &CosmosEmulator, key: &str) -> Self {
        let endpoint = emulator.endpoint();
        Self::connect_to((endpoint.host_str().unwrap(), endpoint.port().unwrap()), key).await
    }

    pub(crate) async fn connect_to(address: (&str, u16), key: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream), key: key.to_owned() }
    }

    /// The headers `authorization` and `x-ms-date` for a request at this time.
    pub(crate) fn sign(&self, verb: &str, path: &str, at: SystemTime) -> [(&'static str, String); 2] {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (kind, link) = match parts.as_slice() {
            [] => ("", String::new()),
            [parents @ .., last] if parts.len() % 2 == 1 => (*last, parents.join("/")),
            [.., kind, _] => (*kind, parts.join("/")),
            [_] => unreachable!("an odd number of parts"),
        };
        let link = if kind == "offers" && !link.is_empty() { parts.last().unwrap().to_lowercase() } else { link };
        self.sign_at(verb, kind, &link, at)
    }

    /// The same for a request of which is known what its signature covers, now.
    pub(crate) fn sign_as(&self, verb: &str, kind: &str, link: &str) -> [(&'static str, String); 2] {
        self.sign_at(verb, kind, link, SystemTime::now())
    }

    fn sign_at(&self, verb: &str, kind: &str, link: &str, at: SystemTime) -> [(&'static str, String); 2] {
        let format =
            format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
        let date = OffsetDateTime::from(at).format(&format).unwrap();
        let payload = format!("{}\n{kind}\n{link}\n{}\n\n", verb.to_lowercase(), date.to_lowercase());
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&STANDARD.decode(&self.key).unwrap()).unwrap();
        mac.update(payload.as_bytes());
        let token = format!("type=master&ver=1.0&sig={}", STANDARD.encode(mac.finalize().into_bytes()));
        [("authorization", utf8_percent_encode(&token, NON_ALPHANUMERIC).to_string()), ("x-ms-date", date)]
    }

    /// Sends a signed request and reads the answer.
    pub(crate) async fn send(&mut self, verb: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let signed = self.sign(verb, path, SystemTime::now());
        let signed = signed.iter().map(|(name, value)| (*name, value.as_str()));
        let headers: Vec<_> = signed.chain(headers.iter().copied()).collect();
        self.send_as_is(verb, path, &headers, body).await
    }

    pub(crate) async fn send_as_is(&mut self, verb: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        let request =
            format!("{verb} {path} HTTP/1.1\r\nhost: here\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
        self.stream.write_all(request.as_bytes()).await.unwrap();
        self.receive().await.expect("an answer, not the end of the connection")
    }

    /// Reads an answer; `None` when the connection was closed instead.
    pub(crate) async fn receive(&mut self) -> Option<Reply> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            match self.stream.read_line(&mut line).await {
                Ok(0) | Err(_) => return None,
                Ok(_) if line == "\r\n" => break,
                Ok(_) => lines.push(line.trim_end().to_owned()),
            }
        }
        let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &String| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let headers: HashMap<_, _> = lines[1..].iter().filter_map(header).collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.ok()?;
        Some(Reply { status, headers, body })
    }

    /// Creates the database `d` with a container `c` with the partition key `/pk`, times to live on, and this
    /// throughput of its own (RU/s).
    pub(crate) async fn create_container(&mut self, throughput: u32) {
        assert_eq!(self.send("POST", "/dbs", &[], r#"{"id":"d"}"#).await.status, 201);
        let definition = r#"{"id":"c","partitionKey":{"paths":["/pk"],"kind":"Hash","version":2},"defaultTtl":-1}"#;
        let throughput = throughput.to_string();
        let created = self.send("POST", "/dbs/d/colls", &[("x-ms-offer-throughput", &throughput)], definition).await;
        assert_eq!(created.status, 201, "{created:?}");
    }

    /// Sends a document for that container, and does not wait for the answer.
    pub(crate) async fn send_document(&mut self, document: &Value) {
        let path = "/dbs/d/colls/c/docs";
        let [token, date] = self.sign("POST", path, SystemTime::now());
        let key = Value::from(vec![document["pk"].clone()]);
        let body = document.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: here\r\ncontent-length: {}\r\n{}: {}\r\n{}: {}\r\n\
             x-ms-documentdb-partitionkey: {key}\r\n\r\n{body}",
            body.len(),
            token.0,
            token.1,
            date.0,
            date.1,
        );
        // The other side may have hung up already.
        let _ = self.stream.write_all(request.as_bytes()).await;
    }

    /// Creates a document in that container.
    pub(crate) async fn create(&mut self, document: &Value) -> Reply {
        let key = Value::from(vec![document["pk"].clone()]).to_string();
        let headers = [("x-ms-documentdb-partitionkey", key.as_str())];
        self.send("POST", "/dbs/d/colls/c/docs", &headers, &document.to_string()).await
    }

    /// One page of a query over that container, as if it were of one partition.
    pub(crate) async fn query_page(&mut self, query: &str, headers: &[(&str, &str)]) -> Reply {
        let whole = [("x-ms-start-epk", ""), ("x-ms-end-epk", "FF")];
        let headers: Vec<_> = whole.into_iter().chain(headers.iter().copied()).collect();
        self.query_as_is(query, &headers).await
    }

    /// One page of a query over that container, with these headers alone.
    pub(crate) async fn query_as_is(&mut self, query: &str, headers: &[(&str, &str)]) -> Reply {
        let common = [("x-ms-documentdb-isquery", "True"), ("content-type", "application/query+json")];
        let headers: Vec<_> = common.into_iter().chain(headers.iter().copied()).collect();
        let body = serde_json::json!({ "query": query, "parameters": [{ "name": "@p", "value": "us" }] }).to_string();
        self.send("POST", "/dbs/d/colls/c/docs", &headers, &body).await
    }

    /// All pages of a query over that container.
    pub(crate) async fn query(&mut self, query: &str, headers: &[(&str, &str)]) -> Vec<Value> {
        let mut results = Vec::new();
        let mut token = None::<String>;
        loop {
            let mut headers = headers.to_vec();
            headers.extend(token.as_deref().map(|token| ("x-ms-continuation", token)));
            let page = self.query_page(query, &headers).await;
            assert_eq!(page.status, 200, "{query}: {page:?}");
            results.extend(page.documents());
            token = page.header("x-ms-continuation").map(str::to_owned);
            if token.is_none() {
                return results;
            }
        }
    }
}
