//! Trouble at Event Hubs, with Cosmos DB going on as if nothing were.

use crate::case::{Case, End, GIVEN_UP, HEALED, play};
use crate::stage::COSMOS_CLIENTS;

pub(crate) const CASES: &[Case] = &[
    Case { name: "connection closed politely", emulator: &["--fault", "event_hubs:close:@50"], ..HEALED },
    Case { name: "connection cut", emulator: &["--fault", "event_hubs:drop:@50"], ..HEALED },
    Case { name: "connection cut again and again", emulator: &["--fault", "event_hubs:drop:2%:seed=3"], ..HEALED },
    Case { name: "half an answer", emulator: &["--fault", "event_hubs:half:@50"], ..HEALED },
    Case { name: "link detached with an error", emulator: &["--fault", "event_hubs:detach:@50"], ..HEALED },
    Case { name: "link detached without an error", emulator: &["--fault", "event_hubs:detach-quietly:@50"], ..HEALED },
    Case { name: "session ended", emulator: &["--fault", "event_hubs:end-session:@50"], ..HEALED },
    Case {
        name: "credit withheld for a while",
        emulator: &["--fault", "event_hubs:no-credit=1s:@50-60"],
        run: &["--max-in-flight-event-hubs", "20"],
        ..HEALED
    },
    Case {
        name: "credit withheld for ever",
        emulator: &["--fault", "event_hubs:no-credit=1h:@50+"],
        run: &["--max-in-flight-event-hubs", "20"],
        event_hubs: End::GivenUp,
        ..GIVEN_UP
    },
    Case { name: "server-busy for a while", emulator: &["--fault", "event_hubs:server-busy:@50-200"], ..HEALED },
    Case {
        name: "server-busy for ever",
        emulator: &["--fault", "event_hubs:server-busy:@50+"],
        event_hubs: End::GivenUp,
        says: &["before the service answered; before that: ", "(com.microsoft:server-busy)"],
        ..GIVEN_UP
    },
    Case {
        name: "events rejected for good",
        emulator: &["--fault", "event_hubs:reject:@50-59"],
        code: 1,
        event_hubs: End::Fail("bad_request"),
        says: &["bad_request (com.microsoft:argument-error)", "\"bad_request\":10"],
        ..HEALED
    },
    Case {
        name: "token expired in mid-run",
        emulator: &["--fault", "event_hubs:expired-token:@50"],
        run: &["--event-hub-connections", "1"],
        ..HEALED
    },
    Case {
        name: "renewal of the token refused once",
        emulator: &["--fault", "event_hubs:refused-token:@50"],
        // With another connection left nothing would need the token that is refused.
        run: &["--event-hub-connections", "1"],
        ..HEALED
    },
    Case {
        name: "hub deleted in mid-run",
        emulator: &["--fault", "event_hubs:gone:@50"],
        code: 1,
        event_hubs: End::Fail("not_found"),
        gone: &["event_hubs"],
        says: &["Event Hubs: transaction", "could not be found"],
        ..HEALED
    },
    Case {
        name: "never an answer",
        emulator: &["--fault", "event_hubs:never:@50+"],
        event_hubs: End::GivenUp,
        says: &["the run was stopped before the service answered"],
        ..GIVEN_UP
    },
    Case {
        name: "no answer to a few",
        emulator: &["--fault", "event_hubs:never:@50-59"],
        event_hubs: End::GivenUp,
        ..GIVEN_UP
    },
];

#[test]
fn whatever_happens_at_event_hubs_is_reported_and_nothing_is_lost() {
    play(CASES, &COSMOS_CLIENTS[..1]);
}
