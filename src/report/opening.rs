//! What will be done, with what: the first lines of a run.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::number::counted;
use super::single_line;
use super::style::{CAUTION, NAME};
use crate::identity::RunId;
use crate::service::cosmos::Throughput;
use crate::shard::Shard;
use crate::source::input::described;
use crate::stats::cost::Cost;

/// A run as it is announced. No secrets get in here.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The run's id.
    pub run_id: RunId,
    /// Which part of the run this process takes.
    pub shard: Shard,
    /// The data file, as the user named it.
    pub data: String,
    /// Where the settings come from, such as `./appsettings.json, environment, flags`.
    pub settings: String,
    /// The event hubs; empty when only Cosmos DB is written.
    pub event_hubs: Vec<HubOpening>,
    /// Transactions in flight at most at Event Hubs.
    pub max_in_flight_event_hubs: usize,
    /// The container; `None` when only Event Hubs is written.
    pub cosmos_db: Option<CosmosDbOpening>,
    /// The pace and the end, such as `as fast as the faster service takes them, until the data ends`.
    pub plan: String,
    /// What the user should know before it starts.
    pub warnings: Vec<String>,
}

/// One event hub, as it is announced.
#[derive(Clone, Debug)]
pub struct HubOpening {
    /// `HUB at HOST`.
    pub name: String,
    /// How many partitions it has, where it could be read.
    pub partitions: Option<u32>,
    /// How it is reached: client, transport, authentication.
    pub how: String,
}

/// The container, as it is announced.
#[derive(Clone, Debug)]
pub struct CosmosDbOpening {
    /// `DATABASE/CONTAINER at ENDPOINT`.
    pub name: String,
    /// How it is reached: authentication, connection mode, in flight at most.
    pub how: String,
    /// Whether database or container were made just now.
    pub created: Option<&'static str>,
    /// What is provisioned.
    pub throughput: Throughput,
    /// Seconds that a document is kept.
    pub ttl_seconds: u32,
}

/// What a container's throughput costs, where anything is provisioned.
fn cost(throughput: Throughput) -> Option<Cost> {
    match throughput {
        Throughput::Manual { request_units_per_second, .. } => Some(Cost::of_manual(request_units_per_second)),
        Throughput::Autoscale { max_request_units_per_second, .. } => {
            Some(Cost::of_autoscale_at(max_request_units_per_second))
        }
        Throughput::Serverless | Throughput::Unknown => None,
    }
}

/// `throughput 15000 RU/s on the database: about USD 1.20 an hour, 876.00 a month (list price)`.
pub(super) fn describe(throughput: Throughput) -> String {
    let Some(Cost { hourly_usd, monthly_usd }) = cost(throughput) else {
        return format!("throughput {throughput}");
    };
    let when = match throughput {
        Throughput::Autoscale { .. } => "at the maximum",
        _ => "about",
    };
    format!("throughput {throughput}: {when} USD {hourly_usd:.2} an hour, {monthly_usd:.2} a month (list price)")
}

impl Opening {
    /// The announcement as text that ends with an empty line.
    #[must_use]
    pub fn to_text(&self) -> String {
        let part = if self.shard.is_part() { format!(", shard {}", self.shard) } else { String::new() };
        let mut text = format!("{NAME}txgen {}{NAME:#}, run {}{part}\n", env!("CARGO_PKG_VERSION"), self.run_id);
        // Writing to a string cannot fail.
        let _ = self.write_lines(&mut text);
        text.push('\n');
        text
    }

    fn write_lines(&self, text: &mut String) -> std::fmt::Result {
        line(text, "Data", &described(&self.data))?;
        line(text, "Settings", &self.settings)?;
        for hub in &self.event_hubs {
            let partitions = hub.partitions.map(|count| format!(", {count} partitions")).unwrap_or_default();
            line(text, "Event Hubs", &format!("{}{partitions}, {}", hub.name, hub.how))?;
        }
        if !self.event_hubs.is_empty() {
            line(text, "", &format!("at most {} transactions in flight", self.max_in_flight_event_hubs))?;
        }
        if let Some(cosmos_db) = &self.cosmos_db {
            line(text, "Cosmos DB", &format!("{}, {}", cosmos_db.name, cosmos_db.how))?;
            if let Some(created) = cosmos_db.created {
                line(text, "", created)?;
            }
            line(text, "", &describe(cosmos_db.throughput))?;
            line(
                text,
                "",
                &format!("partition key /ipCountryCode, documents kept for {}", ttl(cosmos_db.ttl_seconds)),
            )?;
        }
        line(text, "Plan", &self.plan)?;
        for warning in &self.warnings {
            writeln!(text, "{CAUTION}Note{CAUTION:#}       {}", single_line(warning))?;
        }
        Ok(())
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "type": "start",
            "version": env!("CARGO_PKG_VERSION"),
            "run_id": self.run_id.to_string(),
            "shard": self.shard.is_part().then_some(self.shard),
            "data": self.data,
            "settings": self.settings,
            "event_hubs": self.event_hubs.iter().map(|hub| json!({
                "name": hub.name,
                "partitions": hub.partitions,
                "how": hub.how,
            })).collect::<Vec<_>>(),
            "cosmos_db": self.cosmos_db.as_ref().map(|cosmos_db| json!({
                "name": cosmos_db.name,
                "how": cosmos_db.how,
                "created": cosmos_db.created,
                "throughput": throughput_json(cosmos_db.throughput),
                "ttl_seconds": cosmos_db.ttl_seconds,
            })),
            "plan": self.plan,
            "warnings": self.warnings,
        })
    }
}

/// A time to live in whole days where it is one: `60 days`, as people set it, and not months of some length.
pub(super) fn ttl(seconds: u32) -> String {
    const DAY: u32 = 24 * 60 * 60;
    match seconds {
        seconds if seconds.is_multiple_of(DAY) => counted((seconds / DAY).into(), "day"),
        seconds => humantime::format_duration(Duration::from_secs(seconds.into())).to_string(),
    }
}

pub(super) fn throughput_json(throughput: Throughput) -> Value {
    let (mode, request_units_per_second, scope) = match throughput {
        Throughput::Manual { request_units_per_second, scope } => ("manual", request_units_per_second, scope),
        Throughput::Autoscale { max_request_units_per_second, scope } => {
            ("autoscale", max_request_units_per_second, scope)
        }
        Throughput::Serverless => return json!({ "mode": "serverless" }),
        Throughput::Unknown => return Value::Null,
    };
    let cost = cost(throughput);
    json!({
        "mode": mode,
        "request_units_per_second": request_units_per_second,
        "scope": scope.to_string(),
        "hourly_usd": cost.map(|cost| cents(cost.hourly_usd)),
        "monthly_usd": cost.map(|cost| cents(cost.monthly_usd)),
    })
}

fn cents(usd: f64) -> f64 {
    (usd * 100.0).round() / 100.0
}

pub(super) fn line(text: &mut String, name: &str, value: &str) -> std::fmt::Result {
    writeln!(text, "{NAME}{name:<10}{NAME:#} {}", single_line(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::cosmos::Scope;

    fn opening() -> Opening {
        Opening {
            run_id: "0b5c1f6e-93d2-8a47".parse().unwrap(),
            shard: Shard::WHOLE,
            data: "data/Untagged_Transactions.csv".into(),
            settings: "flags, defaults".into(),
            event_hubs: vec![HubOpening {
                name: "transactions at ns.servicebus.windows.net".into(),
                partitions: Some(10),
                how: "pipelined over 2 connections".into(),
            }],
            max_in_flight_event_hubs: 1000,
            cosmos_db: Some(CosmosDbOpening {
                name: "Woodgrove/transactions at https://account.documents.azure.com/".into(),
                how: "gateway, account key".into(),
                created: Some("database and container created"),
                throughput: Throughput::Manual { request_units_per_second: 15_000, scope: Scope::Database },
                ttl_seconds: 5_184_000,
            }),
            plan: "every row once".into(),
            warnings: vec!["EVENT_HUB_1 has no EntityPath".into()],
        }
    }

    #[test]
    fn the_announcement_says_what_is_provisioned_and_what_it_costs() {
        insta::assert_snapshot!(anstream::adapter::strip_str(&opening().to_text()).to_string(), @r"
        txgen 0.1.0, run 0b5c1f6e-93d2-8a47
        Data       data/Untagged_Transactions.csv
        Settings   flags, defaults
        Event Hubs transactions at ns.servicebus.windows.net, 10 partitions, pipelined over 2 connections
                   at most 1000 transactions in flight
        Cosmos DB  Woodgrove/transactions at https://account.documents.azure.com/, gateway, account key
                   database and container created
                   throughput 15000 RU/s on the database: about USD 1.20 an hour, 876.00 a month (list price)
                   partition key /ipCountryCode, documents kept for 60 days
        Plan       every row once
        Note       EVENT_HUB_1 has no EntityPath
        ");
    }

    #[test]
    fn times_to_live_are_told_in_days_where_they_are_days() {
        assert_eq!([ttl(86_400), ttl(5_184_000), ttl(90)], ["1 day", "60 days", "1m 30s"]);
    }
}
