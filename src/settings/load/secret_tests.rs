//! Settings that are references to secrets of key vaults.

use azure_core::credentials::Secret;

use super::tests::HUB;
use super::*;
use crate::settings::file::AppSettings;
use crate::settings::secrets::Secrets;
use crate::settings::{FetchedSecret, SecretReference};

const HUB_SECRET: &str = "@Microsoft.KeyVault(VaultName=woodgrove;SecretName=hub)";
const KEY_SECRET: &str = "@Microsoft.KeyVault(SecretUri=https://woodgrove.vault.azure.net/secrets/key)";
const VERSION: &str = "ec96f02080254f109c51a1f14cdb1931";

fn load(hub: &str, key: &str, secrets: &Secrets) -> Result<Loaded, Incomplete> {
    let text = format!(
        "{{\n\"EVENT_HUB_1_CONNECTION_STRING\": \"{hub}\",\n\"COSMOS_DB_ENDPOINT\": \"https://a/\",\n\"COSMOS_DB_AUTH_KEY\": \"{key}\"}}"
    );
    let file = AppSettings::parse("s.json".as_ref(), text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"));
    Sources { file: &file, env: &|_| None, secrets }.load(&RunFlags::default(), None)
}

fn fetched(name: &str, value: &'static str) -> (SecretReference, Result<FetchedSecret, String>) {
    let secret = format!("https://woodgrove.vault.azure.net/secrets/{name}");
    let identifier = SecretReference::of_identifier(&format!("{secret}/{VERSION}")).unwrap();
    (SecretReference::of_identifier(&secret).unwrap(), Ok(FetchedSecret { value: Secret::new(value), identifier }))
}

fn problems(hub: &str, key: &str, secrets: &Secrets) -> Vec<String> {
    match load(hub, key, secrets) {
        Err(Incomplete::Wrong(error)) => error.problems,
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_secrets_of_a_run_are_wanted_at_once_and_those_of_others_are_not() {
    let Err(Incomplete::Wants(wanted)) = load(HUB_SECRET, KEY_SECRET, &Secrets::default()) else {
        panic!("wants none")
    };
    let wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
    assert_eq!(
        wanted,
        ["https://woodgrove.vault.azure.net/secrets/hub", "https://woodgrove.vault.azure.net/secrets/key"]
    );
    let text = format!("{{\"EVENT_HUB_1_CONNECTION_STRING\": \"{HUB}\", \"COSMOS_DB_AUTH_KEY\": \"{KEY_SECRET}\"}}");
    let file = AppSettings::parse("s.json".as_ref(), text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"));
    let flags = RunFlags { only_event_hubs: true, ..RunFlags::default() };
    assert!(Sources { file: &file, env: &|_| None, secrets: &Secrets::default() }.load(&flags, None).is_ok());
}

#[test]
fn a_secret_stands_for_its_reference_and_the_source_says_both() {
    let secrets = Secrets::of([fetched("hub", HUB), fetched("key", "c2VjcmV0\n")]);
    let loaded = load(HUB_SECRET, KEY_SECRET, &secrets).unwrap();
    assert_eq!(loaded.settings.cosmos_db.unwrap().auth_key.unwrap().secret(), "c2VjcmV0");
    let hub = &loaded.origins[0];
    assert!(hub.value.contains("SharedAccessKey=(hidden)"), "{}", hub.value);
    assert_eq!(
        hub.origin.to_string(),
        format!("s.json line 2, which refers to https://woodgrove.vault.azure.net/secrets/hub/{VERSION}")
    );
    assert!(!format!("{secrets:?}").contains("c2VjcmV0"), "secrets are hidden");
}

#[test]
fn what_a_vault_says_is_reported_with_setting_source_and_secret() {
    let (hub, _) = fetched("hub", "");
    let secrets = Secrets::of([(hub, Err("is not there; check its name".to_owned())), fetched("key", "c2VjcmV0")]);
    let Err(Incomplete::Wrong(error)) = load(HUB_SECRET, KEY_SECRET, &secrets) else { panic!("there is none") };
    assert!(error.is_refused);
    assert_eq!(
        error.problems,
        [
            "EVENT_HUB_1_CONNECTION_STRING (s.json line 2): the secret https://woodgrove.vault.azure.net/secrets/hub is not there; check its name"
        ]
    );
}

#[test]
fn a_secret_that_is_nonsense_is_reported_with_its_version_and_without_its_value() {
    for (value, problem) in [
        ("hush", "is not a connection string (a key alone?)"),
        (" ", "the secret is empty; set it in the vault"),
        (KEY_SECRET, "the secret is a reference itself; refer to the secret that it names"),
    ] {
        let message = problems(HUB_SECRET, "", &Secrets::of([fetched("hub", value)]));
        let start = format!(
            "EVENT_HUB_1_CONNECTION_STRING (s.json line 2, which refers to https://woodgrove.vault.azure.net/secrets/hub/{VERSION}): {problem}"
        );
        assert!(message.len() == 1 && message[0].starts_with(&start) && !message[0].contains("hush"), "{message:?}");
    }
}

#[test]
fn a_reference_that_is_none_is_reported_before_any_vault_is_asked() {
    assert_eq!(
        problems("@Microsoft.KeyVault(VaultName=woodgrove)", KEY_SECRET, &Secrets::default()),
        [
            "EVENT_HUB_1_CONNECTION_STRING (s.json line 2): is not a valid Key Vault reference: SecretName is missing; expected is @Microsoft.KeyVault(SecretUri=https://VAULT.vault.azure.net/secrets/NAME) or @Microsoft.KeyVault(VaultName=VAULT;SecretName=NAME)"
        ]
    );
}

#[test]
fn what_is_no_secret_may_not_be_a_reference() {
    let text = format!("{{\"COSMOS_DB_ENDPOINT\": \"{KEY_SECRET}\"}}");
    let file = AppSettings::parse("s.json".as_ref(), text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"));
    let flags = RunFlags { only_cosmos: true, ..RunFlags::default() };
    let loaded = Sources { file: &file, env: &|_| None, secrets: &Secrets::default() }.load(&flags, None);
    let Err(Incomplete::Wrong(error)) = loaded else { panic!("{loaded:?}") };
    assert_eq!(
        error.problems,
        [
            "COSMOS_DB_ENDPOINT (s.json line 1): is a Key Vault reference, which only connection strings of event hubs and COSMOS_DB_AUTH_KEY may be; write the value itself"
        ]
    );
}
