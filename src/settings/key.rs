//! The keys of `appsettings.json` and of the environment.

use std::fmt;

use crate::likeness;

/// A key, written alike in `appsettings.json` and in the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The first event hub.
    EventHub1ConnectionString,
    /// The second event hub.
    EventHub2ConnectionString,
    /// The third event hub.
    EventHub3ConnectionString,
    /// The Cosmos DB account's address.
    CosmosDbEndpoint,
    /// The Cosmos DB account's key.
    CosmosDbAuthKey,
    /// The database.
    CosmosDbDatabase,
    /// The container.
    CosmosDbContainer,
    /// RU/s of a database that txgen creates.
    CosmosDbThroughput,
    /// Seconds to wait before the first transaction.
    SecondsToLead,
    /// Seconds to go on for.
    SecondsToRun,
    /// Whether Event Hubs is left out.
    OnlyWriteToCosmosDb,
    /// Seconds that Cosmos DB keeps a document.
    TimeToLiveSeconds,
    /// How `txgen verify` reads the first event hub.
    EventHub1ListenConnectionString,
    /// How `txgen verify` reads the second event hub.
    EventHub2ListenConnectionString,
    /// How `txgen verify` reads the third event hub.
    EventHub3ListenConnectionString,
}

impl Key {
    /// All that a run uses, in the order in which they are documented.
    pub const ALL: [Self; 12] = [
        Self::EventHub1ConnectionString,
        Self::EventHub2ConnectionString,
        Self::EventHub3ConnectionString,
        Self::CosmosDbEndpoint,
        Self::CosmosDbAuthKey,
        Self::CosmosDbDatabase,
        Self::CosmosDbContainer,
        Self::CosmosDbThroughput,
        Self::SecondsToLead,
        Self::SecondsToRun,
        Self::OnlyWriteToCosmosDb,
        Self::TimeToLiveSeconds,
    ];

    /// The keys of the event hubs, the first one first.
    pub const EVENT_HUBS: [Self; 3] =
        [Self::EventHub1ConnectionString, Self::EventHub2ConnectionString, Self::EventHub3ConnectionString];

    /// How `txgen verify` reads the event hubs, in the order of [`Self::EVENT_HUBS`].
    pub const LISTENERS: [Self; 3] = [
        Self::EventHub1ListenConnectionString,
        Self::EventHub2ListenConnectionString,
        Self::EventHub3ListenConnectionString,
    ];

    /// The name, such as `SECONDS_TO_RUN`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EventHub1ConnectionString => "EVENT_HUB_1_CONNECTION_STRING",
            Self::EventHub2ConnectionString => "EVENT_HUB_2_CONNECTION_STRING",
            Self::EventHub3ConnectionString => "EVENT_HUB_3_CONNECTION_STRING",
            Self::CosmosDbEndpoint => "COSMOS_DB_ENDPOINT",
            Self::CosmosDbAuthKey => "COSMOS_DB_AUTH_KEY",
            Self::CosmosDbDatabase => "COSMOS_DB_DATABASE",
            Self::CosmosDbContainer => "COSMOS_DB_CONTAINER",
            Self::CosmosDbThroughput => "COSMOS_DB_THROUGHPUT",
            Self::SecondsToLead => "SECONDS_TO_LEAD",
            Self::SecondsToRun => "SECONDS_TO_RUN",
            Self::OnlyWriteToCosmosDb => "ONLY_WRITE_TO_COSMOS_DB",
            Self::TimeToLiveSeconds => "TIME_TO_LIVE_SECONDS",
            Self::EventHub1ListenConnectionString => "EVENT_HUB_1_LISTEN_CONNECTION_STRING",
            Self::EventHub2ListenConnectionString => "EVENT_HUB_2_LISTEN_CONNECTION_STRING",
            Self::EventHub3ListenConnectionString => "EVENT_HUB_3_LISTEN_CONNECTION_STRING",
        }
    }

    /// The flag that overrides it; secrets have none, for they never travel in argv.
    #[must_use]
    pub fn flag(self) -> Option<&'static str> {
        match self {
            Self::EventHub1ConnectionString
            | Self::EventHub2ConnectionString
            | Self::EventHub3ConnectionString
            | Self::EventHub1ListenConnectionString
            | Self::EventHub2ListenConnectionString
            | Self::EventHub3ListenConnectionString
            | Self::CosmosDbAuthKey => None,
            Self::CosmosDbEndpoint => Some("--cosmos-endpoint"),
            Self::CosmosDbDatabase => Some("--database"),
            Self::CosmosDbContainer => Some("--container"),
            Self::CosmosDbThroughput => Some("--throughput"),
            Self::SecondsToLead => Some("--seconds-to-lead"),
            Self::SecondsToRun => Some("--seconds-to-run"),
            Self::OnlyWriteToCosmosDb => Some("--only-cosmos"),
            Self::TimeToLiveSeconds => Some("--ttl"),
        }
    }

    /// Whether the value is the name of something at a service.
    #[must_use]
    pub fn is_name(self) -> bool {
        matches!(self, Self::CosmosDbDatabase | Self::CosmosDbContainer)
    }

    /// Whether the value is, or holds, a secret.
    #[must_use]
    pub fn is_secret(self) -> bool {
        Self::EVENT_HUBS.contains(&self) || Self::LISTENERS.contains(&self) || self == Self::CosmosDbAuthKey
    }

    /// The key with this name, whatever its case.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().chain(Self::LISTENERS).find(|key| key.name().eq_ignore_ascii_case(name))
    }

    /// The key that an unknown name most likely means, if any is near.
    #[must_use]
    pub fn nearest(name: &str) -> Option<Self> {
        Self::alike(name, 0.7)
    }

    /// The key that an environment variable most likely means, unless it is one. The environment holds much that is not
    /// txgen's, so only what looks very much like a key counts.
    #[must_use]
    pub fn meant_by_variable(name: &str) -> Option<Self> {
        let is_key = |key: &Self| key.name() == name || (cfg!(windows) && key.name().eq_ignore_ascii_case(name));
        let known = || Self::ALL.iter().chain(&Self::LISTENERS);
        if known().any(is_key) { None } else { Self::of_name(name).or_else(|| Self::alike(name, 0.9)) }
    }

    fn alike(name: &str, least: f64) -> Option<Self> {
        let name = name.to_ascii_uppercase().replace(['-', ' ', '.', ':'], "_");
        likeness::nearest(Self::ALL, least, |key| strsim::normalized_damerau_levenshtein(key.name(), &name))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_whatever_its_case() {
        assert_eq!(Key::of_name("Seconds_To_Run"), Some(Key::SecondsToRun));
        assert_eq!(Key::of_name("SECONDS_TO_RUN "), None);
    }

    #[test]
    fn a_variable_that_is_nearly_a_key_means_it_and_others_mean_nothing() {
        assert_eq!(Key::meant_by_variable("COSMOS_DB_ENDPIONT"), Some(Key::CosmosDbEndpoint));
        assert_eq!(Key::meant_by_variable("EVENT_HUB_1_CONECTION_STRING"), Some(Key::EventHub1ConnectionString));
        assert_eq!(Key::meant_by_variable("COSMOS_DB_ENDPOINT"), None);
        for name in ["PATH", "COSMOS_DB_ACCOUNT", "EVENT_HUB_NAME", "SECONDS", "DATABASE_ENDPOINT"] {
            assert_eq!(Key::meant_by_variable(name), None, "{name}");
        }
    }

    #[test]
    fn a_mistyped_name_finds_its_neighbour_and_a_foreign_one_finds_none() {
        assert_eq!(Key::nearest("COSMOS_DB_ENDPIONT"), Some(Key::CosmosDbEndpoint));
        assert_eq!(Key::nearest("cosmosdb-endpoint"), Some(Key::CosmosDbEndpoint));
        assert_eq!(Key::nearest("EVENT_HUB_CONNECTION_STRING"), Some(Key::EventHub1ConnectionString));
        assert_eq!(Key::nearest("TIME_TO_LIVE"), None);
        assert_eq!(Key::nearest("Logging"), None);
    }
}
