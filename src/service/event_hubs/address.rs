//! Where a hub is: host, port, and what carries AMQP there.

use crate::service::FailureKind;
use crate::service::retry::AttemptError;
use crate::settings::{ConnectionString, EventHubTransport, Proxies, Proxy};

/// AMQP over TLS (AMQP 1.0, section 5.2.1).
const AMQPS: u16 = 5671;
/// Plain AMQP, for emulators.
const AMQP: u16 = 5672;
/// WebSockets over TLS.
const HTTPS: u16 = 443;

/// Where to connect, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// The host of the namespace.
    pub(super) host: String,
    /// The port there.
    pub(super) port: u16,
    /// Whether the connection is encrypted: always, but for emulators.
    pub(super) tls: bool,
    /// What carries AMQP.
    pub(super) transport: EventHubTransport,
}

impl Address {
    /// The address of a hub. A port in the connection string counts; else it is the usual one.
    pub(super) fn of(hub: &ConnectionString, transport: EventHubTransport) -> Self {
        let tls = !hub.development_emulator;
        let usual = match (transport, tls) {
            (EventHubTransport::Tcp, true) => AMQPS,
            (EventHubTransport::Websocket, true) => HTTPS,
            (_, false) => AMQP,
        };
        // An IPv6 address stands in brackets in a connection string, and without them where a socket is opened.
        let host = hub.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Self { host, port: hub.port.unwrap_or(usual), tls, transport }
    }

    /// `host:port`, for messages and URLs.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The URL of AMQP over WebSockets
    /// (<https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide#amqp-over-websockets>).
    pub(super) fn websocket_url(&self) -> String {
        let scheme = if self.tls { "wss" } else { "ws" };
        format!("{scheme}://{}/$servicebus/websocket", self.authority())
    }

    /// The URL of AMQP over TCP.
    pub(super) fn amqp_url(&self) -> String {
        format!("{}://{}", if self.tls { "amqps" } else { "amqp" }, self.authority())
    }
}

/// The proxy that leads to a hub: over WebSockets alone, for proxies let nothing but HTTP's port through, as a rule.
///
/// # Errors
/// What is wrong with the variable that names it.
pub(super) fn proxy(
    hub: &ConnectionString,
    transport: EventHubTransport,
    proxies: &Proxies,
) -> Result<Option<Proxy>, AttemptError> {
    match transport {
        EventHubTransport::Tcp => Ok(None),
        EventHubTransport::Websocket => {
            proxies.to_hub(hub).map_err(|problem| AttemptError::impossible(FailureKind::Proxy, problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::HubCredential;

    fn hub(host: &str, port: Option<u16>, development_emulator: bool) -> ConnectionString {
        ConnectionString {
            host: host.into(),
            port,
            hub: "transactions".into(),
            hub_is_default: false,
            development_emulator,
            credential: HubCredential::EntraId,
        }
    }

    #[test]
    fn azure_is_reached_over_tls_on_its_usual_ports() {
        let hub = hub("ns.servicebus.windows.net", None, false);
        let tcp = Address::of(&hub, EventHubTransport::Tcp);
        assert_eq!(tcp.amqp_url(), "amqps://ns.servicebus.windows.net:5671");
        let websocket = Address::of(&hub, EventHubTransport::Websocket);
        assert_eq!(websocket.websocket_url(), "wss://ns.servicebus.windows.net:443/$servicebus/websocket");
    }

    #[test]
    fn an_emulator_is_reached_without_tls_on_the_port_of_its_endpoint() {
        let tcp = |port| Address::of(&hub("localhost", port, true), EventHubTransport::Tcp).amqp_url();
        assert_eq!(tcp(Some(40_001)), "amqp://localhost:40001");
        assert_eq!(tcp(None), "amqp://localhost:5672");
        let websocket = Address::of(&hub("localhost", Some(40_001), true), EventHubTransport::Websocket);
        assert_eq!(websocket.websocket_url(), "ws://localhost:40001/$servicebus/websocket");
    }

    #[test]
    fn an_ipv6_address_is_bracketed() {
        for host in ["::1", "[::1]"] {
            let address = Address::of(&hub(host, Some(1), true), EventHubTransport::Tcp);
            assert_eq!((address.host.as_str(), address.authority().as_str()), ("::1", "[::1]:1"));
        }
    }
}
