//! Conversations with a connection, frame by frame, on a clock that the test sets.

use super::*;
use crate::event_hubs::message::tests::message;
use crate::event_hubs::options::{EventHubsEmulatorOptions, Policy};
use bytes::BytesMut;
use fe2o3_amqp_types::definitions::{ErrorCondition, Handle, Role};
use fe2o3_amqp_types::messaging::{DeliveryState, Source, Target};
use fe2o3_amqp_types::performatives::{
    Attach, Begin, ChannelMax, Close, Detach, Disposition, End, Flow, MaxFrameSize, Open, Performative as Said,
    Transfer,
};
use txgen_amqp::writer::Writer;
use txgen_azure::event_hubs::shared_access::sign;

mod faults;
mod hostile;
mod receiving;

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
        let grant = crate::event_hubs::grants::check_password(&all, "all", &all[0].key).unwrap();
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
fn a_connection_that_was_silent_for_long_is_answered_and_not_cut() {
    let mut peer = Peer::entered(EventHubsEmulatorOptions::default());
    peer.say(0, sender(0, "transactions"));
    peer.transfer(0, &message(None, b"first"));
    peer.now.instant += STALLED + Duration::from_secs(1);
    assert!(matches!(peer.transfer(1, &message(None, b"second"))[..], [(0, Said::Disposition(_), _)]));
    assert_eq!(peer.events(), 2);
    // What is pending now was made just now.
    peer.now.instant += STALLED + Duration::from_secs(1);
    peer.connection.receive(&framed(0, &Said::Transfer(transfer(0, 2)), &message(None, b"third")), peer.now);
    peer.connection.tick(peer.now);
    assert!(!peer.connection.is_closed());
    peer.now.instant += STALLED;
    peer.connection.tick(peer.now);
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
fn another_protocol_is_answered_with_the_one_that_is_spoken_here() {
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
