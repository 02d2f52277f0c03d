//! Trouble at Cosmos DB, with Event Hubs going on as if nothing were.

use crate::case::{Case, End, GIVEN_UP, HEALED, play};

pub(crate) const CASES: &[Case] = &[
    Case { name: "connection closed politely", emulator: &["--fault", "cosmos_db:close:@50"], ..HEALED },
    Case {
        name: "keep-alive connections reset under load",
        emulator: &["--fault", "cosmos_db:drop:2%:seed=5"],
        ..HEALED
    },
    Case { name: "half a body", emulator: &["--fault", "cosmos_db:half:@50-60"], ..HEALED },
    Case { name: "a storm of 429s", emulator: &["--fault", "cosmos_db:429:@50-300"], ..HEALED },
    Case { name: "429 for ever", emulator: &["--fault", "cosmos_db:429:@50+"], cosmos_db: End::GivenUp, ..GIVEN_UP },
    Case {
        name: "429 for longer than one is willing to wait",
        emulator: &["--fault", "cosmos_db:429:@50+"],
        run: &["--throttle-wait", "500ms", "--max-in-flight-cosmos", "16"],
        code: 1,
        cosmos_db: End::Fail("throttled"),
        says: &["Cosmos DB: transaction", "--throttle-wait"],
        ..HEALED
    },
    Case { name: "503 for a while", emulator: &["--fault", "cosmos_db:503:@50-70"], ..HEALED },
    Case { name: "408 for a while", emulator: &["--fault", "cosmos_db:408:@50-70"], ..HEALED },
    Case { name: "500 for a while", emulator: &["--fault", "cosmos_db:500:@50-70"], ..HEALED },
    Case { name: "503 for ever", emulator: &["--fault", "cosmos_db:503:@50+"], cosmos_db: End::GivenUp, ..GIVEN_UP },
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
        says: &["Cosmos DB: transaction"],
        ..HEALED
    },
    Case {
        name: "the account key is no longer good",
        emulator: &["--fault", "cosmos_db:expired-token:@50+"],
        code: 1,
        cosmos_db: End::Fail("unauthorized"),
        says: &["Cosmos DB: transaction", "COSMOS_DB_AUTH_KEY"],
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
fn whatever_happens_at_cosmos_db_is_told_and_nothing_is_lost() {
    play(CASES);
}
