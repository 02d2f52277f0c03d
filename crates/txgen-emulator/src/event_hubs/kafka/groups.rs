//! The consumer groups: their requests, which wait for one another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{OffsetFetchResponsePartition, OffsetFetchResponseTopic};
use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, SyncGroupRequest,
    SyncGroupResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::super::keeping::{Keeper, OffsetKey};
use super::super::namespace::Namespace;
use super::group::{Committed, Group, Join, Refused};
use crate::data::Unwritable;

/// Groups of one namespace. Source: <https://learn.microsoft.com/azure/event-hubs/event-hubs-quotas>.
const MAX_GROUPS: usize = 1_000;
/// The longest name of a group, in bytes.
const MAX_NAME: usize = 256;

/// A group that several connections share.
#[derive(Debug, Default)]
struct Shared {
    group: Mutex<Group>,
    changed: Notify,
}

impl Shared {
    /// The group, up to date.
    fn lock(&self) -> MutexGuard<'_, Group> {
        let mut group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        if group.progress(Instant::now()) {
            self.changed.notify_waiters();
        }
        group
    }

    /// Changes the group.
    fn change<T>(&self, change: impl FnOnce(&mut Group) -> T) -> T {
        let outcome = change(&mut self.lock());
        self.changed.notify_waiters();
        outcome
    }

    /// Waits on behalf of a member until the group has an answer.
    async fn wait_for<T>(&self, member: &StrBytes, answer: impl Fn(&Group) -> Option<T>) -> T {
        let _waiting = Waiting::new(self, member);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let deadline = {
                let group = self.lock();
                if let Some(answer) = answer(&group) {
                    return answer;
                }
                group.deadline()
            };
            match deadline {
                Some(deadline) => {
                    tokio::select! {
                        () = changed => {}
                        () = sleep_until(deadline) => {}
                    }
                }
                None => changed.await,
            }
        }
    }
}

/// A member's request that waits; it ends with the connection too.
struct Waiting<'s> {
    shared: &'s Shared,
    member: StrBytes,
}

impl<'s> Waiting<'s> {
    fn new(shared: &'s Shared, member: &StrBytes) -> Self {
        shared.lock().wait(member, true, Instant::now());
        Self { shared, member: member.clone() }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.group.lock().unwrap_or_else(PoisonError::into_inner).wait(&self.member, false, Instant::now());
    }
}

/// All groups of a namespace.
#[derive(Debug, Default)]
pub(super) struct Groups(Mutex<BTreeMap<String, Arc<Shared>>>);

impl Groups {
    /// Those that have committed these offsets.
    pub(super) fn restored(offsets: BTreeMap<OffsetKey, Committed>) -> Self {
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for ((group, hub, partition), committed) in offsets {
            groups.entry(group).or_default().offsets.insert((hub, partition), committed);
        }
        let shared = |group| Arc::new(Shared { group: Mutex::new(group), changed: Notify::new() });
        Self(Mutex::new(groups.into_iter().map(|(name, group)| (name, shared(group))).collect()))
    }

    /// Keeps the offsets of all groups anew.
    pub(super) fn keep(&self, keeper: &Keeper) -> Result<(), Unwritable> {
        let groups = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (name, shared) in groups {
            let group = shared.lock();
            for ((hub, partition), committed) in &group.offsets {
                keeper.offset(&name, hub, *partition, committed)?;
            }
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Option<Arc<Shared>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn find_or_make(&self, name: &str) -> Result<Arc<Shared>, ResponseError> {
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(ResponseError::InvalidGroupId);
        }
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if groups.len() >= MAX_GROUPS && !groups.contains_key(name) {
            groups.retain(|_, shared| Arc::strong_count(shared) > 1 || !shared.lock().is_unused());
            if groups.len() >= MAX_GROUPS {
                return Err(ResponseError::PolicyViolation);
            }
        }
        Ok(Arc::clone(groups.entry(name.to_owned()).or_default()))
    }

    /// Joins, and waits for the others.
    pub(super) async fn join(&self, request: JoinGroupRequest, id_first: bool) -> JoinGroupResponse {
        let refused = |member: StrBytes, error: ResponseError| {
            JoinGroupResponse::default()
                .with_error_code(error.code())
                .with_generation_id(-1)
                .with_protocol_name(Some(StrBytes::new()))
                .with_member_id(member)
        };
        let asked = request.member_id.clone();
        let join = Join {
            member: request.member_id,
            session_ms: request.session_timeout_ms,
            rebalance_ms: request.rebalance_timeout_ms,
            protocol_type: request.protocol_type,
            protocols: request.protocols.into_iter().map(|protocol| (protocol.name, protocol.metadata)).collect(),
            id_first,
        };
        let shared = match self.find_or_make(&request.group_id) {
            Ok(shared) => shared,
            Err(error) => return refused(asked, error),
        };
        let member = match shared.change(|group| group.join(join, Instant::now())) {
            Ok(member) => member,
            Err(Refused::WithId(id)) => return refused(id, ResponseError::MemberIdRequired),
            Err(Refused::For(error)) => return refused(asked, error),
        };
        match shared.wait_for(&member, |group| group.joined(&member)).await {
            Err(error) => refused(member, error),
            Ok(joined) => JoinGroupResponse::default()
                .with_generation_id(joined.generation)
                .with_protocol_name(Some(joined.protocol))
                .with_leader(joined.leader)
                .with_member_id(member)
                .with_members(
                    joined
                        .members
                        .into_iter()
                        .map(|(id, said)| JoinGroupResponseMember::default().with_member_id(id).with_metadata(said))
                        .collect(),
                ),
        }
    }

    /// Takes what the leader assigns, and waits for a member's share of it.
    pub(super) async fn sync(&self, request: SyncGroupRequest) -> SyncGroupResponse {
        let (member, generation) = (request.member_id, request.generation_id);
        let shares = request.assignments.into_iter().map(|share| (share.member_id, share.assignment)).collect();
        let share = async {
            let shared = self.find(&request.group_id).ok_or(ResponseError::UnknownMemberId)?;
            shared.change(|group| group.sync(&member, generation, shares, Instant::now()))?;
            shared.wait_for(&member, |group| group.share(&member, generation)).await
        };
        match share.await {
            Ok(share) => SyncGroupResponse::default().with_assignment(share),
            Err(error) => SyncGroupResponse::default().with_error_code(error.code()),
        }
    }

    /// Hears of a member.
    pub(super) fn heartbeat(&self, request: &HeartbeatRequest) -> HeartbeatResponse {
        let heard = self
            .find(&request.group_id)
            .ok_or(ResponseError::UnknownMemberId)
            .and_then(|shared| shared.lock().heartbeat(&request.member_id, request.generation_id, Instant::now()));
        HeartbeatResponse::default().with_error_code(code(heard))
    }

    /// Lets a member go.
    pub(super) fn leave(&self, request: &LeaveGroupRequest) -> LeaveGroupResponse {
        let left = self.find(&request.group_id).ok_or(ResponseError::UnknownMemberId);
        let left = left.and_then(|shared| shared.change(|group| group.leave(&request.member_id, Instant::now())));
        LeaveGroupResponse::default().with_error_code(code(left))
    }

    /// Keeps offsets.
    pub(super) fn commit(&self, request: OffsetCommitRequest, namespace: &Namespace) -> OffsetCommitResponse {
        let shared = self.find_or_make(&request.group_id);
        let may = shared.as_ref().map_err(|error| *error).and_then(|shared| {
            shared.lock().may_commit(&request.member_id, request.generation_id_or_member_epoch, Instant::now())
        });
        let commit = |topic: &TopicName, partition: i32, committed: Committed| -> Result<(), ResponseError> {
            may?;
            let hub = namespace.hub(topic).ok_or(ResponseError::UnknownTopicOrPartition)?;
            let is_there = u32::try_from(partition).is_ok_and(|id| hub.partition(id).is_some());
            let shared = shared.as_ref().map_err(|error| *error)?;
            if !is_there {
                return Err(ResponseError::UnknownTopicOrPartition);
            }
            let mut group = shared.lock();
            let before = group.commit(&hub.name, partition, committed.clone())?;
            // Clients commit the same offset again and again.
            if let Some(keeper) = namespace.keeper().filter(|_| before.as_ref() != Some(&committed))
                && keeper.offset(&request.group_id, &hub.name.to_ascii_lowercase(), partition, &committed).is_err()
            {
                group.take_back(&hub.name, partition, before);
                return Err(ResponseError::CoordinatorNotAvailable);
            }
            Ok(())
        };
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.into_iter().map(|partition| {
                let committed = Committed {
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: partition.committed_metadata.unwrap_or_default(),
                };
                let outcome = commit(&topic.name, partition.partition_index, committed);
                OffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code(outcome))
            });
            let partitions = partitions.collect();
            OffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
        });
        OffsetCommitResponse::default().with_topics(topics.collect())
    }

    /// Tells offsets that were committed: those that are asked for, or all.
    pub(super) fn offsets(&self, request: OffsetFetchRequest) -> OffsetFetchResponse {
        let shared = self.find(&request.group_id);
        let offsets = shared.map(|shared| shared.lock().offsets.clone()).unwrap_or_default();
        let wanted: Vec<(TopicName, Vec<i32>)> = match request.topics {
            Some(topics) => topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect(),
            None => {
                let mut all: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
                for (hub, partition) in offsets.keys() {
                    all.entry(hub).or_default().push(*partition);
                }
                all.into_iter()
                    .map(|(hub, partitions)| (StrBytes::from_string(hub.to_owned()).into(), partitions))
                    .collect()
            }
        };
        let topics = wanted.into_iter().map(|(name, partitions)| {
            let hub = name.to_ascii_lowercase();
            let partitions = partitions.into_iter().map(|partition| {
                let committed = offsets.get(&(hub.clone(), partition));
                OffsetFetchResponsePartition::default()
                    .with_partition_index(partition)
                    .with_committed_offset(committed.map_or(-1, |committed| committed.offset))
                    .with_committed_leader_epoch(committed.map_or(-1, |committed| committed.leader_epoch))
                    .with_metadata(Some(committed.map(|committed| committed.metadata.clone()).unwrap_or_default()))
            });
            let partitions = partitions.collect();
            OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions)
        });
        OffsetFetchResponse::default().with_topics(topics.collect())
    }
}

fn code(outcome: Result<(), ResponseError>) -> i16 {
    outcome.map_or_else(|error| error.code(), |()| 0)
}
