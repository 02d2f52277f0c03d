//! Services that give set answers: Cosmos DB over HTTP, and the `$cbs` node of Event Hubs.

use std::net::SocketAddr;
use std::sync::Arc;

use fe2o3_amqp::acceptor::{ConnectionAcceptor, LinkAcceptor, LinkEndpoint, SaslAnonymousMechanism, SessionAcceptor};
use fe2o3_amqp_types::messaging::{ApplicationProperties, Body, Message, Properties};
use fe2o3_amqp_types::primitives::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// An answer of Cosmos DB.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) substatus: u32,
    pub(crate) message: String,
    /// The `Date` of the answer.
    pub(crate) date: Option<String>,
}

impl Answer {
    pub(crate) fn new(status: u16, substatus: u32, message: &str) -> Self {
        Self { status, substatus, message: message.to_owned(), date: None }
    }

    fn bytes(&self) -> Vec<u8> {
        let activity = "ActivityId: 00000000-0000-0000-0000-000000000000, Microsoft.Azure.Documents.Common/2.14.0";
        let message = format!("{}\r\n{activity}", self.message);
        let body = serde_json::json!({ "code": self.status.to_string(), "message": message }).to_string();
        let date = self.date.as_ref().map(|date| format!("date: {date}\r\n")).unwrap_or_default();
        format!(
            "HTTP/1.1 {} Scripted\r\ncontent-type: application/json\r\nx-ms-substatus: {}\r\n{date}content-length: \
             {}\r\n\r\n{body}",
            self.status,
            self.substatus,
            body.len(),
        )
        .into_bytes()
    }
}

/// Given the head of a request.
type Rule = dyn Fn(&str) -> Option<Answer> + Send + Sync;

/// Answers every request alike.
pub(crate) async fn always(answer: Answer) -> SocketAddr {
    serve_http(None, Arc::new(move |_| Some(answer.clone()))).await
}

/// Stands before a local Cosmos DB, and answers some requests itself: those for which `rule`, given method and path, has
/// an answer.
pub(crate) async fn before(
    upstream: SocketAddr,
    rule: impl Fn(&str, &str) -> Option<Answer> + Send + Sync + 'static,
) -> SocketAddr {
    before_heads(upstream, move |head| {
        let mut words = head.split(' ');
        rule(words.next()?, words.next()?)
    })
    .await
}

/// The same by all of the head of a request.
pub(crate) async fn before_heads(
    upstream: SocketAddr,
    rule: impl Fn(&str) -> Option<Answer> + Send + Sync + 'static,
) -> SocketAddr {
    serve_http(Some(upstream), Arc::new(rule)).await
}

async fn serve_http(upstream: Option<SocketAddr>, rule: Arc<Rule>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let rule = rule.clone();
            tokio::spawn(async move { converse(client, upstream, own, &*rule).await });
        }
    });
    own
}

/// Serves one connection until either side ends it.
async fn converse(mut client: TcpStream, upstream: Option<SocketAddr>, own: SocketAddr, rule: &Rule) -> Option<()> {
    client.set_nodelay(true).ok()?;
    let mut server = match upstream {
        Some(address) => Some((TcpStream::connect(address).await.ok()?, address)),
        None => None,
    };
    loop {
        let request = read_message(&mut client).await?;
        let end = request.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
        let answer = match (rule(&String::from_utf8_lossy(&request[..end])), &mut server) {
            (Some(answer), _) => answer.bytes(),
            (None, None) => Answer::new(404, 0, "not scripted").bytes(),
            (None, Some((server, address))) => {
                server.write_all(&request).await.ok()?;
                // The account's document names the service's own port, and clients follow it.
                renamed(read_message(server).await?, &address.to_string(), &own.to_string())
            }
        };
        client.write_all(&answer).await.ok()?;
    }
}

/// A request or an answer, whole.
async fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some(end) = message.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&message[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if message.len() >= end + 4 + length.unwrap_or(0) {
                return Some(message);
            }
        }
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        message.extend_from_slice(&buffer[..count]);
    }
}

/// Both have the same length, so that the message keeps its own.
fn renamed(mut message: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    for start in 0..(message.len() + 1).saturating_sub(from.len()) {
        if message[start..].starts_with(from.as_bytes()) {
            message[start..start + to.len()].copy_from_slice(to.as_bytes());
        }
    }
    message
}

/// A namespace that answers every token alike.
pub(crate) async fn cbs(status: i32, description: &str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let description = description.to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let description = description.clone();
            tokio::spawn(async move { refuse_tokens(client, status, &description).await });
        }
    });
    address
}

async fn refuse_tokens(client: TcpStream, status: i32, description: &str) -> Option<()> {
    client.set_nodelay(true).ok()?;
    let acceptor =
        ConnectionAcceptor::builder().container_id("scripted").sasl_acceptor(SaslAnonymousMechanism {}).build();
    let mut connection = acceptor.accept(client).await.ok()?;
    let mut session = SessionAcceptor::new().accept(&mut connection).await.ok()?;
    let (mut requests, mut replies) = (None, None);
    while requests.is_none() || replies.is_none() {
        match LinkAcceptor::builder().build().accept(&mut session).await.ok()? {
            LinkEndpoint::Receiver(receiver) => requests = Some(receiver),
            LinkEndpoint::Sender(sender) => replies = Some(sender),
        }
    }
    let (mut requests, mut replies) = (requests?, replies?);
    loop {
        let request = requests.recv::<Body<Value>>().await.ok()?;
        requests.accept(&request).await.ok()?;
        let id = request.message().properties.as_ref()?.message_id.clone()?;
        let properties = ApplicationProperties::builder()
            .insert("status-code", status)
            .insert("status-description", description)
            .build();
        let reply = Message::builder()
            .properties(Properties::builder().correlation_id(id).build())
            .application_properties(properties)
            .value(())
            .build();
        replies.send(reply).await.ok()?;
    }
}
