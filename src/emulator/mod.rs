//! Local Event Hubs and Cosmos DB that speak the real protocols over sockets, so that txgen, and any Azure SDK, can be
//! tried and tested without an account.

pub mod cosmos;
pub mod event_hubs;
pub mod faults;

use std::fmt;
use std::io;

use cosmos::{CosmosCounts, CosmosEmulator, CosmosEmulatorOptions};
use event_hubs::{EventHubsEmulator, EventHubsEmulatorOptions};

use crate::settings::Preset;
use crate::settings::connection_string::DEFAULT_HUB;

/// Both services at their defaults, on free loopback ports.
#[derive(Debug)]
pub struct Emulators {
    event_hubs: EventHubsEmulator,
    cosmos_db: CosmosEmulator,
}

impl Emulators {
    /// Brings both up.
    ///
    /// # Errors
    /// When the operating system gives no port.
    pub async fn start() -> io::Result<Self> {
        let event_hubs = EventHubsEmulator::start(EventHubsEmulatorOptions::default()).await?;
        let cosmos_db = CosmosEmulator::start(CosmosEmulatorOptions::default()).await?;
        Ok(Self { event_hubs, cosmos_db })
    }

    /// The settings with which a run reaches them.
    #[must_use]
    pub fn preset(&self) -> Preset {
        let connection_string = self.event_hubs.connection_string("Sender", DEFAULT_HUB);
        Preset {
            event_hub_connection_strings: connection_string.into_iter().collect(),
            cosmos_endpoint: self.cosmos_db.endpoint().to_string(),
            cosmos_auth_key: self.cosmos_db.key().clone(),
        }
    }

    /// What they have stored by their own count.
    #[must_use]
    pub fn stored(&self) -> Stored {
        Stored { events: self.event_hubs.counts().events(), cosmos_db: self.cosmos_db.counts() }
    }

    /// Ends both.
    pub async fn stop(self) {
        self.event_hubs.stop().await;
        self.cosmos_db.stop().await;
    }
}

/// What both services hold.
#[derive(Clone, Debug)]
pub struct Stored {
    events: u64,
    cosmos_db: CosmosCounts,
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events and {} documents", self.events, self.cosmos_db.documents)
    }
}
