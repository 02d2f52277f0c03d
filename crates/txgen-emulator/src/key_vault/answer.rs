//! Answers, in the service's own words where clients or people read them.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

/// What goes back to the client.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Whether the answer says where tokens come from.
    pub(super) is_challenge: bool,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(body: &Value) -> Self {
        Self { status: StatusCode::OK, is_challenge: false, body: body.to_string() }
    }

    pub(super) fn failure(status: StatusCode, code: &str, message: &str) -> Self {
        Self { status, is_challenge: false, body: json!({ "error": { "code": code, "message": message } }).to_string() }
    }

    pub(super) fn challenge(message: &str) -> Self {
        Self { is_challenge: true, ..Self::failure(StatusCode::UNAUTHORIZED, "Unauthorized", message) }
    }

    pub(super) fn disabled() -> Self {
        Self::inner_failure("Operation get is not allowed on a disabled secret.", "SecretDisabled")
    }

    /// The refusal of what the caller's role does not allow; `read` is what reading would be, `get` or `list`.
    pub(super) fn forbidden(method: &Method, read: &str) -> Self {
        let action = match (method, read) {
            (&Method::GET, "list") => "readMetadata",
            (&Method::GET, _) => "getSecret",
            (&Method::DELETE, _) => "delete",
            (&Method::PATCH, _) => "update",
            _ => "setSecret",
        };
        let message = format!(
            "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role \
             definitions were changed recently, please observe propagation time.\r\nCaller: appid=local;oid=local;\
             iss=https://sts.windows.net/local/\r\nAction: 'Microsoft.KeyVault/vaults/secrets/{action}/action'\r\n\
             Assignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: 'DeniedWithNoValidRBAC' \r\nVault: \
             local;location=local\r\n"
        );
        Self::inner_failure(&message, "ForbiddenByRbac")
    }

    fn inner_failure(message: &str, inner: &str) -> Self {
        let body = json!({ "error": { "code": "Forbidden", "message": message, "innererror": { "code": inner } } });
        Self { status: StatusCode::FORBIDDEN, is_challenge: false, body: body.to_string() }
    }
}
