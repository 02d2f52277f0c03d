//! Peers that mean harm, or are broken.

use proptest::prelude::*;
use txgen_amqp::descriptor::PROPERTIES;

use super::*;

/// A request to `$management` whose id has so many bytes, which its reply repeats.
fn request(id: usize) -> Vec<u8> {
    let mut out = BytesMut::new();
    Writer::new(&mut out).described_list(PROPERTIES, |w| w.string(&"x".repeat(id)));
    out.to_vec()
}

#[test]
fn replies_that_nobody_takes_are_bounded_over_all_links() {
    let mut peer = Peer::entered(EventHubsEmulatorOptions::default());
    for links in 0..10 {
        peer.say(0, sender(2 * links, "$management"));
        peer.say(0, receiver(2 * links + 1, "$management"));
    }
    let rejected = |heard: &[(u16, Said, Vec<u8>)]| dispositions(heard).is_empty();
    let mut refused = 0;
    for id in 0..200 {
        let bytes = peer.bytes(&framed(0, &Said::Transfer(transfer(2 * (id % 10), id)), &request(20_000)));
        let heard = peer.heard(&bytes);
        refused += usize::from(rejected(&heard));
        assert!(peer.connection.core.waiting_reply_bytes <= 256 * 1024);
    }
    assert!(refused > 180, "{refused}");
    // The latest receiver is the one that replies without an address go to.
    peer.say(0, credit(19, 0, 100));
    assert_eq!(peer.connection.core.waiting_reply_bytes, 0);
    let bytes = peer.bytes(&framed(0, &Said::Transfer(transfer(0, 200)), &request(20_000)));
    assert!(!rejected(&peer.heard(&bytes)));
    // What a link that goes has not sent is not waited for.
    peer.say(0, Said::End(End { error: None }));
    assert_eq!(peer.connection.core.waiting_reply_bytes, 0);
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
