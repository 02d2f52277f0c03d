//! What `txgen check` has found: the settings, and what each service says of itself.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::opening::{describe, line, protocol, throughput_json};
use super::style::{BAD, CAUTION, GOOD, NAME};
use super::{counted, single_line};
use crate::description::Setting;
use crate::service::ServiceName;
use crate::service::cosmos::{Found, Throughput};
use crate::service::event_hubs::HubInfo;
use crate::settings::EventHubClient;

/// Everything that a check has found. No secrets get in here.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The values that a run would use.
    pub settings: Vec<Setting>,
    /// What is wrong with the settings, one line each; then nothing was connected to.
    pub problems: Vec<String>,
    /// What is probably not meant so, and what was taken for granted, one line each.
    pub notes: Vec<String>,
    /// Each event hub, in the order of the settings.
    pub event_hubs: Vec<HubFinding>,
    /// Cosmos DB, unless only Event Hubs is written.
    pub cosmos_db: Option<CosmosDbFinding>,
}

/// One event hub.
#[derive(Clone, Debug)]
pub struct HubFinding {
    /// The key of its connection string.
    pub key: &'static str,
    /// What it is like, or why it cannot be written to.
    pub found: Result<HubInfo, String>,
    /// How long looking took.
    pub took: Duration,
}

/// The account, the database and the container.
#[derive(Clone, Debug)]
pub struct CosmosDbFinding {
    /// The account.
    pub endpoint: String,
    /// The database.
    pub database: String,
    /// The container.
    pub container: String,
    /// RU/s that the database gets if a run creates it.
    pub throughput_if_created: u32,
    /// How txgen shows who it is.
    pub authentication: &'static str,
    /// What is there, or why it cannot be written to.
    pub found: Result<Found, String>,
    /// How long looking took.
    pub took: Duration,
}

impl Findings {
    /// Whether a run could begin.
    #[must_use]
    pub fn in_order(&self) -> bool {
        self.problems.is_empty() && self.failed() == 0
    }

    /// Hubs, and Cosmos DB, that cannot be written to.
    #[must_use]
    pub fn failed(&self) -> usize {
        let hubs = self.event_hubs.iter().filter(|hub| hub.found.is_err()).count();
        hubs + usize::from(self.cosmos_db.as_ref().is_some_and(|cosmos_db| cosmos_db.found.is_err()))
    }

    /// Hubs, and Cosmos DB, that were looked at.
    #[must_use]
    pub fn checked(&self) -> usize {
        self.event_hubs.len() + usize::from(self.cosmos_db.is_some())
    }

    /// One line for each thing that is wrong.
    fn all_problems(&self) -> Vec<String> {
        let hubs = self.event_hubs.iter().filter_map(|hub| hub.found.as_ref().err());
        let hubs = hubs.map(|problem| format!("{}: {problem}", ServiceName::EventHubs));
        let cosmos_db = self.cosmos_db.iter().filter_map(|cosmos_db| cosmos_db.found.as_ref().err());
        let cosmos_db = cosmos_db.map(|problem| format!("{}: {problem}", ServiceName::CosmosDb));
        self.problems.iter().cloned().chain(hubs).chain(cosmos_db).collect()
    }

    /// The findings as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text =
            format!("{NAME}txgen {}{NAME:#}: nothing is sent, nothing is created\n\n", env!("CARGO_PKG_VERSION"));
        // Writing to a string cannot fail.
        let _ = self.write_lines(&mut text);
        text
    }

    fn write_lines(&self, text: &mut String) -> std::fmt::Result {
        let width = self.settings.iter().map(|setting| setting.key.len()).max().unwrap_or(0);
        for Setting { key, value, source } in &self.settings {
            writeln!(text, "{NAME}{key:<width$}{NAME:#}  {}  ({})", single_line(value), single_line(source))?;
        }
        writeln!(text)?;
        for hub in &self.event_hubs {
            verdict(text, "Event Hubs", hub.key, hub.found.as_ref().map(|_| ()), hub.took)?;
            if let Ok(info) = &hub.found {
                line(text, "", &hub_place(info))?;
                line(text, "", &hub_access(info))?;
            }
        }
        if let Some(cosmos_db) = &self.cosmos_db {
            cosmos_db.write_lines(text)?;
        }
        for note in &self.notes {
            writeln!(text, "{CAUTION}Note{CAUTION:#}       {}", single_line(note))?;
        }
        if self.in_order() {
            writeln!(text, "\n{GOOD}Everything is in order.{GOOD:#}")?;
        }
        Ok(())
    }

    /// The findings as one line of JSON (`"type": "check"`).
    #[must_use]
    pub fn to_json(&self) -> String {
        let json = json!({
            "type": "check",
            "version": env!("CARGO_PKG_VERSION"),
            "in_order": self.in_order(),
            "problems": self.all_problems(),
            "notes": self.notes,
            "settings": self.settings,
            "event_hubs": self.event_hubs.iter().map(HubFinding::to_json).collect::<Vec<_>>(),
            "cosmos_db": self.cosmos_db.as_ref().map(CosmosDbFinding::to_json),
        });
        format!("{json}\n")
    }
}

/// `Event Hubs EVENT_HUB_1_CONNECTION_STRING: in order (34 ms)`, and below it the reason if it is not.
fn verdict(
    text: &mut String,
    name: &str,
    subject: &str,
    found: Result<(), &String>,
    took: Duration,
) -> std::fmt::Result {
    let milliseconds = took.as_millis();
    match found {
        Ok(()) => writeln!(text, "{NAME}{name:<10}{NAME:#} {subject}: {GOOD}in order{GOOD:#} ({milliseconds} ms)"),
        Err(reason) => {
            writeln!(text, "{NAME}{name:<10}{NAME:#} {subject}: {BAD}not in order{BAD:#} ({milliseconds} ms)")?;
            line(text, "", reason)
        }
    }
}

fn hub_place(info: &HubInfo) -> String {
    let partitions = info.partitions.map(|count| format!(", {}", counted(count.into(), "partition")));
    format!("{info}{}", partitions.unwrap_or_default())
}

fn hub_access(info: &HubInfo) -> String {
    let client = match info.client {
        EventHubClient::Native => "",
        EventHubClient::Sdk => "Azure's client, ",
    };
    format!("{client}{}, may send", protocol(info))
}

impl HubFinding {
    fn to_json(&self) -> Value {
        let info = self.found.as_ref().ok();
        json!({
            "key": self.key,
            "in_order": self.found.is_ok(),
            "problem": self.found.as_ref().err(),
            "namespace": info.map(|info| &info.namespace),
            "hub": info.map(|info| &info.hub),
            "partitions": info.and_then(|info| info.partitions),
            "transport": info.map(|info| info.transport.to_string()),
            "tls": info.map(|info| info.tls),
            "authentication": info.map(|info| info.authentication.to_string()),
            "milliseconds": milliseconds(self.took),
        })
    }
}

impl CosmosDbFinding {
    fn write_lines(&self, text: &mut String) -> std::fmt::Result {
        let place = format!("{}/{} at {}", self.database, self.container, self.endpoint);
        verdict(text, "Cosmos DB", &place, self.found.as_ref().map(|_| ()), self.took)?;
        match &self.found {
            Err(_) => Ok(()),
            Ok(Found::Nothing) => line(
                text,
                "",
                &format!(
                    "the database is not there: a run creates it with {} RU/s, and the container",
                    self.throughput_if_created
                ),
            ),
            Ok(Found::Database(throughput)) => {
                line(text, "", &describe(*throughput))?;
                line(text, "", "the container is not there: a run creates it")
            }
            Ok(Found::Container(found)) => {
                let way = found.way().map(|way| format!("{way}, ")).unwrap_or_default();
                line(text, "", &format!("{way}{}", self.authentication))?;
                line(text, "", &describe(found.throughput))?;
                let partitions = found.physical_partitions.map(|count| {
                    format!(", over {}", counted(u64::try_from(count).unwrap_or(u64::MAX), "physical partition"))
                });
                line(
                    text,
                    "",
                    &format!(
                        "partition key /ipCountryCode{}, time to live {}",
                        partitions.unwrap_or_default(),
                        found.default_ttl
                    ),
                )
            }
        }
    }

    fn to_json(&self) -> Value {
        let found = self.found.as_ref().ok();
        let container = match found {
            Some(Found::Container(provision)) => Some(provision),
            _ => None,
        };
        let throughput = match found {
            Some(Found::Container(provision)) => provision.throughput,
            Some(Found::Database(throughput)) => *throughput,
            Some(Found::Nothing) | None => Throughput::Unknown,
        };
        json!({
            "in_order": self.found.is_ok(),
            "problem": self.found.as_ref().err(),
            "endpoint": self.endpoint,
            "database": self.database,
            "container": self.container,
            "authentication": self.authentication,
            "database_exists": found.map(|found| *found != Found::Nothing),
            "container_exists": found.map(|_| container.is_some()),
            "throughput": throughput_json(throughput),
            "physical_partitions": container.and_then(|provision| provision.physical_partitions),
            "time_to_live": container.map(|provision| provision.default_ttl.to_string()),
            "transport": container.and_then(|provision| provision.way()),
            "milliseconds": milliseconds(self.took),
        })
    }
}

fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}
