//! What will be done, with what: the first lines of a run.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::number::thousandths;
use super::style::{CAUTION, NAME};
use super::{counted, single_line};
use crate::description::{Container, EventHubs, RunDescription};
use crate::service::cosmos::{Provision, Throughput};
use crate::service::event_hubs::HubInfo;
use crate::settings::{EventHubClient, EventHubTransport};
use crate::source::input::described;
use crate::stats::cost::Cost;

/// The announcement as text that ends with an empty line.
#[must_use]
pub fn text(description: &RunDescription) -> String {
    let part = description.part().map(|shard| format!(", shard {shard}")).unwrap_or_default();
    let mut text = format!("{NAME}txgen {}{NAME:#}, run {}{part}\n", env!("CARGO_PKG_VERSION"), description.run_id);
    // Writing to a string cannot fail.
    let _ = write_lines(&mut text, description);
    text.push('\n');
    text
}

fn write_lines(text: &mut String, description: &RunDescription) -> std::fmt::Result {
    write_data(text, description)?;
    if let Some(event_hubs) = &description.event_hubs {
        for hub in &event_hubs.hubs {
            let partitions = hub.partitions.map(|count| format!(", {count} partitions")).unwrap_or_default();
            line(text, "Event Hubs", &format!("{hub}{partitions}, {}", access(event_hubs, hub)))?;
        }
        line(text, "", &format!("at most {} transactions in flight", event_hubs.max_in_flight))?;
    }
    if let Some(cosmos_db) = &description.cosmos_db {
        line(text, "Cosmos DB", &format!("{}, {}", cosmos_db.target, container_access(cosmos_db)))?;
        if let Some(created) = cosmos_db.created() {
            line(text, "", created)?;
        }
        line(text, "", &describe(cosmos_db.throughput()))?;
        let kept = ttl(cosmos_db.target.ttl_seconds);
        line(text, "", &format!("partition key /ipCountryCode, documents kept for {kept}"))?;
    }
    write_plan(text, description)
}

/// The data, and where the settings come from.
pub(super) fn write_data(text: &mut String, description: &RunDescription) -> std::fmt::Result {
    line(text, "Data", &described(&description.data))?;
    line(text, "Settings", &description.sources)
}

/// Pace and end, and what the user should know.
pub(super) fn write_plan(text: &mut String, description: &RunDescription) -> std::fmt::Result {
    line(text, "Plan", &plan(description))?;
    for warning in &description.warnings {
        writeln!(text, "{CAUTION}Note{CAUTION:#}       {}", single_line(warning))?;
    }
    Ok(())
}

/// The announcement as JSON.
pub(super) fn to_json(description: &RunDescription) -> Value {
    let hubs = description.event_hubs.iter().flat_map(|event_hubs| {
        event_hubs.hubs.iter().map(move |hub| {
            json!({
                "name": hub.to_string(),
                "partitions": hub.partitions,
                "how": access(event_hubs, hub),
            })
        })
    });
    json!({
        "type": "start",
        "version": env!("CARGO_PKG_VERSION"),
        "run_id": description.run_id.to_string(),
        "shard": description.part(),
        "data": description.data,
        "settings": description.sources,
        "event_hubs": hubs.collect::<Vec<_>>(),
        "cosmos_db": description.cosmos_db.as_ref().map(|cosmos_db| json!({
            "name": cosmos_db.target.to_string(),
            "how": container_access(cosmos_db),
            "created": cosmos_db.created(),
            "throughput": throughput_json(cosmos_db.throughput()),
            "ttl_seconds": cosmos_db.target.ttl_seconds,
        })),
        "plan": plan(description),
        "warnings": description.warnings,
    })
}

/// How a hub is reached: client, transport, authentication.
fn access(event_hubs: &EventHubs, hub: &HubInfo) -> String {
    let client = match hub.client {
        EventHubClient::Native => {
            format!("native over {}", counted(event_hubs.connections.get() as u64, "connection"))
        }
        EventHubClient::Sdk => "Azure's client".to_owned(),
    };
    format!("{client}, {}", protocol(hub))
}

/// `AMQP with TLS, shared access key of policy Sender`.
pub(super) fn protocol(hub: &HubInfo) -> String {
    let transport = match hub.transport {
        EventHubTransport::Tcp => "AMQP",
        EventHubTransport::Websocket => "AMQP over WebSockets",
    };
    let tls = if hub.tls { "with TLS" } else { "without TLS" };
    format!("{transport} {tls}, {}", hub.authentication)
}

/// How a container is reached: client, transport, authentication, in flight at most.
fn container_access(cosmos_db: &Container) -> String {
    let way = cosmos_db.found.as_ref().and_then(Provision::way);
    let way = way.map(|way| format!("{way}, ")).unwrap_or_default();
    format!("{way}{}, at most {} in flight", cosmos_db.authentication, cosmos_db.max_in_flight)
}

/// The pace and the end, such as `every row once, as fast as the faster service takes them, for 10m at most`.
pub(super) fn plan(description: &RunDescription) -> String {
    let run = &description.run;
    let row = |turn: u64| u64::from(description.shard.index()) + 1 + turn * u64::from(description.shard.count());
    let part = description.part().map(|shard| format!("shard {shard}, rows {}, {}, {}, …: ", row(0), row(1), row(2)));
    let every_row = if part.is_some() { "each" } else { "every row" };
    let what = match run.limit {
        Some(limit) => counted(limit, "transaction") + " at most",
        None if run.repeat => format!("{every_row}, again and again"),
        None => format!("{every_row} once"),
    };
    let pace = match (run.rate, description.services().count()) {
        // A shard's part of a rate may have no end.
        (Some(rate), _) => format!("{} per second", thousandths(rate)),
        (None, 2) => "as fast as the faster service takes them".to_owned(),
        (None, _) => "as fast as the service takes them".to_owned(),
    };
    let mut plan = format!("{}{what}, {pace}", part.unwrap_or_default());
    if !run.lead.is_zero() {
        plan.push_str(&format!(", starting in {}", humantime::format_duration(run.lead)));
    }
    if let Some(duration) = run.duration {
        plan.push_str(&format!(", for {} at most", humantime::format_duration(duration)));
    }
    plan
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
    use crate::description::sample;

    #[test]
    fn the_announcement_says_what_is_provisioned_and_what_it_costs() {
        insta::assert_snapshot!(anstream::adapter::strip_str(&text(&sample())).to_string(), @r"
        txgen 0.1.0, run 0b5c1f6e-93d2-8a47
        Data       data/Untagged_Transactions.csv
        Settings   flags, defaults
        Event Hubs transactions at ns.servicebus.windows.net, 10 partitions, native over 1 connection, AMQP with TLS, Microsoft Entra ID
                   at most 1000 transactions in flight
        Cosmos DB  Woodgrove/transactions at https://account.documents.azure.com/, account key, at most 128 in flight
                   database and container created
                   throughput 15000 RU/s on the database: about USD 1.20 an hour, 876.00 a month (list price)
                   partition key /ipCountryCode, documents kept for 60 days
        Plan       every row once, as fast as the faster service takes them, for 10m at most
        Note       EVENT_HUB_1 has no EntityPath
        ");
    }

    #[test]
    fn times_to_live_are_shown_in_days_where_they_are_days() {
        assert_eq!([ttl(86_400), ttl(5_184_000), ttl(90)], ["1 day", "60 days", "1m 30s"]);
    }
}
