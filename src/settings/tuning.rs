//! The values that have a flag and no key: what they are, and whether the flag was given.

use super::layers::Origin;
use super::load::show_duration;
use super::{EventHubClient, EventHubTransport, RunFlags, Settings};

/// A value that only a flag sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// The flag.
    pub flag: &'static str,
    /// The value for a human.
    pub value: String,
    /// [`Origin::Flag`] or [`Origin::Default`].
    pub origin: Origin,
}

/// Those that count with these settings, in the order of the flags' help.
#[must_use]
pub fn tunings(flags: &RunFlags, settings: &Settings) -> Vec<Tuning> {
    let tuning = |flag, given: bool, value: String| {
        let origin = if given { Origin::Flag(flag) } else { Origin::Default };
        Tuning { flag, value, origin }
    };
    let run = &settings.run;
    let mut all = vec![
        tuning("--only-event-hubs", flags.only_event_hubs, flags.only_event_hubs.to_string()),
        tuning(
            "--rate",
            flags.rate.is_some(),
            run.rate.map_or("as fast as possible".into(), |rate| format!("{rate}/s")),
        ),
        tuning("--limit", flags.limit.is_some(), run.limit.map_or("all rows".into(), |limit| limit.to_string())),
        tuning("--loop", flags.repeat, run.repeat.to_string()),
        tuning("--max-pending", flags.max_pending.is_some(), run.max_pending.to_string()),
        tuning("--drain-timeout", flags.drain_timeout.is_some(), show_duration(&run.drain_timeout)),
    ];
    if let Some(cosmos_db) = &settings.cosmos_db {
        all.extend([
            tuning("--max-in-flight-cosmos", flags.max_in_flight_cosmos.is_some(), cosmos_db.max_in_flight.to_string()),
            tuning("--throttle-wait", flags.throttle_wait.is_some(), show_duration(&cosmos_db.throttle_wait)),
        ]);
    }
    if let Some(hubs) = &settings.event_hubs {
        let client = match hubs.client {
            EventHubClient::Pipelined => "pipelined",
            EventHubClient::Sdk => "sdk",
        };
        let transport = match hubs.transport {
            EventHubTransport::Tcp => "tcp",
            EventHubTransport::Websocket => "websocket",
        };
        all.extend([
            tuning(
                "--max-in-flight-event-hubs",
                flags.max_in_flight_event_hubs.is_some(),
                hubs.max_in_flight.to_string(),
            ),
            tuning("--event-hub-client", flags.event_hub_client.is_some(), client.into()),
            tuning("--event-hub-transport", flags.event_hub_transport.is_some(), transport.into()),
            tuning("--event-hub-connections", flags.event_hub_connections.is_some(), hubs.connections.to_string()),
        ]);
    }
    all
}
