//! Event Hubs connection strings: one text that says which event hub, and how to reach and to enter it.
//!
//! Format: <https://learn.microsoft.com/azure/event-hubs/event-hubs-get-connection-string>. The portal shows many texts
//! that look alike, so an error names the part that is wrong, and never its value: any part may hold the key.

use std::fmt;
use std::net::IpAddr;

use azure_core::credentials::Secret;
use url::Url;

use super::shared_access::Token;

/// The event hub that a connection string without EntityPath means.
pub const DEFAULT_HUB: &str = "transactions";

/// What is said of an emulator on another machine: what is sent there could be read on the way.
const NOT_HERE: &str = "UseDevelopmentEmulator=true means no TLS, which is for emulators on this machine alone: leave it \
                        out, or let Endpoint be localhost or 127.0.0.1, with a port that is forwarded to the emulator";

/// Parts that older tools write and that say nothing about which event hub is meant.
const IGNORED: [&str; 5] = ["TransportType", "OperationTimeout", "StsEndpoint", "RuntimePort", "ManagementPort"];

/// One event hub, and how to reach and to enter it.
#[derive(Clone, Debug)]
pub struct ConnectionString {
    /// Host name of the namespace, in lower case.
    pub host: String,
    /// The port that the endpoint names, if it names one.
    pub port: Option<u16>,
    /// The event hub: EntityPath, or `transactions`.
    pub hub: String,
    /// Whether the connection string had no EntityPath.
    pub hub_is_default: bool,
    /// `UseDevelopmentEmulator=true`: plain AMQP, 5672 where no port is given.
    pub development_emulator: bool,
    /// How to enter.
    pub credential: HubCredential,
}

/// How to enter an event hub.
#[derive(Clone, Debug)]
pub enum HubCredential {
    /// A policy's key, with which txgen signs its own tokens and renews them.
    SharedAccessKey {
        /// The policy's name.
        policy: String,
        /// Its key.
        key: Secret,
    },
    /// A token that was signed elsewhere; it cannot be renewed.
    SharedAccessSignature(Secret),
    /// Microsoft Entra ID.
    EntraId,
}

/// A text that is not a connection string of an event hub.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct InvalidConnectionString {
    /// Which part is wrong and what it should be, on one line, without any value that may be secret.
    pub problem: String,
}

impl ConnectionString {
    /// Reads `Endpoint=sb://NAMESPACE/;SharedAccessKeyName=…;SharedAccessKey=…;EntityPath=…`. Names match whatever their
    /// case, in any order.
    ///
    /// # Errors
    /// [`InvalidConnectionString`], which names the part that is wrong, and shows neither keys nor signatures.
    pub fn parse(text: &str) -> Result<Self, InvalidConnectionString> {
        read(text).map_err(|problem| InvalidConnectionString { problem })
    }

    /// The host name of the namespace, such as `NAMESPACE.servicebus.windows.net`.
    #[must_use]
    pub fn fully_qualified_namespace(&self) -> &str {
        &self.host
    }

    /// Where AMQP over TCP is spoken, as `host:port`: the endpoint's own port, else 5671 with TLS and 5672 without.
    #[must_use]
    pub fn address(&self) -> String {
        let port = self.port.unwrap_or(if self.uses_tls() { 5671 } else { 5672 });
        format!("{}:{port}", self.host)
    }

    /// Whether the connection is encrypted: always, but to a development emulator.
    #[must_use]
    pub fn uses_tls(&self) -> bool {
        !self.development_emulator
    }

    /// Whether the endpoint is this machine, where emulators are.
    #[must_use]
    pub fn is_on_this_machine(&self) -> bool {
        is_this_machine(&self.host)
    }

    /// What tokens are for: `sb://HOST/HUB`, with the endpoint's port where it names one.
    #[must_use]
    pub fn resource(&self) -> String {
        match self.port {
            Some(port) => format!("sb://{}:{port}/{}", self.host, self.hub),
            None => format!("sb://{}/{}", self.host, self.hub),
        }
    }
}

/// The connection string without its secrets.
impl fmt::Display for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint=sb://{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str("/;")?;
        match &self.credential {
            HubCredential::SharedAccessKey { policy, .. } => {
                write!(f, "SharedAccessKeyName={policy};SharedAccessKey=(hidden);")?;
            }
            HubCredential::SharedAccessSignature(_) => f.write_str("SharedAccessSignature=(hidden);")?,
            HubCredential::EntraId => {}
        }
        if self.development_emulator {
            f.write_str("UseDevelopmentEmulator=true;")?;
        }
        write!(f, "EntityPath={}", self.hub)
    }
}

/// The parts of a connection string, each there once or not at all.
#[derive(Default)]
struct Parts<'a> {
    endpoint: Option<&'a str>,
    policy: Option<&'a str>,
    key: Option<&'a str>,
    signature: Option<&'a str>,
    entity_path: Option<&'a str>,
    development_emulator: Option<&'a str>,
}

impl<'a> Parts<'a> {
    const KNOWN: [&'static str; 6] = [
        "Endpoint",
        "SharedAccessKeyName",
        "SharedAccessKey",
        "SharedAccessSignature",
        "EntityPath",
        "UseDevelopmentEmulator",
    ];

    /// The place of the part with this name, and the name as it is documented.
    fn place(&mut self, name: &str) -> Option<(&mut Option<&'a str>, &'static str)> {
        let known = Self::KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(name))?;
        let place = match known {
            "Endpoint" => &mut self.endpoint,
            "SharedAccessKeyName" => &mut self.policy,
            "SharedAccessKey" => &mut self.key,
            "SharedAccessSignature" => &mut self.signature,
            "EntityPath" => &mut self.entity_path,
            _ => &mut self.development_emulator,
        };
        Some((place, known))
    }

    fn split(text: &'a str) -> Result<Self, String> {
        let mut parts = Self::default();
        for (i, part) in text.split(';').map(str::trim).enumerate().filter(|(_, part)| !part.is_empty()) {
            let number = i + 1;
            let Some((name, value)) = part.split_once('=') else {
                return Err(format!("part {number} has no `=`; {}", expected()));
            };
            let (name, value) = (name.trim(), value.trim());
            match parts.place(name) {
                Some((Some(_), known)) => return Err(format!("{known} is there twice")),
                Some((_, known)) if value.is_empty() => return Err(format!("{known} is empty")),
                Some((place, _)) => *place = Some(value),
                None if IGNORED.iter().any(|ignored| ignored.eq_ignore_ascii_case(name)) => {}
                None => return Err(unknown_part(number, name)),
            }
        }
        Ok(parts)
    }
}

fn expected() -> &'static str {
    "expected is Endpoint=sb://NAMESPACE.servicebus.windows.net/;SharedAccessKeyName=…;SharedAccessKey=…;EntityPath=…"
}

/// The name itself is not shown: where a `;` is missing it may be a piece of a key.
fn unknown_part(number: usize, name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let likeness = |known: &&str| strsim::jaro_winkler(&known.to_ascii_lowercase(), &name);
    let nearest = Parts::KNOWN.into_iter().map(|known| (likeness(&known), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest.filter(|(likeness, _)| *likeness >= 0.85) {
        Some((_, known)) => format!("part {number} has an unknown name; did you mean {known}?"),
        None => format!("part {number} has an unknown name; known are {}", Parts::KNOWN.join(", ")),
    }
}

fn read(text: &str) -> Result<ConnectionString, String> {
    if let Some(problem) = text_of_another_kind(text) {
        return Err(problem);
    }
    let parts = Parts::split(text)?;
    let development_emulator = match parts.development_emulator {
        None => false,
        Some(value) if value.eq_ignore_ascii_case("true") => true,
        Some(value) if value.eq_ignore_ascii_case("false") => false,
        Some(_) => return Err("UseDevelopmentEmulator must be true or false".to_owned()),
    };
    let (host, port) = endpoint(parts.endpoint)?;
    if development_emulator && !is_this_machine(&host) {
        return Err(NOT_HERE.to_owned());
    }
    let credential = credential(&parts)?;
    let hub = parts.entity_path.map(hub).transpose()?;
    Ok(ConnectionString {
        host,
        port,
        hub_is_default: hub.is_none(),
        hub: hub.unwrap_or_else(|| DEFAULT_HUB.to_owned()),
        development_emulator,
        credential,
    })
}

/// Texts that are pasted into the wrong place, recognised by what they begin with.
fn text_of_another_kind(text: &str) -> Option<String> {
    let lower = text.trim().to_ascii_lowercase();
    let has = |name: &str| lower.split(';').any(|part| part.trim().starts_with(name));
    if lower.starts_with('"') || lower.starts_with('\'') {
        Some("begins with a quotation mark; write the connection string without quotation marks around it".to_owned())
    } else if has("accountendpoint=") {
        Some(
            "is a connection string of Cosmos DB; its AccountEndpoint goes to COSMOS_DB_ENDPOINT, its AccountKey to \
             COSMOS_DB_AUTH_KEY"
                .to_owned(),
        )
    } else if has("accountname=") || has("defaultendpointsprotocol=") {
        Some(format!("is a connection string of a storage account; {}", expected()))
    } else if has("hostname=") {
        Some(format!("is a connection string of an IoT hub; {}", expected()))
    } else if ["sb://", "https://", "http://", "amqps://", "amqp://"].iter().any(|scheme| lower.starts_with(scheme)) {
        Some(format!("is an address alone; {}", expected()))
    } else if !lower.contains(';') && !has("endpoint=") {
        Some(format!("is not a connection string (a key alone?); {}", expected()))
    } else {
        None
    }
}

fn endpoint(endpoint: Option<&str>) -> Result<(String, Option<u16>), String> {
    let endpoint = endpoint.ok_or_else(|| format!("Endpoint is missing; {}", expected()))?;
    let not_sb = || "Endpoint must begin with sb://, as in Endpoint=sb://NAMESPACE.servicebus.windows.net/".to_owned();
    let bad_host = || {
        "Endpoint must be sb://HOST/ or sb://HOST:PORT/, as in Endpoint=sb://NAMESPACE.servicebus.windows.net/"
            .to_owned()
    };
    if !endpoint.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sb://")) {
        return Err(not_sb());
    }
    let url = Url::parse(endpoint).map_err(|_| match endpoint.matches(':').count() {
        3.. if !endpoint.contains('[') => {
            "Endpoint has an IPv6 address without its brackets; write sb://[ADDRESS]:PORT/".to_owned()
        }
        _ => bad_host(),
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "Endpoint has a user name in it, which Event Hubs does not take; write sb://HOST/, and the key into \
                    SharedAccessKey"
                .to_owned(),
        );
    }
    if !matches!(url.path(), "" | "/") {
        return Err("Endpoint goes on behind the host name; is a `;` missing there?".to_owned());
    }
    let bare = url.query().is_none() && url.fragment().is_none();
    let host = url.host_str().unwrap_or_default();
    // The dot that ends an absolute name is part of no certificate and of no token.
    let host = host.strip_suffix('.').unwrap_or(host);
    if !bare || !is_host(host) || url.port() == Some(0) {
        return Err(bad_host());
    }
    Ok((host.to_ascii_lowercase(), url.port()))
}

/// Whether what is sent to this host stays on this machine. 0.0.0.0 and [::] lead to it, too.
fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback() || address.is_unspecified())
}

/// Whether this is a host name or an IP address, the latter in brackets if it has colons.
fn is_host(host: &str) -> bool {
    host.starts_with('[')
        || (!host.is_empty()
            && !host.ends_with('.')
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')))
}

/// What was done to a key on its way here: keys are base64, which has neither of these signs.
fn disguised(key: &str) -> Option<String> {
    let lower = key.to_ascii_lowercase();
    if ["%2b", "%2f", "%3d"].iter().any(|sign| lower.contains(sign)) {
        Some("SharedAccessKey is percent-encoded; write = for %3D, + for %2B and / for %2F".to_owned())
    } else if lower.contains("\\u00") {
        Some(
            "SharedAccessKey has the escapes of JSON in it; write = for \\u003d, + for \\u002b and / for \\u002f"
                .to_owned(),
        )
    } else {
        None
    }
}

fn credential(parts: &Parts<'_>) -> Result<HubCredential, String> {
    match (parts.policy, parts.key, parts.signature) {
        (Some(policy), Some(key), None) => {
            disguised(key).map_or(Ok(()), Err)?;
            Ok(HubCredential::SharedAccessKey { policy: policy.to_owned(), key: Secret::new(key.to_owned()) })
        }
        (None, None, Some(signature)) if Token::parse(signature).is_some() => {
            Ok(HubCredential::SharedAccessSignature(Secret::new(signature.to_owned())))
        }
        (None, None, Some(_)) => {
            Err("SharedAccessSignature must be `SharedAccessSignature sr=…&sig=…&se=…&skn=…`".to_owned())
        }
        (None, None, None) => Ok(HubCredential::EntraId),
        (Some(_), None, None) => Err("SharedAccessKeyName is there without SharedAccessKey".to_owned()),
        (None, Some(_), None) => Err("SharedAccessKey is there without SharedAccessKeyName".to_owned()),
        (_, _, Some(_)) => Err("SharedAccessSignature and a shared access key exclude each other".to_owned()),
    }
}

/// Rules for names: <https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules>.
fn hub(name: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let ends = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    let bytes = name.as_bytes();
    if bytes.len() <= 256
        && ends(bytes.first().copied())
        && ends(bytes.last().copied())
        && bytes.iter().copied().all(allowed)
    {
        Ok(name.to_owned())
    } else {
        Err("EntityPath must be the name of an event hub: 1 to 256 letters, digits, `.`, `-` and `_`, of which the \
             first and the last are letters or digits"
            .to_owned())
    }
}

#[cfg(test)]
mod tests;
