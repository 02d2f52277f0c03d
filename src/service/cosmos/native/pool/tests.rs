use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;
use crate::settings::Proxies;

/// Reads a request without a body; whether there is one.
async fn request(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    true
}

/// Answers the request that has been read, and all that come after it.
async fn answer(mut stream: TcpStream) {
    loop {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        if !request(&mut stream).await {
            return;
        }
    }
}

#[tokio::test]
async fn a_service_that_is_slow_to_answer_is_not_flooded_with_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let dialer = Dialer::new(&endpoint, &Proxies::default()).unwrap();
    let pool = Arc::new(Pool::new(dialer, NonZeroUsize::new(1000).unwrap()));
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut requests = JoinSet::new();
    for _ in 0..4 * NEW_AT_A_TIME {
        let pool = pool.clone();
        requests.spawn(async move {
            let one = || Request::get("/").header("host", "service").body(Full::<Bytes>::default()).unwrap();
            pool.exchange(deadline, one).await.result.map(|answered| answered.head.status)
        });
    }
    let mut unanswered = Vec::new();
    while unanswered.len() < NEW_AT_A_TIME {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(request(&mut stream).await);
        unanswered.push(stream);
    }
    assert!(listener.accept().now_or_never().is_none(), "another connection was opened");
    for stream in unanswered {
        tokio::spawn(answer(stream));
    }
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if request(&mut stream).await {
                tokio::spawn(answer(stream));
            }
        }
    });
    while let Some(result) = requests.join_next().await {
        assert_eq!(result.unwrap(), Ok(StatusCode::OK));
    }
}
