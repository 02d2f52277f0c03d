//! Microsoft Entra ID's tokens, of which a local service has nothing to check but whether they have expired.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// When a JSON Web Token expires, in seconds since 1970-01-01 UTC; `None` for any other text. Source: RFC 7519, section
/// 4.1.4.
pub(crate) fn expiry_of_jwt(token: &str) -> Option<u64> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<serde_json::Value>(&claims).ok()?.get("exp")?.as_u64()
}
