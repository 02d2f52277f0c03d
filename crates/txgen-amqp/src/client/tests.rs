use bytes::BytesMut;
use fe2o3_amqp_types::performatives as library;
use proptest::prelude::*;

use super::*;
use crate::descriptor::{SASL_MECHANISMS, SASL_OUTCOME};
use crate::performative::{
    AmqpError, NewAttach, NewOpen, Outcome as Sends, write_begin, write_disposition, write_new_attach, write_open,
};

/// What a peer writes, frame by frame.
#[derive(Default)]
struct Peer(BytesMut);

impl Peer {
    fn say(mut self, body: impl FnOnce(&mut Writer<'_>)) -> Self {
        frame::write(&mut self.0, Kind::Amqp, 0, body, &[]);
        self
    }

    fn sasl(mut self, code: u64, field: impl FnOnce(&mut Writer<'_>)) -> Self {
        frame::write(&mut self.0, Kind::Sasl, 0, |w| w.described_list(code, field), &[]);
        self
    }

    fn header(mut self, header: &[u8; 8]) -> Self {
        self.0.extend_from_slice(header);
        self
    }

    fn flow(self, handle: u32, credit: u32, window: u32) -> Self {
        let flow = Flow {
            next_incoming_id: Some(0),
            incoming_window: window,
            handle: Some(handle),
            delivery_count: Some(0),
            link_credit: Some(credit),
            ..Flow::default()
        };
        self.say(|w| write_flow(w, &flow))
    }

    fn settle(self, first: u32, last: u32, outcome: &Sends) -> Self {
        self.say(|w| write_disposition(w, first, last, outcome))
    }
}

fn welcome(max_frame_size: u32, idle_time_out_ms: u32) -> Peer {
    let open = NewOpen { container: "peer", max_frame_size, idle_time_out_ms, ..NewOpen::default() };
    Peer::default()
        .header(b"AMQP\x03\x01\x00\x00")
        .sasl(SASL_MECHANISMS, |w| w.symbols(&["PLAIN", "ANONYMOUS"]))
        .sasl(SASL_OUTCOME, |w| w.ubyte(0))
        .header(b"AMQP\x00\x01\x00\x00")
        .say(|w| write_open(w, &open))
        .say(|w| write_begin(w, Some(0), 5_000, 255))
}

fn new() -> Connection<u32> {
    let settings = Settings {
        container: "me".into(),
        hostname: "there".into(),
        idle: Duration::from_secs(60),
        properties: vec![("product".into(), "test".into())],
    };
    Connection::new(settings, Instant::now())
}

fn hear(connection: &mut Connection<u32>, peer: Peer) -> Vec<Event<u32>> {
    connection.receive(&peer.0);
    events(connection)
}

fn events(connection: &mut Connection<u32>) -> Vec<Event<u32>> {
    std::iter::from_fn(|| connection.next_event().unwrap()).collect()
}

/// Takes the output, and gives the bodies of its frames.
fn said(connection: &mut Connection<u32>) -> Vec<Vec<u8>> {
    let output = connection.output().to_vec();
    connection.wrote(output.len(), Instant::now());
    let mut left = &output[..];
    let mut bodies = Vec::new();
    while !left.is_empty() {
        if let Some(rest) = left.strip_prefix(b"AMQP") {
            left = &rest[4..];
            continue;
        }
        let (frame, size) = frame::split(left).unwrap().unwrap();
        bodies.push(frame.body.to_vec());
        left = &left[size..];
    }
    bodies
}

fn answer(name: &str, handle: u32, receives: bool) -> NewAttach<'_> {
    NewAttach {
        name,
        handle,
        receives,
        settled: false,
        source: Some("s"),
        target: Some("t"),
        filters: &[],
        properties: &[],
        max_message_size: Some(1_000_000),
    }
}

/// A connection with one sender that has so much credit.
fn sending(credit: u32, max_frame_size: u32, window: u32) -> (Connection<u32>, Link) {
    let mut connection = new();
    assert_eq!(hear(&mut connection, welcome(max_frame_size, 0)), [Event::Ready]);
    let link = connection.attach_sender(&NewSender { name: "link", target: "hub", source: None });
    said(&mut connection);
    let peer = Peer::default().say(|w| write_new_attach(w, &answer("link", 7, true))).flow(7, credit, window);
    assert_eq!(hear(&mut connection, peer), [Event::Attached(link), Event::Credit(link)]);
    (connection, link)
}

#[test]
fn the_amqp_library_reads_what_opens_a_connection_and_attaches_links() {
    let mut connection = new();
    hear(&mut connection, welcome(65_536, 0));
    connection.attach_sender(&NewSender { name: "out", target: "hub", source: None });
    connection.attach_receiver(&NewReceiver {
        name: "in",
        source: "hub/1",
        target: None,
        filters: &[("filter", "a > 1")],
        properties: &[("epoch", 3)],
        settled: true,
        max_message_size: 99,
    });
    let bodies = said(&mut connection);
    // After sasl-init.
    let open: library::Open = serde_amqp::from_slice(&bodies[1]).unwrap();
    assert_eq!((open.container_id.as_str(), open.hostname.as_deref()), ("me", Some("there")));
    assert_eq!((open.idle_time_out, open.properties.unwrap().len()), (Some(30_000), 1));
    let begin: library::Begin = serde_amqp::from_slice(&bodies[2]).unwrap();
    assert_eq!((begin.remote_channel, begin.next_outgoing_id), (None, 0));
    let sender: library::Attach = serde_amqp::from_slice(&bodies[3]).unwrap();
    assert_eq!((sender.name.as_str(), sender.initial_delivery_count), ("out", Some(0)));
    let receiver: library::Attach = serde_amqp::from_slice(&bodies[4]).unwrap();
    assert_eq!((receiver.max_message_size, receiver.properties.unwrap().len()), (Some(99), 1));
    let source = receiver.source.unwrap();
    assert_eq!(source.filter.unwrap().len(), 1);
}

#[test]
fn a_byte_at_a_time_opens_a_connection_too() {
    let mut connection = new();
    let mut all = Vec::new();
    for byte in welcome(65_536, 0).0 {
        connection.receive(&[byte]);
        all.extend(events(&mut connection));
    }
    assert_eq!(all, [Event::Ready]);
}

#[test]
fn a_peer_that_speaks_something_else_is_told_by_its_first_bytes() {
    let mut connection = new();
    connection.receive(b"HTT");
    assert_eq!(connection.next_event(), Err(Broken::NotAmqp));
}

#[test]
fn a_peer_that_refuses_is_told_by_its_code() {
    let mut connection = new();
    let peer = Peer::default()
        .header(b"AMQP\x03\x01\x00\x00")
        .sasl(SASL_MECHANISMS, |w| w.symbols(&["ANONYMOUS"]))
        .sasl(SASL_OUTCOME, |w| w.ubyte(1));
    connection.receive(&peer.0);
    assert_eq!(connection.next_event(), Err(Broken::Refused(Some(1))));
}

#[test]
fn deliveries_are_pipelined_as_far_as_credit_goes_and_settled_by_ranges() {
    let (mut connection, link) = sending(3, 65_536, 5_000);
    for token in 10..13 {
        assert_eq!(connection.send(link, token, &[b"head", b"body"]), Ok(()));
    }
    assert_eq!(connection.send(link, 13, &[b"body"]), Err(13));
    let transfers = said(&mut connection);
    assert_eq!(transfers.len(), 3);
    let Ok(Performative::Transfer(last)) = performative::read(&transfers[2]) else { panic!("a transfer") };
    assert_eq!((last.delivery_id, last.more, last.settled, last.payload), (Some(2), false, false, &b"headbody"[..]));
    let settled = |token| Event::Settled { token, outcome: Outcome::Accepted };
    let peer =
        Peer::default().settle(0, 1, &Sends::Accepted).settle(2, 2, &Sends::Rejected(AmqpError::new("busy", "wait")));
    let error = Error { condition: "busy".into(), description: Some("wait".into()) };
    let rejected = Event::Settled { token: 12, outcome: Outcome::Rejected(Some(error)) };
    assert_eq!(hear(&mut connection, peer), [settled(10), settled(11), rejected]);
    assert_eq!(connection.remembered(), 0);
}

#[test]
fn credit_counts_from_what_the_peer_had_seen() {
    let (mut connection, link) = sending(2, 65_536, 5_000);
    connection.send(link, 1, &[b"x"]).unwrap();
    // Said before the peer saw that delivery.
    hear(&mut connection, Peer::default().flow(7, 5, 5_000));
    assert_eq!(connection.credit(link), 4);
}

#[test]
fn a_message_longer_than_a_frame_goes_in_parts_and_waits_for_the_window() {
    let (mut connection, link) = sending(5, 512, 2);
    let message = vec![b'm'; 1_500];
    connection.send(link, 1, &[&message]).unwrap();
    assert_eq!(connection.credit(link), 0, "nothing may come between its parts");
    let mut frames = said(&mut connection);
    assert_eq!(frames.len(), 2);
    let flow = Flow { next_incoming_id: Some(2), incoming_window: 9, ..Flow::default() };
    hear(&mut connection, Peer::default().say(|w| write_flow(w, &flow)));
    frames.extend(said(&mut connection));
    let mut sent = Vec::new();
    for (place, frame) in frames.iter().enumerate() {
        assert!(frame.len() + 8 <= 512);
        let Ok(Performative::Transfer(part)) = performative::read(frame) else { panic!("a transfer") };
        assert_eq!(part.more, place + 1 < frames.len());
        assert_eq!(part.delivery_id, (place == 0).then_some(0));
        sent.extend_from_slice(part.payload);
    }
    assert_eq!(sent, message);
    assert_eq!(connection.credit(link), 4);
}

#[test]
fn a_detached_link_gives_back_what_was_sent_over_it() {
    let (mut connection, link) = sending(5, 65_536, 5_000);
    connection.send(link, 1, &[b"x"]).unwrap();
    connection.send(link, 2, &[b"x"]).unwrap();
    let error = AmqpError::new("amqp:link:detach-forced", "idle");
    let peer = Peer::default().settle(0, 0, &Sends::Accepted).say(|w| write_detach(w, 7, true, Some(&error)));
    let heard = hear(&mut connection, peer);
    let error = Error { condition: "amqp:link:detach-forced".into(), description: Some("idle".into()) };
    assert_eq!(heard[1], Event::Detached { link, error: Some(error), unsettled: vec![2] });
    let answer = said(&mut connection).pop().unwrap();
    let Ok(Performative::Detach(answer)) = performative::read(&answer) else { panic!("a detach") };
    assert!(answer.closed);
    assert_eq!(connection.send(link, 3, &[b"x"]), Err(3));
}

#[test]
fn a_refused_link_is_attached_never_and_detached_with_the_reason() {
    let mut connection = new();
    hear(&mut connection, welcome(65_536, 0));
    let link = connection.attach_sender(&NewSender { name: "link", target: "hub", source: None });
    let theirs = said(&mut connection).pop().unwrap();
    let Ok(Performative::Attach(theirs)) = performative::read(&theirs) else { panic!("an attach") };
    let error = AmqpError::new("amqp:not-found", "no hub");
    let peer = Peer::default()
        .say(|w| crate::performative::write_attach(w, &theirs, false, 0, None))
        .say(|w| write_detach(w, 0, true, Some(&error)));
    let error = Error { condition: "amqp:not-found".into(), description: Some("no hub".into()) };
    assert_eq!(hear(&mut connection, peer), [Event::Detached { link, error: Some(error), unsettled: Vec::new() }]);
}

#[test]
fn what_was_not_written_when_the_connection_is_lost_did_not_leave() {
    let (mut connection, link) = sending(5, 65_536, 5_000);
    connection.send(link, 1, &[b"x"]).unwrap();
    said(&mut connection);
    connection.send(link, 2, &[b"x"]).unwrap();
    connection.wrote(1, Instant::now());
    connection.send(link, 3, &[b"x"]).unwrap();
    assert_eq!(connection.into_unsettled().collect::<Vec<_>>(), [(1, true), (2, true), (3, false)]);
}

#[test]
fn a_heartbeat_is_written_at_half_of_what_the_peer_bears() {
    let mut connection = new();
    hear(&mut connection, welcome(65_536, 10_000));
    said(&mut connection);
    let at = connection.heartbeat_at().unwrap();
    connection.beat(at - Duration::from_millis(1));
    assert!(connection.output().is_empty());
    connection.beat(at);
    assert_eq!(connection.output(), [0, 0, 0, 8, 2, 0, 0, 0]);
}

#[test]
fn closing_detaches_ends_and_closes_and_waits_for_the_peer() {
    let (mut connection, _) = sending(5, 65_536, 5_000);
    connection.close();
    let said = said(&mut connection);
    let codes: Vec<_> = said.iter().map(|body| performative::described_list(body).unwrap().0).collect();
    assert_eq!(codes, [crate::descriptor::DETACH, crate::descriptor::END, crate::descriptor::CLOSE]);
    let peer = Peer::default().say(|w| write_end(w, None)).say(|w| write_close(w, None));
    assert_eq!(hear(&mut connection, peer), [Event::Closed(None)]);
    assert!(connection.output().is_empty());
}

#[test]
fn a_message_in_parts_arrives_whole_and_is_settled() {
    let mut connection = new();
    hear(&mut connection, welcome(65_536, 0));
    let link = connection.attach_receiver(&NewReceiver {
        name: "in",
        source: "s",
        max_message_size: 10,
        ..NewReceiver::default()
    });
    let mut peer = Peer::default().say(|w| write_new_attach(w, &answer("in", 4, false)));
    frame::write(&mut peer.0, Kind::Amqp, 0, |w| crate::performative::write_delivery(w, 4, 0, true), b"one ");
    frame::write(&mut peer.0, Kind::Amqp, 0, |w| crate::performative::write_part(w, 4, false), b"two");
    connection.grant(link, 1);
    said(&mut connection);
    assert_eq!(hear(&mut connection, peer)[1], Event::Message { link, payload: b"one two".to_vec() });
    let settled = said(&mut connection).pop().unwrap();
    let Ok(Performative::Disposition(settled)) = performative::read(&settled) else { panic!("a disposition") };
    assert!(settled.settled && settled.peer_receives);
    let mut peer = Peer::default();
    frame::write(&mut peer.0, Kind::Amqp, 0, |w| crate::performative::write_delivery(w, 4, 1, true), &[0; 11]);
    connection.receive(&peer.0);
    assert!(matches!(connection.next_event(), Err(Broken::OutOfPlace(_))));
}

proptest! {
    #[test]
    fn no_bytes_of_a_peer_make_it_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        numbers in proptest::collection::vec(any::<u32>(), 8),
        is_open in any::<bool>(),
    ) {
        let (mut connection, link) = if is_open { sending(5, 512, 3) } else { (new(), Link(0)) };
        let _ = connection.send(link, 1, &[&[0; 2_000]]);
        let peer = Peer::default()
            .settle(numbers[0], numbers[1], &Sends::Accepted)
            .flow(numbers[2] % 9, numbers[3], numbers[4])
            .say(|w| write_detach(w, numbers[5] % 9, false, None));
        connection.receive(if is_open { &peer.0 } else { &[] });
        connection.receive(&bytes);
        while let Ok(Some(_)) = connection.next_event() {}
        prop_assert!(connection.output().len() < 1 << 20);
    }
}
