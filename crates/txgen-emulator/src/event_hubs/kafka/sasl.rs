//! Who a Kafka client is: PLAIN with a connection string, or OAUTHBEARER with a Microsoft Entra ID token.
//!
//! Source: <https://learn.microsoft.com/azure/event-hubs/azure-event-hubs-apache-kafka-overview>.

use azure_core::credentials::Secret;

use super::super::grants::{Grant, check, check_password, check_signature_alone};
use super::super::options::EventHubsEmulatorOptions;

/// The user of PLAIN, whose password is a connection string.
const USER: &str = "$ConnectionString";

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    OauthBearer,
}

impl Mechanism {
    /// Their names, as the handshake lists them.
    pub(super) const NAMES: [&'static str; 2] = ["PLAIN", "OAUTHBEARER"];

    /// The one of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "PLAIN" => Some(Self::Plain),
            "OAUTHBEARER" => Some(Self::OauthBearer),
            _ => None,
        }
    }

    /// What the client may do, or what is wrong with what it said, without any of its secrets.
    pub(super) fn judge(self, said: &[u8], options: &EventHubsEmulatorOptions, now: u64) -> Result<Grant, String> {
        let text = std::str::from_utf8(said).map_err(|_| "The SASL response is not UTF-8.".to_owned())?;
        match self {
            Self::Plain => plain(text, options, now),
            Self::OauthBearer => oauth_bearer(text, options, now),
        }
    }
}

/// RFC 4616: `[authorization id] NUL user NUL password`.
fn plain(text: &str, options: &EventHubsEmulatorOptions, now: u64) -> Result<Grant, String> {
    let mut parts = text.split('\0').skip(1);
    let (Some(user), Some(password), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err("The SASL response is not one of PLAIN.".to_owned());
    };
    if user != USER {
        return Err(format!("The user is {USER}, and the password a connection string."));
    }
    let mut policy = None;
    let mut key = None;
    let mut signature = None;
    for part in password.split(';') {
        let Some((name, value)) = part.split_once('=') else { continue };
        match name.trim().to_ascii_lowercase().as_str() {
            "sharedaccesskeyname" => policy = Some(value),
            "sharedaccesskey" => key = Some(value),
            "sharedaccesssignature" => signature = Some(value),
            _ => {}
        }
    }
    match (policy, key, signature) {
        (_, _, Some(signature)) => {
            check_signature_alone(&options.policies, signature, now).map_err(|denied| denied.description)
        }
        (Some(policy), Some(key), None) => check_password(&options.policies, policy, &Secret::new(key.to_owned()))
            .ok_or_else(|| "The connection string's SharedAccessKeyName and SharedAccessKey are not known.".to_owned()),
        _ => {
            Err("The connection string has neither SharedAccessKeyName and SharedAccessKey, nor SharedAccessSignature."
                .to_owned())
        }
    }
}

/// RFC 7628: `n,,^Aauth=Bearer TOKEN^A^A`.
fn oauth_bearer(text: &str, options: &EventHubsEmulatorOptions, now: u64) -> Result<Grant, String> {
    let token = text.split('\x01').find_map(|part| part.strip_prefix("auth=Bearer "));
    let token = token.ok_or_else(|| "The SASL response is not one of OAUTHBEARER.".to_owned())?;
    check(&options.policies, options.accept_entra_tokens, "jwt", token, "", now).map_err(|denied| denied.description)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_hubs::grants::{Grants, Right};
    use txgen_azure::event_hubs::shared_access::sign;

    fn judge(mechanism: Mechanism, options: &EventHubsEmulatorOptions, said: &str) -> Result<Grants, String> {
        let mut grants = Grants::default();
        grants.put(mechanism.judge(said.as_bytes(), options, 1_000)?);
        Ok(grants)
    }

    #[test]
    fn a_connection_string_has_the_rights_of_its_policy() {
        let options = EventHubsEmulatorOptions::default();
        let sender = &options.policies[1];
        let string = |key: &str| {
            format!(
                "\0{USER}\0Endpoint=sb://127.0.0.1:9093/;SharedAccessKeyName=Sender;SharedAccessKey={key};EntityPath=h"
            )
        };
        let grants = judge(Mechanism::Plain, &options, &string(sender.key.secret())).unwrap();
        assert!(
            grants.allow(Right::Send, "transactions", 1_000) && !grants.allow(Right::Listen, "transactions", 1_000)
        );
        assert!(judge(Mechanism::Plain, &options, &string("d3Jvbmc=")).is_err());
        assert!(judge(Mechanism::Plain, &options, "\0Sender\0key").unwrap_err().contains(USER));
        assert!(judge(Mechanism::Plain, &options, "nonsense").is_err());
    }

    #[test]
    fn a_signature_is_good_for_its_resource() {
        let options = EventHubsEmulatorOptions::default();
        let token = sign("sb://127.0.0.1:9093/one", "Listener", &options.policies[2].key, 2_000);
        let said = format!("\0{USER}\0Endpoint=sb://127.0.0.1:9093/;SharedAccessSignature={}", token.secret());
        let grants = judge(Mechanism::Plain, &options, &said).unwrap();
        assert!(grants.allow(Right::Listen, "one", 1_000) && !grants.allow(Right::Listen, "two", 1_000));
    }

    #[test]
    fn a_bearer_token_is_taken_for_one_of_entra_id() {
        let options = EventHubsEmulatorOptions::default();
        let said = "n,,\x01auth=Bearer e30.e30.c2ln\x01\x01";
        assert!(judge(Mechanism::OauthBearer, &options, said).unwrap().allow(Right::Listen, "transactions", 1_000));
        let strict = EventHubsEmulatorOptions { accept_entra_tokens: false, ..options };
        assert!(judge(Mechanism::OauthBearer, &strict, said).is_err());
    }
}
