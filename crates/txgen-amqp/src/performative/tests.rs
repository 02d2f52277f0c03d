use super::*;
use bytes::BytesMut;
use fe2o3_amqp_types::definitions::{Handle, ReceiverSettleMode, Role, SenderSettleMode};
use fe2o3_amqp_types::messaging::{DeliveryState, Source, Target};
use fe2o3_amqp_types::performatives as library;

fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = BytesMut::new();
    write(&mut Writer::new(&mut out));
    out.to_vec()
}

fn attach() -> library::Attach {
    library::Attach {
        name: "link".into(),
        handle: Handle(3),
        role: Role::Receiver,
        snd_settle_mode: SenderSettleMode::Mixed,
        rcv_settle_mode: ReceiverSettleMode::Second,
        source: Some(Box::new(Source::builder().address("hub/ConsumerGroups/$Default/Partitions/0").build())),
        target: Some(Box::new(Target::builder().address("here").build().into())),
        unsettled: None,
        incomplete_unsettled: false,
        initial_delivery_count: None,
        max_message_size: None,
        offered_capabilities: None,
        desired_capabilities: Some(vec!["a".into(), "b".into()].into()),
        properties: None,
    }
}

#[test]
fn an_attach_of_the_amqp_library_is_read() {
    let bytes = serde_amqp::to_vec(&attach()).unwrap();
    let Ok(Performative::Attach(read)) = read(&bytes) else { panic!("an attach") };
    assert_eq!((read.name, read.handle, read.peer_receives), ("link", 3, true));
    assert_eq!(read.source.unwrap().address, Some("hub/ConsumerGroups/$Default/Partitions/0"));
    assert_eq!(read.target.unwrap().address, Some("here"));
    assert!(read.desires("b") && !read.desires("c"));
}

#[test]
fn the_amqp_library_reads_the_answer_to_its_attach() {
    let bytes = serde_amqp::to_vec(&attach()).unwrap();
    let Ok(Performative::Attach(peers)) = read(&bytes) else { panic!("an attach") };
    let answer: library::Attach =
        serde_amqp::from_slice(&written(|w| write_attach(w, &peers, true, 1024, Some("a")))).unwrap();
    assert_eq!(answer.role, Role::Sender);
    assert_eq!(answer.source, attach().source);
    assert_eq!(answer.target, attach().target);
    assert_eq!(answer.initial_delivery_count, Some(0));
    assert_eq!(answer.max_message_size, Some(1024));
}

#[test]
fn a_refused_link_is_answered_without_source_and_target() {
    let bytes = serde_amqp::to_vec(&attach()).unwrap();
    let Ok(Performative::Attach(peers)) = read(&bytes) else { panic!("an attach") };
    let answer: library::Attach =
        serde_amqp::from_slice(&written(|w| write_attach(w, &peers, false, 0, None))).unwrap();
    assert_eq!((answer.source, answer.target), (None, None));
}

#[test]
fn a_transfer_of_the_amqp_library_is_read_with_its_payload() {
    let transfer = library::Transfer {
        handle: Handle(1),
        delivery_id: Some(70_000),
        delivery_tag: Some(vec![1, 2, 3, 4].into()),
        message_format: Some(0x8001_3700),
        settled: Some(false),
        more: true,
        rcv_settle_mode: None,
        state: None,
        resume: false,
        aborted: false,
        batchable: true,
    };
    let mut bytes = serde_amqp::to_vec(&transfer).unwrap();
    bytes.extend(b"payload");
    let Ok(Performative::Transfer(read)) = read(&bytes) else { panic!("a transfer") };
    assert_eq!((read.handle, read.delivery_id, read.message_format), (1, Some(70_000), Some(0x8001_3700)));
    assert_eq!((read.settled, read.more, read.aborted, read.payload), (false, true, false, &b"payload"[..]));
}

#[test]
fn the_amqp_library_reads_a_rejection() {
    let error = AmqpError::new("com.microsoft:server-busy", "wait");
    let bytes = written(|w| write_disposition(w, 4, 9, &Outcome::Rejected(error)));
    let read: library::Disposition = serde_amqp::from_slice(&bytes).unwrap();
    assert_eq!((read.role, read.first, read.last, read.settled), (Role::Receiver, 4, Some(9), true));
    let Some(DeliveryState::Rejected(rejected)) = read.state else { panic!("rejected") };
    assert_eq!(rejected.error.unwrap().description.as_deref(), Some("wait"));
}

#[test]
fn the_amqp_library_reads_open_begin_flow_detach_end_and_close() {
    let open = NewOpen { container: "id", channel_max: 255, idle_time_out_ms: 60_000, ..NewOpen::default() };
    let open: library::Open = serde_amqp::from_slice(&written(|w| write_open(w, &open))).unwrap();
    assert_eq!((open.channel_max.0, open.idle_time_out), (255, Some(60_000)));
    let begin: library::Begin = serde_amqp::from_slice(&written(|w| write_begin(w, Some(4), 5_000, 255))).unwrap();
    assert_eq!((begin.remote_channel, begin.incoming_window, begin.handle_max.0), (Some(4), 5_000, 255));
    let flow = Flow { handle: Some(2), link_credit: Some(300), ..Flow::default() };
    let flow: library::Flow = serde_amqp::from_slice(&written(|w| write_flow(w, &flow))).unwrap();
    assert_eq!((flow.handle, flow.link_credit, flow.delivery_count), (Some(Handle(2)), Some(300), None));
    let error = AmqpError::new("amqp:not-found", "gone");
    let detach: library::Detach = serde_amqp::from_slice(&written(|w| write_detach(w, 2, true, Some(&error)))).unwrap();
    assert_eq!(detach.error.unwrap().description.as_deref(), Some("gone"));
    assert!(serde_amqp::from_slice::<library::End>(&written(|w| write_end(w, None))).is_ok());
    assert!(serde_amqp::from_slice::<library::Close>(&written(|w| write_close(w, Some(&error)))).is_ok());
}

#[test]
fn every_performative_is_written_at_its_full_length() {
    // The count of a list32 stands at bytes 8 to 12, after descriptor, constructor and size.
    let count = |bytes: Vec<u8>| u32::from_be_bytes(bytes[8..12].try_into().unwrap());
    let error = AmqpError::new("a", "b");
    assert_eq!(count(written(|w| write_open(w, &NewOpen::default()))), 10);
    assert_eq!(count(written(|w| write_begin(w, None, 0, 0))), 8);
    assert_eq!(count(written(|w| write_flow(w, &Flow::default()))), 11);
    assert_eq!(count(written(|w| write_transfer(w, 0, Some(0), false))), 11);
    assert_eq!(count(written(|w| write_transfer(w, 0, None, false))), 11);
    assert_eq!(count(written(|w| write_disposition(w, 0, 0, &Outcome::Accepted))), 6);
    assert_eq!(count(written(|w| write_detach(w, 0, true, None))), 3);
    assert_eq!(count(written(|w| write_end(w, None))), 1);
    assert_eq!(count(written(|w| write_close(w, Some(&error)))), 1);
    let bytes = serde_amqp::to_vec(&attach()).unwrap();
    let Ok(Performative::Attach(peers)) = read(&bytes) else { panic!("an attach") };
    assert_eq!(count(written(|w| write_attach(w, &peers, true, 0, None))), 14);
}
