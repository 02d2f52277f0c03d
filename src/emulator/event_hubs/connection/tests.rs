//! Conversations with a connection, frame by frame, on a clock that the test sets.

use bytes::BytesMut;
use fe2o3_amqp_types::definitions::{ErrorCondition, Handle, Role};
use fe2o3_amqp_types::messaging::{DeliveryState, Source, Target};
use fe2o3_amqp_types::performatives::{
    Attach, Begin, ChannelMax, Close, Detach, Disposition, End, Flow, MaxFrameSize, Open, Performative as Said,
    Transfer,
};
use proptest::prelude::*;

use super::*;
use crate::emulator::event_hubs::options::{EventHubsEmulatorOptions, Policy};
use crate::emulator::event_hubs::wire::message::tests::message;
use crate::emulator::event_hubs::wire::writer::Writer;
use crate::shared_access::sign;

/// The other end of a connection.
struct Peer {
    connection: Connection,
    namespace: Arc<Namespace>,
    now: Now,
}

impl Peer {
    fn new(options: EventHubsEmulatorOptions) -> Self {
        let now = Now { instant: Instant::now(), unix_ms: 1_000_000 };
        let namespace = Arc::new(Namespace::new(options, now));
        Self { connection: Self::connection(&namespace, now), namespace, now }
    }

    fn connection(namespace: &Arc<Namespace>, now: Now) -> Connection {
        Connection::new(Arc::clone(namespace), Arc::new(Bell::default()), "emulator".into(), now)
    }

    /// Another peer of the same namespace.
    fn beside(&self) -> Self {
        let namespace = Arc::clone(&self.namespace);
        Self { connection: Self::connection(&namespace, self.now), namespace, now: self.now }.opened(Self::open())
    }

    fn open() -> Open {
        Open {
            container_id: "peer".into(),
            hostname: None,
            max_frame_size: MaxFrameSize(u32::MAX),
            channel_max: ChannelMax(u16::MAX),
            idle_time_out: None,
            outgoing_locales: None,
            incoming_locales: None,
            offered_capabilities: None,
            desired_capabilities: None,
            properties: None,
        }
    }

    /// Past the open and one begin on channel 0.
    fn opened(mut self, open: Open) -> Self {
        self.bytes(&AMQP_HEADER);
        self.say(0, Said::Open(open));
        self.say(0, Said::Begin(begin()));
        let heard = self.bytes(&[]);
        assert!(heard.is_empty());
        self
    }

    /// Opened, and with every right.
    fn entered(options: EventHubsEmulatorOptions) -> Self {
        let mut peer = Self::new(options).opened(Self::open());
        peer.grant_everything();
        peer
    }

    fn grant_everything(&mut self) {
        let all = vec![Policy { manage: true, ..Policy::with_random_key("all") }];
        let grant = crate::emulator::event_hubs::grants::check_password(&all, "all", &all[0].key).unwrap();
        self.connection.core.grants.put(grant);
    }

    /// Hands bytes over, and gives what came back.
    fn bytes(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.connection.receive(bytes, self.now);
        self.take()
    }

    fn take(&mut self) -> Vec<u8> {
        let out = self.connection.output().to_vec();
        self.connection.sent(out.len(), self.now);
        out
    }

    fn say(&mut self, channel: u16, said: Said) -> Vec<(u16, Said, Vec<u8>)> {
        let bytes = self.bytes(&framed(channel, &said, &[]));
        self.heard(&bytes)
    }

    fn transfer(&mut self, id: u32, message: &[u8]) -> Vec<(u16, Said, Vec<u8>)> {
        let bytes = self.bytes(&framed(0, &Said::Transfer(transfer(0, id)), message));
        self.heard(&bytes)
    }

    /// Lets time pass, and gives what was said meanwhile.
    fn wait(&mut self, time: Duration) -> Vec<(u16, Said, Vec<u8>)> {
        self.now.instant += time;
        self.now.unix_ms += time.as_millis() as i64;
        self.connection.tick(self.now);
        let bytes = self.take();
        self.heard(&bytes)
    }

    fn heard(&self, mut bytes: &[u8]) -> Vec<(u16, Said, Vec<u8>)> {
        if let Some(rest) = bytes.strip_prefix(&AMQP_HEADER) {
            bytes = rest;
        }
        let mut heard = Vec::new();
        while let Some((frame, size)) = frame::split(bytes).unwrap() {
            if !frame.body.is_empty() {
                let (_, _, payload) = performative::described_list(frame.body).unwrap();
                heard.push((frame.channel, serde_amqp::from_slice(frame.body).unwrap(), payload.to_vec()));
            }
            bytes = &bytes[size..];
        }
        heard
    }

    fn events(&self) -> u64 {
        self.namespace.hubs()[0].partitions().iter().map(|partition| partition.taken().0).sum()
    }
}

fn framed(channel: u16, said: &Said, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    let body = serde_amqp::to_vec(said).unwrap();
    frame::write(&mut out, Kind::Amqp, channel, |w| w.raw(&body), payload);
    out.to_vec()
}

fn begin() -> Begin {
    Begin {
        remote_channel: None,
        next_outgoing_id: 0,
        incoming_window: 1_000,
        outgoing_window: 1_000,
        handle_max: Handle(100),
        offered_capabilities: None,
        desired_capabilities: None,
        properties: None,
    }
}

fn attach(handle: u32, role: Role, address: &str) -> Attach {
    Attach {
        name: "link".into(),
        handle: Handle(handle),
        role,
        snd_settle_mode: Default::default(),
        rcv_settle_mode: Default::default(),
        source: Some(Box::new(Source::builder().address(address).build())),
        target: Some(Box::new(Target::builder().address(address).build().into())),
        unsettled: None,
        incomplete_unsettled: false,
        initial_delivery_count: Some(0),
        max_message_size: None,
        offered_capabilities: None,
        desired_capabilities: None,
        properties: None,
    }
}

fn sender(handle: u32, address: &str) -> Said {
    Said::Attach(attach(handle, Role::Sender, address))
}

fn receiver(handle: u32, address: &str) -> Said {
    Said::Attach(attach(handle, Role::Receiver, address))
}

fn credit(handle: u32, delivery_count: u32, credit: u32) -> Said {
    Said::Flow(Flow {
        next_incoming_id: Some(0),
        incoming_window: 1_000,
        next_outgoing_id: 0,
        outgoing_window: 1_000,
        handle: Some(Handle(handle)),
        delivery_count: Some(delivery_count),
        link_credit: Some(credit),
        available: None,
        drain: false,
        echo: false,
        properties: None,
    })
}

fn transfer(handle: u32, id: u32) -> Transfer {
    Transfer {
        handle: Handle(handle),
        delivery_id: Some(id),
        delivery_tag: Some(id.to_be_bytes().to_vec().into()),
        message_format: Some(0),
        settled: Some(false),
        more: false,
        rcv_settle_mode: None,
        state: None,
        resume: false,
        aborted: false,
        batchable: false,
    }
}

fn detach(handle: u32) -> Said {
    Said::Detach(Detach { handle: Handle(handle), closed: true, error: None })
}

fn condition(condition: &ErrorCondition) -> String {
    match serde_amqp::to_value(condition) {
        Ok(serde_amqp::Value::Symbol(symbol)) => symbol.0,
        other => panic!("a condition is a symbol, not {other:?}"),
    }
}

/// The condition of the close, the end or the detach that was heard last.
fn fate(heard: &[(u16, Said, Vec<u8>)]) -> String {
    let (Some((_, Said::Close(Close { error }), _))
    | Some((_, Said::End(End { error }), _))
    | Some((_, Said::Detach(Detach { error, .. }), _))) = heard.last()
    else {
        panic!("no fate in {heard:?}")
    };
    error.as_ref().map(|error| condition(&error.condition)).unwrap_or_default()
}

fn dispositions(heard: &[(u16, Said, Vec<u8>)]) -> Vec<(u32, Option<u32>)> {
    heard
        .iter()
        .filter_map(|(_, said, _)| match said {
            Said::Disposition(Disposition {
                first,
                last,
                settled: true,
                state: Some(DeliveryState::Accepted(_)),
                ..
            }) => Some((*first, *last)),
            _ => None,
        })
        .collect()
}

const READ: &str = "transactions/ConsumerGroups/$Default/Partitions/0";

#[test]
fn outcomes_wait_for_the_latency_side_by_side_and_come_as_one_range() {
    let latency = Duration::from_millis(5);
    let mut peer = Peer::entered(EventHubsEmulatorOptions { latency, ..Default::default() });
    peer.say(0, sender(0, "transactions"));
    for id in 0..10 {
        assert!(dispositions(&peer.transfer(id, &message(None, b"x"))).is_empty());
    }
    assert_eq!(peer.events(), 10);
    assert_eq!(peer.connection.deadline(), peer.now.instant + latency);
    assert!(dispositions(&peer.wait(Duration::from_millis(4))).is_empty());
    peer.transfer(10, &message(None, b"later"));
    assert_eq!(dispositions(&peer.wait(Duration::from_millis(1))), [(0, Some(9))]);
    assert_eq!(dispositions(&peer.wait(Duration::from_millis(4))), [(10, Some(10))]);
}

#[test]
fn what_came_in_one_read_is_settled_in_one_disposition_across_links() {
    let mut peer = Peer::entered(EventHubsEmulatorOptions::default());
    peer.say(0, sender(0, "transactions"));
    peer.say(0, sender(1, "transactions/Partitions/1"));
    let mut read = Vec::new();
    for id in 0..20 {
        read.extend(framed(0, &Said::Transfer(transfer(id % 2, id)), &message(None, b"x")));
    }
    let bytes = peer.bytes(&read);
    assert_eq!(dispositions(&peer.heard(&bytes)), [(0, Some(19))]);
}

#[test]
fn a_rejected_delivery_breaks_the_range() {
    let mut peer = Peer::entered(EventHubsEmulatorOptions::default());
    peer.say(0, sender(0, "transactions"));
    let mut read = Vec::new();
    for id in 0..5 {
        let payload = if id == 2 { b"no message".to_vec() } else { message(None, b"x") };
        read.extend(framed(0, &Said::Transfer(transfer(0, id)), &payload));
    }
    let bytes = peer.bytes(&read);
    let heard = peer.heard(&bytes);
    assert_eq!(dispositions(&heard), [(0, Some(1)), (3, Some(4))]);
    let rejected = heard.iter().find_map(|(_, said, _)| match said {
        Said::Disposition(Disposition { state: Some(DeliveryState::Rejected(rejected)), .. }) => rejected.error.clone(),
        _ => None,
    });
    assert_eq!(condition(&rejected.unwrap().condition), "amqp:decode-error");
}

#[test]
fn a_message_over_a_mebibyte_is_rejected_and_the_link_goes_on() {
    let mut peer = Peer::entered(EventHubsEmulatorOptions::default());
    peer.say(0, sender(0, "transactions"));
    let part = vec![0; 60_000];
    for _ in 0..20 {
        peer.bytes(&framed(0, &Said::Transfer(Transfer { more: true, ..transfer(0, 0) }), &part));
    }
    let heard = peer.transfer(0, &part);
    let [(_, Said::Disposition(Disposition { state: Some(DeliveryState::Rejected(rejected)), .. }), _)] = &heard[..]
    else {
        panic!("{heard:?}")
    };
    assert_eq!(condition(&rejected.error.as_ref().unwrap().condition), "amqp:link:message-size-exceeded");
    assert_eq!(dispositions(&peer.transfer(1, &message(None, b"x"))), [(1, Some(1))]);
    assert_eq!((peer.events(), peer.namespace.hubs()[0].rejected.load(std::sync::atomic::Ordering::Relaxed)), (1, 1));
}

#[test]
fn a_settled_transfer_is_stored_and_gets_no_disposition() {
    let mut peer = Peer::entered(EventHubsEmulatorOptions::default());
    peer.say(0, sender(0, "transactions"));
    let settled = Transfer { settled: Some(true), ..transfer(0, 0) };
    let bytes = peer.bytes(&framed(0, &Said::Transfer(settled), &message(None, b"x")));
    assert!(dispositions(&peer.heard(&bytes)).is_empty());
    assert_eq!(peer.events(), 1);
}

#[test]
fn bytes_may_come_one_at_a_time() {
    let mut peer = Peer::new(EventHubsEmulatorOptions::default());
    let mut conversation = AMQP_HEADER.to_vec();
    conversation.extend(framed(0, &Said::Open(Peer::open()), &[]));
    conversation.extend(framed(0, &Said::Begin(begin()), &[]));
    let mut pending = Vec::new();
    let mut heard = Vec::new();
    for byte in conversation {
        pending.push(byte);
        let used = peer.connection.receive(&pending, peer.now);
        pending.drain(..used);
        heard.extend(peer.take());
    }
    assert!(matches!(peer.heard(&heard)[..], [(0, Said::Open(_), _), (0, Said::Begin(_), _)]));
}

#[test]
fn a_token_that_ends_takes_its_links_along() {
    let policies = vec![Policy { send: true, ..Policy::with_random_key("Sender") }];
    let key = policies[0].key.clone();
    let mut peer = Peer::new(EventHubsEmulatorOptions { policies, ..Default::default() }).opened(Peer::open());
    peer.say(0, sender(1, "$cbs"));
    peer.say(0, receiver(2, "$cbs"));
    peer.say(0, credit(2, 0, 10));
    let put = |peer: &mut Peer, expiry| {
        let token = sign("sb://host/transactions", "Sender", &key, expiry);
        let mut request = BytesMut::new();
        let mut w = Writer::new(&mut request);
        w.described_map(0x74, |w| {
            for text in
                ["operation", "put-token", "type", "servicebus.windows.net:sastoken", "name", "sb://host/transactions"]
            {
                w.string(text);
            }
        });
        w.descriptor(0x77);
        w.string(token.secret());
        let bytes = peer.bytes(&framed(0, &Said::Transfer(transfer(1, 0)), &request));
        peer.heard(&bytes)
    };
    // It is second 1,000; the reply comes over the link from `$cbs`.
    assert!(put(&mut peer, 1_010).iter().any(|(_, said, _)| matches!(said, Said::Transfer(_))));
    peer.say(0, sender(0, "transactions"));
    assert_eq!(dispositions(&peer.transfer(1, &message(None, b"x"))), [(1, Some(1))]);
    put(&mut peer, 1_020);
    assert!(peer.wait(Duration::from_secs(15)).is_empty());
    assert!(peer.connection.deadline() <= peer.now.instant + Duration::from_secs(5));
    assert_eq!(fate(&peer.wait(Duration::from_secs(5))), "amqp:unauthorized-access");
    assert!(peer.transfer(2, &message(None, b"x")).is_empty());
    assert_eq!(peer.events(), 1);
}

#[test]
fn a_second_cbs_link_is_refused_until_the_first_is_gone() {
    let mut peer = Peer::new(EventHubsEmulatorOptions::default()).opened(Peer::open());
    peer.say(0, sender(0, "$cbs"));
    assert_eq!(fate(&peer.say(0, sender(1, "$cbs"))), "amqp:not-allowed");
    peer.say(0, detach(0));
    assert!(matches!(peer.say(0, sender(0, "$cbs"))[..], [(_, Said::Attach(_), _), (_, Said::Flow(_), _)]));
}

#[test]
fn silence_beyond_the_time_out_closes_the_connection() {
    let idle_time_out = Duration::from_secs(60);
    let options = EventHubsEmulatorOptions { idle_time_out, ..Default::default() };
    let mut peer = Peer::new(options).opened(Peer::open());
    assert!(peer.wait(Duration::from_secs(59)).is_empty());
    let mut heartbeat = BytesMut::new();
    frame::write(&mut heartbeat, Kind::Amqp, 0, |_| {}, &[]);
    peer.bytes(&heartbeat);
    assert!(peer.wait(Duration::from_secs(59)).is_empty());
    assert_eq!(fate(&peer.wait(Duration::from_secs(1))), "amqp:connection:forced");
    peer.wait(FAREWELL);
    assert!(peer.connection.is_closed());
}

#[test]
fn a_peer_that_wants_heartbeats_gets_one_in_half_of_its_time_out() {
    let open = Open { idle_time_out: Some(10_000), ..Peer::open() };
    let mut peer = Peer::new(EventHubsEmulatorOptions::default()).opened(open);
    assert_eq!(peer.connection.deadline(), peer.now.instant + Duration::from_secs(5));
    peer.now.instant += Duration::from_secs(5);
    peer.connection.tick(peer.now);
    assert_eq!(peer.take(), [0, 0, 0, 8, 2, 0, 0, 0]);
    peer.connection.tick(peer.now);
    assert!(peer.take().is_empty());
}

#[test]
fn a_peer_that_never_opens_is_dropped() {
    let mut peer = Peer::new(EventHubsEmulatorOptions::default());
    peer.bytes(&AMQP_HEADER);
    peer.wait(HANDSHAKE);
    assert!(peer.connection.is_closed());
}

#[test]
fn another_protocol_is_told_which_one_is_spoken_here() {
    for hello in [&b"GET / HTTP/1.1\r\n"[..], b"AMQP\x00\x00\x09\x01", b"GE"] {
        let mut peer = Peer::new(EventHubsEmulatorOptions::default());
        assert_eq!(peer.bytes(hello), SASL_HEADER);
        assert!(peer.connection.is_closed());
    }
}

#[test]
fn a_frame_beyond_the_limit_is_a_framing_error() {
    let mut peer = Peer::entered(EventHubsEmulatorOptions::default());
    let bytes = peer.bytes(&[0x7f, 0xff, 0xff, 0xff, 2, 0, 0, 0]);
    assert_eq!(fate(&peer.heard(&bytes)), "amqp:connection:framing-error");
    assert!(peer.say(0, Said::Close(Close { error: None })).is_empty());
    assert!(peer.connection.is_closed());
}

#[test]
fn a_handle_a_channel_and_a_session_outside_of_the_limits_are_refused() {
    let options = EventHubsEmulatorOptions::default;
    assert_eq!(fate(&Peer::entered(options()).say(0, sender(256, "transactions"))), "amqp:connection:framing-error");
    assert_eq!(fate(&Peer::entered(options()).say(256, Said::Begin(begin()))), "amqp:connection:framing-error");
    assert_eq!(fate(&Peer::entered(options()).say(0, Said::Begin(begin()))), "amqp:not-allowed");
    assert_eq!(fate(&Peer::entered(options()).say(7, sender(0, "transactions"))), "amqp:not-allowed");
    let mut peer = Peer::entered(options());
    peer.say(0, sender(0, "transactions"));
    assert_eq!(fate(&peer.say(0, sender(0, "transactions"))), "amqp:session:handle-in-use");
    assert_eq!(fate(&Peer::entered(options()).transfer(0, b"")), "amqp:session:unattached-handle");
}

#[test]
fn a_detach_after_the_end_is_no_fault_and_the_channel_can_be_used_again() {
    let mut peer = Peer::entered(EventHubsEmulatorOptions::default());
    peer.say(0, sender(3, "transactions"));
    assert_eq!(fate(&peer.say(0, Said::End(End { error: None }))), "");
    assert!(peer.say(0, detach(3)).is_empty());
    assert!(matches!(peer.say(0, Said::Begin(begin()))[..], [(0, Said::Begin(_), _)]));
    peer.say(0, sender(3, "transactions"));
    assert_eq!(peer.connection.core.links, 1);
}

#[test]
fn links_of_one_name_may_go_both_ways_and_handles_are_free_after_a_detach() {
    let mut peer = Peer::entered(EventHubsEmulatorOptions::default());
    for _ in 0..3 {
        assert!(matches!(peer.say(0, sender(0, "transactions"))[..], [(_, Said::Attach(_), _), (_, Said::Flow(_), _)]));
        assert!(matches!(peer.say(0, receiver(1, READ))[..], [(_, Said::Attach(_), _)]));
        assert_eq!(fate(&peer.say(0, detach(0))), "");
        assert_eq!(fate(&peer.say(0, detach(1))), "");
    }
    assert_eq!(peer.connection.core.links, 0);
}

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
fn a_connection_closed_on_purpose_is_told_so_and_one_dropped_is_not() {
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

/// Frames that mean something, so that random ones get past the door.
fn frames() -> Vec<Vec<u8>> {
    let mut frames = vec![
        framed(0, &Said::Begin(begin()), &[]),
        framed(0, &sender(0, "transactions"), &[]),
        framed(0, &sender(1, "$cbs"), &[]),
        framed(0, &receiver(2, "$cbs"), &[]),
        framed(0, &sender(3, "$management"), &[]),
        framed(0, &receiver(4, "$management"), &[]),
        framed(0, &receiver(5, READ), &[]),
        framed(0, &credit(0, 0, 10), &[]),
        framed(0, &credit(2, 0, 10), &[]),
        framed(0, &credit(5, 3, u32::MAX), &[]),
        framed(0, &Said::Transfer(transfer(0, 0)), &message(Some("us"), b"x")),
        framed(0, &Said::Transfer(transfer(1, 1)), &message(None, b"x")),
        framed(0, &Said::Transfer(transfer(3, 2)), &message(None, b"x")),
        framed(0, &Said::Transfer(Transfer { more: true, ..transfer(0, 3) }), b"part"),
        framed(
            0,
            &Said::Transfer(Transfer { message_format: Some(0x8001_3700), ..transfer(0, 4) }),
            &message(None, b"\0"),
        ),
        framed(0, &detach(0), &[]),
        framed(0, &detach(5), &[]),
        framed(0, &Said::End(End { error: None }), &[]),
    ];
    frames.push(vec![0, 0, 0, 8, 2, 0, 0, 0]);
    frames
}

proptest! {
    #[test]
    fn no_order_of_frames_and_no_flipped_byte_makes_it_panic(
        order in proptest::collection::vec((0_usize..19, proptest::option::of((any::<u16>(), any::<u8>()))), 0..40),
    ) {
        let frames = frames();
        let mut peer = Peer::entered(EventHubsEmulatorOptions { partitions: 1, ..Default::default() });
        for (index, flip) in order {
            let mut bytes = frames[index].clone();
            if let Some((at, with)) = flip {
                let at = usize::from(at) % bytes.len();
                bytes[at] ^= with;
            }
            peer.bytes(&bytes);
            peer.now.instant += Duration::from_millis(7);
            peer.now.unix_ms += 7;
            peer.connection.tick(peer.now);
            peer.take();
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), after_open in any::<bool>()) {
        let mut peer = Peer::new(EventHubsEmulatorOptions::default());
        if after_open {
            peer = peer.opened(Peer::open());
        }
        peer.bytes(&bytes);
    }
}
