//! The names of the two services.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the two services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceName {
    /// Azure Event Hubs.
    EventHubs,
    /// Azure Cosmos DB.
    CosmosDb,
}

impl ServiceName {
    /// Both.
    pub const ALL: [Self; 2] = [Self::EventHubs, Self::CosmosDb];

    /// The name in JSON: `event_hubs`, `cosmos_db`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::EventHubs => "event_hubs",
            Self::CosmosDb => "cosmos_db",
        }
    }

    /// What the service stores: `events`, `documents`.
    #[must_use]
    pub fn items(self) -> &'static str {
        match self {
            Self::EventHubs => "events",
            Self::CosmosDb => "documents",
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EventHubs => "Event Hubs",
            Self::CosmosDb => "Cosmos DB",
        })
    }
}
