#![doc = include_str!("../README.md")]

mod bearer;
pub mod cosmos;
pub mod data;
pub mod event_hubs;
pub mod faults;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod health;
pub mod key_vault;
mod serving;
pub mod tls;
mod write_timeout;

use std::fmt;
use std::io;

use cosmos::{CosmosCounts, CosmosEmulator, CosmosEmulatorOptions};
use event_hubs::{EventHubsEmulator, EventHubsEmulatorOptions};

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
        let view = Some(event_hubs.view());
        let cosmos_db = CosmosEmulator::start(CosmosEmulatorOptions { event_hubs: view, ..Default::default() }).await?;
        Ok(Self { event_hubs, cosmos_db })
    }

    /// Event Hubs.
    #[must_use]
    pub fn event_hubs(&self) -> &EventHubsEmulator {
        &self.event_hubs
    }

    /// Cosmos DB.
    #[must_use]
    pub fn cosmos_db(&self) -> &CosmosEmulator {
        &self.cosmos_db
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

// The Rust in the book compiles and runs, too.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/how-to/test-with-the-emulators.md")]
struct Book;
