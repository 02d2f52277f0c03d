use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::Path;

use azure_core::credentials::Secret;

use super::*;
use crate::settings::file::AppSettings;
use crate::settings::secrets::Secrets;
use crate::settings::{Origin, SettingsFile};

pub(super) const HUB: &str = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=Sender;SharedAccessKey=c2VjcmV0;EntityPath=transactions";

/// The workshop's file, as the workshop writes it, filled in.
const WORKSHOP: &str = r#"{
  "EVENT_HUB_1_CONNECTION_STRING": "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=Sender;SharedAccessKey=c2VjcmV0;EntityPath=transactions",
  "EVENT_HUB_2_CONNECTION_STRING": "",
  "EVENT_HUB_3_CONNECTION_STRING": "",
  "COSMOS_DB_ENDPOINT": "https://woodgrove.documents.azure.com:443/",
  "COSMOS_DB_AUTH_KEY": "c2VjcmV0",
  "SECONDS_TO_LEAD": "0",
  "SECONDS_TO_RUN": "600",
  "ONLY_WRITE_TO_COSMOS_DB": "false",
}"#;

/// Loads with this `s.json` and this environment.
fn load_with(
    flags: &RunFlags,
    json: &str,
    env: &[(&str, &str)],
    preset: Option<&Preset>,
) -> Result<Loaded, Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.json");
    std::fs::write(&path, json).unwrap();
    let env: HashMap<_, _> = env.iter().copied().collect();
    let env = |name: &str| env.get(name).map(|text| (*text).to_owned());
    let loaded = load(flags, &SettingsFile::Required(path.clone()), &env, preset, &Secrets::default());
    loaded.map_err(|incomplete| {
        let problems = wrong(incomplete).problems;
        problems.iter().map(|problem| without_directory(problem, &path)).collect()
    })
}

fn load(
    flags: &RunFlags,
    file: &SettingsFile,
    env: &dyn Fn(&str) -> Option<String>,
    preset: Option<&Preset>,
    secrets: &Secrets,
) -> Result<Loaded, Incomplete> {
    let file = AppSettings::read(file).map_err(|problems| Incomplete::Wrong(SettingsError::new(problems)))?;
    Sources { file: &file, env, secrets }.load(flags, preset)
}

fn wrong(incomplete: Incomplete) -> SettingsError {
    match incomplete {
        Incomplete::Wrong(error) => error,
        Incomplete::Wants(wanted) => panic!("wants {wanted:?}"),
    }
}

fn without_directory(text: &str, path: &Path) -> String {
    text.replace(&path.display().to_string(), "s.json")
}

fn fine(flags: &RunFlags, json: &str, env: &[(&str, &str)]) -> Loaded {
    load_with(flags, json, env, None).unwrap()
}

fn problems(flags: &RunFlags, json: &str, env: &[(&str, &str)]) -> Vec<String> {
    load_with(flags, json, env, None).map(|loaded| loaded.settings).unwrap_err()
}

fn emulator() -> Preset {
    Preset {
        event_hub_connection_strings: vec![Secret::new(
            "Endpoint=sb://127.0.0.1:5999/;SharedAccessKeyName=R;SharedAccessKey=k;EntityPath=transactions;UseDevelopmentEmulator=true",
        )],
        cosmos_endpoint: "http://127.0.0.1:8999/".to_owned(),
        cosmos_auth_key: Secret::new("ZW11bGF0b3I="),
    }
}

#[test]
fn the_workshops_file_works_as_it_is_written() {
    let loaded = fine(&RunFlags::default(), WORKSHOP, &[]);
    let Settings { event_hubs, cosmos_db, run } = loaded.settings;
    let (event_hubs, cosmos_db) = (event_hubs.unwrap(), cosmos_db.unwrap());
    assert_eq!(event_hubs.hubs.len(), 1);
    assert_eq!(event_hubs.hubs[0].resource(), "sb://ns.servicebus.windows.net/transactions");
    assert_eq!((event_hubs.client, event_hubs.transport), (EventHubClient::Native, EventHubTransport::Tcp));
    assert_eq!((event_hubs.connections.get(), event_hubs.max_in_flight.get()), (2, 1000));
    assert_eq!(cosmos_db.endpoint.as_str(), "https://woodgrove.documents.azure.com/");
    assert_eq!(cosmos_db.auth_key.unwrap().secret(), "c2VjcmV0");
    assert_eq!((cosmos_db.database.as_str(), cosmos_db.container.as_str()), ("Woodgrove", "transactions"));
    assert_eq!((cosmos_db.throughput, cosmos_db.max_in_flight.get()), (15_000, 128));
    assert_eq!((cosmos_db.client, cosmos_db.preferred_regions.len()), (CosmosDbClient::Native, 0));
    assert_eq!(cosmos_db.retry_for, Duration::from_secs(120));
    assert_eq!((run.lead, run.duration), (Duration::ZERO, Some(Duration::from_secs(600))));
    assert_eq!((run.ttl_seconds, run.max_pending.get()), (5_184_000, 100_000));
    assert_eq!((run.rate, run.limit, run.repeat, run.drain_timeout), (None, None, false, Duration::from_secs(30)));
    assert!(loaded.warnings.is_empty() && loaded.notes.is_empty());
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let json = WORKSHOP.replace("\"600\"", "100");
    let database = |flags: &RunFlags, env: &[(&str, &str)], json: &str| {
        let loaded = fine(flags, json, env);
        let origin = loaded.origins.iter().find(|provenance| provenance.key == Key::SecondsToRun).unwrap().clone();
        (loaded.settings.run.duration.unwrap().as_secs(), origin.origin)
    };
    let flags = RunFlags { seconds_to_run: Some(Duration::from_secs(300)), ..RunFlags::default() };
    let env = [("SECONDS_TO_RUN", "200")];
    assert_eq!(database(&flags, &env, &json), (300, Origin::Flag("--seconds-to-run")));
    assert_eq!(database(&RunFlags::default(), &env, &json), (200, Origin::Environment));
    let (seconds, origin) = database(&RunFlags::default(), &[], &json);
    assert!(matches!(origin, Origin::File(place) if place.line == 8));
    assert_eq!(seconds, 100);
    let (seconds, origin) = database(&RunFlags::default(), &[("SECONDS_TO_RUN", " ")], &json.replace("100", "\"\""));
    assert_eq!((seconds, origin), (600, Origin::Default));
}

#[test]
fn every_key_can_come_from_the_environment() {
    let env = [
        ("EVENT_HUB_1_CONNECTION_STRING", HUB),
        ("EVENT_HUB_2_CONNECTION_STRING", "Endpoint=sb://b/;EntityPath=b"),
        ("EVENT_HUB_3_CONNECTION_STRING", "Endpoint=sb://c/"),
        ("COSMOS_DB_ENDPOINT", "https://a.example/"),
        ("COSMOS_DB_AUTH_KEY", "a2V5"),
        ("COSMOS_DB_DATABASE", "d"),
        ("COSMOS_DB_CONTAINER", "c"),
        ("COSMOS_DB_THROUGHPUT", "700"),
        ("SECONDS_TO_LEAD", "3"),
        ("SECONDS_TO_RUN", "0"),
        ("ONLY_WRITE_TO_COSMOS_DB", "False"),
        ("TIME_TO_LIVE_SECONDS", "60"),
    ];
    let loaded = fine(&RunFlags::default(), "{}", &env);
    assert_eq!(loaded.origins.iter().map(|provenance| provenance.key).collect::<Vec<_>>(), Key::ALL);
    assert!(loaded.origins.iter().all(|provenance| provenance.origin == Origin::Environment));
    let Settings { event_hubs, cosmos_db, run } = loaded.settings;
    let cosmos_db = cosmos_db.unwrap();
    assert_eq!(event_hubs.unwrap().hubs.len(), 3);
    assert_eq!((cosmos_db.database.as_str(), cosmos_db.container.as_str(), cosmos_db.throughput), ("d", "c", 700));
    assert_eq!((run.lead, run.duration, run.ttl_seconds), (Duration::from_secs(3), None, 60));
    assert_eq!(
        loaded.notes,
        [
            "EVENT_HUB_2_CONNECTION_STRING has no key: Microsoft Entra ID is used",
            "EVENT_HUB_3_CONNECTION_STRING has no EntityPath: the event hub is `transactions`",
            "EVENT_HUB_3_CONNECTION_STRING has no key: Microsoft Entra ID is used",
        ]
    );
}

#[test]
fn origins_show_values_and_no_secrets() {
    let flags = RunFlags { throughput: Some(700), ..RunFlags::default() };
    let loaded = fine(&flags, WORKSHOP, &[]);
    let shown: Vec<_> = loaded
        .origins
        .iter()
        .map(|Provenance { key, value, origin }| match origin {
            Origin::File(place) => format!("{key} = {value} (line {})", place.line),
            _ => format!("{key} = {value} ({origin})"),
        })
        .collect();
    assert_eq!(
        shown,
        [
            "EVENT_HUB_1_CONNECTION_STRING = Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=Sender;SharedAccessKey=(hidden);EntityPath=transactions (line 2)",
            "COSMOS_DB_ENDPOINT = https://woodgrove.documents.azure.com/ (line 5)",
            "COSMOS_DB_AUTH_KEY = (hidden) (line 6)",
            "COSMOS_DB_DATABASE = Woodgrove (default)",
            "COSMOS_DB_CONTAINER = transactions (default)",
            "COSMOS_DB_THROUGHPUT = 700 RU/s (--throughput)",
            "SECONDS_TO_LEAD = 0s (line 7)",
            "SECONDS_TO_RUN = 10m (line 8)",
            "ONLY_WRITE_TO_COSMOS_DB = false (line 9)",
            "TIME_TO_LIVE_SECONDS = 60d (default)",
        ]
    );
    assert!(!format!("{loaded:?}").contains("c2VjcmV0"));
}

#[test]
fn flags_of_the_job_reach_the_settings() {
    let flags = RunFlags {
        rate: Some(2.5),
        limit: Some(1_000.try_into().unwrap()),
        repeat: true,
        max_pending: NonZeroUsize::new(7),
        drain_timeout: Some(Duration::from_secs(1)),
        max_in_flight_cosmos: NonZeroUsize::new(8),
        max_in_flight_event_hubs: NonZeroUsize::new(9),
        retry_for: Some(Duration::from_secs(2)),
        event_hub_transport: Some(EventHubTransport::Websocket),
        event_hub_connections: NonZeroUsize::new(4),
        ..RunFlags::default()
    };
    let Settings { event_hubs, cosmos_db, run } = fine(&flags, WORKSHOP, &[]).settings;
    let (event_hubs, cosmos_db) = (event_hubs.unwrap(), cosmos_db.unwrap());
    assert_eq!((run.rate, run.limit, run.repeat), (Some(2.5), Some(1_000), true));
    assert_eq!((run.max_pending.get(), run.drain_timeout), (7, Duration::from_secs(1)));
    assert_eq!((cosmos_db.max_in_flight.get(), cosmos_db.retry_for), (8, Duration::from_secs(2)));
    assert_eq!((event_hubs.max_in_flight.get(), event_hubs.connections.get()), (9, 4));
    assert_eq!(event_hubs.retry_for, Duration::from_secs(2));
    assert_eq!(event_hubs.transport, EventHubTransport::Websocket);
}

#[test]
fn the_former_name_of_a_flag_works_and_warns() {
    let wait = Some(Duration::from_secs(2));
    let loaded = fine(&RunFlags { throttle_wait: wait, ..RunFlags::default() }, WORKSHOP, &[]);
    assert_eq!(loaded.settings.event_hubs.map(|hubs| hubs.retry_for), wait);
    assert_eq!(loaded.settings.cosmos_db.map(|cosmos_db| cosmos_db.retry_for), wait);
    assert!(loaded.warnings[0].starts_with("--throttle-wait is --retry-for now"), "{:?}", loaded.warnings);
}

#[test]
fn only_one_service_needs_only_its_own_keys() {
    let only_cosmos = RunFlags { only_cosmos: true, ..RunFlags::default() };
    let settings = fine(&only_cosmos, r#"{"COSMOS_DB_ENDPOINT": "https://a/"}"#, &[]).settings;
    assert!(settings.event_hubs.is_none() && settings.cosmos_db.is_some());
    let only_event_hubs = RunFlags { only_event_hubs: true, ..RunFlags::default() };
    let settings = fine(&only_event_hubs, "{}", &[("EVENT_HUB_1_CONNECTION_STRING", HUB)]).settings;
    assert!(settings.event_hubs.is_some() && settings.cosmos_db.is_none());
    let json = r#"{"COSMOS_DB_ENDPOINT": "https://a/", "ONLY_WRITE_TO_COSMOS_DB": true}"#;
    assert!(fine(&RunFlags::default(), json, &[]).settings.event_hubs.is_none());
}

#[test]
fn the_flag_only_event_hubs_beats_a_file_that_says_only_cosmos() {
    let flags = RunFlags { only_event_hubs: true, ..RunFlags::default() };
    let settings = fine(&flags, &WORKSHOP.replace("\"false\"", "\"true\""), &[]).settings;
    assert!(settings.event_hubs.is_some() && settings.cosmos_db.is_none());
}

#[test]
fn keys_of_a_service_that_is_left_out_are_not_read() {
    let flags = RunFlags { only_cosmos: true, ..RunFlags::default() };
    let json = r#"{"COSMOS_DB_ENDPOINT": "https://a/", "EVENT_HUB_1_CONNECTION_STRING": "nonsense"}"#;
    assert!(fine(&flags, json, &[]).settings.event_hubs.is_none());
}

#[test]
fn what_is_missing_is_named_with_the_ways_out() {
    let default = RunFlags::default();
    let only_cosmos = RunFlags { only_cosmos: true, ..RunFlags::default() };
    let only_event_hubs = RunFlags { only_event_hubs: true, ..RunFlags::default() };
    let hub = ("EVENT_HUB_1_CONNECTION_STRING", HUB);
    let second = ("EVENT_HUB_2_CONNECTION_STRING", HUB);
    let endpoint = ("COSMOS_DB_ENDPOINT", "https://a/");
    for (flags, env, problem) in [
        (
            &default,
            vec![],
            "nothing to write to: EVENT_HUB_1_CONNECTION_STRING is neither in s.json nor in the environment, nor are COSMOS_DB_ENDPOINT and COSMOS_DB_AUTH_KEY; fill them in (appsettings.example.json shows how), leave one service out with --only-cosmos or --only-event-hubs, or try txgen without an Azure account with --emulator",
        ),
        (
            &default,
            vec![endpoint],
            "EVENT_HUB_1_CONNECTION_STRING is neither in s.json nor in the environment; fill it in, leave Event Hubs out with --only-cosmos, or try txgen without an Azure account with --emulator",
        ),
        (
            &default,
            vec![hub],
            "COSMOS_DB_ENDPOINT is neither in s.json nor in the environment; fill it in, leave Cosmos DB out with --only-event-hubs, or try txgen without an Azure account with --emulator",
        ),
        (
            &default,
            vec![second, endpoint],
            "EVENT_HUB_1_CONNECTION_STRING is neither in s.json nor in the environment, but EVENT_HUB_2_CONNECTION_STRING is set: the first event hub goes into EVENT_HUB_1_CONNECTION_STRING",
        ),
        (
            &only_cosmos,
            vec![hub],
            "COSMOS_DB_ENDPOINT is neither in s.json nor in the environment; fill it in, or try txgen without an Azure account with --emulator",
        ),
        (
            &only_event_hubs,
            vec![endpoint],
            "EVENT_HUB_1_CONNECTION_STRING is neither in s.json nor in the environment; fill it in, or try txgen without an Azure account with --emulator",
        ),
    ] {
        assert_eq!(problems(flags, "{}", &env), [problem]);
    }
}

#[test]
fn an_absent_default_file_is_named_where_keys_are_missing() {
    let absent = SettingsFile::Optional("absent/appsettings.json".into());
    let error = wrong(load(&RunFlags::default(), &absent, &|_| None, None, &Secrets::default()).unwrap_err());
    assert!(
        error.to_string().starts_with(
            "nothing to write to: EVENT_HUB_1_CONNECTION_STRING is not in the environment, and there is no absent/appsettings.json, nor"
        ),
        "{error}"
    );
}

#[test]
fn all_bad_values_are_reported_at_once_with_key_source_value_and_what_is_allowed() {
    let json = r#"{
        "EVENT_HUB_1_CONNECTION_STRING": "Endpoint=sb://ns/;SharedAccessKey=c2VjcmV0",
        "COSMOS_DB_ENDPOINT": "acct.documents.azure.com",
        "COSMOS_DB_AUTH_KEY": "c2VjcmV",
        "SECONDS_TO_RUN": "ten",
        "SECONDS_TO_LEAD": -5,
        "ONLY_WRITE_TO_COSMOS_DB": "no",
        "COSMOS_DB_DATABASE": "a/b",
    }"#;
    let env = [("COSMOS_DB_THROUGHPUT", "450"), ("TIME_TO_LIVE_SECONDS", "0")];
    let seconds = "must be seconds from 0 to 31536000, or a duration such as 90s, 10m or 2h";
    assert_eq!(
        problems(&RunFlags::default(), json, &env),
        [
            "ONLY_WRITE_TO_COSMOS_DB (s.json line 7): `no` must be true or false".to_owned(),
            "EVENT_HUB_1_CONNECTION_STRING (s.json line 2): SharedAccessKey is there without SharedAccessKeyName".to_owned(),
            "COSMOS_DB_ENDPOINT (s.json line 3): `acct.documents.azure.com` must begin with https://, as in https://ACCOUNT.documents.azure.com:443/".to_owned(),
            "COSMOS_DB_AUTH_KEY (s.json line 4): is not an account key: that is base64, mostly 88 characters that end with ==; copy PRIMARY KEY again, whole".to_owned(),
            "COSMOS_DB_DATABASE (s.json line 8): `a/b` must be 1 to 255 characters without `/`, `\\`, `#` and `?`, and not end with a space".to_owned(),
            "COSMOS_DB_THROUGHPUT (environment): `450` must be RU/s in hundreds, from 400 on".to_owned(),
            format!("SECONDS_TO_LEAD (s.json line 6): `-5` {seconds}"),
            format!("SECONDS_TO_RUN (s.json line 5): `ten` {seconds}"),
            "TIME_TO_LIVE_SECONDS (environment): `0` must be whole seconds from 1 to 2147483647, or a duration such as 12h or 60d".to_owned(),
        ]
    );
}

#[test]
fn a_connection_string_in_the_place_of_the_endpoint_is_not_shown() {
    let env = [
        ("EVENT_HUB_1_CONNECTION_STRING", HUB),
        ("COSMOS_DB_ENDPOINT", "AccountEndpoint=https://a/;AccountKey=c2VjcmV0;"),
    ];
    assert_eq!(
        problems(&RunFlags::default(), "{}", &env),
        [
            "COSMOS_DB_ENDPOINT (environment): is a whole connection string: put its AccountEndpoint here and its AccountKey into COSMOS_DB_AUTH_KEY"
        ]
    );
}

#[test]
fn the_emulators_stand_in_for_the_users_services_and_leave_the_rest_layered() {
    let env = [("EVENT_HUB_2_CONNECTION_STRING", HUB), ("COSMOS_DB_AUTH_KEY", "b3RoZXI=")];
    let loaded = load_with(&RunFlags::default(), &WORKSHOP.replace("600", "5"), &env, Some(&emulator())).unwrap();
    let Settings { event_hubs, cosmos_db, run } = loaded.settings;
    let (hubs, cosmos_db) = (event_hubs.unwrap().hubs, cosmos_db.unwrap());
    assert_eq!((hubs.len(), hubs[0].address().as_str()), (1, "127.0.0.1:5999"));
    assert_eq!(cosmos_db.endpoint.as_str(), "http://127.0.0.1:8999/");
    assert_eq!(cosmos_db.auth_key.unwrap().secret(), "ZW11bGF0b3I=");
    assert_eq!(run.duration, Some(Duration::from_secs(5)));
    let emulated = loaded.origins.iter().filter(|provenance| provenance.origin == Origin::Emulator);
    assert_eq!(
        emulated.map(|provenance| provenance.key).collect::<Vec<_>>(),
        [Key::EventHub1ConnectionString, Key::CosmosDbEndpoint, Key::CosmosDbAuthKey]
    );
}

#[test]
fn the_emulators_need_no_file_and_take_no_other_endpoint() {
    let absent = SettingsFile::Optional("absent/appsettings.json".into());
    let loaded = load(&RunFlags::default(), &absent, &|_| None, Some(&emulator()), &Secrets::default()).unwrap();
    assert!(loaded.settings.event_hubs.is_some() && loaded.settings.cosmos_db.is_some() && loaded.notes.is_empty());
    let flags = RunFlags { cosmos_endpoint: Url::parse("https://a/").ok(), ..RunFlags::default() };
    let problems = load_with(&flags, "{}", &[], Some(&emulator())).map(|loaded| loaded.settings).unwrap_err();
    assert_eq!(problems, ["--cosmos-endpoint: has no place beside --emulator"]);
}

#[test]
fn azures_event_hubs_client_wants_entra_id_and_tcp() {
    let flags = RunFlags {
        event_hub_client: Some(EventHubClient::Sdk),
        event_hub_transport: Some(EventHubTransport::Websocket),
        ..RunFlags::default()
    };
    assert_eq!(
        problems(&flags, WORKSHOP, &[]),
        [
            "--event-hub-transport websocket: needs --event-hub-client native, for Azure's client speaks TCP alone",
            "--event-hub-client sdk: needs Microsoft Entra ID, but EVENT_HUB_1_CONNECTION_STRING has a key; take that out (Endpoint and EntityPath alone), or use --event-hub-client native",
        ]
    );
    let flags = RunFlags { event_hub_client: Some(EventHubClient::Sdk), ..RunFlags::default() };
    assert!(load_with(&flags, "{}", &[], Some(&emulator())).is_ok());
}

#[test]
fn one_hub_given_twice_is_a_warning() {
    let env = [("EVENT_HUB_2_CONNECTION_STRING", HUB)];
    assert_eq!(
        fine(&RunFlags::default(), WORKSHOP, &env).warnings,
        [
            "EVENT_HUB_2_CONNECTION_STRING is the same event hub as EVENT_HUB_1_CONNECTION_STRING: it gets every transaction again"
        ]
    );
}

#[test]
fn a_cosmos_db_account_without_a_key_means_entra_id_and_says_so() {
    let loaded = fine(&RunFlags::default(), &WORKSHOP.replace(r#""c2VjcmV0""#, "\"\""), &[]);
    assert!(loaded.settings.cosmos_db.unwrap().auth_key.is_none());
    assert_eq!(loaded.notes, ["COSMOS_DB_AUTH_KEY is not set: Microsoft Entra ID is used"]);
}

#[test]
fn the_example_file_is_read_and_has_every_key() {
    let example = include_str!("../../../appsettings.example.json");
    let settings = AppSettings::parse(Path::new("s.json"), example.as_bytes());
    assert!(settings.is_ok_and(|settings| settings.warnings.is_empty()));
    for key in Key::ALL {
        assert!(example.contains(&format!("\"{key}\":")), "{key} is not in the example");
    }
    let hub = ("EVENT_HUB_1_CONNECTION_STRING", HUB);
    let loaded = fine(&RunFlags::default(), example, &[hub, ("COSMOS_DB_ENDPOINT", "https://a/")]);
    assert!(loaded.warnings.is_empty());
    for provenance in &loaded.origins {
        let default = fine(&RunFlags::default(), "{}", &[hub, ("COSMOS_DB_ENDPOINT", "https://a/")]);
        let of_default = default.origins.into_iter().find(|other| other.key == provenance.key).unwrap();
        assert_eq!(of_default.value, provenance.value, "the example does not show the default of {}", provenance.key);
    }
}
