//! Why a run cannot begin, in one line, with the remedy.

use super::address::Address;
use crate::service::retry::AttemptError;
use crate::service::{FailureKind, ServiceName, entra, remedy};
use crate::settings::{ConnectionString, EventHubClient, EventHubTransport, EventHubsSettings, HubCredential};

/// The namespace as a user wrote it.
pub(super) fn namespace(hub: &ConnectionString) -> String {
    hub.port.map_or_else(|| hub.host.clone(), |port| format!("{}:{port}", hub.host))
}

fn subject(hub: &ConnectionString) -> String {
    format!("event hub `{}` at {}", hub.hub, namespace(hub))
}

/// Why these settings cannot work together, if they cannot.
pub(super) fn incompatible(hub: &ConnectionString, settings: &EventHubsSettings) -> Option<String> {
    if settings.client != EventHubClient::Sdk {
        return None;
    }
    if settings.transport == EventHubTransport::Websocket {
        return Some(format!(
            "{}: the client `sdk` knows no WebSockets; use `--event-hub-client native`, or `--event-hub-transport tcp`",
            subject(hub)
        ));
    }
    let has_secret = !matches!(hub.credential, HubCredential::EntraId);
    (has_secret && !hub.development_emulator).then(|| {
        format!(
            "{}: the client `sdk` knows Microsoft Entra ID only; use `--event-hub-client native`, or take the key out \
             of the connection string",
            subject(hub)
        )
    })
}

/// What a error at connecting means to a user.
pub(super) fn refusal(hub: &ConnectionString, settings: &EventHubsSettings, error: &AttemptError) -> String {
    let subject = subject(hub);
    match error.kind {
        FailureKind::KeysDisabled
        | FailureKind::ClockSkew
        | FailureKind::NetworkBlocked
        | FailureKind::QuotaExceeded => refused(&subject, error),
        FailureKind::Unauthorized => match &hub.credential {
            HubCredential::SharedAccessKey { policy, .. } => format!(
                "{subject} refuses the policy `{policy}`: {error}; check SharedAccessKeyName and SharedAccessKey in the \
                 connection string, and that the policy has the Send right"
            ),
            HubCredential::SharedAccessSignature(_) => format!(
                "{subject} refuses the SharedAccessSignature of the connection string: {error}; check that it is for \
                 this hub, has not expired, and comes from a policy with the Send right"
            ),
            HubCredential::EntraId => format!(
                "{subject} cannot be entered with Microsoft Entra ID: {error}; {}",
                of_entra_id(&error.message, &hub.host, SENDER)
            ),
        },
        FailureKind::NotFound if hub.hub_is_default => format!(
            "{subject} does not exist: {error}; create it, or name another one with EntityPath=… in the connection \
             string, which has none"
        ),
        FailureKind::NotFound => {
            format!("{subject} does not exist: {error}; create it, or correct EntityPath in the connection string")
        }
        // The message has the remedy: what is wrong is the way there, and not the hub.
        FailureKind::Proxy => format!("{subject} cannot be reached: {error}"),
        FailureKind::Connection | FailureKind::Timeout => {
            format!("{subject} cannot be reached: {error}; {}", reach(hub, settings.transport))
        }
        _ => format!("{subject}: {error}"),
    }
}

/// What a error at reading means to a user.
pub(super) fn unreadable(
    hub: &ConnectionString,
    transport: EventHubTransport,
    key_name: &str,
    consumer_group: &str,
    error: &AttemptError,
) -> String {
    let subject = subject(hub);
    let listener = format!("put the connection string of a policy with the Listen right into {key_name}");
    match (error.kind, &hub.credential) {
        (FailureKind::KeysDisabled | FailureKind::ClockSkew | FailureKind::NetworkBlocked, _) => {
            refused(&subject, error)
        }
        (FailureKind::Unauthorized, HubCredential::SharedAccessKey { policy, .. }) => format!(
            "{subject} does not let the policy `{policy}` read, which takes the Listen right: {error}; {listener} (in the \
             environment or in appsettings.json)"
        ),
        (FailureKind::Unauthorized, HubCredential::SharedAccessSignature(_)) => format!(
            "{subject} does not let this SharedAccessSignature read, which takes the Listen right: {error}; {listener} \
             (in the environment or in appsettings.json)"
        ),
        (FailureKind::Unauthorized, HubCredential::EntraId) => format!(
            "{subject} cannot be read with Microsoft Entra ID: {error}; {}, or {listener}",
            of_entra_id(&error.message, &hub.host, "Azure Event Hubs Data Receiver")
        ),
        (FailureKind::NotFound, _) => format!(
            "{subject} cannot be read: {error}; check that the hub and its consumer group {consumer_group} are there"
        ),
        (FailureKind::Connection | FailureKind::Timeout, _) => {
            format!("{subject} cannot be read: {error}; {}", reach(hub, transport))
        }
        _ => format!("{subject} cannot be read: {error}"),
    }
}

/// The role that sending takes.
pub(super) const SENDER: &str = "Azure Event Hubs Data Sender";

/// What to do about a refusal to Microsoft Entra ID, by the service's own words: its issuer is another tenant's, a claim that
/// a role gives is missing, or there is no telling.
pub(super) fn of_entra_id(message: &str, host: &str, role: &str) -> String {
    let message = message.to_ascii_lowercase();
    let sign_in = entra::sign_in(host);
    if message.contains("issuer") || message.contains("tenant") {
        "sign in to the namespace's own tenant (`az login --tenant TENANT`, or AZURE_TENANT_ID)".to_owned()
    } else if message.contains("claim") {
        format!("give the identity the role {role} on the namespace, and some minutes to take effect")
    } else {
        format!("sign in ({sign_in}), and give the identity the role {role} on the namespace")
    }
}

/// What is not about this hub and its credential, in the words that are used in mid-run, too.
fn refused(subject: &str, error: &AttemptError) -> String {
    format!("{subject} refuses txgen: {error}; {}", remedy(ServiceName::EventHubs, error.kind))
}

fn reach(hub: &ConnectionString, transport: EventHubTransport) -> String {
    let Address { port, .. } = Address::of(hub, transport);
    if hub.development_emulator {
        return format!("check that the emulator is running, and listens on port {port}");
    }
    if hub.is_on_this_machine() {
        return "a local emulator speaks without TLS: add UseDevelopmentEmulator=true to the connection string"
            .to_owned();
    }
    let other_way = match transport {
        EventHubTransport::Tcp => ", or go through port 443 with `--event-hub-transport websocket`",
        EventHubTransport::Websocket => "",
    };
    format!("check Endpoint in the connection string, and that the network lets port {port} out{other_way}")
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use azure_core::credentials::Secret;

    use super::super::verdicts;
    use super::*;
    use crate::settings::{DEFAULT_RETRY_FOR, Proxies};

    fn settings(client: EventHubClient) -> EventHubsSettings {
        EventHubsSettings {
            hubs: Vec::new(),
            client,
            transport: EventHubTransport::Tcp,
            max_in_flight: NonZeroUsize::MIN,
            retry_for: DEFAULT_RETRY_FOR,
            connections: NonZeroUsize::MIN,
            proxies: Proxies::default(),
        }
    }

    fn hub() -> ConnectionString {
        ConnectionString {
            host: "ns.servicebus.windows.net".into(),
            port: None,
            hub: "transactions".into(),
            hub_is_default: true,
            development_emulator: false,
            credential: HubCredential::SharedAccessKey { policy: "Sender".into(), key: Secret::new("hush") },
        }
    }

    fn message(error: AttemptError) -> String {
        let text = refusal(&hub(), &settings(EventHubClient::Native), &error);
        assert!(!text.contains("hush") && !text.contains('\n'), "{text}");
        text
    }

    #[test]
    fn a_refused_key_names_the_policy_and_the_keys_of_the_connection_string() {
        let text = message(verdicts::of_status(401, Some("InvalidSignature:\nThe token has an invalid signature.")));
        insta::assert_snapshot!(text, @"event hub `transactions` at ns.servicebus.windows.net refuses the policy `Sender`: InvalidSignature: The token has an invalid signature. (401); check SharedAccessKeyName and SharedAccessKey in the connection string, and that the policy has the Send right");
    }

    #[test]
    fn a_missing_hub_that_nobody_named_says_where_the_name_comes_from() {
        let text = message(verdicts::of_condition("amqp:not-found", Some("The messaging entity could not be found.")));
        assert!(text.contains("EntityPath=…") && text.contains("which has none"), "{text}");
    }

    #[test]
    fn an_unreachable_host_offers_the_other_port() {
        let text = message(AttemptError::not_sent(FailureKind::Connection, "cannot reach ns:5671: refused"));
        assert!(text.contains("port 5671") && text.contains("--event-hub-transport websocket"), "{text}");
    }

    #[test]
    fn the_sdk_client_turns_keys_away_unless_they_are_an_emulators() {
        let sdk = settings(EventHubClient::Sdk);
        assert!(incompatible(&hub(), &sdk).unwrap().contains("Microsoft Entra ID only"));
        assert_eq!(incompatible(&ConnectionString { development_emulator: true, ..hub() }, &sdk), None);
        assert_eq!(incompatible(&ConnectionString { credential: HubCredential::EntraId, ..hub() }, &sdk), None);
        assert_eq!(incompatible(&hub(), &settings(EventHubClient::Native)), None);
    }

    #[test]
    fn the_sdk_client_knows_no_websockets() {
        let sdk = EventHubsSettings { transport: EventHubTransport::Websocket, ..settings(EventHubClient::Sdk) };
        let hub = ConnectionString { credential: HubCredential::EntraId, ..hub() };
        assert!(incompatible(&hub, &sdk).unwrap().contains("WebSockets"));
    }
}
