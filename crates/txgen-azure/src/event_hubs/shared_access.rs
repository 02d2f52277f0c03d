//! Shared access signatures: how a policy's key becomes a token that expires.
//!
//! Event Hubs takes them on `$cbs`; the publisher signs them and the emulator checks them, with this one piece of code.
//! Format: <https://learn.microsoft.com/rest/api/eventhub/generate-sas-token>.

use std::fmt;

use azure_core::credentials::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::Sha256;

/// Everything is escaped but what RFC 3986 calls unreserved, as `encodeURIComponent` does nearly.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Signs a token for `resource` (such as `sb://host/hub`) with the key of `policy`, good until `expiry` (seconds since
/// 1970-01-01 UTC).
#[must_use]
pub fn sign(resource: &str, policy: &str, key: &Secret, expiry: u64) -> Secret {
    let encoded = utf8_percent_encode(resource, COMPONENT).to_string();
    let signature = STANDARD.encode(mac(&encoded, expiry, key).finalize().into_bytes());
    Secret::new(format!(
        "SharedAccessSignature sr={encoded}&sig={}&se={expiry}&skn={}",
        utf8_percent_encode(&signature, COMPONENT),
        utf8_percent_encode(policy, COMPONENT),
    ))
}

fn mac(encoded_resource: &str, expiry: impl fmt::Display, key: &Secret) -> Hmac<Sha256> {
    // HMAC takes keys of any length: `InvalidLength` belongs to the trait, not to this algorithm.
    #[allow(clippy::expect_used)]
    let mut mac = Hmac::<Sha256>::new_from_slice(key.secret().as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{encoded_resource}\n{expiry}").as_bytes());
    mac
}

/// A token taken apart, its signature not yet checked.
pub struct Token {
    encoded_resource: String,
    signature: Vec<u8>,
    /// The policy that the bearer claims to have signed with.
    pub policy: String,
    /// Good until then, in seconds since 1970-01-01 UTC.
    pub expiry: u64,
}

impl Token {
    /// Takes a `SharedAccessSignature …` apart; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let decode = |value: &str| percent_decode_str(value).decode_utf8().ok().map(|text| text.into_owned());
        let (mut resource, mut signature, mut policy, mut expiry) = (None, None, None, None);
        for field in text.strip_prefix("SharedAccessSignature ")?.split('&') {
            let (name, value) = field.split_once('=')?;
            match name {
                "sr" => resource = Some(value.to_owned()),
                "sig" => signature = STANDARD.decode(decode(value)?).ok(),
                "se" => expiry = value.parse().ok(),
                "skn" => policy = decode(value),
                _ => {}
            }
        }
        Some(Self { encoded_resource: resource?, signature: signature?, policy: policy?, expiry: expiry? })
    }

    /// What the token is for, percent-decoded.
    #[must_use]
    pub fn resource(&self) -> String {
        percent_decode_str(&self.encoded_resource).decode_utf8_lossy().into_owned()
    }

    /// Whether the token was signed with this key, compared in constant time.
    #[must_use]
    pub fn is_signed_with(&self, key: &Secret) -> bool {
        mac(&self.encoded_resource, self.expiry, key).verify_slice(&self.signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        let key = Secret::new("c2VjcmV0");
        Token::parse(sign("sb://ns.example/my hub", "Sender+1", &key, 1_700_000_000).secret()).unwrap()
    }

    #[test]
    fn a_signed_token_names_its_resource_policy_and_expiry() {
        let token = token();
        assert_eq!(token.resource(), "sb://ns.example/my hub");
        assert_eq!(token.policy, "Sender+1");
        assert_eq!(token.expiry, 1_700_000_000);
    }

    #[test]
    fn a_token_passes_with_its_own_key_only() {
        assert!(token().is_signed_with(&Secret::new("c2VjcmV0")));
        assert!(!token().is_signed_with(&Secret::new("b3RoZXI=")));
    }

    #[test]
    fn a_changed_expiry_breaks_the_signature() {
        let token = Token { expiry: 1_800_000_000, ..token() };
        assert!(!token.is_signed_with(&Secret::new("c2VjcmV0")));
    }

    #[test]
    fn other_texts_are_no_tokens() {
        assert!(Token::parse("Bearer abc").is_none());
        assert!(Token::parse("SharedAccessSignature sr=a&sig=!!&se=1&skn=p").is_none());
    }
}
