//! What the summary of a run tells beside its figures: what was sent, how, and where to.

use std::fmt::Display;

use humantime::format_duration;

use super::run::{RunArgs, Services};
use crate::service::ServiceName;
use crate::settings::{DEFAULT_RETRY_FOR, Loaded, RunFlags, Settings};
use crate::shard::Shard;
use crate::stats::{ContainerTarget, DataFile, HubTarget, Setting, Summary, Target};

/// Writes into the summary what only the command knows.
pub(super) struct Facts {
    shard: Option<Shard>,
    settings: Vec<Setting>,
    targets: Vec<(ServiceName, Target)>,
}

impl Facts {
    /// What is known once the services are connected.
    pub(super) fn new(args: &RunArgs, loaded: &Loaded, services: &Services) -> Self {
        let shard = args.sharing.shard();
        Self {
            shard: shard.is_part().then_some(shard),
            settings: settings(&args.flags, Some(args.strict), loaded)
                .into_iter()
                .chain(args.criteria.settings())
                .collect(),
            targets: targets(&loaded.settings, services),
        }
    }

    /// What the run was told to do.
    pub(super) fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The services, and what of them is written to.
    pub(super) fn targets(&self) -> &[(ServiceName, Target)] {
        &self.targets
    }

    /// Adds it to the totals.
    pub(super) fn complete(self, summary: &mut Summary, data: Option<DataFile>) {
        summary.shard = self.shard;
        summary.data = data;
        summary.settings = self.settings;
        for (name, target) in self.targets {
            if let Some(service) = summary.services.get_mut(&name) {
                service.target = Some(target);
            }
        }
    }
}

/// The settings with a key, then those that are flags alone; `strict` is `None` where no data is read.
pub(super) fn settings(flags: &RunFlags, strict: Option<bool>, loaded: &Loaded) -> Vec<Setting> {
    let with_key = loaded.origins.iter().map(|provenance| Setting {
        key: provenance.key.to_string(),
        value: provenance.value.clone(),
        source: provenance.origin.to_string(),
    });
    with_key.chain(without_key(flags, strict, &loaded.settings)).collect()
}

fn without_key(flags: &RunFlags, strict: Option<bool>, settings: &Settings) -> Vec<Setting> {
    let run = &settings.run;
    let mut list = Vec::new();
    let mut tell = |flag: &str, value: &dyn Display, given: bool| {
        let source = if given { flag } else { "default" };
        list.push(Setting { key: flag.to_owned(), value: value.to_string(), source: source.to_owned() });
    };
    tell("--only-event-hubs", &flags.only_event_hubs, flags.only_event_hubs);
    // Those of the whole run, as they were given: a shard's settings hold only its part of them.
    let rate = flags.rate.map_or_else(|| "as fast as the faster service".to_owned(), |rate| rate.to_string());
    tell("--rate", &rate, flags.rate.is_some());
    let limit = flags.limit.map_or_else(|| "all rows".to_owned(), |limit| limit.to_string());
    tell("--limit", &limit, flags.limit.is_some());
    tell("--loop", &run.repeat, flags.repeat);
    if let Some(strict) = strict {
        tell("--strict", &strict, strict);
    }
    tell("--max-pending", &run.max_pending, flags.max_pending.is_some());
    tell("--drain-timeout", &format_duration(run.drain_timeout), flags.drain_timeout.is_some());
    let retry_for = flags.retry_for.or(flags.throttle_wait);
    tell("--retry-for", &format_duration(retry_for.unwrap_or(DEFAULT_RETRY_FOR)), retry_for.is_some());
    if let Some(hubs) = &settings.event_hubs {
        tell("--max-in-flight-event-hubs", &hubs.max_in_flight, flags.max_in_flight_event_hubs.is_some());
        tell("--event-hub-client", &hubs.client, flags.event_hub_client.is_some());
        tell("--event-hub-transport", &hubs.transport, flags.event_hub_transport.is_some());
        tell("--event-hub-connections", &hubs.connections, flags.event_hub_connections.is_some());
    }
    if let Some(cosmos_db) = &settings.cosmos_db {
        tell("--max-in-flight-cosmos", &cosmos_db.max_in_flight, flags.max_in_flight_cosmos.is_some());
    }
    list
}

fn targets(settings: &Settings, services: &Services) -> Vec<(ServiceName, Target)> {
    let event_hubs = services.event_hubs.as_ref().map(|service| {
        let hubs = service.hubs().iter().map(|hub| HubTarget {
            namespace: hub.namespace.clone(),
            hub: hub.hub.clone(),
            partitions: hub.partitions,
        });
        (ServiceName::EventHubs, Target::EventHubs(hubs.collect()))
    });
    let cosmos_db = services.cosmos_db.as_ref().zip(settings.cosmos_db.as_ref()).map(|(service, cosmos_db)| {
        let found = service.provision();
        let container = ContainerTarget {
            endpoint: cosmos_db.endpoint.to_string(),
            database: cosmos_db.database.clone(),
            container: cosmos_db.container.clone(),
            provisioned_request_units_per_second: found.throughput.provisioned(),
            physical_partitions: found.physical_partitions,
            ttl_seconds: settings.run.ttl_seconds,
        };
        (ServiceName::CosmosDb, Target::Container(container))
    });
    event_hubs.into_iter().chain(cosmos_db).collect()
}
