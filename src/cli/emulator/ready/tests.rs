use super::super::options::tests::parse;
use super::super::summary::Summary;
use super::*;

async fn both(flags: &[&str]) -> (EmulatorArgs, EventHubsEmulator, CosmosEmulator) {
    let ports = ["--event-hubs-port", "0", "--cosmos-port", "0"];
    let args = parse(&[&ports[..], flags].concat()).unwrap();
    let event_hubs = EventHubsEmulator::start(args.event_hubs()).await.unwrap();
    let cosmos_db = CosmosEmulator::start(args.cosmos_db()).await.unwrap();
    (args, event_hubs, cosmos_db)
}

#[tokio::test]
async fn the_ready_line_has_what_a_script_needs() {
    let (args, event_hubs, cosmos_db) = both(&["--hub", "one", "two"]).await;
    let ready = Ready::new(&args, &event_hubs, &cosmos_db, None, None).unwrap();
    let shown = ready.show(OutputFormat::Json);
    assert_eq!(shown.lines().count(), 1);
    let json: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(json["type"], "ready");
    assert_eq!(json["event_hubs"]["port"], event_hubs.local_addr().port());
    assert_eq!(json["event_hubs"]["hubs"], json!(["one", "two"]));
    for policy in ["Sender", "Listener", "RootManageSharedAccessKey"] {
        let string = json["event_hubs"]["connection_strings"][policy].as_str().unwrap();
        assert!(string.contains(&format!("SharedAccessKeyName={policy};")), "{string}");
        assert!(string.contains("EntityPath=one"), "{string}");
    }
    assert_eq!(json["cosmos_db"]["endpoint"], cosmos_db.endpoint().as_str());
    assert_eq!(json["cosmos_db"]["key"], cosmos_db.key().secret());
}

#[tokio::test]
async fn the_text_has_everything_to_paste() {
    let (args, event_hubs, cosmos_db) = both(&["--settings-out", "here.json"]).await;
    let ready = Ready::new(&args, &event_hubs, &cosmos_db, None, Some("cert.pem".to_owned())).unwrap();
    let text = ready.show(OutputFormat::Text);
    let sender = event_hubs.connection_string("Sender", "transactions").unwrap();
    let endpoint = cosmos_db.endpoint();
    for expected in [
        sender.secret(),
        endpoint.as_str(),
        cosmos_db.key().secret(),
        "--settings here.json",
        "protect nothing",
        "cert.pem",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[tokio::test]
async fn the_settings_name_a_connection_string_for_each_hub() {
    let (_, event_hubs, cosmos_db) = both(&["--hub", "one", "two"]).await;
    let settings = crate::cli::emulator::settings(&event_hubs, &cosmos_db).unwrap();
    assert_eq!(settings.connection_strings.len(), 2);
    assert!(settings.connection_strings[1].contains("EntityPath=two"));
}

#[tokio::test]
async fn the_summary_counts_by_hub_and_tells_of_the_faults() {
    let (_, event_hubs, cosmos_db) = both(&["--fault", "503:5x", "--fault", "close:1x:seed=7"]).await;
    let summary = Summary::new(&event_hubs, &cosmos_db, None);
    let json: Value = serde_json::from_str(&summary.show(OutputFormat::Json)).unwrap();
    assert_eq!(
        json["event_hubs"]["hubs"][0],
        json!({ "name": "transactions", "events": 0, "throttled": 0, "rejected": 0 })
    );
    assert_eq!(json["cosmos_db"]["documents"], 0);
    assert_eq!(
        json["faults"],
        json!([
            { "service": "event_hubs", "fault": "close:1x:seed=7", "happened": 0 },
            { "service": "cosmos_db", "fault": "503:5x", "happened": 0 },
            { "service": "cosmos_db", "fault": "close:1x:seed=7", "happened": 0 },
        ])
    );
    let text = summary.show(OutputFormat::Text);
    assert!(text.contains("transactions took 0 events"), "{text}");
    assert!(text.contains("Fault 503:5x: happened 0 times at Cosmos DB\n"), "{text}");
}

#[tokio::test]
async fn a_key_vault_is_shown_where_there_is_one_and_its_secrets_are_not() {
    let (args, event_hubs, cosmos_db) = both(&["--secret", "hub=hush"]).await;
    let secrets = args.secrets().unwrap();
    let vault = KeyVaultEmulator::start(args.key_vault(secrets).unwrap()).await.unwrap();
    let ready = Ready::new(&args, &event_hubs, &cosmos_db, Some(&vault), Some("cert.pem".to_owned())).unwrap();
    let json = ready.show(OutputFormat::Json);
    let parsed: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(parsed["key_vault"], json!({ "url": vault.endpoint().as_str(), "certificate": "cert.pem" }));
    let text = ready.show(OutputFormat::Text);
    assert!(text.contains(vault.endpoint().as_str()), "{text}");
    let summary = Summary::new(&event_hubs, &cosmos_db, Some(&vault));
    let counts: Value = serde_json::from_str(&summary.show(OutputFormat::Json)).unwrap();
    assert_eq!(counts["key_vault"], json!({ "requests": 0, "secrets_read": 0 }));
    for told in [json, text, summary.show(OutputFormat::Text), format!("{args:?}")] {
        assert!(!told.contains("hush"), "{told}");
    }
}
