//! Who may do what on a connection: tokens come in, rights on paths with an end come out.

use azure_core::credentials::Secret;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::address::path_of;
use super::options::Policy;
use crate::bearer::expiry_of_jwt;
use txgen_azure::event_hubs::shared_access::Token;

/// How many tokens a connection may hold.
const MAX_GRANTS: usize = 512;
/// The longest path that a grant is kept for, in bytes: that of the longest address.
const MAX_PATH_LENGTH: usize = 1024;
/// Entra ID tokens that do not say when they end are good for so many seconds.
const DEFAULT_LIFETIME: u64 = 3600;

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    Send,
    Listen,
}

impl Right {
    /// The name of the claim in the service's error texts.
    pub(super) fn claim(self) -> &'static str {
        match self {
            Self::Send => "Send",
            Self::Listen => "Listen",
        }
    }
}

/// What a policy or a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rights {
    send: bool,
    listen: bool,
}

impl Rights {
    const ALL: Self = Self { send: true, listen: true };

    /// The rights of a policy.
    pub(super) fn of(policy: &Policy) -> Self {
        Self { send: policy.send || policy.manage, listen: policy.listen || policy.manage }
    }

    fn include(self, right: Right) -> bool {
        match right {
            Right::Send => self.send,
            Right::Listen => self.listen,
        }
    }
}

/// Why a token was not taken: the status and description of the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Denied {
    pub(super) status: i32,
    pub(super) description: String,
}

fn denied(description: impl Into<String>) -> Denied {
    Denied { status: 401, description: description.into() }
}

/// Rights on one path and everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    path: String,
    rights: Rights,
    /// Seconds since 1970-01-01 UTC.
    expiry: u64,
}

impl Grant {
    /// The hub that it is for, in lower case; `None` for a grant on the whole namespace.
    pub(super) fn hub(&self) -> Option<&str> {
        self.path.split('/').next().filter(|name| !name.is_empty() && !name.starts_with('$'))
    }
}

/// Whether `path` is `above` or lies below it. Everything lies below the empty path.
fn covers(above: &str, path: &str) -> bool {
    match path.strip_prefix(above) {
        Some(rest) => above.is_empty() || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

/// The path of a resource in lower case; that of a hub's management is the hub's.
pub(super) fn resource_path(resource: &str) -> String {
    let path = path_of(resource).to_ascii_lowercase();
    path.strip_suffix("/$management").map(str::to_owned).unwrap_or(path)
}

/// Checks a token for `audience`, the resource that it is put for.
///
/// # Errors
/// The service's status and description when the token is not good.
pub(super) fn check(
    policies: &[Policy],
    accept_entra_tokens: bool,
    token_type: &str,
    token: &str,
    audience: &str,
    now: u64,
) -> Result<Grant, Denied> {
    let path = resource_path(audience);
    if path.len() > MAX_PATH_LENGTH {
        return Err(Denied { status: 400, description: "The audience is longer than any resource's.".to_owned() });
    }
    if token_type.ends_with(":sastoken") || token.starts_with("SharedAccessSignature ") {
        return check_signature(policies, token, path, now);
    }
    if !token_type.eq_ignore_ascii_case("jwt") {
        return Err(Denied { status: 400, description: format!("The token type '{token_type}' is not supported.") });
    }
    if !accept_entra_tokens {
        return Err(denied("InvalidToken: Microsoft Entra ID tokens are not accepted here."));
    }
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(denied("InvalidToken: The token is not a bearer token."));
    }
    let expiry = expiry_of_jwt(token).unwrap_or(now + DEFAULT_LIFETIME);
    if expiry <= now {
        return Err(expired(expiry));
    }
    Ok(Grant { path, rights: Rights::ALL, expiry })
}

/// In the service's words (<https://github.com/Azure/azure-sdk-for-js/issues/26073>).
fn expired(expiry: u64) -> Denied {
    const FORMAT: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    let expiry = i64::try_from(expiry).ok().and_then(|expiry| OffsetDateTime::from_unix_timestamp(expiry).ok());
    let expiry = expiry.and_then(|expiry| expiry.format(FORMAT).ok()).unwrap_or_default();
    denied(format!("ExpiredToken: The token is expired. Expiration time: '{expiry}'."))
}

/// The path of the resource that a shared access signature is for. Its `sr` is a URI, or one without its scheme, such as
/// `namespace.servicebus.windows.net/hub`.
fn signed_path(token: &Token) -> String {
    let resource = token.resource();
    if resource.contains("://") { resource_path(&resource) } else { resource_path(&format!("sb://{resource}")) }
}

/// Checks a shared access signature that is put for its own resource.
///
/// # Errors
/// As [`check`].
pub(super) fn check_signature_alone(policies: &[Policy], token: &str, now: u64) -> Result<Grant, Denied> {
    let path = Token::parse(token).map(|token| signed_path(&token)).unwrap_or_default();
    check_signature(policies, token, path, now)
}

fn check_signature(policies: &[Policy], token: &str, path: String, now: u64) -> Result<Grant, Denied> {
    let token =
        Token::parse(token).ok_or_else(|| denied("MalformedToken: The token is not a shared access signature."))?;
    let invalid = || denied("InvalidSignature: The token has an invalid signature.");
    let policy = policies.iter().find(|policy| policy.name == token.policy).ok_or_else(invalid)?;
    if !token.is_signed_with(&policy.key) {
        return Err(invalid());
    }
    if token.expiry <= now {
        return Err(expired(token.expiry));
    }
    if !covers(&signed_path(&token), &path) {
        return Err(denied("InvalidAudience: The authorization header contains a token with an invalid audience."));
    }
    Ok(Grant { path, rights: Rights::of(policy), expiry: token.expiry })
}

/// A policy entered by name and key (SASL PLAIN): its rights hold everywhere and do not end.
pub(super) fn check_password(policies: &[Policy], name: &str, key: &Secret) -> Option<Grant> {
    let policy = policies.iter().find(|policy| policy.name == name)?;
    let same = constant_time_eq(policy.key.secret().as_bytes(), key.secret().as_bytes());
    same.then(|| Grant { path: String::new(), rights: Rights::of(policy), expiry: u64::MAX })
}

/// Compares without telling by its duration how much agrees.
fn constant_time_eq(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

/// The grants of one connection.
#[derive(Debug, Default)]
pub(super) struct Grants(Vec<Grant>);

impl Grants {
    /// Adds a grant, in place of an earlier one for the same path. False when there are too many.
    pub(super) fn put(&mut self, grant: Grant) -> bool {
        self.0.retain(|held| held.path != grant.path);
        let fits = self.0.len() < MAX_GRANTS;
        if fits {
            self.0.push(grant);
        }
        fits
    }

    /// Whether this right on this path, in lower case, is held at this time.
    pub(super) fn allow(&self, right: Right, path: &str, now: u64) -> bool {
        self.0.iter().any(|grant| grant.expiry > now && grant.rights.include(right) && covers(&grant.path, path))
    }

    /// Whether any right on the hub of this path, or on something in it, is held at this time.
    pub(super) fn know(&self, path: &str, now: u64) -> bool {
        self.0.iter().any(|grant| grant.expiry > now && (covers(&grant.path, path) || covers(path, &grant.path)))
    }

    /// When the next grant ends, in seconds since 1970-01-01 UTC.
    pub(super) fn next_expiry(&self) -> Option<u64> {
        self.0.iter().map(|grant| grant.expiry).filter(|expiry| *expiry != u64::MAX).min()
    }

    /// Forgets the grants that have ended; whether there were any.
    pub(super) fn drop_expired(&mut self, now: u64) -> bool {
        let before = self.0.len();
        self.0.retain(|grant| grant.expiry > now);
        self.0.len() < before
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use txgen_azure::event_hubs::shared_access::sign;

    const SAS: &str = "servicebus.windows.net:sastoken";

    fn policies() -> Vec<Policy> {
        vec![Policy { send: true, ..Policy::with_random_key("Sender") }]
    }

    fn put(policies: &[Policy], resource: &str, expiry: u64, audience: &str) -> Result<Grants, Denied> {
        let token = sign(resource, "Sender", &policies[0].key, expiry);
        let mut grants = Grants::default();
        grants.put(check(policies, true, SAS, token.secret(), audience, 1_000)?);
        Ok(grants)
    }

    #[test]
    fn a_signed_token_gives_its_policys_rights_until_it_expires() {
        let grants = put(&policies(), "sb://127.0.0.1:5672/hub", 2_000, "sb://127.0.0.1:5672/hub").unwrap();
        assert!(grants.allow(Right::Send, "hub", 1_999));
        assert!(grants.allow(Right::Send, "hub/partitions/3", 1_999));
        assert!(!grants.allow(Right::Send, "hub", 2_000));
        assert!(!grants.allow(Right::Listen, "hub", 1_999));
        assert!(!grants.allow(Right::Send, "hub2", 1_999));
        assert_eq!(grants.next_expiry(), Some(2_000));
    }

    #[test]
    fn a_token_for_the_namespace_covers_every_hub() {
        for namespace in ["sb://host/", "host:5671", "host"] {
            let grants = put(&policies(), namespace, 2_000, "sb://host/hub").unwrap();
            assert!(grants.allow(Right::Send, "hub", 1_500), "{namespace}");
        }
    }

    #[test]
    fn a_token_for_one_hub_does_not_cover_another() {
        for one in ["sb://host/one", "host/one"] {
            assert!(put(&policies(), one, 2_000, "sb://host/one").is_ok(), "{one}");
            let denied = put(&policies(), one, 2_000, "sb://host/two").unwrap_err();
            assert_eq!(denied.status, 401);
            assert!(denied.description.contains("InvalidAudience"));
        }
    }

    #[test]
    fn an_expired_a_forged_and_a_strangers_token_are_denied() {
        let own = policies();
        let expired = put(&own, "sb://host/hub", 1_000, "sb://host/hub").unwrap_err();
        let words = "ExpiredToken: The token is expired. Expiration time: '1970-01-01 00:16:40Z'.";
        assert_eq!(expired.description, words);
        let forged = sign("sb://host/hub", "Sender", &Secret::new("other"), 2_000);
        let stranger = sign("sb://host/hub", "Nobody", &own[0].key, 2_000);
        for token in [forged, stranger] {
            let denied = check(&own, true, SAS, token.secret(), "sb://host/hub", 1_000).unwrap_err();
            assert!(denied.description.contains("InvalidSignature"));
        }
        assert!(check(&own, true, SAS, "nonsense", "hub", 1_000).is_err());
    }

    #[test]
    fn an_entra_token_has_every_right_when_they_are_accepted() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"exp":1500}"#);
        let token = format!("e30.{claims}.c2ln");
        let mut grants = Grants::default();
        grants.put(check(&[], true, "jwt", &token, "sb://host/hub/$management", 1_000).unwrap());
        assert!(grants.allow(Right::Listen, "hub", 1_499) && grants.allow(Right::Send, "hub", 1_499));
        assert_eq!(grants.next_expiry(), Some(1_500));
        assert!(check(&[], true, "jwt", &token, "hub", 1_500).is_err());
        assert!(check(&[], false, "jwt", &token, "hub", 1_000).is_err());
        assert!(check(&[], true, "jwt", "two words", "hub", 1_000).is_err());
    }

    #[test]
    fn a_renewed_token_takes_the_place_of_the_old_one() {
        let own = policies();
        let mut grants = put(&own, "sb://host/hub", 2_000, "sb://host/hub").unwrap();
        let token = sign("sb://host/hub", "Sender", &own[0].key, 3_000);
        grants.put(check(&own, true, SAS, token.secret(), "sb://host/hub", 1_000).unwrap());
        assert!(!grants.drop_expired(2_500));
        assert!(grants.allow(Right::Send, "hub", 2_500));
        assert!(grants.drop_expired(3_000));
    }

    #[test]
    fn a_password_is_the_policys_key() {
        let own = policies();
        assert!(check_password(&own, "Sender", &own[0].key).is_some());
        assert!(check_password(&own, "Sender", &Secret::new("other")).is_none());
        assert!(check_password(&own, "Nobody", &own[0].key).is_none());
    }
}
