//! Trouble on purpose.

use super::*;

fn with_fault(rule: &str) -> Peer {
    let faults = vec![rule.parse().unwrap()];
    let mut peer = Peer::entered(EventHubsEmulatorOptions { faults, ..Default::default() });
    peer.say(0, sender(0, "transactions"));
    peer
}

#[test]
fn a_busy_server_on_purpose_rejects_and_stores_nothing() {
    let mut peer = with_fault("server-busy:1x");
    let heard = peer.transfer(0, &message(None, b"x"));
    assert!(matches!(
        heard[..],
        [(_, Said::Disposition(Disposition { state: Some(DeliveryState::Rejected(_)), .. }), _)]
    ));
    assert_eq!(dispositions(&peer.transfer(1, &message(None, b"x"))), [(1, Some(1))]);
    assert_eq!(peer.events(), 1);
}

#[test]
fn an_event_rejected_on_purpose_gets_a_condition_that_no_client_retries_and_is_not_stored() {
    let mut peer = with_fault("reject:1x");
    let heard = peer.transfer(0, &message(None, b"x"));
    let [(_, Said::Disposition(Disposition { state: Some(DeliveryState::Rejected(rejected)), .. }), _)] = &heard[..]
    else {
        panic!("{heard:?}")
    };
    assert_eq!(condition(&rejected.error.as_ref().unwrap().condition), "com.microsoft:argument-error");
    assert_eq!(dispositions(&peer.transfer(1, &message(None, b"x"))), [(1, Some(1))]);
    assert_eq!(peer.events(), 1);
}

#[test]
fn a_delayed_outcome_holds_up_no_other() {
    let mut peer = with_fault("delay=1s:1x");
    assert!(peer.transfer(0, &message(None, b"x")).is_empty());
    assert_eq!(dispositions(&peer.transfer(1, &message(None, b"x"))), [(1, Some(1))]);
    assert_eq!(dispositions(&peer.wait(Duration::from_secs(1))), [(0, Some(0))]);
}

#[test]
fn an_expired_token_on_purpose_costs_the_link_and_a_new_one_goes_on() {
    let mut peer = with_fault("expired-token:1x");
    assert_eq!(fate(&peer.transfer(0, &message(None, b"x"))), "amqp:unauthorized-access");
    peer.say(0, detach(0));
    peer.say(0, sender(0, "transactions"));
    assert_eq!(dispositions(&peer.transfer(1, &message(None, b"x"))), [(1, Some(1))]);
}

#[test]
fn a_connection_closed_on_purpose_says_so_and_one_dropped_does_not() {
    assert_eq!(fate(&with_fault("close:1x").transfer(0, &message(None, b"x"))), "amqp:connection:forced");
    let mut dropped = with_fault("drop:1x");
    assert!(dropped.transfer(0, &message(None, b"x")).is_empty());
    assert!(dropped.connection.is_closed());
}

#[test]
fn half_an_answer_is_the_last_thing_that_is_heard() {
    let mut peer = with_fault("half:1x");
    let bytes = peer.bytes(&framed(0, &Said::Transfer(transfer(0, 0)), &message(None, b"x")));
    assert!(!bytes.is_empty() && frame::split(&bytes) == Ok(None));
    assert!(peer.connection.is_closed());
}

#[test]
fn a_delivery_that_is_never_answered_leaves_the_link_its_credit() {
    let faults = vec!["never:3x".parse().unwrap()];
    let mut peer = Peer::entered(EventHubsEmulatorOptions { faults, credit: 3, ..Default::default() });
    peer.say(0, sender(0, "transactions"));
    for id in 0..3 {
        assert!(dispositions(&peer.transfer(id, &message(None, b"x"))).is_empty());
    }
    assert_eq!(dispositions(&peer.transfer(3, &message(None, b"x"))), [(3, Some(3))]);
}
