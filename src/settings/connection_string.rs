//! To come: parsing. The types are settled.

use azure_core::credentials::Secret;

/// One event hub, and how to reach and to enter it.
#[derive(Clone, Debug)]
pub struct ConnectionString {
    /// Host name of the namespace.
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
    /// A token that somebody else signed; it cannot be renewed.
    SharedAccessSignature(Secret),
    /// Microsoft Entra ID.
    EntraId,
}
