//! What is in the vault, and what it answers. Pure: a request and the time in, an answer out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use super::answer::Answer;
use super::{Access, LocalSecret};
use crate::bearer::expiry_of_jwt;
use txgen_azure::key_vault::is_secret_name;

/// Versions of the protocol before those that are dates of 2025 and later.
const VERSIONS: [&str; 9] = ["2015-06-01", "2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6"];
/// The first version that is a date again, and the newest one that is known here.
const NEWEST_VERSION: &str = "2025-07-01";
/// Items of a page at most. <https://learn.microsoft.com/rest/api/keyvault/secrets/get-secrets/get-secrets>
const MAX_RESULTS: usize = 25;

/// A request, as far as its answer depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    /// The path, decoded.
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) authorization: Option<&'a str>,
    /// What identifiers begin with: the address by which the client came.
    pub(super) base: &'a str,
    /// Seconds since 1970-01-01 UTC.
    pub(super) now: u64,
}

pub(super) struct Vault {
    /// By name in lower case: names match whatever their case.
    secrets: BTreeMap<String, Named>,
    access: Access,
    created: u64,
    pub(super) requests: AtomicU64,
    pub(super) secrets_read: AtomicU64,
}

/// A secret with its versions, the newest one last; there is at least one.
struct Named {
    name: String,
    versions: Vec<(String, LocalSecret)>,
}

impl Vault {
    pub(super) fn new(secrets: Vec<LocalSecret>, access: Access, now: SystemTime) -> Self {
        let mut vault = Self {
            secrets: BTreeMap::new(),
            access,
            created: unix(now),
            requests: AtomicU64::new(0),
            secrets_read: AtomicU64::new(0),
        };
        for secret in secrets {
            let named = vault.secrets.entry(secret.name.to_ascii_lowercase());
            let named = named.or_insert_with(|| Named { name: secret.name.clone(), versions: Vec::new() });
            let version = version_of(&named.name, named.versions.len());
            named.versions.push((version, secret));
        }
        vault
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.secrets.contains_key(&name.to_ascii_lowercase())
    }

    pub(super) fn answer(&self, asked: Asked<'_>) -> Answer {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if let Some(refused) = challenge(asked.authorization, asked.now) {
            return refused;
        }
        let query = Query::of(asked.query);
        if let Some(refused) = query.refused_version() {
            return refused;
        }
        let mut parts = asked.path.trim_matches('/').split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("secrets"), name, rest, None) => self.secrets(asked, &query, name, rest),
            (Some("deletedsecrets"), ..) => Answer::forbidden(asked.method, "deletedsecrets"),
            (Some("keys" | "certificates" | "deletedkeys" | "deletedcertificates"), ..) => Answer::failure(
                StatusCode::BAD_REQUEST,
                "BadParameter",
                "This local vault serves secrets; keys and certificates are not supported.",
            ),
            _ => Answer::failure(StatusCode::NOT_FOUND, "NotFound", "There is no such resource."),
        }
    }

    fn secrets(&self, asked: Asked<'_>, query: &Query, name: Option<&str>, rest: Option<&str>) -> Answer {
        if let Some(name) = name.filter(|name| !is_secret_name(name)) {
            let message = format!("The request URI contains an invalid name: {name}");
            return Answer::failure(StatusCode::BAD_REQUEST, "BadParameter", &message);
        }
        if asked.method != Method::GET || self.access == Access::Nothing {
            return Answer::forbidden(
                asked.method,
                if name.is_none() || rest == Some("versions") { "list" } else { "get" },
            );
        }
        let Some(name) = name else { return self.list(asked, query) };
        let Some(named) = self.secrets.get(&name.to_ascii_lowercase()) else { return not_found(name) };
        match rest {
            Some("versions") => self.list_versions(asked, query, named),
            version => self.read(asked, named, version),
        }
    }

    fn read(&self, asked: Asked<'_>, named: &Named, version: Option<&str>) -> Answer {
        let found = match version {
            None => named.versions.last(),
            Some(version) => named.versions.iter().find(|(of, _)| of.eq_ignore_ascii_case(version)),
        };
        let Some((version, secret)) = found else {
            return not_found(&format!("{}/{}", named.name, version.unwrap_or_default()));
        };
        if !secret.enabled {
            return Answer::disabled();
        }
        self.secrets_read.fetch_add(1, Ordering::Relaxed);
        let mut body = self.item(&format!("{}secrets/{}/{version}", asked.base, named.name), secret);
        body["value"] = secret.value.secret().into();
        Answer::json(&body)
    }

    fn list(&self, asked: Asked<'_>, query: &Query) -> Answer {
        let newest = self.secrets.values().filter_map(|named| Some((&named.name, named.versions.last()?)));
        let items = newest.map(|(name, (_, secret))| self.item(&format!("{}secrets/{name}", asked.base), secret));
        page(items.collect(), query, &format!("{}secrets", asked.base))
    }

    fn list_versions(&self, asked: Asked<'_>, query: &Query, named: &Named) -> Answer {
        let of = format!("{}secrets/{}", asked.base, named.name);
        let items = named.versions.iter().map(|(version, secret)| self.item(&format!("{of}/{version}"), secret));
        page(items.collect(), query, &format!("{of}/versions"))
    }

    /// A secret without its value.
    fn item(&self, id: &str, secret: &LocalSecret) -> Value {
        let mut attributes = json!({
            "enabled": secret.enabled, "created": self.created, "updated": self.created,
            "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90,
        });
        if let Some(time) = secret.not_before {
            attributes["nbf"] = unix(time).into();
        }
        if let Some(time) = secret.expires {
            attributes["exp"] = unix(time).into();
        }
        let mut item = json!({ "id": id, "attributes": attributes, "tags": {} });
        if let Some(kind) = &secret.content_type {
            item["contentType"] = kind.as_str().into();
        }
        item
    }
}

/// A version's id: the same at every start, so that a reference to it goes on working.
fn version_of(name: &str, number: usize) -> String {
    let name = name.to_ascii_lowercase();
    let hash = Sha256::digest(format!("txgen emulator, secret {name}, version {number}"));
    hash.iter().take(16).fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What is answered to those who show no token, or one that has expired.
fn challenge(authorization: Option<&str>, now: u64) -> Option<Answer> {
    let is_bearer = |scheme: &str| scheme.eq_ignore_ascii_case("Bearer") || scheme.eq_ignore_ascii_case("PoP");
    let token = authorization.and_then(|text| text.split_once(' ')).filter(|(scheme, _)| is_bearer(scheme));
    match token.map(|(_, token)| token.trim()).filter(|token| !token.is_empty()) {
        None => Some(Answer::challenge("AKV10000: Request is missing a Bearer or PoP token.")),
        Some(token) if expiry_of_jwt(token).is_some_and(|expiry| expiry <= now) => {
            Some(Answer::challenge("[TokenExpired] Error validating token: 'IDX10223'. The token has expired."))
        }
        Some(_) => None,
    }
}

fn not_found(name: &str) -> Answer {
    let message = format!(
        "A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret you may be \
         able to recover it using the correct recovery command. For help resolving this issue, please see \
         https://go.microsoft.com/fwlink/?linkid=2125182"
    );
    Answer::failure(StatusCode::NOT_FOUND, "SecretNotFound", &message)
}

/// The parameters of a request.
#[derive(Debug, Default)]
struct Query {
    version: Option<String>,
    max_results: Option<String>,
    /// How many items earlier pages had.
    skip: usize,
}

impl Query {
    fn of(query: &str) -> Self {
        let mut parsed = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name.to_ascii_lowercase() {
                "api-version" => parsed.version = Some(value.into_owned()),
                "maxresults" => parsed.max_results = Some(value.into_owned()),
                "$skiptoken" => parsed.skip = value.parse().unwrap_or(usize::MAX),
                _ => {}
            }
        }
        parsed
    }

    /// The refusal of a version that there is none of.
    fn refused_version(&self) -> Option<Answer> {
        let message = match self.version.as_deref() {
            None | Some("") => "api-version must be specified".to_owned(),
            Some(version) if is_version(version) => return None,
            Some(version) => format!(
                "The specified version ({version}) is not recognized. Consider using the latest supported version \
                 ({NEWEST_VERSION})."
            ),
        };
        Some(Answer::failure(StatusCode::BAD_REQUEST, "BadParameter", &message))
    }
}

/// Whether the service has this version: a known one, its preview, or a date from the first one of 2025 on.
fn is_version(version: &str) -> bool {
    let (version, _) = version.split_once("-preview").unwrap_or((version, ""));
    let is_date = version.len() == NEWEST_VERSION.len()
        && version.char_indices().all(|(at, c)| if matches!(at, 4 | 7) { c == '-' } else { c.is_ascii_digit() });
    VERSIONS.contains(&version) || (is_date && version >= NEWEST_VERSION)
}

fn page(items: Vec<Value>, query: &Query, address: &str) -> Answer {
    let most = match query.max_results.as_deref().map(str::parse::<usize>) {
        None => MAX_RESULTS,
        Some(Ok(most)) if (1..=MAX_RESULTS).contains(&most) => most,
        Some(_) => {
            let message = "The parameter maxresults must be from 1 to 25.";
            return Answer::failure(StatusCode::BAD_REQUEST, "BadParameter", message);
        }
    };
    let end = query.skip.saturating_add(most);
    let next = (end < items.len()).then(|| {
        let version = query.version.as_deref().unwrap_or(NEWEST_VERSION);
        format!("{address}?api-version={version}&$skiptoken={end}&maxresults={most}")
    });
    let page: Vec<Value> = items.into_iter().skip(query.skip).take(most).collect();
    Answer::json(&json!({ "value": page, "nextLink": next }))
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests;
