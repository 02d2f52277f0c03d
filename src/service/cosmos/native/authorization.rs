//! The headers that say who sends a request: made once a second, not for each request.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use azure_core::credentials::{Secret, TokenCredential};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use txgen_azure::cosmos::authorization::{AccountKey, Signed};

use super::request::Address;
use crate::service::entra::{self, EntraError};
use crate::settings::CosmosDbSettings;

const X_MS_DATE: HeaderName = HeaderName::from_static("x-ms-date");

/// The form of RFC 1123.
const HTTP_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// What a token of Microsoft Entra ID is asked for, as Azure's own client does.
const SCOPE: &str = "https://cosmos.azure.com/.default";

/// How long a token's header is kept: the credential itself renews the token well before it expires.
const TOKEN_KEPT: Duration = Duration::from_secs(30);

/// How txgen shows that it may enter.
#[derive(Clone)]
pub(in super::super) enum Credential {
    /// Ready to sign, and as it is.
    AccountKey(AccountKey, Secret),
    EntraId(Arc<dyn TokenCredential>),
}

/// No header: what the credential says, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoCredential(pub(super) String);

/// The two headers.
#[derive(Clone)]
pub(super) struct Authorization {
    authorization: HeaderValue,
    date: HeaderValue,
}

impl Authorization {
    pub(super) fn insert_into(self, headers: &mut HeaderMap) {
        headers.insert(AUTHORIZATION, self.authorization);
        headers.insert(X_MS_DATE, self.date);
    }
}

/// The settings give no credential.
#[derive(Debug)]
pub(in super::super) enum BadCredential {
    /// The account key is no base64.
    Key,
    EntraId(EntraError),
}

impl Credential {
    pub(in super::super) fn of(settings: &CosmosDbSettings) -> Result<Self, BadCredential> {
        match &settings.auth_key {
            Some(secret) => {
                AccountKey::parse(secret).map(|key| Self::AccountKey(key, secret.clone())).ok_or(BadCredential::Key)
            }
            None => entra::credential(settings.endpoint.host_str().unwrap_or_default())
                .map(Self::EntraId)
                .map_err(BadCredential::EntraId),
        }
    }

    /// The headers for a request that is sent now.
    pub(super) async fn authorize(&self, signed: Signed<'_>) -> Result<Authorization, NoCredential> {
        let date = http_date(SystemTime::now());
        let value = match self {
            Self::AccountKey(key, _) => key.sign(signed, &date),
            Self::EntraId(credential) => {
                let token = credential.get_token(&[SCOPE], None).await;
                let token = token.map_err(|error| NoCredential(error.to_string()))?;
                let text = format!("type=aad&ver=1.0&sig={}", token.token.secret());
                utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string()
            }
        };
        let unfit = |_| NoCredential("the token does not fit into a header".to_owned());
        let mut authorization = HeaderValue::try_from(value).map_err(unfit)?;
        authorization.set_sensitive(true);
        Ok(Authorization { authorization, date: HeaderValue::try_from(date).map_err(unfit)? })
    }

    fn kept_for(&self) -> Duration {
        match self {
            Self::AccountKey(..) => Duration::from_secs(1),
            Self::EntraId(_) => TOKEN_KEPT,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccountKey(..) => "AccountKey",
            Self::EntraId(_) => "EntraId",
        })
    }
}

/// The headers of one kind of request.
pub(super) struct Kept {
    credential: Credential,
    address: Address,
    latest: Mutex<Option<(Duration, Authorization)>>,
}

impl Kept {
    /// Of creating documents in the feed of this address.
    pub(super) fn for_creating(credential: Credential, documents: Address) -> Self {
        Self { credential, address: documents, latest: Mutex::default() }
    }

    pub(super) async fn authorize(&self) -> Result<Authorization, NoCredential> {
        // By the wall clock, which the service compares the date with; set back or forth, it makes new ones.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if let Some((since, authorization)) = &*self.latest()
            && now.abs_diff(*since) < self.credential.kept_for()
        {
            return Ok(authorization.clone());
        }
        let Address { resource_type, resource_link, .. } = &self.address;
        let signed = Signed { verb: "post", resource_type, resource_link };
        let authorization = self.credential.authorize(signed).await?;
        *self.latest() = Some((now, authorization.clone()));
        Ok(authorization)
    }

    /// The service refused them.
    pub(super) fn forget(&self) {
        *self.latest() = None;
    }

    fn latest(&self) -> MutexGuard<'_, Option<(Duration, Authorization)>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn http_date(now: SystemTime) -> String {
    // Formatting fails only where a date lacks a part, which this one does not.
    OffsetDateTime::from(now).format(HTTP_DATE).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_of_rfc_1123() {
        let then = UNIX_EPOCH + Duration::from_secs(1_493_254_272);
        assert_eq!(http_date(then), "Thu, 27 Apr 2017 00:51:12 GMT");
    }
}
