//! Tokens: where they come from, and when they are renewed.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use azure_core::credentials::{Secret, TokenCredential};
use rand::{Rng, RngExt as _};

use super::explain;
use crate::service::FailureKind;
use crate::service::clock::Skew;
use crate::service::retry::{AttemptError, Verdict, one_line};
use txgen_azure::event_hubs::shared_access;

/// The scope of Microsoft Entra ID's tokens for Event Hubs.
const SCOPE: &str = "https://eventhubs.azure.net/.default";

/// The part of a token's life after which it is renewed: three quarters, give or take, so that connections that were
/// opened together do not renew together.
const RENEWAL: std::ops::Range<f64> = 0.70..0.80;

/// Where tokens come from.
#[derive(Clone)]
pub(super) enum TokenSource {
    /// txgen signs with a policy's key.
    Policy {
        /// The policy's name.
        policy: String,
        /// Its key.
        key: Secret,
        /// How long a token lives.
        life: Duration,
    },
    /// Somebody else signed; this cannot be renewed.
    Signed(Secret),
    /// Microsoft Entra ID.
    Entra(Arc<dyn TokenCredential>),
}

/// A token, ready to be put on `$cbs`.
pub(super) struct Token {
    /// The token's text.
    pub(super) text: Secret,
    /// What `$cbs` calls this kind of token.
    pub(super) kind: &'static str,
    expires: SystemTime,
    renewable: bool,
}

impl TokenSource {
    /// A fresh token for `resource`, such as `sb://host/hub`.
    pub(super) async fn token(&self, resource: &str) -> Result<Token, AttemptError> {
        match self {
            Self::Policy { policy, key, life } => {
                let expiry = unix_seconds(SystemTime::now() + *life);
                let text = shared_access::sign(resource, policy, key, expiry);
                let expires = UNIX_EPOCH + Duration::from_secs(expiry);
                Ok(Token { text, kind: "servicebus.windows.net:sastoken", expires, renewable: true })
            }
            Self::Signed(text) => {
                let expiry = shared_access::Token::parse(text.secret()).map(|token| token.expiry).ok_or_else(|| {
                    let message = "SharedAccessSignature in the connection string is not a token; one begins with \
                                   `SharedAccessSignature sr=`";
                    AttemptError::impossible(FailureKind::Unauthorized, message)
                })?;
                Ok(Token {
                    text: text.clone(),
                    kind: "servicebus.windows.net:sastoken",
                    expires: UNIX_EPOCH + Duration::from_secs(expiry),
                    renewable: false,
                })
            }
            Self::Entra(credential) => {
                let token = credential.get_token(&[SCOPE], None).await.map_err(|error| {
                    AttemptError::impossible(
                        FailureKind::Unauthorized,
                        format!("no token from Microsoft Entra ID: {error}"),
                    )
                })?;
                Ok(Token { text: token.token, kind: "jwt", expires: token.expires_on.into(), renewable: true })
            }
        }
    }
}

/// What a refused token means, where the source says more than the answer: one that txgen signed just now, for a time to
/// come, has only expired where this machine's clock is off.
impl TokenSource {
    pub(super) fn explain(&self, error: AttemptError) -> AttemptError {
        let has_expired = error.kind == FailureKind::Unauthorized && error.message.contains("ExpiredToken");
        match self {
            Self::Policy { life, .. } if has_expired => {
                let clock = match Skew::by_timestamp(&error.message) {
                    Some(skew) => skew.to_string(),
                    None => format!(
                        "this machine's clock is slow by {} s or more ({})",
                        life.as_secs(),
                        humantime::format_duration(*life)
                    ),
                };
                let message =
                    format!("{clock}, so that a token signed just now has expired already: {}", error.message);
                AttemptError {
                    kind: FailureKind::ClockSkew,
                    message: one_line(&message),
                    verdict: Verdict::GiveUp,
                    ..error
                }
            }
            _ => error,
        }
    }
}

impl TokenSource {
    /// What a refusal in mid-run means, with what to do about it, where the source says so. `host` is the namespace's.
    pub(super) fn advise(&self, error: AttemptError, host: &str) -> AttemptError {
        match self {
            Self::Entra(_) if error.kind == FailureKind::Unauthorized => {
                let remedy = explain::of_entra_id(&error.message, host, explain::SENDER);
                AttemptError { message: format!("{}; {remedy}", error.message.trim_end_matches('.')), ..error }
            }
            _ => error,
        }
    }
}

impl Token {
    /// When the token expires, in milliseconds since 1970-01-01 UTC.
    pub(super) fn expires_unix_millis(&self) -> i64 {
        i64::try_from(unix_seconds(self.expires)).unwrap_or(i64::MAX).saturating_mul(1_000)
    }

    /// How long to wait before the token is renewed; `None` when it cannot be.
    pub(super) fn renew_in(&self, rng: &mut impl Rng) -> Option<Duration> {
        let life = self.expires.duration_since(SystemTime::now()).unwrap_or_default();
        self.renewable.then(|| renewal_after(life, rng))
    }
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn renewal_after(life: Duration, rng: &mut impl Rng) -> Duration {
    // A credential may hand out a token that is about to expire: asking for it in a tight loop does not help.
    life.mul_f64(rng.random_range(RENEWAL)).max(Duration::from_millis(500))
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;

    #[test]
    fn a_token_is_renewed_around_three_quarters_of_its_life_and_not_at_the_same_moment_everywhere() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let waits: Vec<_> = (0..100).map(|_| renewal_after(Duration::from_secs(3600), &mut rng).as_secs()).collect();
        assert!(waits.iter().all(|wait| (2520..2880).contains(wait)), "{waits:?}");
        assert!(waits.iter().any(|wait| *wait < 2650) && waits.iter().any(|wait| *wait > 2750));
    }

    #[test]
    fn a_token_at_its_end_is_not_asked_for_in_a_tight_loop() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(renewal_after(Duration::ZERO, &mut rng), Duration::from_millis(500));
    }

    #[tokio::test]
    async fn a_policys_token_is_signed_for_its_resource_and_lives_as_long_as_asked() {
        let key = Secret::new("a2V5");
        let life = Duration::from_secs(600);
        let source = TokenSource::Policy { policy: "Sender".into(), key: key.clone(), life };
        let token = source.token("sb://ns/hub").await.unwrap();
        let token = shared_access::Token::parse(token.text.secret()).unwrap();
        assert!(token.is_signed_with(&key));
        assert_eq!((token.resource().as_str(), token.policy.as_str()), ("sb://ns/hub", "Sender"));
        let left = token.expiry - unix_seconds(SystemTime::now());
        assert!((598..=600).contains(&left), "{left}");
    }

    #[tokio::test]
    async fn somebody_elses_token_is_never_renewed() {
        let text = shared_access::sign("sb://ns/hub", "Sender", &Secret::new("a2V5"), u64::from(u32::MAX));
        let token = TokenSource::Signed(text).token("sb://ns/hub").await.unwrap();
        assert_eq!(token.renew_in(&mut ChaCha8Rng::seed_from_u64(1)), None);
    }

    #[tokio::test]
    async fn a_text_that_is_no_token_is_told_apart() {
        let error = TokenSource::Signed(Secret::new("abc")).token("sb://ns/hub").await.err().unwrap();
        assert_eq!(error.kind, FailureKind::Unauthorized);
        assert!(!error.message.contains("abc"));
    }
}
