//! Trouble at Cosmos DB, with Event Hubs going on as if nothing were.

use std::time::Duration;

use serde_json::json;

use crate::case::{Case, End, GIVEN_UP, HEALED, play};
use crate::proof::prove;
use crate::stage::{COSMOS_CLIENTS, GRACE, Stage, reconcile};
use crate::support::client::Client;

pub(crate) const CASES: &[Case] = &[
    Case { name: "connection closed politely", emulator: &["--fault", "cosmos_db:close:@50"], ..HEALED },
    Case {
        name: "keep-alive connections reset under load",
        emulator: &["--fault", "cosmos_db:drop:2%:seed=5"],
        ..HEALED
    },
    Case { name: "half a body", emulator: &["--fault", "cosmos_db:half:@50-60"], ..HEALED },
    Case { name: "a storm of 429s", emulator: &["--fault", "cosmos_db:429:@50-300"], ..HEALED },
    Case {
        name: "429 for ever",
        emulator: &["--fault", "cosmos_db:429:@50+"],
        cosmos_db: End::GivenUp,
        says: &["before the service answered; before that: ", "(429"],
        ..GIVEN_UP
    },
    Case {
        name: "429 for longer than one is willing to wait",
        emulator: &["--fault", "cosmos_db:429:@50+"],
        run: &["--retry-for", "500ms", "--max-in-flight-cosmos", "16"],
        code: 1,
        cosmos_db: End::Fail("throttled"),
        says: &["Cosmos DB: transaction", "longer than --retry-for"],
        ..HEALED
    },
    Case { name: "503 for a while", emulator: &["--fault", "cosmos_db:503:@50-70"], ..HEALED },
    Case { name: "408 for a while", emulator: &["--fault", "cosmos_db:408:@50-70"], ..HEALED },
    Case { name: "500 for a while", emulator: &["--fault", "cosmos_db:500:@50-70"], ..HEALED },
    Case {
        name: "503 for ever",
        emulator: &["--fault", "cosmos_db:503:@50+"],
        cosmos_db: End::GivenUp,
        says: &["before the service answered; before that: ", "(503"],
        ..GIVEN_UP
    },
    Case {
        name: "never an answer",
        emulator: &["--fault", "cosmos_db:never:@50+"],
        cosmos_db: End::GivenUp,
        ..GIVEN_UP
    },
    Case {
        name: "container deleted in mid-run",
        emulator: &["--fault", "cosmos_db:gone:@50"],
        code: 1,
        cosmos_db: End::Deleted("not_found"),
        gone: &["cosmos_db"],
        says: &["Cosmos DB: transaction"],
        ..HEALED
    },
    Case {
        name: "the account key is no longer good",
        emulator: &["--fault", "cosmos_db:expired-token:@50+"],
        code: 1,
        cosmos_db: End::Fail("unauthorized"),
        says: &["Cosmos DB: transaction", "check COSMOS_DB_AUTH_KEY"],
        ..HEALED
    },
    Case {
        name: "everything at both services at once",
        emulator: &[
            "--fault",
            "close:1%",
            "--fault",
            "drop:1%",
            "--fault",
            "half:1%",
            "--fault",
            "server-busy:5%",
            "--fault",
            "429:5%",
            "--fault",
            "503:2%",
            "--fault",
            "408:1%",
            "--fault",
            "delay=50ms:5%",
        ],
        ..HEALED
    },
];

#[test]
fn whatever_happens_at_cosmos_db_is_reported_and_nothing_is_lost() {
    play(CASES, &COSMOS_CLIENTS);
}

#[test]
fn throughput_that_is_cut_to_400_in_mid_run_throttles_and_loses_nothing() {
    let stage = Stage::new();
    let mut emulator = stage.emulator(&[]);
    let (endpoint, key) =
        (emulator.ready["cosmos_db"]["endpoint"].as_str(), emulator.ready["cosmos_db"]["key"].as_str());
    let port = endpoint.unwrap().trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
    // 400 RU/s are some 26 documents per second.
    let flags = ["--rate", "100", "--limit", "250", "--seconds-to-run", "30", "--drain-timeout", "5s"];
    let mut run = stage.start(&mut stage.run(&flags));
    run.wait_for_output("\"type\":\"start\"");
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut client = Client::connect_to(("127.0.0.1", port), key.unwrap()).await;
        let mut offer = client.send("GET", "/offers", &[], "").await.json()["Offers"][0].clone();
        offer["content"]["offerThroughput"] = json!(400);
        let path = format!("/offers/{}", offer["id"].as_str().unwrap());
        assert_eq!(client.send("PUT", &path, &[], &offer.to_string()).await.status, 200);
    });
    let ended = run.end_within(Duration::from_secs(35) + GRACE).unwrap();
    prove(&stage, &mut emulator, &ended, &[], &[]).unwrap();
    let (stored, _) = emulator.end();
    assert_eq!(ended.code, Some(0), "{}{}", ended.stderr, ended.summary);
    assert!(ended.count("cosmos_db", "throttled") > 0, "{}", ended.summary);
    assert_eq!((ended.count("event_hubs", "succeeded"), ended.count("cosmos_db", "succeeded")), (250, 250));
    reconcile(&ended, "cosmos_db", stored["cosmos_db"]["documents"].as_u64()).unwrap();
}
