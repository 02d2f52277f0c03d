//! One connection: opened, authorised, asked, and closed.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::timeout;
use tracing::debug;
use txgen_amqp::client::{Event, Link, NewReceiver, NewSender, Settings};
use uuid::Uuid;

use super::super::timeouts::Timeouts;
use super::super::tokens::{Token, TokenSource};
use super::dial::Dialer;
use super::line::Line;
use super::requests::{Exchange, ReplyMessage, Sent, Taken};
use super::{authorise, errors, management};
use crate::service::FailureKind;
use crate::service::retry::{AttemptError, RetryPolicy};

/// A hub, and how to get there: what all its connections have in common.
pub(in crate::service::event_hubs) struct Target {
    pub(super) hub: String,
    /// What tokens are for, such as `sb://host/hub`.
    pub(super) resource: String,
    pub(super) dialer: Dialer,
    pub(super) tokens: TokenSource,
    pub(super) links: usize,
    pub(super) timeouts: Timeouts,
    /// How a lost connection is opened again, which goes on for as long as the publisher.
    pub(super) policy: RetryPolicy,
}

/// An open, authorised connection with its links.
pub(super) struct Open {
    pub(super) line: Line<Sent>,
    /// Links that are attached, or were until `refused`.
    pub(super) links: Vec<Link>,
    pub(super) token: Token,
    /// What ended a link while nobody looked.
    refused: Option<AttemptError>,
    /// Messages that came while a reply was awaited; receivers' credit bounds them.
    waiting: VecDeque<(Link, Vec<u8>)>,
}

impl Target {
    /// Opens a connection and all its links. Takes at most [`Timeouts::connect`].
    pub(super) async fn open(&self) -> Result<Open, AttemptError> {
        timeout(self.timeouts.connect, self.open_unbounded()).await.unwrap_or_else(|_| {
            Err(AttemptError::not_sent(
                FailureKind::Timeout,
                format!("{} did not answer within {:?}", self.dialer.address().authority(), self.timeouts.connect),
            ))
        })
    }

    async fn open_unbounded(&self) -> Result<Open, AttemptError> {
        let (wire, liveness) = self.dialer.dial().await?;
        let settings = Settings {
            container: format!("txgen-{}", Uuid::new_v4()),
            hostname: self.dialer.address().host.clone(),
            idle: self.timeouts.idle,
            properties: about_txgen(),
        };
        let mut line = Line::new(wire, liveness, settings);
        loop {
            match line.event().await.map_err(errors::of_open)? {
                Event::Ready => break,
                Event::Closed(error) => return Err(errors::of_closed(error.as_ref())),
                Event::Ended(error) => return Err(errors::of_ended(error.as_ref())),
                _ => {}
            }
        }
        let token = self.tokens.token(&self.resource).await?;
        let put = authorise::put(&self.resource, &token);
        let mut open = Open { line, links: Vec::new(), token, refused: None, waiting: VecDeque::new() };
        open.ask(authorise::NODE, vec![put]).await.map_err(|error| self.tokens.explain(error))?;
        let mut attaching: Vec<_> = (0..self.links).map(|_| self.attach(&mut open.line)).collect();
        while !attaching.is_empty() {
            match open.next().await? {
                Event::Attached(link) => {
                    attaching.retain(|other| *other != link);
                    open.links.push(link);
                }
                Event::Detached { link, error, .. } if attaching.contains(&link) => {
                    return Err(errors::of_attach(error.as_ref()));
                }
                Event::Detached { link, error, .. } => open.ended(link, &errors::of_detach(error.as_ref())),
                _ => {}
            }
        }
        Ok(open)
    }

    /// Attaches a sender to the hub.
    pub(super) fn attach(&self, line: &mut Line<Sent>) -> Link {
        let name = format!("txgen-{}", Uuid::new_v4());
        line.amqp().attach_sender(&NewSender { name: &name, target: &self.hub, source: None })
    }
}

/// What the service's operators see of txgen.
fn about_txgen() -> Vec<(String, String)> {
    [("product", env!("CARGO_PKG_NAME")), ("version", env!("CARGO_PKG_VERSION")), ("platform", std::env::consts::OS)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

impl Open {
    /// The next event; the end of session or connection is an error.
    async fn next(&mut self) -> Result<Event<Sent>, AttemptError> {
        match self.line.event().await.map_err(errors::of_cut)? {
            Event::Closed(error) => Err(errors::of_closed(error.as_ref())),
            Event::Ended(error) => Err(errors::of_ended(error.as_ref())),
            event => Ok(event),
        }
    }

    fn ended(&mut self, link: Link, end: &AttemptError) {
        if self.links.contains(&link) {
            self.links.retain(|other| *other != link);
            self.refused.get_or_insert_with(|| end.clone());
        }
    }

    fn overheard(&mut self, event: Event<Sent>) {
        match event {
            Event::Detached { link, error, .. } => self.ended(link, &errors::of_detach(error.as_ref())),
            Event::Message { link, payload } => self.waiting.push_back((link, payload)),
            _ => {}
        }
    }

    /// The replies of a node to these requests, asked one after the other.
    async fn ask(&mut self, node: &str, requests: Vec<Vec<u8>>) -> Result<Vec<ReplyMessage>, AttemptError> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let mut exchange = Exchange::begin(self.line.amqp(), node, requests);
        loop {
            let event = self.next().await?;
            match exchange.take(self.line.amqp(), event) {
                Taken::Over(replies) => return replies,
                Taken::Ours => {}
                Taken::Other(event) => self.overheard(event),
            }
        }
    }

    async fn ask_hub(&mut self, hub: &str) -> Result<Option<ReplyMessage>, AttemptError> {
        let request = management::read_hub(hub, &self.token.text);
        Ok(self.ask(management::NODE, vec![request]).await?.pop())
    }

    /// What each partition of the hub holds, of so many.
    pub(super) async fn each_partition(
        &mut self,
        hub: &str,
        count: u32,
    ) -> Result<Vec<management::Partition>, AttemptError> {
        let requests =
            (0..count).map(|partition| management::read_partition(hub, partition, &self.token.text)).collect();
        let replies = self.ask(management::NODE, requests).await?;
        Ok(replies.iter().map(management::partition).collect())
    }

    /// When the hub was created, in milliseconds since 1970-01-01 UTC; `None` when the service does not tell.
    pub(super) async fn created_unix_ms(&mut self, hub: &str) -> Result<Option<i64>, AttemptError> {
        Ok(self.ask_hub(hub).await?.as_ref().and_then(management::created_unix_ms))
    }

    /// How many partitions the hub has; `None` when the service does not say.
    ///
    /// # Errors
    /// When the reply shows that nothing can be sent: a link that was refused after it was attached, a hub that is not
    /// there.
    pub(super) async fn partitions(&mut self, hub: &str) -> Result<Option<u32>, AttemptError> {
        let reply = self.ask_hub(hub).await;
        // The service may attach a link first and refuse it then; by now that refusal has arrived.
        if let Some(error) = self.refused.take() {
            return Err(error);
        }
        match reply {
            Ok(reply) => Ok(reply.as_ref().and_then(management::partition_count)),
            Err(error) => match error.kind {
                FailureKind::NotFound | FailureKind::Connection | FailureKind::Timeout => Err(error),
                _ => {
                    debug!(hub, %error, "the hub's properties cannot be read");
                    Ok(None)
                }
            },
        }
    }

    /// How long the token is good before it is to be renewed; `None` where it cannot be.
    pub(super) fn renew_in(&self) -> Option<Duration> {
        self.token.renew_in(&mut rand::rng())
    }

    /// Renews the token.
    pub(super) async fn renew(&mut self, target: &Target) -> Result<(), AttemptError> {
        let token = target.tokens.token(&target.resource).await?;
        self.ask(authorise::NODE, vec![authorise::put(&target.resource, &token)]).await?;
        self.token = token;
        Ok(())
    }

    /// Attaches a receiver, and lets so many messages come.
    pub(super) async fn receive_from(&mut self, receiver: &NewReceiver<'_>, credit: u32) -> Result<Link, AttemptError> {
        let attaching = self.line.amqp().attach_receiver(receiver);
        loop {
            match self.next().await? {
                Event::Attached(link) if link == attaching => break,
                Event::Detached { link, error, .. } if link == attaching => {
                    return Err(errors::of_receiver_attach(error.as_ref()));
                }
                event => self.overheard(event),
            }
        }
        self.links.push(attaching);
        self.line.amqp().grant(attaching, credit);
        Ok(attaching)
    }

    /// The next message that has arrived already; `None` where that cannot be told without waiting.
    pub(super) fn arrived(&mut self) -> Option<(Link, Vec<u8>)> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Some(message);
            }
            // An error is met again by whoever waits for the next message.
            let event = self.line.arrived().ok()??;
            match event {
                Event::Closed(error) => self.refused = Some(errors::of_closed(error.as_ref())),
                Event::Ended(error) => self.refused = Some(errors::of_ended(error.as_ref())),
                event => self.overheard(event),
            }
        }
    }

    /// The next message. Nothing is lost where this is dropped.
    ///
    /// # Errors
    /// When a link, the session or the connection ended, and no message is left that came before.
    pub(super) async fn message(&mut self) -> Result<(Link, Vec<u8>), AttemptError> {
        loop {
            if let Some(message) = self.arrived() {
                return Ok(message);
            }
            if let Some(error) = self.refused.take() {
                return Err(error);
            }
            let event = self.next().await?;
            self.overheard(event);
        }
    }

    /// Ends session and connection politely. The caller bounds the time.
    pub(super) async fn close(mut self) {
        self.line.amqp().close();
        while !matches!(self.line.event().await, Err(_) | Ok(Event::Closed(_))) {}
        // What is left in the output is the answer to what the peer has said by itself.
        drop(self.line.cut());
    }
}
