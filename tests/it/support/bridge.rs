//! Ways to the local Event Hubs that it does not offer itself: over TLS, and over WebSockets.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// Unwraps AMQP and hands it to `target`; returns the port that it listens on, on loopback.
pub(crate) async fn to(target: SocketAddr, tls: Option<Arc<rustls::ServerConfig>>, websocket: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tls = tls.map(TlsAcceptor::from);
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    // Whoever distrusts the certificate hangs up: no business of the bridge.
                    Some(tls) => {
                        if let Ok(near) = tls.accept(near).await {
                            serve(near, target, websocket).await;
                        }
                    }
                    None => serve(near, target, websocket).await,
                }
            });
        }
    });
    port
}

async fn serve(mut near: impl AsyncRead + AsyncWrite + Unpin, target: SocketAddr, websocket: bool) {
    let mut far = TcpStream::connect(target).await.unwrap();
    far.set_nodelay(true).unwrap();
    if websocket {
        unwrap_websocket(near, far).await;
    } else {
        let _ = copy_bidirectional(&mut near, &mut far).await;
    }
}

// The type of the error is the library's.
#[allow(clippy::result_large_err)]
async fn unwrap_websocket(near: impl AsyncRead + AsyncWrite + Unpin, far: TcpStream) {
    let handshake = |request: &Request, mut response: Response| {
        assert_eq!(request.uri().path(), "/$servicebus/websocket");
        assert_eq!(request.headers()["sec-websocket-protocol"], "amqp");
        response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("amqp"));
        Ok(response)
    };
    let near = tokio_tungstenite::accept_hdr_async(near, handshake).await.unwrap();
    let (mut to_near, mut from_near) = near.split();
    let (mut from_far, mut to_far) = far.into_split();
    let up = async {
        while let Some(Ok(message)) = from_near.next().await {
            if to_far.write_all(&message.into_data()).await.is_err() {
                return;
            }
        }
    };
    let down = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from_far.read(&mut buffer).await {
            if to_near.send(Message::binary(buffer[..count].to_vec())).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}
