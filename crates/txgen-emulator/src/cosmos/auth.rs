//! The account key's signature on a request: what has to be signed, and whether it was.
//!
//! <https://learn.microsoft.com/rest/api/cosmos-db/access-control-on-cosmosdb-resources#constructkeytoken>

use std::time::{Duration, SystemTime};

use azure_core::credentials::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use percent_encoding::percent_decode_str;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use txgen_azure::cosmos::authorization::{AccountKey, DateHeader};

pub(super) use txgen_azure::cosmos::authorization::Signed;

/// How far the date of a request may be from the service's.
const MAX_SKEW: Duration = Duration::from_secs(15 * 60);

/// Who may enter.
pub(super) struct Gate {
    key: AccountKey,
    entra_id: bool,
}

/// Why a request was turned away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    #[error("Required Header authorization is missing. Ensure a valid Authorization token is passed.")]
    NoToken,
    #[error("Authorization token mandates Date header. Please pass in RFC 1123 style date format.")]
    NoDate,
    #[error("The input authorization token is not of the form type=...&ver=1.0&sig=..., percent-encoded.")]
    Malformed,
    #[error("Microsoft Entra ID tokens are not accepted by this emulator: use its account key.")]
    EntraId,
    #[error(
        "The authorization token is not valid at the current time. Please create another token and retry (token date: \
         {0}, which is more than 15 minutes from the current server time)."
    )]
    Date(String),
    #[error(
        "The input authorization token can't serve the request. The wrong key is being used or the expected payload \
         is not built as per the protocol. For more info: https://aka.ms/cosmosdb-tsg-unauthorized. Server used the \
         following payload to sign: '{0}'"
    )]
    Signature(String),
}

impl Gate {
    /// A gate for the bearers of this key, base64; with `entra_id` for everyone who shows an Entra ID token, too.
    /// `None` when the key is not base64.
    pub(super) fn new(key: &Secret, entra_id: bool) -> Option<Self> {
        Some(Self { key: AccountKey::parse(key)?, entra_id })
    }

    /// Checks the headers `authorization` and `x-ms-date` (or `date`) of a request.
    pub(super) fn check(&self, headers: &HeaderMap, signed: Signed<'_>, now: SystemTime) -> Result<(), Denied> {
        let header = |name| headers.get(name).and_then(|value: &hyper::header::HeaderValue| value.to_str().ok());
        let token = header("authorization").ok_or(Denied::NoToken)?;
        let token = percent_decode_str(token).decode_utf8().map_err(|_| Denied::Malformed)?;
        let (kind, signature) = take_apart(&token).ok_or(Denied::Malformed)?;
        match kind {
            "master" => {}
            "aad" if self.entra_id => return Ok(()),
            "aad" => return Err(Denied::EntraId),
            _ => return Err(Denied::Malformed),
        }
        let (date, date_header) = match (header("x-ms-date"), header("date")) {
            (Some(date), _) => (date, DateHeader::MsDate(date)),
            (None, Some(date)) => (date, DateHeader::Date(date)),
            (None, None) => return Err(Denied::NoDate),
        };
        let signature = STANDARD.decode(signature).map_err(|_| Denied::Malformed)?;
        if !self.is_signed(signed, date_header, &signature) {
            return Err(Denied::Signature(signed.payload(date_header).escape_debug().to_string()));
        }
        check_date(date, now)
    }

    fn is_signed(&self, signed: Signed<'_>, date: DateHeader<'_>, signature: &[u8]) -> bool {
        // Python's client signs an operation on partition keys as one on their container.
        self.is_signed_as(signed, date, signature)
            || (signed.resource_type == "partitionkey"
                && self.is_signed_as(Signed { resource_type: "colls", ..signed }, date, signature))
    }

    fn is_signed_as(&self, signed: Signed<'_>, date: DateHeader<'_>, signature: &[u8]) -> bool {
        let matches = |signed| self.key.has_signed(signed, date, signature);
        // A link of names is signed as it is; of one made of resource ids, the last alone, in lower case.
        let last = signed.resource_link.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        // Some clients write the names of an operation's container in lower case.
        let lower = signed.resource_link.to_ascii_lowercase();
        matches(signed)
            || matches(Signed { resource_link: &last, ..signed })
            || matches(Signed { resource_link: &lower, ..signed })
    }
}

/// `type` and `sig` of `type=master&ver=1.0&sig=…`.
fn take_apart(token: &str) -> Option<(&str, &str)> {
    let (kind, rest) = token.strip_prefix("type=")?.split_once("&ver=")?;
    let (_, signature) = rest.split_once("&sig=")?;
    Some((kind, signature))
}

fn check_date(date: &str, now: SystemTime) -> Result<(), Denied> {
    let then = OffsetDateTime::parse(date, &Rfc2822).map_err(|_| Denied::NoDate)?;
    let skew = OffsetDateTime::from(now) - then;
    if skew.unsigned_abs() > MAX_SKEW { Err(Denied::Date(date.to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    /// The example of the service's documentation.
    const KEY: &str = "dsZQi3KtZmCv1ljt3VNWNm7sQUF1y5rJfC6kv5JiwvW0EndXdDku/dkKBp8/ufDToSxLzR4y+O/0H/t4bQtVNw==";
    const DATE: &str = "Thu, 27 Apr 2017 00:51:12 GMT";
    const TOKEN: &str = "type%3dmaster%26ver%3d1.0%26sig%3dc09PEVJrgp2uQRkr934kFbTqhByc7TVr3OHyqlu%2bc%2bc%3d";
    const SIGNED: Signed<'_> = Signed { verb: "GET", resource_type: "dbs", resource_link: "dbs/ToDoList" };

    fn headers(token: &str, date: &str) -> HeaderMap {
        let value = |text| HeaderValue::from_str(text).unwrap();
        [("authorization", token), ("x-ms-date", date)]
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| (hyper::header::HeaderName::from_static(name), value(text)))
            .collect()
    }

    fn at(date: &str) -> SystemTime {
        OffsetDateTime::parse(date, &Rfc2822).unwrap().into()
    }

    fn check(key: &str, headers: &HeaderMap, signed: Signed<'_>) -> Result<(), Denied> {
        Gate::new(&Secret::new(key.to_owned()), false).unwrap().check(headers, signed, at(DATE))
    }

    #[test]
    fn the_documented_example_is_let_in() {
        assert_eq!(check(KEY, &headers(TOKEN, DATE), SIGNED), Ok(()));
    }

    #[test]
    fn another_key_verb_or_link_is_not() {
        let refused = |result| matches!(result, Err(Denied::Signature(_)));
        assert!(refused(check("AAAA", &headers(TOKEN, DATE), SIGNED)));
        assert!(refused(check(KEY, &headers(TOKEN, DATE), Signed { verb: "DELETE", ..SIGNED })));
        assert!(refused(check(KEY, &headers(TOKEN, DATE), Signed { resource_link: "dbs/Other", ..SIGNED })));
        assert!(refused(check(KEY, &headers(TOKEN, "Thu, 27 Apr 2017 00:51:13 GMT"), SIGNED)));
    }

    #[test]
    fn a_date_more_than_15_minutes_off_is_refused() {
        let gate = Gate::new(&Secret::new(KEY), false).unwrap();
        let check = |now: &str| gate.check(&headers(TOKEN, DATE), SIGNED, at(now));
        assert_eq!(check("Thu, 27 Apr 2017 01:06:00 GMT"), Ok(()));
        assert_eq!(check("Thu, 27 Apr 2017 00:37:00 GMT"), Ok(()));
        assert!(matches!(check("Thu, 27 Apr 2017 01:07:00 GMT"), Err(Denied::Date(_))));
        assert!(matches!(check("Thu, 27 Apr 2017 00:36:00 GMT"), Err(Denied::Date(_))));
    }

    #[test]
    fn token_and_date_are_required() {
        assert_eq!(check(KEY, &headers("", DATE), SIGNED), Err(Denied::NoToken));
        assert_eq!(check(KEY, &headers(TOKEN, ""), SIGNED), Err(Denied::NoDate));
        assert_eq!(check(KEY, &headers("Bearer x", DATE), SIGNED), Err(Denied::Malformed));
    }

    #[test]
    fn entra_id_tokens_are_let_in_on_demand_only() {
        let headers = headers("type%3Daad%26ver%3D1.0%26sig%3DeyJ0", DATE);
        let check = |allowed| Gate::new(&Secret::new(KEY), allowed).unwrap().check(&headers, SIGNED, at(DATE));
        assert_eq!(check(false), Err(Denied::EntraId));
        assert_eq!(check(true), Ok(()));
    }
}
