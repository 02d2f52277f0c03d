//! What the database and the container are like: for the start of the output, and for the estimate of their cost.

use std::fmt;

use serde::Deserialize;
use serde_json::{Value, json};
use txgen_azure::cosmos::key_definition::KeyDefinition;

use crate::settings::CosmosDbClient;

/// The path of the partition key.
pub(super) const PARTITION_KEY: &str = "/ipCountryCode";

/// What was found, or made, when txgen connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provision {
    /// Whether txgen created the database.
    pub created_database: bool,
    /// Whether txgen created the container.
    pub created_container: bool,
    /// What the container may spend.
    pub throughput: Throughput,
    /// Over how many physical partitions the throughput is spread evenly; `None` if that is not known. A partition
    /// that is asked for more than its share is throttled, however idle the others are.
    pub physical_partitions: Option<usize>,
    /// When documents expire that say nothing of it themselves.
    pub default_ttl: DefaultTtl,
    /// How requests travel; `None` if that is not known.
    pub transport: Option<Transport>,
    /// The region that is written to at first, where the account has several and the client says so.
    pub region: Option<String>,
    /// What is probably not meant so, one line each.
    pub warnings: Vec<String>,
}

/// What a container may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throughput {
    /// A fixed number of RU/s.
    Manual {
        /// RU/s.
        request_units_per_second: u32,
        /// Who they belong to.
        scope: Scope,
    },
    /// Between a tenth of the maximum and the maximum, as needed.
    Autoscale {
        /// RU/s at most.
        max_request_units_per_second: u32,
        /// Who they belong to.
        scope: Scope,
    },
    /// Nothing is provisioned: a serverless account.
    Serverless,
    /// The credential may not read it.
    Unknown,
}

impl Throughput {
    /// RU/s that are provisioned, the maximum of autoscale; `None` when serverless or unknown.
    #[must_use]
    pub fn provisioned(self) -> Option<u32> {
        match self {
            Self::Manual { request_units_per_second, .. } => Some(request_units_per_second),
            Self::Autoscale { max_request_units_per_second, .. } => Some(max_request_units_per_second),
            Self::Serverless | Self::Unknown => None,
        }
    }
}

/// Whether containers share their throughput.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Shared by the database's containers.
    Database,
    /// The container's own.
    Container,
}

/// A container's time to live: <https://learn.microsoft.com/azure/cosmos-db/time-to-live>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultTtl {
    /// Switched off: documents stay, whatever their own `ttl` says.
    Off,
    /// On (-1): each document's own `ttl` counts.
    NoDefault,
    /// On: each document's own `ttl` counts, and this many seconds without one.
    Seconds(u32),
}

/// How requests travel to Cosmos DB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// What sends them.
    pub client: CosmosDbClient,
    /// Gateway 2.0, close to the partitions, rather than the account's general gateway.
    pub gateway_v2: bool,
    /// HTTP/2 rather than HTTP/1.1.
    pub http2: bool,
}

/// The throughput of a database or a container, as the service describes it.
/// <https://learn.microsoft.com/rest/api/cosmos-db/offers>
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Offer {
    content: OfferContent,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfferContent {
    offer_throughput: Option<u32>,
    offer_autopilot_settings: Option<Autoscale>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Autoscale {
    max_throughput: u32,
}

/// A container, as the service describes it.
/// <https://learn.microsoft.com/rest/api/cosmos-db/get-a-collection>
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerProperties {
    pub(super) id: String,
    #[serde(rename = "_rid")]
    pub(super) rid: String,
    partition_key: PartitionKey,
    default_ttl: Option<i64>,
}

#[derive(Clone, Debug, Deserialize)]
struct PartitionKey {
    paths: Vec<String>,
    version: Option<u8>,
}

impl ContainerProperties {
    /// How partition keys are spread, where they have one path.
    pub(super) fn key_definition(&self) -> Option<KeyDefinition> {
        let steps = |path: &String| path.split('/').skip(1).map(ToOwned::to_owned).collect();
        let paths = self.partition_key.paths.iter().map(steps).collect();
        KeyDefinition::new(paths, false, self.partition_key.version.unwrap_or(1))
    }

    /// <https://learn.microsoft.com/azure/cosmos-db/time-to-live#time-to-live-for-containers-and-items>
    pub(super) fn default_ttl(&self) -> DefaultTtl {
        match self.default_ttl {
            None => DefaultTtl::Off,
            Some(seconds) => u32::try_from(seconds).map_or(DefaultTtl::NoDefault, DefaultTtl::Seconds),
        }
    }
}

impl Throughput {
    /// The database's throughput, or else the container's own.
    pub(super) fn of(database: Option<&Offer>, container: Option<&Offer>) -> Self {
        let known = |offer: Option<&Offer>, scope| {
            let content = offer?.content;
            match (content.offer_autopilot_settings, content.offer_throughput) {
                (Some(Autoscale { max_throughput }), _) => {
                    Some(Self::Autoscale { max_request_units_per_second: max_throughput, scope })
                }
                (None, Some(fixed)) => Some(Self::Manual { request_units_per_second: fixed, scope }),
                (None, None) => None,
            }
        };
        // A container in a shared database may still have its own, and then that is what it spends.
        known(container, Scope::Container).or_else(|| known(database, Scope::Database)).unwrap_or(Self::Serverless)
    }
}

impl fmt::Display for Throughput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manual { request_units_per_second, scope } => {
                write!(f, "{request_units_per_second} RU/s on the {scope}")
            }
            Self::Autoscale { max_request_units_per_second, scope } => {
                write!(f, "up to {max_request_units_per_second} RU/s (autoscale) on the {scope}")
            }
            Self::Serverless => f.write_str("serverless"),
            Self::Unknown => f.write_str("unknown (the credential may not read it)"),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Database => "database",
            Self::Container => "container",
        })
    }
}

impl fmt::Display for DefaultTtl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::NoDefault => f.write_str("on, without a default"),
            Self::Seconds(seconds) => write!(f, "on, {seconds} s by default"),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.client {
            CosmosDbClient::Native => "native, ",
            CosmosDbClient::Sdk => "Azure's client, ",
        })?;
        f.write_str(if self.gateway_v2 { "Gateway 2.0" } else { "gateway" })?;
        f.write_str(if self.http2 { ", HTTP/2" } else { ", HTTP/1.1" })
    }
}

/// The container that txgen makes, with the service's own indexing policy.
/// <https://learn.microsoft.com/rest/api/cosmos-db/create-a-collection>
pub(super) fn new_container(name: &str) -> Value {
    json!({
        "id": name,
        "partitionKey": { "paths": [PARTITION_KEY], "kind": "Hash", "version": 2 },
        "defaultTtl": -1,
    })
}

impl Provision {
    /// How requests travel and where to, as far as is known: `native, gateway, HTTP/1.1, West Europe`.
    #[must_use]
    pub fn way(&self) -> Option<String> {
        let transport = self.transport?.to_string();
        Some(match &self.region {
            Some(region) => format!("{transport}, {region}"),
            None => transport,
        })
    }
}

/// Whether transactions can be written to a container that is there; the warnings if so, the reason if not.
pub(super) fn examine(properties: &ContainerProperties) -> Result<Vec<String>, String> {
    let paths = &properties.partition_key.paths;
    if *paths != [PARTITION_KEY] {
        return Err(format!(
            "container {} has the partition key {}, but transactions need {PARTITION_KEY}; take another container with \
             --container NAME, or delete this one",
            properties.id,
            paths.join(", "),
        ));
    }
    let mut warnings = Vec::new();
    if properties.default_ttl() == DefaultTtl::Off {
        warnings.push(format!(
            "container {}: time to live is off, so that documents stay for ever; switch it on without a default",
            properties.id
        ));
    }
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(content: Value) -> Offer {
        serde_json::from_value(json!({ "id": "o", "offerVersion": "V2", "content": content })).unwrap()
    }

    fn container(mut document: Value) -> ContainerProperties {
        document["_rid"] = "r".into();
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn the_throughput_is_the_containers_own_or_else_the_databases() {
        let manual = |throughput: u32| offer(json!({ "offerThroughput": throughput }));
        // The service adds the lowest throughput of autoscale.
        let autoscale = json!({ "offerThroughput": 400, "offerAutopilotSettings": { "maxThroughput": 4_000 } });
        let (database, container) = (manual(15_000), offer(autoscale));
        assert_eq!(Throughput::of(Some(&database), None).to_string(), "15000 RU/s on the database");
        assert_eq!(
            Throughput::of(Some(&database), Some(&container)).to_string(),
            "up to 4000 RU/s (autoscale) on the container"
        );
        assert_eq!(Throughput::of(None, Some(&manual(400))).to_string(), "400 RU/s on the container");
        assert_eq!(Throughput::of(None, None).to_string(), "serverless");
    }

    #[test]
    fn a_new_container_fits_its_transactions() {
        let made = container(new_container("c"));
        assert_eq!((examine(&made), made.default_ttl()), (Ok(Vec::new()), DefaultTtl::NoDefault));
    }

    #[test]
    fn another_partition_key_is_an_error() {
        let other = container(json!({ "id": "c", "partitionKey": { "paths": ["/id"] }, "defaultTtl": -1 }));
        assert_eq!(
            examine(&other),
            Err("container c has the partition key /id, but transactions need /ipCountryCode; take another container \
                 with --container NAME, or delete this one"
                .to_owned())
        );
    }

    #[test]
    fn time_to_live_switched_off_is_a_warning() {
        let forever = container(json!({ "id": "c", "partitionKey": { "paths": [PARTITION_KEY] } }));
        assert_eq!(
            examine(&forever),
            Ok(vec![
                "container c: time to live is off, so that documents stay for ever; switch it on without a default"
                    .to_owned()
            ])
        );
    }
}
