//! Peers that receive.

use super::*;

#[test]
fn events_are_delivered_as_far_as_credit_and_window_go() {
    let mut peer = Peer::entered(EventHubsEmulatorOptions { partitions: 1, ..Default::default() });
    peer.say(0, sender(0, "transactions"));
    for id in 0..10 {
        peer.transfer(id, &message(Some("us"), b"x"));
    }
    peer.say(0, receiver(1, READ));
    let transfers = |heard: &[(u16, Said, Vec<u8>)]| {
        heard.iter().filter(|(_, said, _)| matches!(said, Said::Transfer(Transfer { settled: Some(true), .. }))).count()
    };
    assert_eq!(transfers(&peer.say(0, credit(1, 0, 3))), 3);
    let narrow = |said| match said {
        Said::Flow(flow) => Said::Flow(Flow { incoming_window: 2, next_incoming_id: Some(3), ..flow }),
        other => other,
    };
    assert_eq!(transfers(&peer.say(0, narrow(credit(1, 3, 100)))), 2);
    assert_eq!(transfers(&peer.say(0, credit(1, 5, 100))), 5);
}

#[test]
fn an_event_larger_than_the_peers_frames_comes_in_parts() {
    let open = Open { max_frame_size: MaxFrameSize(512), ..Peer::open() };
    let mut peer = Peer::new(EventHubsEmulatorOptions { partitions: 1, ..Default::default() }).opened(open);
    peer.grant_everything();
    peer.say(0, sender(0, "transactions"));
    let body: Vec<u8> = (0..5_000_u32).map(|number| number as u8).collect();
    peer.transfer(0, &message(None, &body));
    peer.say(0, receiver(1, READ));
    let heard = peer.say(0, credit(1, 0, 10));
    let whole: Vec<u8> = heard.iter().flat_map(|(_, _, payload)| payload.clone()).collect();
    assert!(whole.ends_with(&body));
    let more = heard.iter().map(|(_, said, _)| matches!(said, Said::Transfer(Transfer { more: true, .. })));
    assert_eq!(more.filter(|more| *more).count(), heard.len() - 1);
}

#[test]
fn a_peer_that_does_not_read_is_not_written_for_and_at_last_dropped() {
    let mut peer = Peer::entered(EventHubsEmulatorOptions { partitions: 1, ..Default::default() });
    peer.say(0, sender(0, "transactions"));
    for id in 0..200 {
        peer.transfer(id, &message(None, &vec![0; 60_000]));
    }
    peer.say(0, receiver(1, READ));
    peer.connection.receive(&framed(0, &credit(1, 0, 1_000), &[]), peer.now);
    assert!(peer.connection.output().len() < 2 * HIGH_WATER);
    assert!(!peer.connection.wants_input());
    peer.connection.tick(peer.now);
    assert!(peer.connection.output().len() < 2 * HIGH_WATER);
    peer.now.instant += STALLED;
    peer.connection.tick(peer.now);
    assert!(peer.connection.is_closed() && peer.connection.output().is_empty());
}

#[test]
fn a_reader_on_another_connection_sees_what_is_sent() {
    let mut one = Peer::entered(EventHubsEmulatorOptions { partitions: 1, ..Default::default() });
    let mut two = one.beside();
    two.grant_everything();
    two.say(0, receiver(1, READ));
    two.say(0, credit(1, 0, 10));
    one.say(0, sender(0, "transactions"));
    one.transfer(0, &message(None, b"x"));
    assert!(matches!(two.wait(Duration::ZERO)[..], [(0, Said::Transfer(_), _)]));
}

#[test]
fn links_without_a_right_are_refused_and_leave_no_reader_behind() {
    let mut peer = Peer::new(EventHubsEmulatorOptions::default()).opened(Peer::open());
    assert_eq!(fate(&peer.say(0, sender(0, "transactions"))), "amqp:unauthorized-access");
    assert_eq!(fate(&peer.say(0, receiver(1, READ))), "amqp:unauthorized-access");
    assert_eq!(peer.namespace.hubs()[0].partitions()[0].readers(), 0);
}

#[test]
fn a_reader_is_gone_with_its_link_its_session_or_its_connection() {
    let mut peer = Peer::entered(EventHubsEmulatorOptions::default());
    let readers = |peer: &Peer| peer.namespace.hubs()[0].partitions()[0].readers();
    peer.say(0, receiver(0, READ));
    assert_eq!(readers(&peer), 1);
    peer.say(0, detach(0));
    assert_eq!(readers(&peer), 0);
    peer.say(0, receiver(0, READ));
    peer.say(0, Said::End(End { error: None }));
    assert_eq!(readers(&peer), 0);
    peer.say(0, Said::Begin(begin()));
    peer.say(0, receiver(0, READ));
    peer.say(0, Said::Close(Close { error: None }));
    assert_eq!(readers(&peer), 0);
}
