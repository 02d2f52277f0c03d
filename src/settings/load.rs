//! From the layers to the settings: what each service needs, and the checks that concern several keys. All that is
//! wrong is reported at once.

use std::time::Duration;

use url::Url;

use super::layers::{FlagValue, Layers, Preset, Provenance};
use super::secrets::Incomplete;
use super::sources::Sources;
use super::value::{self, Checked};
use super::{
    ConnectionString, CosmosDbClient, CosmosDbSettings, DEFAULT_RETRY_FOR, EventHubClient, EventHubTransport,
    EventHubsSettings, Key, Proxies, Proxy, RunFlags, RunSettings, Settings,
};
use txgen_azure::event_hubs::connection_string::{DEFAULT_HUB, HubCredential};

/// Settings that are good to run with.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What is probably not meant so, one line each.
    pub warnings: Vec<String>,
    /// What txgen took for granted, one line each.
    pub notes: Vec<String>,
    /// Every key that the run uses, in the order in which they are documented.
    pub origins: Vec<Provenance>,
    /// Every flag without a key, in the order in which they are documented.
    pub flags: Vec<FlagValue>,
}

impl Loaded {
    /// Notes a flag that is none of a service's, such as `--strict`.
    pub fn note_flag(&mut self, flag: &'static str, value: impl ToString, is_given: bool) {
        self.flags.push(FlagValue { flag, value: value.to_string(), is_given });
        in_documented_order(&mut self.flags);
    }
}

/// Flags without a key, in the order in which they are documented.
const FLAGS: [&str; 15] = [
    "--only-event-hubs",
    "--rate",
    "--limit",
    "--loop",
    "--strict",
    "--max-pending",
    "--drain-timeout",
    "--retry-for",
    "--max-in-flight-event-hubs",
    "--event-hub-client",
    "--event-hub-transport",
    "--event-hub-connections",
    "--max-in-flight-cosmos",
    "--fail-on",
    "--max-failures",
];

fn in_documented_order(flags: &mut [FlagValue]) {
    flags.sort_by_key(|value| FLAGS.iter().position(|flag| *flag == value.flag));
}

/// All that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.join("\n"))]
pub struct SettingsError {
    /// One line each: the key, where its value came from, the value unless it is secret, what is allowed.
    pub problems: Vec<String>,
    /// Whether it is a key vault that could not be reached or refused txgen.
    pub is_refused: bool,
}

impl SettingsError {
    pub(super) fn new(problems: Vec<String>) -> Self {
        Self { problems, is_refused: false }
    }
}

impl Sources<'_> {
    /// Layers flags, environment, file and defaults, and checks the whole. A `preset` stands in for the keys of the
    /// services, whatever the environment and the file say of those.
    ///
    /// # Errors
    /// Everything that is wrong or missing, or else the secrets that have to be read first.
    pub fn load(&self, flags: &RunFlags, preset: Option<&Preset>) -> Result<Loaded, Incomplete> {
        let mut layers = Layers::new(self, preset);
        let settings = layers.settings(flags);
        if let Some(mut incomplete) = layers.incomplete() {
            if let Incomplete::Wrong(error) = &mut incomplete {
                // What is missing may be there under a mistyped key.
                error.problems.extend(layers.warnings);
            }
            return Err(incomplete);
        }
        let Layers { warnings, notes, mut origins, mut flags, .. } = layers;
        origins.sort_by_key(|provenance| provenance.key);
        in_documented_order(&mut flags);
        for Provenance { key, value, origin } in &origins {
            tracing::debug!(%key, value, source = %origin, "a setting");
        }
        Ok(Loaded { settings, warnings, notes, origins, flags })
    }
}

impl Layers<'_> {
    fn settings(&mut self, flags: &RunFlags) -> Settings {
        self.flag("--only-event-hubs", flags.only_event_hubs.then_some(true), false, bool::to_string);
        let retry_for =
            self.flag("--retry-for", flags.retry_for.or(flags.throttle_wait), DEFAULT_RETRY_FOR, show_as_typed);
        let only_cosmos = self.only_cosmos(flags);
        let wants_cosmos = !flags.only_event_hubs;
        self.tell_skipped(only_cosmos && !flags.only_cosmos);
        self.tell_missing(!only_cosmos, wants_cosmos && flags.cosmos_endpoint.is_none(), wants_cosmos);
        Settings {
            event_hubs: if only_cosmos { None } else { self.event_hubs(flags, retry_for) },
            cosmos_db: if wants_cosmos { self.cosmos_db(flags, retry_for) } else { None },
            run: self.run(flags),
        }
    }

    fn only_cosmos(&mut self, flags: &RunFlags) -> bool {
        if flags.only_event_hubs {
            return false;
        }
        let flag = flags.only_cosmos.then_some(true);
        self.or_default(Key::OnlyWriteToCosmosDb, flag, value::boolean, bool::to_string, false)
    }

    /// Event hubs that are set and not written to, where no flag says so.
    fn tell_skipped(&mut self, only_cosmos: bool) {
        let hub = Key::EVENT_HUBS.into_iter().find(|key| self.text(*key).is_some()).filter(|_| only_cosmos);
        let origin = self.text(Key::OnlyWriteToCosmosDb).map(|(_, origin)| origin.to_string());
        if let Some((hub, origin)) = hub.zip(origin) {
            self.notes.push(format!(
                "{hub} is set, but nothing is written to it: {} is true ({origin})",
                Key::OnlyWriteToCosmosDb
            ));
        }
    }

    /// Tells which keys have to be filled in, and what would do without them.
    fn tell_missing(&mut self, needs_hub: bool, needs_endpoint: bool, writes_cosmos: bool) {
        let is_set = |key| self.text(key).is_some();
        let (hub_key, endpoint_key) = (Key::EventHub1ConnectionString, Key::CosmosDbEndpoint);
        let hub_is_missing = needs_hub && !is_set(hub_key);
        let endpoint_is_missing = needs_endpoint && !is_set(endpoint_key);
        let other_hub = Key::EVENT_HUBS.into_iter().find(|key| is_set(*key));
        let path = self.sources.file.path.display();
        let place = if self.sources.file.found {
            format!("is neither in {path} nor in the environment")
        } else {
            format!("is not in the environment, and there is no {path}")
        };
        let try_emulator = "try txgen without an Azure account with --emulator";
        let problem = match (hub_is_missing, endpoint_is_missing) {
            (false, false) => return,
            (true, true) if other_hub.is_none() => format!(
                "nothing to write to: {hub_key} {place}, nor are {endpoint_key} and {}; fill them in \
                 (appsettings.example.json shows how), leave one service out with --only-cosmos or \
                 --only-event-hubs, or {try_emulator}",
                Key::CosmosDbAuthKey,
            ),
            (true, _) => match other_hub {
                Some(other) => {
                    format!("{hub_key} {place}, but {other} is set: the first event hub goes into {hub_key}")
                }
                None if writes_cosmos => {
                    format!("{hub_key} {place}; fill it in, leave Event Hubs out with --only-cosmos, or {try_emulator}")
                }
                None => format!("{hub_key} {place}; fill it in, or {try_emulator}"),
            },
            (false, true) if needs_hub => format!(
                "{endpoint_key} {place}; fill it in, leave Cosmos DB out with --only-event-hubs, or {try_emulator}"
            ),
            (false, true) => format!("{endpoint_key} {place}; fill it in, or {try_emulator}"),
        };
        self.problems.push(problem);
    }

    fn event_hubs(&mut self, flags: &RunFlags, retry_for: Duration) -> Option<EventHubsSettings> {
        let client =
            self.flag("--event-hub-client", flags.event_hub_client, EventHubClient::default(), ToString::to_string);
        let transport = self.flag(
            "--event-hub-transport",
            flags.event_hub_transport,
            EventHubTransport::default(),
            ToString::to_string,
        );
        let connections = self.flag(
            "--event-hub-connections",
            flags.event_hub_connections,
            EventHubsSettings::DEFAULT_CONNECTIONS,
            ToString::to_string,
        );
        let max_in_flight = self.flag(
            "--max-in-flight-event-hubs",
            flags.max_in_flight_event_hubs,
            EventHubsSettings::DEFAULT_MAX_IN_FLIGHT,
            ToString::to_string,
        );
        if client == EventHubClient::Sdk && transport == EventHubTransport::Websocket {
            self.problems.push(
                "--event-hub-transport websocket: needs --event-hub-client native, for Azure's client speaks TCP alone"
                    .to_owned(),
            );
        }
        let mut hubs: Vec<(Key, ConnectionString)> = Vec::new();
        for key in Key::EVENT_HUBS {
            if let Some(hub) = self.set(key, None, connection_string, ConnectionString::to_string) {
                self.examine_hub(key, &hub, client, &hubs);
                hubs.push((key, hub));
            }
        }
        let proxies = self.proxies();
        for (key, hub) in &hubs {
            self.tell_way(*key, hub, client, transport, &proxies);
        }
        (!hubs.is_empty()).then(|| EventHubsSettings {
            hubs: hubs.into_iter().map(|(_, hub)| hub).collect(),
            client,
            transport,
            connections,
            max_in_flight,
            retry_for,
            proxies,
        })
    }

    /// Those of the environment, but for services that this process brings up itself.
    fn proxies(&self) -> Proxies {
        if self.preset.is_some() { Proxies::default() } else { Proxies::of(self.sources.env) }
    }

    /// Which proxy an event hub is reached through, or that none is where one is set.
    fn tell_way(
        &mut self,
        key: Key,
        hub: &ConnectionString,
        client: EventHubClient,
        transport: EventHubTransport,
        proxies: &Proxies,
    ) {
        let proxy = proxies.to_hub(hub);
        if transport == EventHubTransport::Websocket {
            self.tell_proxy(key, proxy);
        } else if let (Ok(Some(proxy)), false) = (proxy, hub.is_on_this_machine()) {
            let also = match client {
                EventHubClient::Native => "",
                EventHubClient::Sdk => "--event-hub-client native with ",
            };
            self.notes.push(format!(
                "{key}: AMQP over TCP goes to port {} directly, and not through the proxy {proxy}; {also}\
                 --event-hub-transport websocket goes through it",
                hub.port.unwrap_or(5671)
            ));
        }
    }

    fn tell_proxy(&mut self, key: Key, proxy: Result<Option<Proxy>, String>) {
        match proxy {
            Ok(Some(proxy)) => self.notes.push(format!("{key} is reached through the proxy {proxy}")),
            Ok(None) => {}
            Err(problem) => self.problems.push(problem),
        }
    }

    fn examine_hub(
        &mut self,
        key: Key,
        hub: &ConnectionString,
        client: EventHubClient,
        others: &[(Key, ConnectionString)],
    ) {
        if hub.hub_is_default {
            self.notes.push(format!("{key} has no EntityPath: the event hub is `{DEFAULT_HUB}`"));
        }
        if hub.is_on_this_machine() && !hub.development_emulator {
            self.warnings.push(format!(
                "{key} leads to this machine, with TLS: a local emulator speaks without, for which the connection string \
                 needs UseDevelopmentEmulator=true"
            ));
        }
        if hub.port == Some(9093) {
            self.warnings
                .push(format!("{key} names port 9093, where the service speaks Kafka and not AMQP; leave it out"));
        }
        if let HubCredential::SharedAccessKey { key: secret, .. } = &hub.credential
            && !hub.is_on_this_machine()
            && value::is_part_of_key(secret.secret())
        {
            self.warnings.push(format!(
                "{key}: SharedAccessKey has {} characters, where those that Azure makes have 44 and end with =; is its end \
                 missing?",
                secret.secret().len()
            ));
        }
        match hub.credential {
            HubCredential::EntraId if hub.development_emulator => {}
            HubCredential::EntraId => self.notes.push(format!("{key} has no key: Microsoft Entra ID is used")),
            _ if client == EventHubClient::Sdk && !hub.development_emulator => self.problems.push(format!(
                "--event-hub-client sdk: needs Microsoft Entra ID, but {key} has a key; take that out (Endpoint and \
                 EntityPath alone), or use --event-hub-client native"
            )),
            HubCredential::SharedAccessKey { .. } => {}
            HubCredential::SharedAccessSignature(_) => self
                .notes
                .push(format!("{key} has a signature in the place of a key: txgen cannot renew it when it expires")),
        }
        if let Some((other, _)) = others.iter().find(|(_, other)| other.resource() == hub.resource()) {
            self.warnings.push(format!("{key} is the same event hub as {other}: it gets every transaction again"));
        }
    }

    fn cosmos_db(&mut self, flags: &RunFlags, retry_for: Duration) -> Option<CosmosDbSettings> {
        if self.preset.is_some() && flags.cosmos_endpoint.is_some() {
            self.problems.push("--cosmos-endpoint: has no place beside --emulator".to_owned());
        }
        let endpoint =
            self.set(Key::CosmosDbEndpoint, flags.cosmos_endpoint.clone(), value::cosmos_endpoint, Url::to_string);
        if endpoint.is_some() && self.text(Key::CosmosDbAuthKey).is_none() {
            self.notes.push(format!("{} is not set: Microsoft Entra ID is used", Key::CosmosDbAuthKey));
        }
        if endpoint.as_ref().is_some_and(|url| url.scheme() == "https" && value::is_loopback(url)) {
            self.notes.push(format!(
                "{} is on this machine: its certificate is not verified, as emulators sign their own",
                Key::CosmosDbEndpoint
            ));
        }
        let settings = CosmosDbSettings {
            auth_key: self.set(Key::CosmosDbAuthKey, None, value::auth_key, |_| "(hidden)".to_owned()),
            database: self.or_default(
                Key::CosmosDbDatabase,
                flags.database.clone(),
                value::resource_name,
                String::clone,
                CosmosDbSettings::DEFAULT_DATABASE.to_owned(),
            ),
            container: self.or_default(
                Key::CosmosDbContainer,
                flags.container.clone(),
                value::resource_name,
                String::clone,
                CosmosDbSettings::DEFAULT_CONTAINER.to_owned(),
            ),
            throughput: self.or_default(
                Key::CosmosDbThroughput,
                flags.throughput,
                value::throughput,
                |throughput| format!("{throughput} RU/s"),
                CosmosDbSettings::DEFAULT_THROUGHPUT,
            ),
            client: self.flag("--cosmos-client", flags.cosmos_client, CosmosDbClient::default(), ToString::to_string),
            preferred_regions: self.flag(
                "--preferred-regions",
                (!flags.preferred_regions.is_empty()).then(|| flags.preferred_regions.clone()),
                Vec::new(),
                |regions| if regions.is_empty() { "the account's order".to_owned() } else { regions.join(", ") },
            ),
            max_in_flight: self.flag(
                "--max-in-flight-cosmos",
                flags.max_in_flight_cosmos,
                CosmosDbSettings::DEFAULT_MAX_IN_FLIGHT,
                ToString::to_string,
            ),
            retry_for,
            proxies: self.proxies(),
            endpoint: endpoint?,
        };
        self.tell_proxy(Key::CosmosDbEndpoint, settings.proxies.to(&settings.endpoint));
        Some(settings)
    }

    fn run(&mut self, flags: &RunFlags) -> RunSettings {
        if flags.throttle_wait.is_some() {
            let warning = "--throttle-wait is --retry-for now, which rules both services; this release is the last to take the \
                           former name";
            self.warnings.push(warning.to_owned());
        }
        let lead = self.or_default(
            Key::SecondsToLead,
            flags.seconds_to_lead,
            value::seconds,
            show_duration,
            RunSettings::DEFAULT_LEAD,
        );
        let duration = self.or_default(
            Key::SecondsToRun,
            flags.seconds_to_run,
            value::seconds,
            |duration| if duration.is_zero() { "until the data ends".to_owned() } else { show_duration(duration) },
            RunSettings::DEFAULT_DURATION,
        );
        let ttl_seconds = self.or_default(
            Key::TimeToLiveSeconds,
            flags.ttl,
            value::time_to_live,
            |seconds| show_duration(&Duration::from_secs(u64::from(*seconds))),
            RunSettings::DEFAULT_TTL_SECONDS,
        );
        RunSettings {
            lead,
            duration: (!duration.is_zero()).then_some(duration),
            ttl_seconds,
            rate: self.flag("--rate", flags.rate.map(Some), None, |rate| {
                rate.map_or_else(|| "as fast as the faster service".to_owned(), |rate| rate.to_string())
            }),
            limit: self.flag("--limit", flags.limit.map(|limit| Some(limit.into())), None, |limit: &Option<u64>| {
                limit.map_or_else(|| "all rows".to_owned(), |limit| limit.to_string())
            }),
            repeat: self.flag("--loop", flags.repeat.then_some(true), false, bool::to_string),
            max_pending: self.flag(
                "--max-pending",
                flags.max_pending,
                RunSettings::DEFAULT_MAX_PENDING,
                ToString::to_string,
            ),
            drain_timeout: self.flag(
                "--drain-timeout",
                flags.drain_timeout,
                RunSettings::DEFAULT_DRAIN_TIMEOUT,
                show_as_typed,
            ),
        }
    }
}

/// The key's name is not in the problem: the caller adds it together with the origin.
pub(super) fn connection_string(text: &str) -> Checked<ConnectionString> {
    ConnectionString::parse(text).map_err(|invalid| invalid.problem)
}

fn show_as_typed(duration: &Duration) -> String {
    humantime::format_duration(*duration).to_string()
}

/// In days at most, as people write it: humantime would make 60 days `1month 29days 13h…`.
fn show_duration(duration: &Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 if duration.is_zero() => "0s".to_owned(),
        _ if duration.subsec_nanos() == 0 && seconds.is_multiple_of(86_400) => format!("{}d", seconds / 86_400),
        _ => humantime::format_duration(*duration).to_string(),
    }
}

#[cfg(test)]
mod secret_tests;
#[cfg(test)]
mod tests;
