//! The local services of `--emulator`.

use anyhow::Context as _;
use azure_core::credentials::Secret;
use txgen_azure::event_hubs::connection_string::DEFAULT_HUB;
use txgen_emulator::Emulators;

use super::RunError;
use crate::settings::Preset;

pub(super) async fn start() -> Result<Emulators, RunError> {
    Emulators::start().await.context("cannot start the local services").map_err(RunError::Failed)
}

/// The settings with which a run reaches them.
pub(super) fn preset(emulators: &Emulators) -> Preset {
    let hub = emulators.event_hubs().connection_string("Sender", DEFAULT_HUB);
    Preset {
        event_hub_connection_strings: hub.into_iter().collect(),
        cosmos_endpoint: emulators.cosmos_db().endpoint().to_string(),
        cosmos_auth_key: emulators.cosmos_db().key().clone(),
    }
}

/// The connection string that reads the event hub of a run.
pub(super) fn listener(emulators: &Emulators) -> Option<Secret> {
    emulators.event_hubs().connection_string("Listener", DEFAULT_HUB)
}

/// Settings of their kind for a dry run, which brings none up.
pub(super) fn dry_preset() -> Preset {
    let hub = format!("Endpoint=sb://127.0.0.1;UseDevelopmentEmulator=true;EntityPath={DEFAULT_HUB}");
    Preset {
        event_hub_connection_strings: vec![Secret::new(hub)],
        cosmos_endpoint: "http://127.0.0.1/".to_owned(),
        // Nothing is signed with it.
        cosmos_auth_key: Secret::new("bm9uZQ=="),
    }
}
