//! The account key's signature on a request to Cosmos DB.
//!
//! <https://learn.microsoft.com/rest/api/cosmos-db/access-control-on-cosmosdb-resources#constructkeytoken>

use std::fmt;

use azure_core::credentials::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;

/// What the signature of a request covers, apart from its date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// The HTTP method, whatever its case.
    pub verb: &'a str,
    /// `docs`, `colls`, `dbs`, `offers`… or nothing for the account.
    pub resource_type: &'a str,
    /// The path of the resource, or of the parent in which something is created, listed or queried: decoded, without
    /// slashes at its ends.
    pub resource_link: &'a str,
}

/// The header that dates a request: a date of RFC 1123, as in `Thu, 27 Apr 2017 00:51:12 GMT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateHeader<'a> {
    /// `x-ms-date`, for clients that may not set `date`.
    MsDate(&'a str),
    /// `date`.
    Date(&'a str),
}

impl Signed<'_> {
    /// The text that is signed.
    #[must_use]
    pub fn payload(&self, date: DateHeader<'_>) -> String {
        let Self { verb, resource_type, resource_link } = self;
        let (ms_date, date) = match date {
            DateHeader::MsDate(date) => (date, ""),
            DateHeader::Date(date) => ("", date),
        };
        let [verb, ms_date, date] = [verb, ms_date, date].map(str::to_ascii_lowercase);
        format!("{verb}\n{resource_type}\n{resource_link}\n{ms_date}\n{date}\n")
    }
}

/// An account key, ready to sign and to check signatures. Its `Debug` shows no key.
#[derive(Clone)]
pub struct AccountKey {
    mac: Hmac<Sha256>,
}

impl AccountKey {
    /// Takes a key as the portal shows it, in base64. `None` if it is not base64.
    #[must_use]
    pub fn parse(key: &Secret) -> Option<Self> {
        let key = STANDARD.decode(key.secret()).ok()?;
        Some(Self { mac: Hmac::new_from_slice(&key).ok()? })
    }

    /// The value of the `authorization` header for a request with this `x-ms-date`, percent-encoded.
    #[must_use]
    pub fn sign(&self, signed: Signed<'_>, ms_date: &str) -> String {
        let signature = self.mac_of(signed, DateHeader::MsDate(ms_date)).finalize().into_bytes();
        let token = format!("type=master&ver=1.0&sig={}", STANDARD.encode(signature));
        utf8_percent_encode(&token, NON_ALPHANUMERIC).to_string()
    }

    /// Whether this is the key's signature, in bytes; compared in constant time.
    #[must_use]
    pub fn has_signed(&self, signed: Signed<'_>, date: DateHeader<'_>, signature: &[u8]) -> bool {
        self.mac_of(signed, date).verify_slice(signature).is_ok()
    }

    fn mac_of(&self, signed: Signed<'_>, date: DateHeader<'_>) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(signed.payload(date).as_bytes());
        mac
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentations_example_is_signed_as_it_says() {
        let key = "dsZQi3KtZmCv1ljt3VNWNm7sQUF1y5rJfC6kv5JiwvW0EndXdDku/dkKBp8/ufDToSxLzR4y+O/0H/t4bQtVNw==";
        let key = AccountKey::parse(&Secret::new(key)).unwrap();
        let signed = Signed { verb: "GET", resource_type: "dbs", resource_link: "dbs/ToDoList" };
        assert_eq!(
            key.sign(signed, "Thu, 27 Apr 2017 00:51:12 GMT"),
            "type%3Dmaster%26ver%3D1%2E0%26sig%3Dc09PEVJrgp2uQRkr934kFbTqhByc7TVr3OHyqlu%2Bc%2Bc%3D"
        );
    }

    #[test]
    fn a_key_is_base64_and_shows_nowhere() {
        assert!(AccountKey::parse(&Secret::new("not base64!")).is_none());
        let key = AccountKey::parse(&Secret::new("c2VjcmV0")).unwrap();
        assert_eq!(format!("{key:?}"), "AccountKey(hidden)");
    }
}
