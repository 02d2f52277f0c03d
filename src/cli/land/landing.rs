//! The command, where txgen has Delta tables.

use std::io::Write as _;
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use anyhow::{Context as _, anyhow};
use tokio_util::sync::CancellationToken;
use txgen_lake::{LakeError, Location};

use super::args::{From as FromArg, LandArgs, LandFormat, Start as StartArg};
use super::{lines, words};
use crate::cli::signals::Signals;
use crate::cli::{CliError, INTERRUPTED};
use crate::land::{Ended, LandError, Origin, Plan, Start, Step, Until, land};
use crate::observers::notice;
use crate::service::event_hubs::Followed;
use crate::service::key_vault::KeyVault;
use crate::settings::{self, CosmosDbSettings, Key, Listener, RunFlags, SettingsFile, Sources};

/// The consumer group that event hubs are read as, unless the user names another.
pub(super) const CONSUMER_GROUP: &str = "$Default";

/// Lands, and shows what was landed.
pub(in crate::cli) async fn execute(args: LandArgs) -> Result<ExitCode, CliError> {
    let mut signals = Signals::new().context("cannot listen for Ctrl-C").map_err(CliError::failed)?;
    let interrupted = CancellationToken::new();
    let plan = tokio::select! {
        plan = plan(&args, &interrupted) => plan?,
        () = signals.next() => {
            interrupted.cancel();
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    let until = Until::default();
    let (shown, from) = (args.output, args.from);
    let mut watch = move |what: Step| show(shown, from, &what);
    let landing = land(&plan, &until, &mut watch);
    tokio::pin!(landing);
    let landed = tokio::select! {
        landed = &mut landing => landed,
        () = signals.next() => {
            notice("Stopping: what was read is being committed. Press Ctrl-C again to stop at once.");
            until.stopped.cancel();
            tokio::select! {
                landed = &mut landing => landed,
                () = signals.next() => {
                    notice("Stopped at once: the next landing goes on where the table ends.");
                    return Ok(ExitCode::from(INTERRUPTED));
                }
            }
        }
    };
    let (ended, landed) = landed?;
    print(&match shown {
        LandFormat::Text => words::ended_text(&plan.location, ended, &landed),
        LandFormat::Json => lines::end(&plan.location, ended, &landed),
    });
    Ok(match ended {
        Ended::Stopped if args.until_caught_up => ExitCode::from(INTERRUPTED),
        Ended::Stopped | Ended::CaughtUp => ExitCode::SUCCESS,
    })
}

/// The environment, which says how to enter a storage account.
pub(in crate::cli) fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

async fn plan(args: &LandArgs, cancel: &CancellationToken) -> Result<Plan, CliError> {
    let place = args.to.as_ref().ok_or_else(|| CliError::usage(anyhow!("--to is missing: it names the table")))?;
    let location = Location::parse(place).map_err(|error| CliError::usage(anyhow!("--to: {error}")))?;
    let origin = match args.from {
        FromArg::EventHub => Origin::EventHub(event_hub(args, cancel).await?),
        FromArg::CosmosDb => Origin::Container(Box::new(container(args, cancel).await?)),
    };
    if let Some(column) = &args.partition_by
        && !txgen_lake::Layout::Transactions.columns().iter().any(|known| known.name == column)
    {
        return Err(CliError::usage(anyhow!("--partition-by: the table has no column `{column}`")));
    }
    let (store, rejected) = stores(&location)?;
    Ok(Plan {
        origin,
        partitions: args.partitions.iter().copied().collect(),
        location,
        store,
        rejected,
        partition_by: args.partition_by.clone(),
        start: match args.start {
            StartArg::Earliest => Start::Earliest,
            StartArg::Latest => Start::Latest,
        },
        until_caught_up: args.until_caught_up,
        commit_every: args.commit_every,
        commit_bytes: args.commit_bytes,
        allow_gaps: args.allow_gaps,
        retry_for: args.retry_for,
        lander: lander(),
    })
}

async fn event_hub(args: &LandArgs, cancel: &CancellationToken) -> Result<Followed, CliError> {
    let file = SettingsFile::of_flag(args.settings.clone());
    let read = |sources: &Sources<'_>| Ok((sources.listeners()?, sources.proxies()));
    let (listeners, proxies) =
        settings::read(&file, &KeyVault::new(cancel.clone()), read).await.map_err(CliError::settings)?;
    let Listener { hub, key } = listeners.into_iter().next().ok_or_else(|| {
        CliError::usage(anyhow!(
            "{} is empty: it names the event hub to land, and the connection string of a policy that may only listen will \
             do; without an Azure account, try txgen run --emulator --land lake/",
            Key::EVENT_HUBS[0].name()
        ))
    })?;
    Ok(Followed {
        hub,
        key_name: key.name(),
        transport: args.event_hub_transport,
        proxies,
        consumer_group: args.consumer_group.clone(),
    })
}

async fn container(args: &LandArgs, cancel: &CancellationToken) -> Result<CosmosDbSettings, CliError> {
    let preferred_regions = args.preferred_regions.clone();
    let flags = RunFlags { only_cosmos: true, preferred_regions, ..RunFlags::default() };
    let file = SettingsFile::of_flag(args.settings.clone());
    let read = |sources: &Sources<'_>| sources.load(&flags, None);
    let loaded = settings::read(&file, &KeyVault::new(cancel.clone()), read).await.map_err(CliError::settings)?;
    loaded.settings.cosmos_db.ok_or_else(|| {
        CliError::usage(anyhow!("{} is empty: it names the account to land", Key::CosmosDbEndpoint.name()))
    })
}

/// The stores of a table and of its rejected events.
pub(super) fn stores(location: &Location) -> Result<(txgen_lake::Store, txgen_lake::Store), CliError> {
    let store = |location: &Location| location.store(variables()).map_err(CliError::usage);
    Ok((store(location)?, store(&location.beside("_rejected"))?))
}

/// Who lands: the name in the error of a process whose partitions were taken over.
pub(super) fn lander() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .or_else(|| std::env::var("HOSTNAME").ok());
    let host = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    let host = host.map_or_else(String::new, |host| format!(" on {host}"));
    format!("txgen land, process {}{host}", std::process::id())
}

fn show(format: LandFormat, from: FromArg, what: &Step) {
    match format {
        LandFormat::Text => {
            if let Step::Committed(committed, landed) = what {
                print(&words::commit_text(committed, landed));
            }
        }
        LandFormat::Json => {
            if let Some(line) = lines::step(what) {
                print(&line);
            }
        }
    }
    if let Some(line) = words::step(what, from) {
        notice(&line);
    }
}

fn print(text: &str) {
    let mut stdout = AutoStream::new(std::io::stdout(), ColorChoice::Never);
    // What is not read is no loss: the table has it all.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

impl From<LandError> for CliError {
    fn from(error: LandError) -> Self {
        match error {
            LandError::Connect(error) => Self::not_connected(error),
            LandError::Lake(LakeError::Unfit { .. }) | LandError::NoSuchPartition(..) => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tables_columns_are_those_of_the_record() {
        let names: Vec<&str> = txgen_lake::TRANSACTION.iter().map(|column| column.name).collect();
        let record = crate::transaction::COLUMNS.iter().map(|column| column.name);
        let wanted: Vec<&str> = ["id"].into_iter().chain(record).chain(["ttl", "collectionType"]).collect();
        assert_eq!(names, wanted);
        for (column, of_record) in txgen_lake::TRANSACTION[1..].iter().zip(&crate::transaction::COLUMNS) {
            use crate::transaction::Kind as Record;
            use txgen_lake::Kind;
            let kind = match of_record.kind {
                Record::Text | Record::PartitionKey => Kind::Text,
                Record::Number => Kind::Number,
                Record::Integer => Kind::Integer,
                Record::Boolean => Kind::Boolean,
                Record::DateTime => Kind::Moment,
            };
            assert_eq!(column.kind, kind, "{}", column.name);
        }
    }
}
