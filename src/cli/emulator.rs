//! `txgen emulator`: local Event Hubs, Cosmos DB and Key Vault, for txgen and for any Azure client, until Ctrl-C.

mod args;
mod config;
mod options;
mod ready;
mod ready_file;
mod settings_out;
mod summary;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};

use super::signals::{Signals, UserSignal};
use super::standard_output::finished;
use super::{CliError, FAILED, standard_input};
use crate::observers::notice;
use crate::observers::standard_output::{self, Colours};
use crate::settings::Key;
pub(super) use args::EmulatorArgs;
use args::OutputFormat;
use ready::Ready;
use ready_file::ReadyFile;
use settings_out::{Settings, SettingsOut};
use summary::Summary;
use txgen_emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};
use txgen_emulator::data::DataError;
use txgen_emulator::event_hubs::{
    CannotListen, CannotStart, EventHubsEmulator, EventHubsEmulatorOptions, HubCounts, HubOptions,
};
use txgen_emulator::key_vault::{KeyVaultEmulator, KeyVaultEmulatorOptions, LocalSecret};

/// Serves until it is asked to end.
pub(super) async fn execute(args: EmulatorArgs) -> Result<ExitCode, CliError> {
    let mut signals = Signals::new().context("cannot listen for Ctrl-C").map_err(CliError::failed)?;
    let user_signal = UserSignal::new().context("cannot listen for SIGUSR1").map_err(CliError::failed)?;
    args.check().map_err(CliError::usage)?;
    // A file that cannot be written fails before anything is served.
    let settings_out = args.settings_out.clone().map(SettingsOut::new).transpose().map_err(CliError::usage)?;
    let mut ready_file = args.ready_file.clone().map(ReadyFile::new).transpose().map_err(CliError::usage)?;
    let secrets = args.secrets().map_err(CliError::usage)?;
    let hubs = args.config.as_deref().map(config::read).transpose().map_err(CliError::usage)?;
    let emulators = Local::start(&args, hubs, secrets).await?;
    let ready = emulators.ready(&args)?;
    if let Some(file) = &settings_out {
        file.write(&emulators.settings).map_err(CliError::usage)?;
    }
    if let (Some(path), Some(certificate)) = (args.certificate_out(), emulators.event_hubs.certificate()) {
        write_certificate(path, certificate).map_err(CliError::usage)?;
    }
    if !args.host.is_loopback() {
        notice(&format!(
            "Warning: {} is not a loopback address. Whoever reaches this machine can use both services: their keys are \
             the same everywhere.{}",
            args.host,
            if emulators.key_vault.is_some() { " The Key Vault shows its secrets to all of them." } else { "" }
        ));
    }
    let parent = args.until_stdin_closes.then(standard_input::closed).transpose();
    let parent = parent.context("cannot read standard input").map_err(CliError::failed)?;
    let parent = async {
        match parent {
            Some(closed) => closed.await,
            None => std::future::pending().await,
        }
    };
    if let Some(file) = &mut ready_file {
        file.write(&ready.show(OutputFormat::Json)).map_err(CliError::usage)?;
    }
    let printed = print(args.output, &ready.show(args.output));
    if printed.is_ok() {
        tokio::select! {
            () = signals.next() => {}
            () = parent => {}
            never = user_signal.each(|| emulators.end_faults()) => match never {},
        }
    }
    let summary = emulators.summary();
    if args.output == OutputFormat::Text {
        notice("Stopping. Press Ctrl-C again to stop at once.");
    }
    tokio::select! {
        () = emulators.stop() => {}
        () = signals.next() => {}
    }
    let printed = printed.and_then(|()| print(args.output, &summary.show(args.output)));
    // A reader that is gone has read neither the lines to paste nor the totals.
    let is_read = finished(printed)?;
    Ok(if is_read { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// The services, running.
struct Local {
    event_hubs: EventHubsEmulator,
    cosmos_db: CosmosEmulator,
    key_vault: Option<KeyVaultEmulator>,
    /// With which `txgen run` reaches them.
    settings: Settings,
}

impl Local {
    /// `hubs` take the place of those of the flags.
    async fn start(
        args: &EmulatorArgs,
        hubs: Option<Vec<HubOptions>>,
        mut secrets: Vec<LocalSecret>,
    ) -> Result<Self, CliError> {
        let refused = |flag, address: SocketAddr| {
            move |error: io::Error| CliError::usage(anyhow!("{}", cannot_listen(flag, address, &error)))
        };
        let data = |error: DataError| CliError::usage(anyhow!("--data-dir: {error}"));
        let certificate = args.certificate().context("cannot make a certificate").map_err(CliError::failed)?;
        let mut event_hubs = EventHubsEmulatorOptions { certificate: certificate.clone(), ..args.event_hubs() };
        if let Some(further_hubs) = hubs {
            event_hubs = EventHubsEmulatorOptions { hubs: Vec::new(), further_hubs, ..event_hubs };
        }
        let event_hubs = EventHubsEmulator::start(event_hubs).await.map_err(|cannot| match cannot {
            CannotStart::Listen(CannotListen { address, error }) => refused(args.flag_of(address), address)(error),
            CannotStart::Data(error) => data(error),
        })?;
        let view = Some(event_hubs.view());
        let cosmos_db =
            CosmosEmulatorOptions { certificate: certificate.clone(), event_hubs: view, ..args.cosmos_db() };
        let address = cosmos_db.listen;
        let cosmos_db = CosmosEmulator::start(cosmos_db).await.map_err(|error| match error.downcast() {
            Ok(error) => data(error),
            Err(error) => refused("--cosmos-port", address)(error),
        })?;
        let mut settings = settings(&event_hubs, &cosmos_db).ok_or_else(lacks_policy)?;
        if args.settings_as_references {
            secrets.extend(settings.secrets());
        }
        let key_vault = match args.key_vault(secrets) {
            Some(options) => {
                let address = options.listen;
                let started = KeyVaultEmulator::start(KeyVaultEmulatorOptions { certificate, ..options }).await;
                Some(started.map_err(refused("--key-vault-port", address))?)
            }
            None => None,
        };
        if let Some(vault) = key_vault.as_ref().filter(|_| args.settings_as_references) {
            settings = settings.as_references(&vault.endpoint());
        }
        Ok(Self { event_hubs, cosmos_db, key_vault, settings })
    }

    fn ready(&self, args: &EmulatorArgs) -> Result<Ready, CliError> {
        let certificate = args.certificate_out().map(|path| path.display().to_string());
        Ready::new(args, &self.event_hubs, &self.cosmos_db, self.key_vault.as_ref(), certificate)
            .ok_or_else(lacks_policy)
    }

    fn summary(&self) -> Summary {
        Summary::new(&self.event_hubs, &self.cosmos_db, self.key_vault.as_ref())
    }

    fn end_faults(&self) {
        self.event_hubs.end_faults();
        self.cosmos_db.end_faults();
        notice("The trouble is over: no fault strikes any more.");
    }

    async fn stop(&self) {
        let key_vault = async {
            if let Some(vault) = &self.key_vault {
                vault.stop().await;
            }
        };
        tokio::join!(self.event_hubs.stop(), self.cosmos_db.stop(), key_vault);
    }
}

fn lacks_policy() -> CliError {
    CliError::failed(anyhow!("the local Event Hubs lacks a policy that it was started with"))
}

/// The settings for `txgen run`; `None` when a policy is missing.
fn settings(event_hubs: &EventHubsEmulator, cosmos_db: &CosmosEmulator) -> Option<Settings> {
    let hubs = event_hubs.counts().hubs;
    let strings = |policy| {
        let string = |hub: &HubCounts| Some(event_hubs.connection_string(policy, &hub.name)?.secret().to_owned());
        hubs.iter().take(Key::EVENT_HUBS.len()).map(string).collect::<Option<_>>()
    };
    Some(Settings {
        connection_strings: strings("Sender")?,
        listen_connection_strings: strings("Listener")?,
        endpoint: cosmos_db.endpoint().to_string(),
        key: cosmos_db.key().secret().to_owned(),
    })
}

/// Why an address cannot be listened on, and what to do about it.
fn cannot_listen(flag: &str, address: SocketAddr, error: &io::Error) -> String {
    let (host, port) = (address.ip(), address.port());
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{flag}: port {port} of {host} is in use by another program; end that, choose another port, or 0 for a free one"
        ),
        io::ErrorKind::PermissionDenied => {
            format!(
                "{flag}: port {port} of {host} is not this user's to listen on; choose one above 1023, or 0 for a free one"
            )
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("--host: {host} is not an address of this machine; leave it out for 127.0.0.1")
        }
        _ => format!("{flag}: cannot listen on port {port} of {host}: {error}"),
    }
}

fn write_certificate(path: &Path, certificate: &str) -> anyhow::Result<()> {
    std::fs::write(path, certificate).with_context(|| format!("--certificate-out: cannot write `{}`", path.display()))
}

fn print(format: OutputFormat, text: &str) -> io::Result<()> {
    let colours = match format {
        OutputFormat::Json => Colours::Never,
        OutputFormat::Text => Colours::Auto,
    };
    standard_output::write(text, colours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named_with_a_remedy() {
        let error = io::Error::from(io::ErrorKind::AddrInUse);
        assert_eq!(
            cannot_listen("--cosmos-port", ([127, 0, 0, 1], 8081).into(), &error),
            "--cosmos-port: port 8081 of 127.0.0.1 is in use by another program; end that, choose another port, or 0 for \
             a free one"
        );
    }

    #[test]
    fn a_foreign_address_is_blamed_on_the_host() {
        let error = io::Error::from(io::ErrorKind::AddrNotAvailable);
        let text = cannot_listen("--cosmos-port", ([192, 0, 2, 1], 0).into(), &error);
        assert!(text.starts_with("--host: 192.0.2.1 is not an address of this machine"), "{text}");
    }
}
