use azure_core::credentials::Secret;

use super::*;
use crate::cosmos::WELL_KNOWN_KEY;
use crate::cosmos::auth::Gate;
use crate::cosmos::catalog::{Limits, Reach};

const OWN_KEY: &str = "c2VjcmV0";

async fn account() -> Account {
    let gate = Gate::new(&Secret::new(WELL_KNOWN_KEY), true).unwrap();
    let account = Account::new(gate, Limits { throughput: false, memory: None }, Reach::HTTP);
    let post = async |path: &str, key: Option<&'static str>, body: &'static str| {
        let key =
            key.map(|key| (HeaderName::from_static("x-ms-documentdb-partitionkey"), HeaderValue::from_static(key)));
        let call = Call::new(Method::POST, &path.parse().unwrap(), key.into_iter().collect());
        assert!(routes::answer(&account, &call, Bytes::from_static(body.as_bytes())).await.is_ok());
    };
    post("/dbs", None, r#"{"id":"<b>"}"#).await;
    post("/dbs/%3Cb%3E/colls", None, r#"{"id":"c","partitionKey":{"paths":["/id"]}}"#).await;
    post("/dbs/%3Cb%3E/colls/c/docs", Some(r#"["1"]"#), r#"{"id":"1","text":"<script>alert(1)</script>"}"#).await;
    account
}

async fn get(explorer: &Explorer, uri: &str, headers: &[(&'static str, &str)]) -> (Response<()>, String) {
    let header =
        |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    let mut map: HeaderMap = headers.iter().map(header).collect();
    map.entry(HOST).or_insert(HeaderValue::from_static("127.0.0.1:8081"));
    let response = explorer.answer(&account().await, &Method::GET, &uri.parse().unwrap(), &map).await;
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(head, ()), String::from_utf8(body.to_vec()).unwrap())
}

fn open() -> Explorer {
    Explorer::new(None, WELL_KNOWN_KEY)
}

#[tokio::test]
async fn whatever_is_shown_is_escaped_and_no_key_is() {
    let (response, page) = get(&open(), "/_explorer/?database=%3Cb%3E&container=c&query=SELECT+*+FROM+c", &[]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
    assert!(!page.contains("<script") && !page.contains("<b>") && !page.contains(WELL_KNOWN_KEY));
    assert_eq!(response.headers()[CONTENT_SECURITY_POLICY], POLICY);
}

#[tokio::test]
async fn a_query_that_fails_shows_why_and_stays_to_be_mended() {
    let (_, page) = get(&open(), "/_explorer/?database=%3Cb%3E&container=c&query=SELECT+%3C", &[]).await;
    assert!(page.contains("role=\"alert\"") && page.contains(">SELECT &lt;</textarea>"), "{page}");
    let (_, page) = get(&open(), "/_explorer/?database=no&container=c", &[]).await;
    assert!(page.contains("role=\"alert\""), "{page}");
}

#[tokio::test]
async fn a_count_is_over_all_partitions() {
    let (_, page) =
        get(&open(), "/_explorer/?database=%3Cb%3E&container=c&query=SELECT+VALUE+COUNT(1)+FROM+c", &[]).await;
    assert!(page.contains("1 result") && page.contains("<pre class=\"scroll\" tabindex=\"0\">1</pre>"), "{page}");
}

#[tokio::test]
async fn a_key_of_ones_own_is_asked_for() {
    let guarded = Explorer::new(None, OWN_KEY);
    let basic = |key: &str| format!("Basic {}", STANDARD.encode(format!("any:{key}")));
    let (response, page) = get(&guarded, "/_explorer/", &[]).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(response.headers().contains_key(WWW_AUTHENTICATE) && !page.contains(OWN_KEY));
    assert_eq!(
        get(&guarded, "/_explorer/", &[("authorization", &basic("x"))]).await.0.status(),
        StatusCode::UNAUTHORIZED
    );
    let (response, page) = get(&guarded, "/_explorer/", &[("authorization", &basic(OWN_KEY))]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(!page.contains(OWN_KEY));
}

#[tokio::test]
async fn a_site_elsewhere_can_neither_read_the_page_nor_run_queries() {
    for (host, status) in
        [("evil.example", 403), ("127.0.0.1.evil.example:8081", 403), ("localhost:8081", 200), ("[::1]:8081", 200)]
    {
        assert_eq!(get(&open(), "/_explorer/", &[("host", host)]).await.0.status(), status, "{host}");
    }
    let elsewhere = [("sec-fetch-site", "cross-site")];
    let query = "/_explorer/?database=%3Cb%3E&container=c&query=SELECT+*+FROM+c";
    assert_eq!(get(&open(), query, &elsewhere).await.0.status(), StatusCode::FORBIDDEN);
    assert_eq!(get(&open(), "/_explorer/", &elsewhere).await.0.status(), StatusCode::OK);
}

#[tokio::test]
async fn nothing_but_get_is_taken() {
    let response =
        open().answer(&account().await, &Method::POST, &"/_explorer/".parse().unwrap(), &HeaderMap::new()).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
}
