//! What `txgen emulator` takes.

mod values;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use txgen_azure::event_hubs::connection_string::DEFAULT_HUB;
use txgen_emulator::faults::FaultRule;
pub(super) use values::{SecretArg, hub_name};
use values::{bytes, host};

/// What `txgen emulator` takes.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    txgen emulator                                    both services, for any Azure client\n  \
    txgen emulator --settings-out appsettings.json    and then, in another terminal: txgen run\n  \
    txgen emulator --throughput-units 1               Event Hubs throttles as one unit does\n  \
    txgen emulator --fault 503:1% --fault drop:0.1%   faults on purpose\n  \
    txgen emulator --fault event_hubs:never:100%      an Event Hubs that never answers\n  \
    txgen emulator --data-dir data                    all of it is there again at the next start\n  \
    txgen emulator --secret hub-key=bWFkZSB1cA==      a Key Vault too, with one made-up secret")]
pub(in crate::cli) struct EmulatorArgs {
    /// Listen on this address; one that is not loopback lets other machines in
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = host)]
    pub(super) host: IpAddr,
    /// Most bytes of events, and of documents; more are refused. Such as 2GB [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(super) memory_limit: Option<u64>,
    /// Keep everything in this folder over restarts [default: in memory alone]
    ///
    /// What is acknowledged is there again at the next start with the same folder, even after a crash: event hubs with their
    /// events and committed offsets of Kafka, databases, containers, documents and throughput. One emulator at a time uses
    /// it.
    #[arg(long, value_name = "FOLDER")]
    pub(super) data_dir: Option<PathBuf>,
    /// When a write is acknowledged
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, requires = "data_dir")]
    pub(super) data_sync: Sync,
    /// Inject a fault: [SERVICE:]KIND:HOW OFTEN[:seed=N], such as close:1% or cosmos_db:429:5x
    ///
    /// HOW OFTEN is a share of all events and documents (1%), a number of the first ones (5x), or a place counted from 1
    /// (@500, @500-600, @500+). KIND is one of: close (the connection is closed in order), drop (it is cut),
    /// delay=DURATION, half (the answer breaks off), never (there is no answer), expired-token, gone (the event hub or
    /// container is deleted); at Event Hubs also server-busy, reject (for good), refused-token, detach,
    /// detach-quietly, end-session, no-credit=DURATION; at Cosmos DB also 429, 500, 503, 408. With SERVICE, event_hubs or
    /// cosmos_db, it happens there alone. SIGUSR1 ends all of it.
    #[arg(long, value_name = "FAULT")]
    pub(super) fault: Vec<FaultRule>,
    /// Write an appsettings.json with which `txgen run` writes to the emulators
    #[arg(long, value_name = "FILE")]
    pub(super) settings_out: Option<PathBuf>,
    /// Write the ready line as JSON to this file once the services can be used; it is removed at the end
    #[arg(long, value_name = "FILE")]
    pub(super) ready_file: Option<PathBuf>,
    /// End when standard input closes, for programs that start this one and may be killed
    #[arg(long)]
    pub(super) until_stdin_closes: bool,
    /// Output format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(super) output: OutputFormat,

    /// AMQP port of Event Hubs; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 5672, help_heading = "Event Hubs")]
    pub(super) event_hubs_port: u16,
    /// Listen here too, for clients that expect TLS [default without PORT: 5671]
    ///
    /// Every port of Event Hubs then takes clients with TLS and without, and over WebSockets. May be given several times.
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "5671", help_heading = "Event Hubs")]
    pub(super) event_hubs_tls_port: Vec<u16>,
    /// Speak Kafka, with TLS and without [default without PORT: 9093]
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "9093", help_heading = "Event Hubs")]
    pub(super) kafka_port: Option<u16>,
    /// Read the event hubs from the Config.json of Microsoft's emulator
    #[arg(long, value_name = "FILE", conflicts_with_all = ["hubs", "partitions", "consumer_groups"],
        help_heading = "Event Hubs")]
    pub(super) config: Option<PathBuf>,
    /// Event hubs
    #[arg(long = "hub", value_name = "NAME", num_args = 1.., default_value = DEFAULT_HUB, value_parser = hub_name,
        help_heading = "Event Hubs")]
    pub(super) hubs: Vec<String>,
    /// Partitions of each hub
    #[arg(long, value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PARTITIONS)),
        help_heading = "Event Hubs")]
    pub(super) partitions: u32,
    /// Consumer groups of each hub, beside $Default
    #[arg(long = "consumer-group", value_name = "NAME", num_args = 1.., value_parser = hub_name,
        help_heading = "Event Hubs")]
    pub(super) consumer_groups: Vec<String>,
    /// Limit ingress to this many throughput units: 1 MB and 1,000 events per second each [default: no limit]
    #[arg(long, value_name = "N", help_heading = "Event Hubs")]
    pub(super) throughput_units: Option<NonZeroU32>,
    /// Delay before an event is accepted
    #[arg(long, value_name = "DURATION", default_value = "5ms", value_parser = humantime::parse_duration,
        help_heading = "Event Hubs")]
    pub(super) event_hubs_latency: Duration,
    /// How long events are kept
    #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = humantime::parse_duration,
        help_heading = "Event Hubs")]
    pub(super) retention: Duration,

    /// HTTP port of Cosmos DB; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8081, help_heading = "Cosmos DB")]
    pub(super) cosmos_port: u16,
    /// Delay before a request about documents is answered
    #[arg(long, value_name = "DURATION", default_value = "10ms", value_parser = humantime::parse_duration,
        help_heading = "Cosmos DB")]
    pub(super) cosmos_latency: Duration,
    /// Do not enforce RU/s: no request is answered 429
    #[arg(long, help_heading = "Cosmos DB")]
    pub(super) no_throughput_limit: bool,
    /// Speak HTTPS, with a certificate made at the start; Event Hubs then takes clients with TLS too
    #[arg(long, help_heading = "Cosmos DB")]
    pub(super) https: bool,
    /// Write the certificate of --https, --event-hubs-tls-port, --kafka-port and Key Vault to this file, for clients to trust
    #[arg(long, value_name = "FILE", default_value = "txgen-emulator.pem", help_heading = "Cosmos DB")]
    pub(super) certificate_out: PathBuf,

    /// Serve a Key Vault with this secret: NAME=VALUE, or NAME=@FILE for what is in a file
    ///
    /// For made-up secrets: what is on a command line can be seen by every user of the machine, and the vault shows its
    /// secrets to everybody who reaches its port. A name that is given again is a newer version.
    #[arg(long = "secret", value_name = "NAME=VALUE", num_args = 1.., value_parser = SecretArg::typed,
        help_heading = "Key Vault")]
    pub(super) secrets: Vec<SecretArg>,
    /// HTTPS port of Key Vault [default: a free one, where there are secrets]
    #[arg(long, value_name = "PORT", help_heading = "Key Vault")]
    pub(super) key_vault_port: Option<u16>,
    /// Keep the secrets of --settings-out in the Key Vault, and write references to them
    #[arg(long, requires = "settings_out", help_heading = "Key Vault")]
    pub(super) settings_as_references: bool,
}

/// The most partitions that a hub can have.
/// <https://learn.microsoft.com/azure/event-hubs/compare-tiers#quotas>
pub(super) const MAX_PARTITIONS: u32 = 1024;

/// How things are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    /// Lines to paste from
    #[default]
    Text,
    /// Newline-delimited JSON: `ready`, and `summary` at the end
    Json,
}

/// When a write is acknowledged that `--data-dir` is to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Sync {
    /// Once the disk has it: it survives a power failure
    #[default]
    Disk,
    /// Once the operating system has it: faster, and it survives a crash of the emulator only
    Os,
}
