//! One description of a run: what is sent, where to, how, and where each setting comes from.
//!
//! It is built once, when everything is connected (for a dry run: without connecting), and never changes. The first lines
//! of the output, the dry run, the summary, the record beside dead letters, metrics and the live views are all drawn from
//! it. No secret gets in here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::identity::RunId;
use crate::service::ServiceName;
use crate::service::cosmos::{Provision, Throughput};
use crate::service::event_hubs::HubInfo;
use crate::settings::{ConnectionString, FlagValue, Loaded, Origin, Provenance, RunSettings, Settings};
use crate::shard::Shard;

/// A run, before its first transaction.
#[derive(Clone, Debug)]
pub struct RunDescription {
    pub run_id: RunId,
    /// Which part of the run this process takes.
    pub shard: Shard,
    /// The data, as the user named it.
    pub data: String,
    /// Whether rows with unreadable cells are rejected.
    pub strict: bool,
    /// Pace and length of this process's part.
    pub run: RunSettings,
    /// Every setting, with where its value comes from.
    pub settings: Vec<Setting>,
    /// Where settings come from, the strongest first: `flags, environment, ./appsettings.json, defaults`.
    pub sources: String,
    /// `None` when only Cosmos DB is written.
    pub event_hubs: Option<EventHubs>,
    /// `None` when only Event Hubs is written.
    pub cosmos_db: Option<Container>,
    /// What the user should know before it starts, one line each.
    pub warnings: Vec<String>,
}

/// The event hubs of a run.
#[derive(Clone, Debug)]
pub struct EventHubs {
    /// One to three; each gets every transaction.
    pub hubs: Vec<HubInfo>,
    /// Connections to each hub.
    pub connections: NonZeroUsize,
    /// Transactions in flight at most.
    pub max_in_flight: NonZeroUsize,
}

/// The Cosmos DB container of a run.
#[derive(Clone, Debug)]
pub struct Container {
    /// What is written to.
    pub target: ContainerTarget,
    /// How txgen shows who it is.
    pub authentication: &'static str,
    /// Transactions in flight at most.
    pub max_in_flight: NonZeroUsize,
    /// What the service says of it; `None` before connecting.
    pub found: Option<Provision>,
}

/// What is known of the services, beyond the settings.
#[derive(Clone, Debug)]
pub struct Services {
    pub hubs: Vec<HubInfo>,
    /// `None` before connecting, and where only Event Hubs is written.
    pub container: Option<Provision>,
}

impl Services {
    /// What the settings alone say.
    #[must_use]
    pub fn not_connected(settings: &Settings) -> Self {
        let of_settings = settings.event_hubs.iter();
        let hubs = of_settings.flat_map(|hubs| hubs.hubs.iter().map(|hub| HubInfo::of(hub, hubs)));
        Self { hubs: hubs.collect(), container: None }
    }
}

/// What is sent: the part of a description that no setting of a service says.
#[derive(Clone, Debug)]
pub struct Assignment {
    pub run_id: RunId,
    pub shard: Shard,
    /// The data, as the user named it.
    pub data: String,
    pub strict: bool,
    /// What the data makes foreseeable, one line each.
    pub warnings: Vec<String>,
}

impl RunDescription {
    /// Describes a run with these settings.
    #[must_use]
    pub fn new(assignment: Assignment, loaded: &Loaded, services: Services) -> Self {
        let Assignment { run_id, shard, data, strict, warnings: of_data } = assignment;
        let Settings { event_hubs, cosmos_db, run } = &loaded.settings;
        let Services { hubs, container } = services;
        let found = container.iter().flat_map(|provision| &provision.warnings);
        let warnings = loaded.warnings.iter().chain(&loaded.notes).chain(&of_data).chain(found).cloned().collect();
        Self {
            run_id,
            shard,
            data,
            strict,
            run: run.clone(),
            settings: Setting::all(loaded),
            sources: sources(&loaded.origins),
            event_hubs: event_hubs.as_ref().map(|settings| EventHubs {
                hubs,
                connections: settings.connections,
                max_in_flight: settings.max_in_flight,
            }),
            cosmos_db: cosmos_db.as_ref().map(|settings| Container {
                target: ContainerTarget {
                    endpoint: settings.endpoint.to_string(),
                    database: settings.database.clone(),
                    container: settings.container.clone(),
                    provisioned_request_units_per_second: container
                        .as_ref()
                        .and_then(|provision| provision.throughput.provisioned()),
                    physical_partitions: container.as_ref().and_then(|provision| provision.physical_partitions),
                    ttl_seconds: run.ttl_seconds,
                },
                authentication: settings.authentication(),
                max_in_flight: settings.max_in_flight,
                found: container,
            }),
            warnings,
        }
    }

    /// The services that are written to.
    pub fn services(&self) -> impl Iterator<Item = ServiceName> {
        let event_hubs = self.event_hubs.as_ref().map(|_| ServiceName::EventHubs);
        let cosmos_db = self.cosmos_db.as_ref().map(|_| ServiceName::CosmosDb);
        event_hubs.into_iter().chain(cosmos_db)
    }

    /// What each service's transactions are written to.
    #[must_use]
    pub fn targets(&self) -> BTreeMap<ServiceName, Target> {
        let event_hubs = self.event_hubs.as_ref().map(|event_hubs| {
            let hubs = event_hubs.hubs.iter().map(HubTarget::from);
            (ServiceName::EventHubs, Target::EventHubs(hubs.collect()))
        });
        let cosmos_db = self
            .cosmos_db
            .as_ref()
            .map(|cosmos_db| (ServiceName::CosmosDb, Target::Container(cosmos_db.target.clone())));
        event_hubs.into_iter().chain(cosmos_db).collect()
    }

    /// RU/s provisioned on Cosmos DB, where anything is.
    #[must_use]
    pub fn provisioned(&self) -> Option<u32> {
        self.cosmos_db.as_ref()?.target.provisioned_request_units_per_second
    }

    /// The shard, where there are others.
    #[must_use]
    pub fn part(&self) -> Option<Shard> {
        self.shard.is_part().then_some(self.shard)
    }
}

impl Container {
    /// RU/s as the service reports them; unknown before connecting.
    #[must_use]
    pub fn throughput(&self) -> Throughput {
        self.found.as_ref().map_or(Throughput::Unknown, |provision| provision.throughput)
    }

    /// What connecting has created.
    #[must_use]
    pub fn created(&self) -> Option<&'static str> {
        let found = self.found.as_ref()?;
        match (found.created_database, found.created_container) {
            (true, true) => Some("database and container created"),
            (true, false) => Some("database created"),
            (false, true) => Some("container created"),
            (false, false) => None,
        }
    }
}

/// Where settings with a key come from, the strongest source first.
fn sources(origins: &[Provenance]) -> String {
    let mut sources = BTreeSet::new();
    for provenance in origins {
        let mut origin = &provenance.origin;
        if let Origin::KeyVault { by, .. } = origin {
            sources.insert((4, "Key Vault".to_owned()));
            origin = by;
        }
        sources.insert(match origin {
            Origin::Flag(_) => (0, "flags".to_owned()),
            Origin::Emulator => (1, "--emulator".to_owned()),
            Origin::Environment => (2, "environment".to_owned()),
            Origin::File(place) => (3, place.path.display().to_string()),
            // A reference to a vault stands in one of the above.
            Origin::KeyVault { .. } => continue,
            Origin::Default => (5, "defaults".to_owned()),
        });
    }
    let names: Vec<String> = sources.into_iter().map(|(_, name)| name).collect();
    names.join(", ")
}

/// A setting that a run uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Its key in `appsettings.json`, or its flag where it has no key.
    pub key: String,
    /// Its value, without secrets.
    pub value: String,
    /// Where that came from: a flag, `environment`, a file with line, `default`; with the secret of a key vault that it
    /// refers to, if it does.
    pub source: String,
}

impl Setting {
    /// Every setting of a command: those with a key, then those that are flags alone.
    #[must_use]
    pub fn all(loaded: &Loaded) -> Vec<Self> {
        let with_key = loaded.origins.iter().map(|Provenance { key, value, origin }| Self {
            key: key.to_string(),
            value: value.clone(),
            source: origin.to_string(),
        });
        let flags = loaded.flags.iter().map(|FlagValue { flag, value, is_given }| Self {
            key: (*flag).to_owned(),
            value: value.clone(),
            source: if *is_given { *flag } else { "default" }.to_owned(),
        });
        with_key.chain(flags).collect()
    }
}

/// What a service's transactions are written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    /// One to three event hubs, each with every transaction.
    EventHubs(Vec<HubTarget>),
    /// One container.
    Container(ContainerTarget),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EventHubs(hubs) => {
                let names: Vec<String> = hubs.iter().map(HubTarget::to_string).collect();
                f.write_str(&names.join(", "))
            }
            Self::Container(container) => container.fmt(f),
        }
    }
}

/// An event hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubTarget {
    /// The host of its namespace, with the port where one was named.
    pub namespace: String,
    pub hub: String,
    /// How many partitions it has, where the service says so.
    pub partitions: Option<u32>,
}

impl From<&ConnectionString> for HubTarget {
    fn from(hub: &ConnectionString) -> Self {
        let port = hub.port.map(|port| format!(":{port}")).unwrap_or_default();
        Self { namespace: format!("{}{port}", hub.host), hub: hub.hub.clone(), partitions: None }
    }
}

impl From<&HubInfo> for HubTarget {
    fn from(info: &HubInfo) -> Self {
        Self { namespace: info.namespace.clone(), hub: info.hub.clone(), partitions: info.partitions }
    }
}

/// `HUB at NAMESPACE`.
impl fmt::Display for HubTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.hub, self.namespace)
    }
}

/// A Cosmos DB container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerTarget {
    pub endpoint: String,
    pub database: String,
    pub container: String,
    /// RU/s provisioned, the maximum of autoscale; `null` when serverless or unknown.
    pub provisioned_request_units_per_second: Option<u32>,
    /// Over how many physical partitions they are spread, where that is known.
    pub physical_partitions: Option<usize>,
    /// Seconds that a document is kept.
    pub ttl_seconds: u32,
}

/// `DATABASE/CONTAINER at ENDPOINT`.
impl fmt::Display for ContainerTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} at {}", self.database, self.container, self.endpoint)
    }
}

/// A run to both services, for tests of what is drawn from a description.
#[cfg(any(test, fuzzing))]
pub(crate) fn sample() -> RunDescription {
    use crate::service::cosmos::{DefaultTtl, Scope};
    use crate::service::event_hubs::Authentication;
    use crate::settings::{EventHubClient, EventHubTransport};

    let throughput = Throughput::Manual { request_units_per_second: 15_000, scope: Scope::Database };
    RunDescription {
        run_id: RunId::sample(),
        shard: Shard::WHOLE,
        data: "data/Untagged_Transactions.csv".into(),
        strict: false,
        run: RunSettings {
            lead: RunSettings::DEFAULT_LEAD,
            duration: Some(RunSettings::DEFAULT_DURATION),
            ttl_seconds: RunSettings::DEFAULT_TTL_SECONDS,
            rate: None,
            limit: None,
            repeat: false,
            max_pending: RunSettings::DEFAULT_MAX_PENDING,
            drain_timeout: RunSettings::DEFAULT_DRAIN_TIMEOUT,
        },
        settings: Vec::new(),
        sources: "flags, defaults".into(),
        event_hubs: Some(EventHubs {
            hubs: vec![HubInfo {
                namespace: "ns.servicebus.windows.net".into(),
                hub: "transactions".into(),
                partitions: Some(10),
                client: EventHubClient::Native,
                transport: EventHubTransport::Tcp,
                tls: true,
                authentication: Authentication::EntraId,
            }],
            connections: NonZeroUsize::MIN,
            max_in_flight: crate::settings::EventHubsSettings::DEFAULT_MAX_IN_FLIGHT,
        }),
        cosmos_db: Some(Container {
            target: ContainerTarget {
                endpoint: "https://account.documents.azure.com/".into(),
                database: "Woodgrove".into(),
                container: "transactions".into(),
                provisioned_request_units_per_second: throughput.provisioned(),
                physical_partitions: Some(2),
                ttl_seconds: RunSettings::DEFAULT_TTL_SECONDS,
            },
            authentication: "account key",
            max_in_flight: crate::settings::CosmosDbSettings::DEFAULT_MAX_IN_FLIGHT,
            found: Some(Provision {
                created_database: true,
                created_container: true,
                throughput,
                physical_partitions: Some(2),
                default_ttl: DefaultTtl::NoDefault,
                transport: None,
                region: None,
                warnings: Vec::new(),
            }),
        }),
        warnings: vec!["EVENT_HUB_1 has no EntityPath".into()],
    }
}
