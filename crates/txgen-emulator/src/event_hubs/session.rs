//! A session: its links, its windows, and the outcomes that wait for their time.

use std::collections::VecDeque;

use tokio::time::Instant;
use txgen_amqp::Malformed;
use txgen_amqp::performative::{
    AmqpError, Attach, Detach, Flow, Outcome, Performative, Transfer, write_attach, write_detach, write_disposition,
    write_end, write_flow,
};

use super::attach::{Admitted, RUNTIME_METRICS, admit, unauthorized};
use super::core::{Core, Violation};
use super::grants::Right;
use super::incoming::{Delivery, Incoming, Inlet, MAX_MESSAGE_SIZE, Received};
use super::ingest::check_size;
use super::message::Request;
use super::outgoing::{Outgoing, Outlet, Progress, Windows};
use super::trouble::{Fate, deliver};
use super::{cbs, management};

/// The highest handle; Event Hubs has it too.
pub(super) const HANDLE_MAX: u32 = 255;
/// Links over all sessions of a connection.
const MAX_LINKS: usize = 4_096;

/// One session of a connection.
#[derive(Debug)]
pub(super) struct Session {
    channel: u16,
    windows: Windows,
    /// By handle, which is the same number in both directions.
    links: Vec<Option<Link>>,
    awaiting: VecDeque<Awaiting>,
    /// The first of them waits for the disk; the bell rings when that has got further.
    waits_for_disk: bool,
    /// The emulator has sent its end and waits for the peer's.
    ending: bool,
}

#[derive(Debug)]
enum Link {
    // Boxed, for there is a slot for each handle below the highest.
    Incoming(Box<Incoming>),
    Outgoing(Box<Outgoing>),
    /// The emulator has sent its detach and waits for the peer's.
    Detaching,
}

/// A delivery whose outcome is known and is sent at `due`.
#[derive(Debug)]
struct Awaiting {
    due: Instant,
    /// Up to where the log must be on disk first.
    written: u64,
    handle: u32,
    delivery_id: u32,
    outcome: Outcome,
}

impl Session {
    /// The session that the peer began on this channel.
    pub(super) fn new(channel: u16, peer_next_outgoing_id: u32, peer_window: u32) -> Self {
        Self {
            channel,
            windows: Windows::new(peer_next_outgoing_id, peer_window),
            links: Vec::new(),
            awaiting: VecDeque::new(),
            waits_for_disk: false,
            ending: false,
        }
    }

    /// Takes a performative that came on this session's channel.
    pub(super) fn receive(&mut self, core: &mut Core, performative: Performative<'_>) -> Result<(), Violation> {
        if self.ending {
            return Ok(());
        }
        match performative {
            Performative::Attach(attach) => self.attach(core, &attach),
            Performative::Flow(flow) => self.flow(core, &flow),
            Performative::Transfer(transfer) => self.transfer(core, &transfer),
            // Events are sent settled, and senders settle with the emulator's own disposition: nothing waits for this.
            // It waits for none.
            Performative::Disposition(_) => Ok(()),
            Performative::Detach(detach) => {
                self.detached(core, &detach);
                Ok(())
            }
            Performative::Open(_) | Performative::Begin(_) | Performative::End(_) | Performative::Close(_) => Err(
                Violation::Connection(AmqpError::new("amqp:illegal-state", "This performative is not a session's.")),
            ),
        }
    }

    fn attach(&mut self, core: &mut Core, attach: &Attach<'_>) -> Result<(), Violation> {
        if attach.handle > HANDLE_MAX {
            return Err(Violation::Connection(AmqpError::new(
                "amqp:connection:framing-error",
                format!("The handle {} is above the handle-max of {HANDLE_MAX}.", attach.handle),
            )));
        }
        let index = attach.handle as usize;
        if self.links.len() <= index {
            self.links.resize_with(index + 1, || None);
        }
        if self.links[index].is_some() {
            return Err(Violation::Session(AmqpError::new(
                "amqp:session:handle-in-use",
                format!("The handle {} is attached already.", attach.handle),
            )));
        }
        if core.links >= MAX_LINKS {
            return Err(Violation::Session(AmqpError::new(
                "amqp:resource-limit-exceeded",
                format!("The connection has {MAX_LINKS} links already."),
            )));
        }
        core.links += 1;
        let channel = self.channel;
        let answer = |core: &mut Core, accepted, capability| {
            core.send(channel, |w| write_attach(w, attach, accepted, MAX_MESSAGE_SIZE as u64, capability));
        };
        let link = match admit(core, attach) {
            Ok(Admitted::Incoming(mut link)) => {
                answer(core, true, None);
                let (delivery_count, credit) = link.grant();
                self.send_credit(core, attach.handle, delivery_count, credit);
                Link::Incoming(Box::new(link))
            }
            Ok(Admitted::Outgoing(link, metrics)) => {
                answer(core, true, metrics.then_some(RUNTIME_METRICS));
                Link::Outgoing(Box::new(link))
            }
            Err(error) => {
                tracing::debug!(condition = error.condition, description = error.description, "link refused");
                answer(core, false, None);
                core.send(channel, |w| write_detach(w, attach.handle, true, Some(&error)));
                Link::Detaching
            }
        };
        self.links[index] = Some(link);
        Ok(())
    }

    fn send_credit(&self, core: &mut Core, handle: u32, delivery_count: u32, credit: u32) {
        let flow = Flow {
            handle: Some(handle),
            delivery_count: Some(delivery_count),
            link_credit: Some(credit),
            ..self.windows.flow()
        };
        core.send(self.channel, |w| write_flow(w, &flow));
    }

    fn link(&mut self, handle: u32) -> Option<&mut Link> {
        self.links.get_mut(handle as usize)?.as_mut()
    }

    fn flow(&mut self, core: &mut Core, flow: &Flow) -> Result<(), Violation> {
        self.windows.update(flow);
        let session = self.windows.flow();
        let answer = match flow.handle {
            None => session,
            Some(handle) => match self.link(handle) {
                Some(Link::Outgoing(link)) => {
                    link.update(flow);
                    link.flow(session)
                }
                Some(Link::Incoming(link)) => {
                    let (delivery_count, credit) = link.grant();
                    Flow {
                        handle: Some(handle),
                        delivery_count: Some(delivery_count),
                        link_credit: Some(credit),
                        ..session
                    }
                }
                // It was sent before the peer heard of the detach.
                Some(Link::Detaching) => return Ok(()),
                None => return Err(unattached(handle)),
            },
        };
        if flow.echo {
            core.send(self.channel, |w| write_flow(w, &answer));
        }
        Ok(())
    }

    fn transfer(&mut self, core: &mut Core, transfer: &Transfer<'_>) -> Result<(), Violation> {
        self.windows.next_incoming_id = self.windows.next_incoming_id.wrapping_add(1);
        let (channel, handle) = (self.channel, transfer.handle);
        let link = match self.link(handle) {
            Some(Link::Incoming(link)) => link,
            Some(Link::Detaching) => return Ok(()),
            Some(Link::Outgoing(_)) => {
                return Err(Violation::Session(AmqpError::new(
                    "amqp:not-allowed",
                    format!("A transfer came on the link with handle {handle}, on which the peer receives."),
                )));
            }
            None => return Err(unattached(handle)),
        };
        let delivery = match link.receive(transfer, &core.namespace)? {
            Received::Nothing => return Ok(()),
            Received::Refused(error) => {
                self.detach(core, handle, Some(&error));
                return Ok(());
            }
            Received::Delivery(delivery) => delivery,
        };
        let mut due = core.now.instant;
        let is_request = !matches!(link.inlet, Inlet::Hub(_));
        let outcome = match &link.inlet {
            Inlet::Hub(inlet) => match deliver(core, channel, inlet, &delivery)? {
                Fate::Outcome(outcome, later) => {
                    due += core.namespace.options.latency + later;
                    outcome
                }
                Fate::Nothing => {
                    // The credit comes back, or a few of these would stop the link for good.
                    self.settled(handle);
                    self.refill(core, handle);
                    return Ok(());
                }
                Fate::Detach(error) => {
                    self.detach(core, handle, error.as_ref());
                    return Ok(());
                }
                Fate::Withhold(outcome, time) => {
                    let (delivery_count, credit) = link.withhold(core.now.instant + time);
                    self.send_credit(core, handle, delivery_count, credit);
                    due += core.namespace.options.latency;
                    outcome
                }
            },
            Inlet::Cbs => self.request(core, true, &delivery),
            Inlet::Management => self.request(core, false, &delivery),
        };
        if !delivery.settled {
            let written = if is_request { 0 } else { core.namespace.written() };
            self.await_outcome(Awaiting { due, written, handle, delivery_id: delivery.id, outcome });
        }
        Ok(())
    }

    /// Keeps the outcomes in the order in which they are due, which is nearly always that in which they come.
    fn await_outcome(&mut self, awaiting: Awaiting) {
        let is_last = self.awaiting.back().is_none_or(|last| last.due <= awaiting.due);
        let at = if is_last { self.awaiting.len() } else { self.awaiting.partition_point(|a| a.due <= awaiting.due) };
        self.awaiting.insert(at, awaiting);
    }

    fn request(&mut self, core: &mut Core, is_cbs: bool, delivery: &Delivery<'_>) -> Outcome {
        let malformed = |malformed: Malformed| AmqpError::new("amqp:decode-error", malformed.to_string());
        let request = match check_size(delivery).and_then(|()| Request::read(delivery.payload()).map_err(malformed)) {
            Ok(request) => request,
            Err(error) => return Outcome::Rejected(error),
        };
        let reply = if is_cbs { cbs::answer(core, &request) } else { management::answer(core, &request) };
        let Some(link) = self.reply_link(is_cbs, request.reply_to) else {
            return Outcome::Rejected(AmqpError::new(
                "amqp:precondition-failed",
                "There is no link of this session on which the reply could go.",
            ));
        };
        if !link.reply(core, reply) {
            return Outcome::Rejected(AmqpError::new(
                "amqp:resource-limit-exceeded",
                "Too many replies wait for the credit of their link.",
            ));
        }
        Outcome::Accepted
    }

    /// The link that awaits replies at this address, else the latest from the same node.
    fn reply_link(&mut self, is_cbs: bool, reply_to: Option<&str>) -> Option<&mut Outgoing> {
        let mut best = None;
        for link in self.links.iter_mut().flatten() {
            let Link::Outgoing(link) = link else { continue };
            let Outlet::Replies { of_cbs, address, .. } = &link.outlet else { continue };
            if *of_cbs != is_cbs {
                continue;
            }
            let is_addressed = reply_to.is_some() && address.as_deref() == reply_to;
            best = Some(link);
            if is_addressed {
                break;
            }
        }
        best.map(|link| &mut **link)
    }

    fn detached(&mut self, core: &mut Core, detach: &Detach) {
        let Some(slot) = self.links.get_mut(detach.handle as usize) else { return };
        match slot.take() {
            // A detach of a link that is not there crossed with something else: nothing is lost by ignoring it.
            None => return,
            Some(Link::Detaching) => {}
            Some(link) => {
                release(core, &link);
                core.send(self.channel, |w| write_detach(w, detach.handle, detach.closed, None));
                self.awaiting.retain(|awaiting| awaiting.handle != detach.handle);
            }
        }
        core.links = core.links.saturating_sub(1);
    }

    /// Detaches a link from the emulator's side.
    fn detach(&mut self, core: &mut Core, handle: u32, error: Option<&AmqpError>) {
        tracing::debug!(?error, "link detached");
        // What is settled already is sent first, whatever the latency: it is stored.
        self.settle(core, |_| true);
        if let Some(slot) = self.links.get_mut(handle as usize)
            && let Some(link) = slot.replace(Link::Detaching)
        {
            release(core, &link);
        }
        core.send(self.channel, |w| write_detach(w, handle, true, error));
    }

    /// Detaches the links that lost their right.
    pub(super) fn check_rights(&mut self, core: &mut Core) {
        let now = core.now.unix_seconds();
        let lost: Vec<_> = (0..)
            .zip(&self.links)
            .filter_map(|(handle, link)| {
                let (right, path) = match link.as_ref()? {
                    Link::Incoming(link) => match &link.inlet {
                        Inlet::Hub(inlet) => (Right::Send, &inlet.path),
                        Inlet::Cbs | Inlet::Management => return None,
                    },
                    Link::Outgoing(link) => match &link.outlet {
                        Outlet::Consumer(consumer) => (Right::Listen, &consumer.path),
                        Outlet::Replies { .. } => return None,
                    },
                    Link::Detaching => return None,
                };
                (!core.grants.allow(right, path, now)).then(|| (handle, unauthorized(core, right, path)))
            })
            .collect();
        for (handle, error) in lost {
            self.detach(core, handle, Some(&error));
        }
    }

    /// When the next outcome is due, or credit that was withheld.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let outcome = self.awaiting.front().map(|awaiting| awaiting.due).filter(|_| !self.waits_for_disk);
        let credit = self.links.iter().filter_map(|link| match link {
            Some(Link::Incoming(link)) => link.withheld_until(),
            _ => None,
        });
        outcome.into_iter().chain(credit).min()
    }

    /// Sends the outcomes whose time has come, and gives the credit back that they free.
    pub(super) fn flush(&mut self, core: &mut Core) {
        let now = core.now.instant;
        self.waits_for_disk = false;
        if self.next_due().is_none_or(|due| due > now) {
            return;
        }
        self.settle(core, |due| due <= now);
        for handle in 0..self.links.len() {
            self.refill(core, handle as u32);
        }
    }

    fn refill(&mut self, core: &mut Core, handle: u32) {
        let now = core.now.instant;
        if let Some(Link::Incoming(link)) = self.link(handle)
            && let Some((delivery_count, credit)) = link.refill(now)
        {
            self.send_credit(core, handle, delivery_count, credit);
        }
    }

    /// One disposition for each run of deliveries with the same outcome. What is not on disk yet has to wait.
    fn settle(&mut self, core: &mut Core, is_due: impl Fn(Instant) -> bool) {
        while let Some(first) = self.next_awaiting(core, |awaiting| is_due(awaiting.due)) {
            let mut last = first.delivery_id;
            self.settled(first.handle);
            while let Some(next) = self.next_awaiting(core, |next| {
                is_due(next.due) && next.delivery_id == last.wrapping_add(1) && next.outcome == first.outcome
            }) {
                last = next.delivery_id;
                self.settled(next.handle);
            }
            core.send(self.channel, |w| write_disposition(w, first.delivery_id, last, &first.outcome));
        }
    }

    fn next_awaiting(&mut self, core: &Core, wanted: impl Fn(&Awaiting) -> bool) -> Option<Awaiting> {
        let next = self.awaiting.front_mut().filter(|next| wanted(next))?;
        match core.namespace.has_settled(next.written, &core.bell) {
            Ok(true) => {}
            Ok(false) => {
                self.waits_for_disk = true;
                return None;
            }
            Err(error) => {
                // It is refused as what it has become.
                (next.written, next.outcome) = (0, Outcome::Rejected(error));
                return self.next_awaiting(core, wanted);
            }
        }
        self.awaiting.pop_front()
    }

    fn settled(&mut self, handle: u32) {
        if let Some(Link::Incoming(link)) = self.link(handle) {
            link.settled();
        }
    }

    /// Sends what the links have for the peer, turn by turn.
    pub(super) fn pump(&mut self, core: &mut Core) {
        let mut again = true;
        while again && !core.is_congested() {
            again = false;
            for handle in 0..self.links.len() {
                let Some(Some(Link::Outgoing(link))) = self.links.get_mut(handle) else { continue };
                match link.pump(core, self.channel, &mut self.windows) {
                    Progress::More => again = true,
                    Progress::Idle => {
                        if link.drained() {
                            let flow = link.flow(self.windows.flow());
                            link.end_drain();
                            core.send(self.channel, |w| write_flow(w, &flow));
                        }
                    }
                    Progress::Lost(error) => self.detach(core, handle as u32, Some(&error)),
                }
            }
        }
    }

    /// Ends the session from the emulator's side.
    pub(super) fn end(&mut self, core: &mut Core, error: &AmqpError) {
        self.settle(core, |_| true);
        core.send(self.channel, |w| write_end(w, Some(error)));
        self.release(core);
        self.ending = true;
    }

    /// The peer has ended the session; whether the emulator had before.
    pub(super) fn ended(&mut self, core: &mut Core) -> bool {
        self.release(core);
        self.ending
    }

    fn release(&mut self, core: &mut Core) {
        for link in self.links.drain(..).flatten() {
            release(core, &link);
            core.links = core.links.saturating_sub(1);
        }
        self.awaiting.clear();
    }
}

fn release(core: &mut Core, link: &Link) {
    match link {
        Link::Incoming(link) if matches!(link.inlet, Inlet::Cbs) => core.cbs_links[0] = false,
        Link::Outgoing(link) => {
            core.waiting_reply_bytes = core.waiting_reply_bytes.saturating_sub(link.waiting_reply_bytes());
            if let Outlet::Replies { of_cbs: true, .. } = link.outlet {
                core.cbs_links[1] = false;
            }
        }
        _ => {}
    }
}

fn unattached(handle: u32) -> Violation {
    Violation::Session(AmqpError::new("amqp:session:unattached-handle", format!("No link has the handle {handle}.")))
}
