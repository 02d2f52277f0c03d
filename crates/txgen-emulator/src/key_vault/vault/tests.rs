use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

const BASE: &str = "https://localhost:1/";
const NOW: u64 = 2_000;

fn vault(access: Access) -> Vault {
    let secrets = vec![
        LocalSecret::new("hub", "first"),
        LocalSecret::new("Hub", "second").content_type("text/plain"),
        LocalSecret::new("off", "hush").disabled(),
        LocalSecret::new("old", "stale").expires(UNIX_EPOCH + Duration::from_secs(1_000)),
    ];
    Vault::new(secrets, access, UNIX_EPOCH + Duration::from_secs(1_500))
}

fn ask(vault: &Vault, method: Method, target: &str, authorization: Option<&str>) -> (u16, Value) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let answer = vault.answer(Asked { method: &method, path, query, authorization, base: BASE, now: NOW });
    assert_eq!(answer.is_challenge, answer.status == StatusCode::UNAUTHORIZED);
    (answer.status.as_u16(), serde_json::from_str(&answer.body).unwrap())
}

fn get(target: &str) -> (u16, Value) {
    ask(&vault(Access::SecretsUser), Method::GET, target, Some("Bearer anything"))
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["value"].as_array().unwrap().iter();
    items.map(|item| item["id"].as_str().unwrap().trim_start_matches(BASE)).collect()
}

#[test]
fn the_newest_version_is_read_unless_another_is_named() {
    let (status, newest) = get("/secrets/hub/?api-version=7.4");
    assert_eq!((status, &newest["value"], &newest["contentType"]), (200, &json!("second"), &json!("text/plain")));
    assert_eq!(newest["attributes"]["created"], 1_500);
    let (_, versions) = get("/secrets/hub/versions?api-version=7.4");
    let versions = names(&versions);
    assert_eq!(newest["id"], format!("{BASE}{}", versions[1]));
    let (status, first) = get(&format!("/{}?api-version=7.4", versions[0]));
    assert_eq!((status, &first["value"]), (200, &json!("first")));
    assert_eq!(versions[0].rsplit('/').next().map(str::len), Some(32));
}

#[test]
fn secrets_are_listed_without_values_page_by_page() {
    let (_, whole) = get("/secrets?api-version=2025-07-01");
    assert_eq!((names(&whole), &whole["nextLink"]), (vec!["secrets/hub", "secrets/off", "secrets/old"], &Value::Null));
    assert!(whole["value"].as_array().unwrap().iter().all(|item| item.get("value").is_none()));
    assert_eq!(whole["value"][1]["attributes"]["enabled"], false);
    let (_, first) = get("/secrets?api-version=7.4&maxresults=2");
    let next = first["nextLink"].as_str().unwrap();
    let (_, second) = get(next.trim_start_matches("https://localhost:1"));
    assert_eq!([names(&first), names(&second)].concat(), names(&whole));
    assert_eq!(second["nextLink"], Value::Null);
    assert_eq!(get("/secrets?api-version=7.4&maxresults=26").0, 400);
}

#[test]
fn a_disabled_secret_is_refused_and_an_expired_one_is_not() {
    let (status, body) = get("/secrets/off?api-version=7.4");
    assert_eq!((status, &body["error"]["innererror"]["code"]), (403, &json!("SecretDisabled")));
    let (status, body) = get("/secrets/old?api-version=7.4");
    assert_eq!((status, &body["attributes"]["exp"]), (200, &json!(1_000)));
}

#[test]
fn what_is_not_there_is_named() {
    for target in ["/secrets/none", "/secrets/hub/ec96f02080254f109c51a1f14cdb1931"] {
        let (status, body) = get(&format!("{target}?api-version=7.4"));
        assert_eq!((status, &body["error"]["code"]), (404, &json!("SecretNotFound")), "{target}");
    }
    assert_eq!(get("/secrets/a_b?api-version=7.4").0, 400);
    assert_eq!(get("/keys/k?api-version=7.4").0, 400);
    assert_eq!(get("/?api-version=7.4").0, 404);
}

#[test]
fn without_a_token_that_is_good_there_is_a_challenge() {
    let expired = format!("Bearer e30.{}.x", URL_SAFE_NO_PAD.encode(r#"{"exp":2000}"#));
    let good = format!("Bearer e30.{}.x", URL_SAFE_NO_PAD.encode(r#"{"exp":2001}"#));
    let status =
        |authorization| ask(&vault(Access::SecretsUser), Method::GET, "/secrets/hub?api-version=7.4", authorization).0;
    for refused in [None, Some("Bearer "), Some("Basic YTpi"), Some("anything"), Some(expired.as_str())] {
        assert_eq!(status(refused), 401, "{refused:?}");
    }
    assert_eq!((status(Some(&good)), status(Some("bearer made-up"))), (200, 200));
}

#[test]
fn a_version_of_the_protocol_that_there_is_none_of_is_refused() {
    for version in ["2016-10-01", "7.0", "7.6-preview.2", "2025-07-01", "2026-03-01-preview"] {
        assert_eq!(get(&format!("/secrets/hub?api-version={version}")).0, 200, "{version}");
    }
    for version in ["", "8.0", "2024-01-01", "latest"] {
        let (status, body) = get(&format!("/secrets/hub?api-version={version}"));
        assert_eq!((status, &body["error"]["code"]), (400, &json!("BadParameter")), "{version}");
    }
    assert_eq!(get("/secrets/hub").1["error"]["message"], "api-version must be specified");
}

#[test]
fn a_role_that_reads_does_not_write_and_none_does_nothing() {
    let reader = vault(Access::SecretsUser);
    let without_role = vault(Access::Nothing);
    for (vault, method, target, action) in [
        (&reader, Method::PUT, "/secrets/new", "setSecret"),
        (&reader, Method::DELETE, "/secrets/hub", "delete"),
        (&reader, Method::PATCH, "/secrets/hub/ec96f02080254f109c51a1f14cdb1931", "update"),
        (&without_role, Method::GET, "/secrets/hub", "getSecret"),
        (&without_role, Method::GET, "/secrets/hub/versions", "readMetadata"),
        (&without_role, Method::GET, "/secrets", "readMetadata"),
    ] {
        let (status, body) = ask(vault, method, &format!("{target}?api-version=7.4"), Some("Bearer x"));
        assert_eq!((status, &body["error"]["innererror"]["code"]), (403, &json!("ForbiddenByRbac")), "{target}");
        assert!(body["error"]["message"].as_str().unwrap().contains(&format!("secrets/{action}/action")), "{body}");
    }
}

#[test]
fn requests_and_secrets_that_were_read_are_counted_and_no_debug_text_shows_one() {
    let vault = vault(Access::SecretsUser);
    for (target, token) in [("/secrets/hub", None), ("/secrets/hub", Some("Bearer x")), ("/secrets", Some("Bearer x"))]
    {
        ask(&vault, Method::GET, &format!("{target}?api-version=7.4"), token);
    }
    let counts = (vault.requests.load(Ordering::Relaxed), vault.secrets_read.load(Ordering::Relaxed));
    assert_eq!(counts, (3, 1));
    assert!(!format!("{:?}", LocalSecret::new("hub", "hush")).contains("hush"));
}
