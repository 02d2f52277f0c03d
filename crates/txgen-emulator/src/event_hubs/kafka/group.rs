//! A consumer group without I/O: who is in it, who reads what, and how far it has got.
//!
//! Source: <https://cwiki.apache.org/confluence/display/KAFKA/Kafka+Client-side+Assignment+Proposal>.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

/// Members of one group.
const MAX_MEMBERS: usize = 1_000;
/// The longest metadata of a committed offset, in bytes.
const MAX_METADATA: usize = 4_096;
/// Sessions may be this long. Source:
/// <https://learn.microsoft.com/azure/event-hubs/apache-kafka-configurations>.
const SESSIONS: std::ops::RangeInclusive<i32> = 6_000..=300_000;
/// How long a rebalance may take at most.
const LONGEST_REBALANCE: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody is there.
    Empty,
    /// Members join; who has not by then is out.
    Joining { until: Instant },
    /// The leader assigns; who has not asked for its share by then is out.
    Syncing { until: Instant },
    /// Everybody reads.
    Stable,
}

#[derive(Debug)]
struct Member {
    session: Duration,
    rebalance: Duration,
    /// The ways to assign that it knows, with what it says about itself for each.
    protocols: Vec<(StrBytes, Bytes)>,
    assignment: Bytes,
    heard: Instant,
    /// Requests of it that wait for the others: as long as there is one it need not be heard.
    waiting: usize,
    /// Whether it is part of the generation, or of the one that is forming.
    joined: bool,
    /// Whether it has asked for its share.
    synced: bool,
}

/// An offset that was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Committed {
    pub(in super::super) offset: i64,
    pub(in super::super) leader_epoch: i32,
    pub(in super::super) metadata: StrBytes,
}

/// What a member asks for when it joins.
#[derive(Clone, Debug)]
pub(super) struct Join {
    pub(super) member: StrBytes,
    pub(super) session_ms: i32,
    pub(super) rebalance_ms: i32,
    pub(super) protocol_type: StrBytes,
    pub(super) protocols: Vec<(StrBytes, Bytes)>,
    /// Whether a new member is given its id first, and joins with that.
    pub(super) id_first: bool,
}

/// A generation, as one of its members sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) generation: i32,
    pub(super) protocol: StrBytes,
    pub(super) leader: StrBytes,
    /// For the leader: the members, with what they say about themselves.
    pub(super) members: Vec<(StrBytes, Bytes)>,
}

/// Why a member does not join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is to come again with this id.
    WithId(StrBytes),
    /// For this reason.
    For(ResponseError),
}

/// One consumer group.
#[derive(Debug)]
pub(super) struct Group {
    state: State,
    generation: i32,
    protocol_type: Option<StrBytes>,
    protocol: StrBytes,
    leader: StrBytes,
    members: BTreeMap<StrBytes, Member>,
    /// Ids that were given out and until when they are good.
    promised: BTreeMap<StrBytes, Instant>,
    /// By hub, in lower case, and partition.
    pub(super) offsets: BTreeMap<(String, i32), Committed>,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            state: State::Empty,
            generation: 0,
            protocol_type: None,
            protocol: StrBytes::new(),
            leader: StrBytes::new(),
            members: BTreeMap::new(),
            promised: BTreeMap::new(),
            offsets: BTreeMap::new(),
        }
    }
}

impl Group {
    /// Whether there is nothing in it that anyone would miss.
    pub(super) fn is_unused(&self) -> bool {
        self.members.is_empty() && self.promised.is_empty() && self.offsets.is_empty()
    }

    /// Takes a member in, or takes it back; gives its id. It is to wait for [`Self::joined`].
    pub(super) fn join(&mut self, join: Join, now: Instant) -> Result<StrBytes, Refused> {
        use ResponseError::{GroupMaxSizeReached, InconsistentGroupProtocol, InvalidSessionTimeout, UnknownMemberId};
        if !SESSIONS.contains(&join.session_ms) {
            return Err(Refused::For(InvalidSessionTimeout));
        }
        if join.protocols.is_empty() || !self.could_agree(&join) {
            return Err(Refused::For(InconsistentGroupProtocol));
        }
        let is_known = self.members.contains_key(&join.member);
        let is_promised = self.promised.remove(&join.member).is_some();
        if !is_known && self.members.len() + self.promised.len() >= MAX_MEMBERS {
            return Err(Refused::For(GroupMaxSizeReached));
        }
        let session = milliseconds(join.session_ms);
        let id = if join.member.is_empty() {
            let id = StrBytes::from_string(format!("member-{}", uuid::Uuid::new_v4()));
            if join.id_first {
                self.promised.insert(id.clone(), now + session);
                return Err(Refused::WithId(id));
            }
            id
        } else if is_known || is_promised {
            join.member
        } else {
            return Err(Refused::For(UnknownMemberId));
        };
        let rebalance = if join.rebalance_ms > 0 { milliseconds(join.rebalance_ms) } else { session };
        let is_unchanged =
            self.members.get(&id).is_some_and(|member| member.joined && member.protocols == join.protocols);
        let stays = match self.state {
            // The leader comes again because something has changed that only it can see.
            State::Stable => is_unchanged && self.leader != id,
            State::Syncing { .. } => is_unchanged,
            State::Empty | State::Joining { .. } => false,
        };
        let waiting = self.members.get(&id).map_or(0, |member| member.waiting);
        if stays {
            if let Some(member) = self.members.get_mut(&id) {
                member.heard = now;
            }
            return Ok(id);
        }
        self.protocol_type = Some(join.protocol_type);
        self.members.insert(
            id.clone(),
            Member {
                session,
                rebalance: rebalance.min(LONGEST_REBALANCE),
                protocols: join.protocols,
                assignment: Bytes::new(),
                heard: now,
                waiting,
                joined: false,
                synced: false,
            },
        );
        self.rebalance(now);
        if let Some(member) = self.members.get_mut(&id) {
            member.joined = true;
        }
        self.progress(now);
        Ok(id)
    }

    /// Whether there is a way to assign that the others know too.
    fn could_agree(&self, join: &Join) -> bool {
        let mut others = self.members.iter().filter(|(id, _)| **id != join.member).map(|(_, member)| member).peekable();
        if others.peek().is_none() {
            return true;
        }
        let others: Vec<_> = others.collect();
        self.protocol_type.as_ref().is_none_or(|kind| *kind == join.protocol_type)
            && join.protocols.iter().any(|(name, _)| others.iter().all(|other| other.knows(name)))
    }

    /// Makes everybody join again.
    fn rebalance(&mut self, now: Instant) {
        if matches!(self.state, State::Joining { .. }) {
            return;
        }
        for member in self.members.values_mut() {
            member.joined = false;
            member.synced = false;
            member.assignment = Bytes::new();
        }
        self.state = State::Joining { until: now + self.longest_rebalance() };
    }

    fn longest_rebalance(&self) -> Duration {
        self.members.values().map(|member| member.rebalance).max().unwrap_or_default()
    }

    /// Does what is due; whether anything has changed.
    pub(super) fn progress(&mut self, now: Instant) -> bool {
        self.promised.retain(|_, until| *until > now);
        let before = (self.state, self.generation, self.members.len());
        let syncing = matches!(self.state, State::Syncing { .. });
        let late = match self.state {
            State::Joining { until } | State::Syncing { until } => until <= now,
            State::Empty | State::Stable => false,
        };
        self.members.retain(|_, member| {
            let is_heard = member.waiting > 0 || member.heard + member.session > now;
            let is_in_time = !late || if syncing { member.synced } else { member.joined };
            is_heard && is_in_time
        });
        if self.members.len() < before.2 {
            self.after_loss(now);
        }
        if matches!(self.state, State::Joining { .. }) && self.members.values().all(|member| member.joined) {
            self.form(now);
        }
        before != (self.state, self.generation, self.members.len())
    }

    fn after_loss(&mut self, now: Instant) {
        if self.members.is_empty() {
            self.state = State::Empty;
            self.generation = self.generation.wrapping_add(1);
            self.protocol_type = None;
        } else {
            self.rebalance(now);
        }
    }

    /// Makes a generation of those who have joined.
    fn form(&mut self, now: Instant) {
        self.generation = self.generation.wrapping_add(1);
        if !self.members.contains_key(&self.leader) {
            self.leader = self.members.keys().next().cloned().unwrap_or_default();
        }
        let knows_all = |name: &StrBytes| self.members.values().all(|member| member.knows(name));
        let mut votes: BTreeMap<&StrBytes, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| knows_all(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        let most = votes.into_iter().max_by_key(|(_, votes)| *votes);
        self.protocol = most.map(|(name, _)| name.clone()).unwrap_or_default();
        self.state = State::Syncing { until: now + self.longest_rebalance() };
    }

    /// What a member that joins waits for; `None` while it has to.
    pub(super) fn joined(&self, id: &StrBytes) -> Option<Result<Joined, ResponseError>> {
        let Some(member) = self.members.get(id) else { return Some(Err(ResponseError::UnknownMemberId)) };
        if !member.joined || !matches!(self.state, State::Syncing { .. } | State::Stable) {
            return None;
        }
        let said = |(id, member): (&StrBytes, &Member)| {
            let said = member.protocols.iter().find(|(name, _)| *name == self.protocol);
            (id.clone(), said.map(|(_, said)| said.clone()).unwrap_or_default())
        };
        let is_leader = *id == self.leader;
        Some(Ok(Joined {
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: if is_leader { self.members.iter().map(said).collect() } else { Vec::new() },
        }))
    }

    fn check(&self, id: &StrBytes, generation: i32) -> Result<(), ResponseError> {
        if !self.members.contains_key(id) {
            return Err(ResponseError::UnknownMemberId);
        }
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if matches!(self.state, State::Joining { .. }) {
            return Err(ResponseError::RebalanceInProgress);
        }
        Ok(())
    }

    /// Takes a member's wish for its share, and from the leader everybody's. It is to wait for [`Self::share`].
    pub(super) fn sync(
        &mut self,
        id: &StrBytes,
        generation: i32,
        shares: Vec<(StrBytes, Bytes)>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        self.check(id, generation)?;
        if let Some(member) = self.members.get_mut(id) {
            (member.heard, member.synced) = (now, true);
        }
        if *id == self.leader && matches!(self.state, State::Syncing { .. }) {
            for (member, share) in shares {
                if let Some(member) = self.members.get_mut(&member) {
                    member.assignment = share;
                }
            }
            for member in self.members.values_mut() {
                member.heard = now;
            }
            self.state = State::Stable;
        }
        Ok(())
    }

    /// What a member that syncs waits for; `None` while it has to.
    pub(super) fn share(&self, id: &StrBytes, generation: i32) -> Option<Result<Bytes, ResponseError>> {
        match (self.check(id, generation), self.state) {
            (Err(error), _) => Some(Err(error)),
            (Ok(()), State::Stable) => Some(Ok(self.members.get(id).map(|m| m.assignment.clone()).unwrap_or_default())),
            (Ok(()), _) => None,
        }
    }

    /// Hears of a member.
    pub(super) fn heartbeat(&mut self, id: &StrBytes, generation: i32, now: Instant) -> Result<(), ResponseError> {
        if let Some(member) = self.members.get_mut(id) {
            member.heard = now;
        }
        self.check(id, generation)
    }

    /// Lets a member go.
    pub(super) fn leave(&mut self, id: &StrBytes, now: Instant) -> Result<(), ResponseError> {
        if self.promised.remove(id).is_some() {
            return Ok(());
        }
        self.members.remove(id).ok_or(ResponseError::UnknownMemberId)?;
        self.after_loss(now);
        self.progress(now);
        Ok(())
    }

    /// Whether offsets of this member, or of no member in particular, are taken.
    pub(super) fn may_commit(&mut self, id: &StrBytes, generation: i32, now: Instant) -> Result<(), ResponseError> {
        if generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        match self.heartbeat(id, generation, now) {
            // What was read before the others came may still be committed.
            Err(ResponseError::RebalanceInProgress) => Ok(()),
            verdict => verdict,
        }
    }

    /// Keeps an offset; gives the one before.
    pub(super) fn commit(
        &mut self,
        hub: &str,
        partition: i32,
        committed: Committed,
    ) -> Result<Option<Committed>, ResponseError> {
        if committed.metadata.len() > MAX_METADATA {
            return Err(ResponseError::OffsetMetadataTooLarge);
        }
        Ok(self.offsets.insert((hub.to_ascii_lowercase(), partition), committed))
    }

    /// Puts an offset back as it was.
    pub(super) fn take_back(&mut self, hub: &str, partition: i32, before: Option<Committed>) {
        let key = (hub.to_ascii_lowercase(), partition);
        match before {
            Some(before) => self.offsets.insert(key, before),
            None => self.offsets.remove(&key),
        };
    }

    /// A request of a member waits for the others, or no longer does.
    pub(super) fn wait(&mut self, id: &StrBytes, waits: bool, now: Instant) {
        if let Some(member) = self.members.get_mut(id) {
            member.waiting = if waits { member.waiting + 1 } else { member.waiting.saturating_sub(1) };
            member.heard = now;
        }
    }

    /// When [`Self::progress`] has something to do at the latest, if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let sessions = self.members.values().filter(|member| member.waiting == 0);
        let session = sessions.map(|member| member.heard + member.session).min();
        let phase = match self.state {
            State::Joining { until } | State::Syncing { until } => Some(until),
            State::Empty | State::Stable => None,
        };
        session.into_iter().chain(phase).min()
    }
}

impl Member {
    fn knows(&self, protocol: &StrBytes) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }
}

fn milliseconds(count: i32) -> Duration {
    Duration::from_millis(u64::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests;
