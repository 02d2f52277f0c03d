//! Links by their handles, and their credit (section 2.6.7).

use crate::performative::{Attach, Flow};

/// A link of a connection: its handle, which is taken up again once the link is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link(pub(super) u32);

/// A link to send over.
#[derive(Clone, Copy, Debug)]
pub struct NewSender<'a> {
    /// Its name: two links in the same direction cannot share one.
    pub name: &'a str,
    /// The node that it leads to.
    pub target: &'a str,
    /// What the peer may call this end; `None` where nothing is to be known of it.
    pub source: Option<&'a str>,
}

/// A link to receive over.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewReceiver<'a> {
    /// Its name: two links in the same direction cannot share one.
    pub name: &'a str,
    /// The node that it comes from.
    pub source: &'a str,
    /// What the peer may call this end, which replies are addressed to.
    pub target: Option<&'a str>,
    /// Filters of the source, texts by their names, each described by its name (section 3.5.8).
    pub filters: &'a [(&'a str, &'a str)],
    /// Properties of the link.
    pub properties: &'a [(&'a str, i64)],
    /// Whether the peer is asked to send settled.
    pub settled: bool,
    /// The longest message that is taken, in bytes.
    pub max_message_size: usize,
}

/// How far a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Attaching,
    Attached,
    /// Answered without a terminus: the peer's detach follows.
    Refused,
    /// Our detach is out.
    Detaching,
}

#[derive(Debug)]
struct Place {
    name: String,
    receives: bool,
    state: State,
    peers_handle: Option<u32>,
    credit: u32,
    delivery_count: u32,
    max_message_size: u64,
    incoming: Incoming,
}

/// The message that a receiver is getting.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    pub(super) payload: Vec<u8>,
    pub(super) delivery_id: Option<u32>,
    pub(super) settled: bool,
}

/// All links of a session.
#[derive(Debug, Default)]
pub(super) struct Links(Vec<Option<Place>>);

impl Links {
    fn place(&self, link: Link) -> Option<&Place> {
        self.0.get(link.0 as usize)?.as_ref()
    }

    fn place_mut(&mut self, link: Link) -> Option<&mut Place> {
        self.0.get_mut(link.0 as usize)?.as_mut()
    }

    /// A link that is being attached.
    pub(super) fn add(&mut self, name: &str, receives: bool, max_message_size: usize) -> Link {
        let place = Place {
            name: name.to_owned(),
            receives,
            state: State::Attaching,
            peers_handle: None,
            credit: 0,
            delivery_count: 0,
            max_message_size: max_message_size as u64,
            incoming: Incoming::default(),
        };
        let free = self.0.iter().position(Option::is_none).unwrap_or_else(|| {
            self.0.push(None);
            self.0.len() - 1
        });
        self.0[free] = Some(place);
        Link(u32::try_from(free).unwrap_or(u32::MAX))
    }

    /// All that are there.
    pub(super) fn all(&self) -> Vec<Link> {
        let is_there = |(handle, place): (u32, &Option<Place>)| place.as_ref().map(|_| Link(handle));
        (0..).zip(&self.0).filter_map(is_there).collect()
    }

    /// The peer has answered our attach.
    pub(super) fn answered(&mut self, attach: &Attach<'_>) -> Option<(Link, State)> {
        let mut places = (0..).zip(&mut self.0);
        let (handle, place) = places.find_map(|(handle, place)| {
            let place = place.as_mut()?;
            // The peer has the other role.
            let is_it = place.name == attach.name && place.receives != attach.peer_receives;
            (is_it && place.peers_handle.is_none()).then_some((handle, place))
        })?;
        place.peers_handle = Some(attach.handle);
        let terminus = if place.receives { attach.source } else { attach.target };
        if place.state == State::Attaching {
            place.state = if terminus.is_some() { State::Attached } else { State::Refused };
        }
        if place.receives {
            place.delivery_count = attach.initial_delivery_count;
        } else {
            place.max_message_size = attach.max_message_size.filter(|size| *size > 0).unwrap_or(u64::MAX);
        }
        Some((Link(handle), place.state))
    }

    pub(super) fn by_peers_handle(&self, handle: u32) -> Option<Link> {
        let found =
            self.0.iter().position(|place| place.as_ref().is_some_and(|place| place.peers_handle == Some(handle)));
        found.and_then(|handle| u32::try_from(handle).ok()).map(Link)
    }

    /// Frees the link's place; gives the state that it was in.
    pub(super) fn remove(&mut self, link: Link) -> Option<State> {
        self.0.get_mut(link.0 as usize)?.take().map(|place| place.state)
    }

    /// The link is being detached. Whether there is anything to detach.
    pub(super) fn detach(&mut self, link: Link) -> bool {
        match self.place_mut(link) {
            Some(place) if place.state != State::Detaching => {
                place.state = State::Detaching;
                true
            }
            _ => false,
        }
    }

    /// How many deliveries a sender may begin.
    pub(super) fn credit_of(&self, link: Link) -> u32 {
        self.place(link)
            .filter(|place| !place.receives && place.state == State::Attached)
            .map_or(0, |place| place.credit)
    }

    pub(super) fn max_message_size(&self, link: Link) -> u64 {
        self.place(link).map_or(u64::MAX, |place| place.max_message_size)
    }

    /// A sender begins a delivery.
    pub(super) fn spend(&mut self, link: Link) {
        if let Some(place) = self.place_mut(link) {
            place.credit = place.credit.saturating_sub(1);
            place.delivery_count = place.delivery_count.wrapping_add(1);
        }
    }

    /// Takes a sender's credit from a flow. Whether the peer wants it used up at once.
    pub(super) fn credit(&mut self, link: Link, flow: &Flow) -> bool {
        let Some(place) = self.place_mut(link).filter(|place| !place.receives) else { return false };
        if let Some(credit) = flow.link_credit {
            // Deliveries that the peer had not seen when it said so.
            let unseen = place.delivery_count.wrapping_sub(flow.delivery_count.unwrap_or(0));
            place.credit = credit.saturating_sub(unseen);
        }
        if flow.drain {
            place.delivery_count = place.delivery_count.wrapping_add(place.credit);
            place.credit = 0;
        }
        flow.drain
    }

    /// Gives a receiver so much credit; what to tell the peer.
    pub(super) fn grant(&mut self, link: Link, credit: u32) -> Option<Flow> {
        self.place_mut(link).filter(|place| place.receives)?.credit = credit;
        self.flow(link)
    }

    /// The state of a link as a flow tells it.
    pub(super) fn flow(&self, link: Link) -> Option<Flow> {
        let place = self.place(link)?;
        Some(Flow {
            handle: Some(link.0),
            delivery_count: Some(place.delivery_count),
            link_credit: Some(place.credit),
            ..Flow::default()
        })
    }

    /// What a receiver is getting, and the longest message that it takes.
    pub(super) fn incoming(&mut self, link: Link) -> Option<(&mut Incoming, u64)> {
        let place = self.place_mut(link).filter(|place| place.receives)?;
        Some((&mut place.incoming, place.max_message_size))
    }

    /// A receiver has got a delivery.
    pub(super) fn received(&mut self, link: Link) {
        self.spend(link);
    }
}
