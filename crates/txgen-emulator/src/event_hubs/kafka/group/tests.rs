use super::*;

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn join(member: &StrBytes, protocols: &[&'static str]) -> Join {
    Join {
        member: member.clone(),
        session_ms: 10_000,
        rebalance_ms: 60_000,
        protocol_type: text("consumer"),
        protocols: protocols.iter().map(|name| (text(name), Bytes::from_static(b"me"))).collect(),
        id_first: false,
    }
}

fn new(group: &mut Group, now: Instant) -> StrBytes {
    let id = group.join(join(&StrBytes::new(), &["range"]), now).unwrap();
    group.wait(&id, true, now);
    id
}

fn shares(members: &[(&StrBytes, &'static str)]) -> Vec<(StrBytes, Bytes)> {
    members.iter().map(|(id, share)| ((*id).clone(), Bytes::from_static(share.as_bytes()))).collect()
}

/// A group of two that read: the leader and the other.
fn two(now: Instant) -> (Group, StrBytes, StrBytes) {
    let mut group = Group::default();
    let one = new(&mut group, now);
    let other = new(&mut group, now);
    group.join(join(&one, &["range"]), now).unwrap();
    let generation = group.joined(&one).unwrap().unwrap().generation;
    group.sync(&one, generation, shares(&[(&one, "a"), (&other, "b")]), now).unwrap();
    for id in [&one, &other] {
        group.wait(id, false, now);
    }
    (group, one, other)
}

#[test]
fn a_second_member_makes_the_first_join_again_and_each_gets_its_share() {
    let now = Instant::now();
    let mut group = Group::default();
    let one = new(&mut group, now);
    let alone = group.joined(&one).unwrap().unwrap();
    assert_eq!((alone.generation, &alone.leader, alone.members.len()), (1, &one, 1));
    group.sync(&one, 1, shares(&[(&one, "all")]), now).unwrap();
    assert_eq!(group.share(&one, 1), Some(Ok(Bytes::from_static(b"all"))));

    let other = new(&mut group, now);
    assert_eq!(group.joined(&other), None);
    assert_eq!(group.heartbeat(&one, 1, now), Err(ResponseError::RebalanceInProgress));
    group.join(join(&one, &["range"]), now).unwrap();
    let (first, second) = (group.joined(&one).unwrap().unwrap(), group.joined(&other).unwrap().unwrap());
    assert_eq!((first.generation, first.members.len(), second.members.len()), (2, 2, 0));
    group.sync(&other, 2, Vec::new(), now).unwrap();
    assert_eq!(group.share(&other, 2), None);
    group.sync(&one, 2, shares(&[(&one, "a"), (&other, "b")]), now).unwrap();
    assert_eq!(group.share(&other, 2), Some(Ok(Bytes::from_static(b"b"))));
    assert_eq!(group.heartbeat(&other, 1, now), Err(ResponseError::IllegalGeneration));
}

#[test]
fn a_member_that_is_silent_or_leaves_makes_the_others_join_again() {
    let now = Instant::now();
    let (mut group, one, other) = two(now);
    let later = now + Duration::from_secs(9);
    group.heartbeat(&one, 2, later).unwrap();
    assert!(!group.progress(later));
    assert!(group.progress(now + Duration::from_secs(10)));
    assert_eq!(group.heartbeat(&other, 2, later), Err(ResponseError::UnknownMemberId));
    assert_eq!(group.heartbeat(&one, 2, later), Err(ResponseError::RebalanceInProgress));

    let (mut group, one, other) = two(now);
    group.leave(&one, now).unwrap();
    group.join(join(&other, &["range"]), now).unwrap();
    assert_eq!(group.joined(&other).unwrap().unwrap().leader, other);
    group.leave(&other, now).unwrap();
    assert!(group.is_unused());
}

#[test]
fn who_does_not_join_again_in_time_is_out() {
    let now = Instant::now();
    let (mut group, one, other) = two(now);
    group.join(join(&one, &["range"]), now).unwrap();
    group.wait(&one, true, now);
    let until = now + Duration::from_secs(60);
    group.heartbeat(&other, 2, until).unwrap_err();
    assert_eq!(group.joined(&one), None);
    group.progress(until);
    assert_eq!(group.joined(&one).unwrap().unwrap().members.len(), 1);
}

#[test]
fn the_way_to_assign_is_one_that_all_know() {
    let now = Instant::now();
    let mut group = Group::default();
    let one = group.join(join(&StrBytes::new(), &["sticky", "range"]), now).unwrap();
    let other = group.join(join(&StrBytes::new(), &["range"]), now).unwrap();
    group.join(join(&one, &["sticky", "range"]), now).unwrap();
    assert_eq!(group.joined(&other).unwrap().unwrap().protocol, text("range"));
    let stranger = group.join(join(&StrBytes::new(), &["sticky"]), now);
    assert_eq!(stranger, Err(Refused::For(ResponseError::InconsistentGroupProtocol)));
}

#[test]
fn an_id_is_given_first_where_the_client_wants_it_and_a_strangers_is_refused() {
    let now = Instant::now();
    let mut group = Group::default();
    let first = Join { id_first: true, ..join(&StrBytes::new(), &["range"]) };
    let Err(Refused::WithId(id)) = group.join(first, now) else { panic!("an id") };
    assert_eq!(group.join(join(&id, &["range"]), now), Ok(id));
    let unknown = group.join(join(&text("stranger"), &["range"]), now);
    assert_eq!(unknown, Err(Refused::For(ResponseError::UnknownMemberId)));
    let brief = Join { session_ms: 5_999, ..join(&StrBytes::new(), &["range"]) };
    assert_eq!(group.join(brief, now), Err(Refused::For(ResponseError::InvalidSessionTimeout)));
}

#[test]
fn offsets_are_taken_from_members_and_from_nobody_in_particular_while_there_are_none() {
    let now = Instant::now();
    assert_eq!(Group::default().may_commit(&StrBytes::new(), -1, now), Ok(()));
    let (mut group, one, _) = two(now);
    assert_eq!(group.may_commit(&one, 2, now), Ok(()));
    assert_eq!(group.may_commit(&one, 1, now), Err(ResponseError::IllegalGeneration));
    assert_eq!(group.may_commit(&StrBytes::new(), -1, now), Err(ResponseError::UnknownMemberId));
    let committed = Committed { offset: 5, leader_epoch: -1, metadata: StrBytes::new() };
    group.commit("Hub", 0, committed.clone()).unwrap();
    assert_eq!(group.offsets.get(&("hub".to_owned(), 0)), Some(&committed));
    let long = Committed { metadata: StrBytes::from_string("x".repeat(MAX_METADATA + 1)), ..committed };
    assert_eq!(group.commit("hub", 0, long), Err(ResponseError::OffsetMetadataTooLarge));
}
