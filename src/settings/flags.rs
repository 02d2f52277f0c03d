//! The flags of `txgen run` that say what the job is. They override the environment and `appsettings.json`.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use clap::Args;
use url::Url;

use super::{CosmosDbClient, EventHubClient, EventHubTransport, value};

/// What is given on the command line; `None` and `false` leave the word to the environment, the file and the defaults.
///
/// Secrets have no flags: what is in argv can be read by every process of the machine.
#[derive(Args, Clone, Debug, Default)]
pub struct RunFlags {
    /// Write to Cosmos DB only
    #[arg(long, help_heading = "What to write to", conflicts_with = "only_event_hubs")]
    pub only_cosmos: bool,
    /// Write to Event Hubs only
    #[arg(long, help_heading = "What to write to")]
    pub only_event_hubs: bool,

    /// Wait before the first transaction: seconds, or a duration such as 1m [default: 0]
    #[arg(long, value_name = "SECONDS", value_parser = value::seconds, help_heading = "Pace and length", hide_short_help = true)]
    pub seconds_to_lead: Option<Duration>,
    /// Stop requesting after this time: seconds, or a duration such as 10m; 0 goes on until the data ends [default: 600]
    #[arg(long, value_name = "SECONDS", value_parser = value::seconds, help_heading = "Pace and length")]
    pub seconds_to_run: Option<Duration>,
    /// Transactions per second, on an absolute schedule [default: as fast as the faster service]
    #[arg(long, value_name = "N", value_parser = value::rate, help_heading = "Pace and length")]
    pub rate: Option<f64>,
    /// Stop after this many transactions [default: all rows]
    #[arg(long, value_name = "N", value_parser = value::limit, help_heading = "Pace and length")]
    pub limit: Option<NonZeroU64>,
    /// Start again at the first row when the data ends
    #[arg(long = "loop", help_heading = "Pace and length")]
    pub repeat: bool,
    /// Transactions that may be pending (queued or in flight) at one service [default: 100000]
    #[arg(long, value_name = "N", value_parser = value::pending, help_heading = "Pace and length", hide_short_help = true)]
    pub max_pending: Option<NonZeroUsize>,
    /// How long a stopped run waits for what is in flight [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = value::duration, help_heading = "Pace and length", hide_short_help = true)]
    pub drain_timeout: Option<Duration>,
    /// How long one transaction is tried again while a service throttles, fails or is away [default: 120s]
    #[arg(long, value_name = "DURATION", value_parser = value::duration, help_heading = "Pace and length", hide_short_help = true)]
    pub retry_for: Option<Duration>,
    /// The former name of --retry-for
    #[arg(long, value_name = "DURATION", value_parser = value::duration, hide = true, conflicts_with = "retry_for")]
    pub throttle_wait: Option<Duration>,

    /// The account, such as `https://ACCOUNT.documents.azure.com:443/`
    #[arg(long, value_name = "URL", value_parser = value::cosmos_endpoint, help_heading = "Cosmos DB")]
    pub cosmos_endpoint: Option<Url>,
    /// Database, created if it is not there [default: Woodgrove]
    #[arg(long, value_name = "NAME", value_parser = value::resource_name, help_heading = "Cosmos DB")]
    pub database: Option<String>,
    /// Container, created if it is not there [default: transactions]
    #[arg(long, value_name = "NAME", value_parser = value::resource_name, help_heading = "Cosmos DB")]
    pub container: Option<String>,
    /// RU/s of the database, used only when it is created [default: 15000]
    #[arg(long, value_name = "RU/S", value_parser = value::throughput, help_heading = "Cosmos DB")]
    pub throughput: Option<u32>,
    /// How long Cosmos DB keeps each document: seconds, or a duration [default: 60d]
    #[arg(long, value_name = "DURATION", value_parser = value::time_to_live, help_heading = "Cosmos DB")]
    pub ttl: Option<u32>,
    /// Which client sends to Cosmos DB [default: native]
    #[arg(long, value_name = "CLIENT", value_enum, help_heading = "Cosmos DB", hide_short_help = true)]
    pub cosmos_client: Option<CosmosDbClient>,
    /// Regions to write to, the best one first, of those in which the account takes writes [default: the account's order]
    #[arg(long, value_name = "REGION", value_delimiter = ',', value_parser = value::region, help_heading = "Cosmos DB", hide_short_help = true)]
    pub preferred_regions: Vec<String>,
    /// Requests in flight to Cosmos DB at most [default: 128]
    #[arg(long, value_name = "N", value_parser = value::in_flight, help_heading = "Cosmos DB", hide_short_help = true)]
    pub max_in_flight_cosmos: Option<NonZeroUsize>,

    /// Requests in flight to Event Hubs at most, over all connections [default: 1000]
    #[arg(long, value_name = "N", value_parser = value::in_flight, help_heading = "Event Hubs", hide_short_help = true)]
    pub max_in_flight_event_hubs: Option<NonZeroUsize>,
    /// Which client sends [default: native]
    #[arg(long, value_name = "CLIENT", value_enum, help_heading = "Event Hubs", hide_short_help = true)]
    pub event_hub_client: Option<EventHubClient>,
    /// Transport of AMQP [default: tcp]
    #[arg(long, value_name = "TRANSPORT", value_enum, help_heading = "Event Hubs")]
    pub event_hub_transport: Option<EventHubTransport>,
    /// Connections to each event hub, 1 to 8 [default: 2]
    #[arg(long, value_name = "N", value_parser = value::connections, help_heading = "Event Hubs", hide_short_help = true)]
    pub event_hub_connections: Option<NonZeroUsize>,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        flags: RunFlags,
    }

    fn parse(arguments: &[&str]) -> Result<RunFlags, String> {
        let arguments = ["txgen"].iter().chain(arguments);
        Program::try_parse_from(arguments).map(|program| program.flags).map_err(|error| error.to_string())
    }

    #[test]
    fn the_flags_are_consistent() {
        Program::command().debug_assert();
    }

    #[test]
    fn the_forms_that_people_type_are_read() {
        let flags =
            parse(&["--seconds-to-run", "600", "--only-cosmos", "--ttl", "60d", "--rate", "2.5", "--loop"]).unwrap();
        assert_eq!(flags.seconds_to_run, Some(Duration::from_secs(600)));
        assert_eq!((flags.only_cosmos, flags.ttl, flags.rate, flags.repeat), (true, Some(5_184_000), Some(2.5), true));
        let flags = parse(&["--event-hub-client", "sdk", "--event-hub-transport", "websocket"]).unwrap();
        assert_eq!(flags.event_hub_client, Some(EventHubClient::Sdk));
        assert_eq!(flags.event_hub_transport, Some(EventHubTransport::Websocket));
        let flags = parse(&["--event-hub-client", "pipelined"]).unwrap();
        assert_eq!(flags.event_hub_client, Some(EventHubClient::Native), "its former name");
        let flags = parse(&["--cosmos-client", "native", "--preferred-regions", "West Europe,northeurope"]).unwrap();
        assert_eq!(flags.cosmos_client, Some(CosmosDbClient::Native));
        assert_eq!(flags.preferred_regions, ["West Europe", "northeurope"]);
    }

    #[test]
    fn only_cosmos_and_only_event_hubs_exclude_each_other() {
        let error = parse(&["--only-cosmos", "--only-event-hubs"]).unwrap_err();
        assert!(error.contains("'--only-cosmos' cannot be used with '--only-event-hubs'"), "{error}");
    }

    #[test]
    fn a_bad_value_is_answered_with_what_is_allowed() {
        for (flag, wrong, allowed) in [
            ("--seconds-to-run", "ten", "must be seconds from 0 to 31536000, or a duration such as 90s, 10m or 2h"),
            ("--seconds-to-lead", "-5s", "must be seconds from 0 to 31536000, or a duration such as 90s, 10m or 2h"),
            ("--rate", "0", "must be a number of transactions per second from 0.001 to 1000000"),
            ("--limit", "0", "must be a whole number from 1 on"),
            ("--max-pending", "0", "must be a whole number from 1 to 10000000"),
            ("--max-in-flight-cosmos", "1e9", "must be a whole number from 1 to 100000"),
            ("--max-in-flight-event-hubs", "0", "must be a whole number from 1 to 100000"),
            ("--event-hub-connections", "9", "must be a whole number from 1 to 8"),
            ("--throughput", "450", "must be RU/s in hundreds, from 400 on"),
            ("--ttl", "0", "must be whole seconds from 1 to 2147483647, or a duration such as 12h or 60d"),
            ("--drain-timeout", "30", "must be a duration with its unit, such as 500ms, 30s or 5m, and at most 365d"),
            ("--retry-for", "30", "must be a duration with its unit, such as 500ms, 30s or 5m, and at most 365d"),
            ("--throttle-wait", "30", "must be a duration with its unit, such as 500ms, 30s or 5m, and at most 365d"),
            (
                "--database",
                "a/b",
                "must be 1 to 255 characters without `/`, `\\`, `#` and `?`, and not end with a space",
            ),
            ("--cosmos-endpoint", "acct", "must begin with https://, as in https://ACCOUNT.documents.azure.com:443/"),
            ("--cosmos-client", "python", "[possible values: native, sdk]"),
            ("--preferred-regions", "West Europe;", "must be names of regions with commas between them"),
            ("--event-hub-client", "python", "[possible values: native, sdk]"),
        ] {
            let error = parse(&[&format!("{flag}={wrong}")]).unwrap_err();
            assert!(error.contains(allowed), "{flag} {wrong}: {error}");
            assert!(error.contains(&format!("'{wrong}' for '{flag}")), "{flag} {wrong}: {error}");
        }
    }
}
