//! Why a secret could not be read, in words that say what to do. Pure: error in, one line out, which goes on from `the
//! secret https://…`.
//!
//! Statuses and codes: <https://learn.microsoft.com/azure/key-vault/general/rest-error-codes>.

use std::time::Duration;

use azure_core::error::ErrorKind;
use serde::Deserialize;

use crate::service::entra;
use crate::settings::SecretReference;

pub(super) const ANOTHER_VERSION: &str = "set a new version in the vault, or refer to another one";
pub(super) const DISABLED: &str = "is disabled; enable it in the vault, or refer to another version";

/// What came in the place of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The vault answered.
    Answered {
        status: u16,
        /// The innermost code, such as `ForbiddenByRbac`.
        code: String,
        message: String,
    },
    /// There was no token for it.
    NoToken(String),
    /// No connection to it came about.
    Unreachable(String),
    /// Something else.
    Other(String),
}

/// The body of a refusal.
#[derive(Default, Deserialize)]
struct Body {
    error: Option<Inner>,
}

#[derive(Default, Deserialize)]
struct Inner {
    code: Option<String>,
    #[serde(default)]
    message: String,
    #[serde(alias = "innerError")]
    innererror: Option<Box<Self>>,
}

impl Refusal {
    pub(super) fn of(error: &azure_core::Error) -> Self {
        match error.kind() {
            ErrorKind::HttpResponse { status, raw_response, .. } => {
                let body = raw_response.as_ref().map(|response| response.body());
                let body: Body = body.and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
                Self::answered(u16::from(*status), body)
            }
            ErrorKind::Credential => Self::NoToken(whole(error)),
            ErrorKind::Connection => Self::Unreachable(whole(error)),
            _ => Self::Other(whole(error)),
        }
    }

    fn answered(status: u16, Body { error }: Body) -> Self {
        let Inner { mut code, message, innererror } = error.unwrap_or_default();
        let mut inner = innererror;
        while let Some(next) = inner {
            code = next.code.or(code);
            inner = next.innererror;
        }
        Self::Answered { status, code: code.unwrap_or_default(), message: one_line(&message) }
    }

    pub(super) fn explain(&self, reference: &SecretReference) -> String {
        let host = host(reference);
        match self {
            Self::Answered { status, code, message } => answered(*status, code, message, reference),
            Self::NoToken(cause) => format!(
                "cannot be read: no token from Microsoft Entra ID ({cause}); sign in with {}, or set the \
                 AZURE_… variables of a service principal or managed identity",
                sign_in(reference)
            ),
            Self::Unreachable(cause) if reference.is_on_this_machine() => {
                format!("cannot be read: nothing answers at {host} ({cause}); start the emulator, or name its port")
            }
            Self::Unreachable(cause) => format!(
                "cannot be read: no connection to {host} ({cause}); check that there is a vault of this name, and the \
                 network between"
            ),
            Self::Other(cause) => format!("cannot be read from {host}: {cause}"),
        }
    }
}

fn answered(status: u16, code: &str, message: &str, reference: &SecretReference) -> String {
    let answer = || if message.is_empty() { format!("{status}") } else { format!("{status}: {message}") };
    match (status, code) {
        (401, _) => format!(
            "cannot be read: the vault does not accept txgen's token ({}); sign in with {} to the tenant that \
             the vault belongs to",
            answer(),
            sign_in(reference)
        ),
        (403, "SecretDisabled") => DISABLED.to_owned(),
        (403, "ForbiddenByFirewall" | "ForbiddenByConnection") => format!(
            "may not be read from this network ({code}); allow this machine's address under Networking of the vault, or \
             run from a network that it lets in"
        ),
        (403, "AccessDenied" | "ForbiddenByPolicy") => format!(
            "may not be read by {} ({code}); give it the permission Get for secrets under Access policies of the vault",
            caller(message)
        ),
        (403, _) => format!(
            "may not be read by {} ({}); give it the role Key Vault Secrets User on the vault or on this secret, which \
             takes some minutes to take effect",
            caller(message),
            if code.is_empty() { "403" } else { code }
        ),
        (404, _) => format!(
            "is not there; check name{} in the vault: was it deleted?",
            if reference.version().is_some() { " and version" } else { "" }
        ),
        (429, _) => "cannot be read now: the vault is throttled (429); try again in some seconds".to_owned(),
        (500.., _) => format!("cannot be read now: the vault is not well ({}); try again later", answer()),
        _ => format!("cannot be read ({}); check the reference", answer()),
    }
}

/// Who the vault says has asked, by the ids in `Caller: appid=…;oid=…;iss=…`.
fn caller(message: &str) -> String {
    let ids = message.split_once("Caller: ").map(|(_, rest)| rest.split(";iss=").next().unwrap_or_default());
    let is_id = |ids: &&str| {
        (1..=160).contains(&ids.len())
            && ids.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'=' | b';' | b'-'))
    };
    match ids.map(str::trim).filter(is_id) {
        Some(ids) => format!("txgen's identity ({ids})"),
        None => "txgen's identity".to_owned(),
    }
}

pub(super) fn too_late(reference: &SecretReference, limit: Duration) -> String {
    format!(
        "was not read within {}; check the vault's firewall and the network to {}",
        humantime::format_duration(limit),
        host(reference)
    )
}

/// How a person signs in to the cloud of the vault.
fn sign_in(reference: &SecretReference) -> &'static str {
    entra::sign_in(reference.vault().host_str().unwrap_or_default())
}

/// The vault's host, with the port where it is not that of HTTPS.
fn host(reference: &SecretReference) -> String {
    let vault = reference.vault();
    let port = vault.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", vault.host_str().unwrap_or_default())
}

/// What the error says; of a connection that did not come about its innermost cause, which says the most.
fn whole(error: &azure_core::Error) -> String {
    const DEEPEST: usize = 16;
    let mut innermost: &dyn std::error::Error = error;
    for _ in 0..DEEPEST {
        match innermost.source() {
            Some(cause) if error.kind() == &ErrorKind::Connection => innermost = cause,
            _ => break,
        }
    }
    one_line(&innermost.to_string())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(status: u16, body: &str) -> String {
        let reference = SecretReference::of_identifier("https://woodgrove.vault.azure.net/secrets/hub").unwrap();
        Refusal::answered(status, serde_json::from_str(body).unwrap_or_default()).explain(&reference)
    }

    #[test]
    fn a_missing_role_is_named_with_the_identity_that_lacks_it() {
        let body = r#"{"error":{"code":"Forbidden","message":"Caller is not authorized to perform action on resource.\r\nCaller: appid=04b07795-8ddb;oid=5f1c-9;iss=https://sts.windows.net/x/\r\nAction: 'x'","innererror":{"code":"ForbiddenByRbac"}}}"#;
        assert_eq!(
            explained(403, body),
            "may not be read by txgen's identity (appid=04b07795-8ddb;oid=5f1c-9) (ForbiddenByRbac); give it the role Key Vault \
             Secrets User on the vault or on this secret, which takes some minutes to take effect"
        );
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        let inner = |code: &str| {
            format!(r#"{{"error":{{"code":"Forbidden","message":"m","innererror":{{"code":"{code}"}}}}}}"#)
        };
        for (status, body, parts) in [
            (
                401,
                r#"{"error":{"code":"Unauthorized","message":"AKV10032: Invalid issuer."}}"#.to_owned(),
                ["AKV10032: Invalid issuer.", "sign in with `az login` to the tenant"],
            ),
            (403, inner("SecretDisabled"), ["is disabled", "enable it"]),
            (403, inner("ForbiddenByFirewall"), ["from this network", "under Networking"]),
            (403, inner("AccessDenied"), ["permission Get", "Access policies"]),
            (403, String::new(), ["(403)", "Key Vault Secrets User"]),
            (404, String::new(), ["is not there", "check name in"]),
            (429, String::new(), ["throttled", "try again"]),
            (503, String::new(), ["503", "try again later"]),
            (
                400,
                r#"{"error":{"code":"BadParameter","message":"bad\r\nname"}}"#.to_owned(),
                ["400: bad name", "check"],
            ),
        ] {
            let message = explained(status, &body);
            assert!(parts.iter().all(|part| message.contains(part)), "{status}: {message}");
        }
    }
}
