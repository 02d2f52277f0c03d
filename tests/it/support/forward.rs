//! An HTTP proxy that opens tunnels, hands requests on, or refuses to, as a test wants.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// A running proxy, for as long as the test's runtime.
#[derive(Clone)]
pub(crate) struct ForwardProxy {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Where it was asked to lead, in the order of the requests.
    asked: Mutex<Vec<String>>,
    /// The `Proxy-Authorization` that it wants.
    authorization: Option<&'static str>,
    /// The status line and headers with which it refuses.
    refusal: Mutex<Option<&'static str>>,
    cut: Mutex<CancellationToken>,
}

impl ForwardProxy {
    /// One that wants this `Proxy-Authorization`, if any.
    pub(crate) async fn start(authorization: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::new(State { authorization, ..State::default() }),
        };
        let state = proxy.state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (state, cut) = (state.clone(), state.cut.lock().unwrap().clone());
                tokio::spawn(cut.run_until_cancelled_owned(async move { serve(client, &state).await }));
            }
        });
        proxy
    }

    /// `HOST:PORT`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it was asked to lead.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.asked.lock().unwrap().clone()
    }

    /// From now on it answers every request with this status line, and headers behind it; what is open ends.
    pub(crate) fn refuse(&self, head: &'static str) {
        *self.state.refusal.lock().unwrap() = Some(head);
        std::mem::take(&mut *self.state.cut.lock().unwrap()).cancel();
    }
}

async fn serve(mut client: TcpStream, state: &State) -> Option<()> {
    client.set_nodelay(true).ok()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut words = text.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    state.asked.lock().unwrap().push(target.to_owned());
    let header = text.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("proxy-authorization").then_some(value)
    });
    let refusal = *state.refusal.lock().unwrap();
    let refusal = match state.authorization {
        Some(wanted) if header != Some(wanted) => {
            Some("407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"test\"")
        }
        _ => refusal,
    };
    if let Some(refusal) = refusal {
        let page = "<html><body>The proxy says no.</body></html>";
        let answer =
            format!("HTTP/1.1 {refusal}\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{page}", page.len());
        client.write_all(answer.as_bytes()).await.ok()?;
        return client.shutdown().await.ok();
    }
    let authority = match method {
        "CONNECT" => target,
        _ => target.strip_prefix("http://")?.split('/').next()?,
    };
    let mut server = TcpStream::connect(authority).await.ok()?;
    server.set_nodelay(true).ok()?;
    if method == "CONNECT" {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
    } else {
        server.write_all(&head).await.ok()?;
    }
    copy_bidirectional(&mut client, &mut server).await.ok()?;
    Some(())
}
