//! `txgen emulator`: the local services, for a run in another process and for any Azure SDK.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::CliError;
use super::output::tell;
use super::signals::Signals;
use crate::emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};
use crate::emulator::event_hubs::{EventHubsEmulator, EventHubsEmulatorOptions};
use crate::settings::connection_string::DEFAULT_HUB;

/// The policies that the local Event Hubs has, and what each may do.
const POLICIES: [(&str, &str); 3] =
    [("Sender", "send"), ("Listener", "listen"), ("RootManageSharedAccessKey", "everything")];

/// What `txgen emulator` takes.
#[derive(Debug, Args)]
pub(super) struct EmulatorArgs {
    /// Listen on this address
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Port of Event Hubs (AMQP); 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 5672)]
    event_hubs_port: u16,
    /// Port of Cosmos DB (HTTP); 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8081)]
    cosmos_port: u16,
    /// An event hub; may be given several times
    #[arg(long = "hub", value_name = "NAME", default_value = DEFAULT_HUB)]
    hubs: Vec<String>,
    /// Partitions of each event hub
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1024))]
    partitions: u32,
    /// Limit Event Hubs to N MB/s and 1,000 N events/s [default: unlimited]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    throughput_units: Option<u32>,
    /// How long Event Hubs takes to answer a send
    #[arg(long, value_name = "DURATION", default_value = "0ms", value_parser = humantime::parse_duration)]
    event_hubs_latency: Duration,
    /// How long Cosmos DB takes to answer a request about a document
    #[arg(long, value_name = "DURATION", default_value = "0ms", value_parser = humantime::parse_duration)]
    cosmos_latency: Duration,
    /// Never throttle Cosmos DB, whatever throughput is provisioned
    #[arg(long)]
    no_throughput_limit: bool,
    /// Write an appsettings.json with which `txgen run` reaches these services
    #[arg(long, value_name = "FILE")]
    settings_out: Option<PathBuf>,
    /// How to tell what to connect to
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    output: EmulatorOutput,
}

/// How the services are announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum EmulatorOutput {
    /// Lines for people
    #[default]
    Text,
    /// One `ready` object when they are up, one `summary` object at the end
    Json,
}

/// Serves until Ctrl-C.
pub(super) async fn execute(args: EmulatorArgs) -> Result<ExitCode, CliError> {
    let mut signals = Signals::new().context("cannot listen for Ctrl-C").map_err(CliError::failed)?;
    let served = Served::start(&args).await?;
    if !args.host.is_loopback() {
        tell(&format!("warning: {} can be reached from other machines; the keys below protect nothing", args.host));
    }
    if let Some(path) = &args.settings_out {
        write_settings(path, &served).map_err(CliError::usage)?;
    }
    // Whoever closes standard output early can still use the services.
    let _ = print(&match args.output {
        EmulatorOutput::Text => served.text(),
        EmulatorOutput::Json => served.ready().to_string() + "\n",
    });
    signals.next().await;
    let _ = print(&match args.output {
        EmulatorOutput::Text => served.stored() + "\n",
        EmulatorOutput::Json => served.summary().to_string() + "\n",
    });
    served.event_hubs.stop().await;
    served.cosmos_db.stop().await;
    Ok(ExitCode::SUCCESS)
}

fn print(text: &str) -> std::io::Result<()> {
    let mut stdout = anstream::stdout();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Both services, up.
struct Served {
    event_hubs: EventHubsEmulator,
    cosmos_db: CosmosEmulator,
    hubs: Vec<String>,
}

impl Served {
    async fn start(args: &EmulatorArgs) -> Result<Self, CliError> {
        let at = |port| SocketAddr::new(args.host, port);
        let event_hubs = EventHubsEmulator::start(EventHubsEmulatorOptions {
            listen: at(args.event_hubs_port),
            hubs: args.hubs.clone(),
            partitions: args.partitions,
            latency: args.event_hubs_latency,
            throughput_units: args.throughput_units,
            ..EventHubsEmulatorOptions::default()
        })
        .await
        .with_context(|| cannot_listen("Event Hubs", at(args.event_hubs_port), "--event-hubs-port"))
        .map_err(CliError::usage)?;
        let cosmos_db = CosmosEmulator::start(CosmosEmulatorOptions {
            listen: at(args.cosmos_port),
            latency: args.cosmos_latency,
            enforce_throughput: !args.no_throughput_limit,
            ..CosmosEmulatorOptions::default()
        })
        .await
        .with_context(|| cannot_listen("Cosmos DB", at(args.cosmos_port), "--cosmos-port"))
        .map_err(CliError::usage)?;
        Ok(Self { event_hubs, cosmos_db, hubs: args.hubs.clone() })
    }

    /// The connection string of a policy for a hub, which both exist.
    fn connection_string(&self, policy: &str, hub: &str) -> String {
        self.event_hubs.connection_string(policy, hub).map_or_else(String::new, |string| string.secret().to_owned())
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for hub in &self.hubs {
            text.push_str(&format!("Event hub `{hub}`\n"));
            for (policy, rights) in POLICIES {
                text.push_str(&format!("  {policy} ({rights})\n    {}\n", self.connection_string(policy, hub)));
            }
        }
        text.push_str(&format!("Cosmos DB\n  endpoint {}\n", self.cosmos_db.endpoint()));
        text.push_str(&format!("  key      {}\n", self.cosmos_db.key().secret()));
        text.push_str("These keys are local and protect nothing. Ctrl-C ends the services and forgets their data.\n");
        text
    }

    fn ready(&self) -> Value {
        let hub = self.hubs.first().map_or(DEFAULT_HUB, String::as_str);
        let strings: serde_json::Map<String, Value> = POLICIES
            .into_iter()
            .map(|(policy, _)| (policy.to_owned(), self.connection_string(policy, hub).into()))
            .collect();
        json!({
            "type": "ready",
            "event_hubs": {
                "port": self.event_hubs.local_addr().port(),
                "hubs": self.hubs,
                "connection_strings": strings,
            },
            "cosmos_db": { "endpoint": self.cosmos_db.endpoint().as_str(), "key": self.cosmos_db.key().secret() },
        })
    }

    fn stored(&self) -> String {
        let (event_hubs, cosmos_db) = (self.event_hubs.counts(), self.cosmos_db.counts());
        format!(
            "{} events and {} documents were held; {} attempts were throttled.",
            event_hubs.events(),
            cosmos_db.documents,
            cosmos_db.throttled + event_hubs.hubs.iter().map(|hub| hub.throttled).sum::<u64>(),
        )
    }

    fn summary(&self) -> Value {
        let (event_hubs, cosmos_db) = (self.event_hubs.counts(), self.cosmos_db.counts());
        let hubs: serde_json::Map<String, Value> = event_hubs
            .hubs
            .iter()
            .map(|hub| {
                let counts = json!({ "events": hub.events(), "rejected": hub.rejected, "throttled": hub.throttled });
                (hub.name.clone(), counts)
            })
            .collect();
        json!({
            "type": "summary",
            "event_hubs": { "connections": event_hubs.connections, "hubs": hubs },
            "cosmos_db": {
                "documents": cosmos_db.documents,
                "bytes": cosmos_db.bytes,
                "created": cosmos_db.created,
                "throttled": cosmos_db.throttled,
                "requests": cosmos_db.requests,
            },
        })
    }
}

fn cannot_listen(service: &str, address: SocketAddr, flag: &str) -> String {
    format!("{service} cannot listen on {address}; is the port in use? {flag} takes another one, 0 any free one")
}

/// Writes a settings file that only its owner can read, since connection strings belong there.
fn write_settings(path: &Path, served: &Served) -> anyhow::Result<()> {
    let hub = served.hubs.first().map_or(DEFAULT_HUB, String::as_str);
    let settings = json!({
        "EVENT_HUB_1_CONNECTION_STRING": served.connection_string("Sender", hub),
        "COSMOS_DB_ENDPOINT": served.cosmos_db.endpoint().as_str(),
        "COSMOS_DB_AUTH_KEY": served.cosmos_db.key().secret(),
    });
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let text = serde_json::to_string_pretty(&settings)? + "\n";
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("--settings-out: cannot write `{}`", path.display()))
}
