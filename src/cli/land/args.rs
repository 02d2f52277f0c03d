//! What `txgen land` takes, whether txgen has Delta tables or not.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::settings::EventHubTransport;

/// What `txgen land` takes.
#[derive(Debug, Args)]
#[command(
    long_about = "Land what an event hub or a container holds in a Delta table, every event exactly once\n\n\
        Reads all partitions of the first event hub of the settings, or the change feed of their container, and appends the \
        events to a Delta table, which is created if it is not there. The table itself holds the position of each partition: \
        landing goes on where the table ends, whatever happened before. Events that are no transactions go to a second table, \
        PLACE_rejected, with the reason.",
    after_help = "Reading takes the Listen right, which the policy of a run does not have as a rule. Put the connection \
        string of a policy that has it into EVENT_HUB_1_LISTEN_CONNECTION_STRING, in the environment or in \
        appsettings.json.\n\n\
        A storage account is entered with what the environment says: AZURE_STORAGE_CONNECTION_STRING, or \
        AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, AZURE_CLIENT_ID, \
        AZURE_CLIENT_SECRET and AZURE_TENANT_ID, or AZURE_FEDERATED_TOKEN_FILE; without any of them with `az login`, or the \
        machine's managed identity. AZURE_STORAGE_ENDPOINT names another endpoint, such as Azurite's.\n\n\
        Examples:\n  \
        txgen land --to lake/transactions                      until Ctrl-C\n  \
        txgen land --to lake/transactions --until-caught-up    what is there now\n  \
        txgen land --to abfss://lake@acme.dfs.core.windows.net/bronze/transactions\n  \
        txgen land --to lake/transactions --partitions 0,1     one of several processes that share a hub\n  \
        txgen land --to lake/documents --from cosmos-db        the container's change feed\n\n\
        Exit codes:\n  \
        0      everything that was asked for is in the table\n  \
        1      events are missing, another process took over, or the table was in trouble for too long\n  \
        2      usage, settings, or a table that is not txgen's\n  \
        3      the event hub or the container could not be reached or refused txgen\n  \
        130    interrupted before it was caught up"
)]
#[cfg_attr(not(feature = "lake"), allow(dead_code, reason = "they are in the help of every txgen"))]
pub(in crate::cli) struct LandArgs {
    /// The table: a folder, abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/FOLDER, or az://CONTAINER/FOLDER
    #[arg(long, value_name = "PLACE")]
    pub(super) to: Option<String>,
    /// Where events come from
    #[arg(long, value_name = "SOURCE", value_enum, default_value_t)]
    pub(super) from: From,
    /// Read the settings from this file [default: ./appsettings.json, if it is there]
    #[arg(long, value_name = "FILE")]
    pub(super) settings: Option<PathBuf>,
    /// The consumer group to read the event hub as; no other reader may use it
    #[arg(long, value_name = "NAME", default_value = "$Default")]
    pub(super) consumer_group: String,
    /// What carries AMQP
    #[arg(long, value_name = "TRANSPORT", value_enum, default_value_t)]
    pub(super) event_hub_transport: EventHubTransport,
    /// Regions to read documents from, the best one first [default: where the account takes writes]
    #[arg(long, value_name = "REGION", value_delimiter = ',', value_parser = crate::settings::region)]
    pub(super) preferred_regions: Vec<String>,
    /// Land these partitions alone: 0,1,2 [default: all]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(super) partitions: Vec<u32>,
    /// Where to begin with a partition of which the table has nothing
    #[arg(long, value_name = "WHERE", value_enum, default_value_t)]
    pub(super) start: Start,
    /// End once everything is landed that is there now
    #[arg(long)]
    pub(super) until_caught_up: bool,
    /// Commit an event at most this long after it came
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    pub(super) commit_every: Duration,
    /// Commit earlier once the new files have this size
    #[arg(long, value_name = "SIZE", default_value = "128MB", value_parser = size)]
    pub(super) commit_bytes: usize,
    /// Keep the files of a new table apart by the values of this column
    #[arg(long, value_name = "COLUMN")]
    pub(super) partition_by: Option<String>,
    /// Go on where the event hub has deleted events that were not landed yet
    #[arg(long)]
    pub(super) allow_gaps: bool,
    /// Go on trying for so long while the table's store is in trouble
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = humantime::parse_duration)]
    pub(super) retry_for: Duration,
    /// How to show what is landed
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(super) output: LandFormat,
}

/// Where events come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum From {
    /// The first event hub of the settings
    #[default]
    EventHub,
    /// The container of the settings: its change feed, the latest version of each document
    CosmosDb,
}

/// Where to begin with a partition of which the table has nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Start {
    /// With the first event that is there
    #[default]
    Earliest,
    /// With the first event that comes
    Latest,
}

/// How landing is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LandFormat {
    /// Lines for people
    #[default]
    Text,
    /// Newline-delimited JSON
    Json,
}

/// Reads `128MB`, `64MiB`, `5000000`.
fn size(text: &str) -> Result<usize, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KIB" => 1 << 10,
        "MIB" => 1 << 20,
        "GIB" => 1 << 30,
        _ => return Err("give a size such as 128MB or 64MiB".to_owned()),
    };
    let number: usize = number.parse().map_err(|_| "give a size such as 128MB or 64MiB".to_owned())?;
    number.checked_mul(factor).filter(|size| *size > 0).ok_or_else(|| "give a size above 0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        let sizes = ["128MB", "64MiB", "5000", "1 kb", "2GB"].map(|text| size(text).unwrap());
        assert_eq!(sizes, [128_000_000, 67_108_864, 5_000, 1_000, 2_000_000_000]);
        for text in ["", "MB", "0", "-1", "1.5MB", "9999999999999999999GB", "1TB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
