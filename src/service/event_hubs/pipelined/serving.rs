//! An open connection at work: one task that owns the socket and the state machine, takes events from its queue, and
//! answers the transactions that wait.
//!
//! What costs time under load is not a byte but a turn: waking a task, a system call. So each turn takes all that there is:
//! every event in the queue for which there is credit goes into one output and leaves with one system call, and one read
//! settles all the deliveries that the service has answered meanwhile.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use txgen_amqp::client::{self, Event, Link};

use super::super::tokens::Token;
use super::connection::{Open, Target};
use super::line::{Cut, Line};
use super::pool::Pool;
use super::queue::{Queue, Reply, Request, Unstored};
use super::requests::{Exchange, Sent, Taken};
use super::supervisor::Renewal;
use super::{authorise, errors};
use crate::service::FailureKind;
use crate::service::retry::{AttemptError, Backoff};

/// Bytes of output beyond which no further event is taken, until the socket has taken some.
const MOST_OUTPUT: usize = 256 * 1024;

/// An open connection at work.
pub(super) struct Serving<'a> {
    target: &'a Target,
    pool: &'a Pool,
    line: Line<Sent>,
    /// Links that are attached.
    links: Vec<Link>,
    /// The place in `links` whose turn it is.
    turn: usize,
    /// What ended the latest one that was lost.
    latest_end: Option<AttemptError>,
    /// How transactions get here; none while no link is attached.
    entrance: Option<Entrance>,
    /// A request that was taken out of the queue and is not written.
    next: Option<Request>,
    /// What comes before a document, while it is written.
    head: BytesMut,
    reattaching: Reattaching,
    renewal: Renewal,
    renewing: Renewing<'a>,
}

struct Entrance {
    queue: Arc<Queue>,
    requests: mpsc::Receiver<Request>,
}

/// How far attaching a lost link again is.
struct Reattaching {
    backoff: Backoff,
    step: Step,
}

enum Step {
    /// Nothing is to be done.
    Idle,
    /// A link is to be attached then.
    At(Instant),
    /// The service must have answered by then.
    Asked(Link, Instant),
}

/// How far a renewal is.
enum Renewing<'a> {
    /// It is not due.
    Idle,
    /// A token is awaited, until then.
    Fetching(Pin<Box<dyn Future<Output = Result<Token, AttemptError>> + Send + 'a>>, Instant),
    /// The service has been sent it, and must have answered by then.
    Putting(Exchange, Token, Instant),
}

/// What a turn has brought.
enum Turn {
    /// Events, or requests.
    Work,
    /// A token for the renewal.
    Token(Result<Token, AttemptError>),
}

impl<'a> Serving<'a> {
    /// Takes an open connection over.
    pub(super) fn new(target: &'a Target, pool: &'a Pool, open: Open) -> Self {
        let Open { line, links, token, .. } = open;
        Self {
            target,
            pool,
            line,
            links,
            turn: 0,
            latest_end: None,
            entrance: None,
            next: None,
            head: BytesMut::new(),
            reattaching: Reattaching { backoff: target.policy.reconnecting(), step: Step::Idle },
            renewal: Renewal::new(&token, target.policy),
            renewing: Renewing::Idle,
        }
    }

    /// Why the connection was lost; `None` when it was stopped.
    pub(super) async fn serve(mut self, stop: &CancellationToken) -> Option<AttemptError> {
        let end = self.run(stop).await;
        let reason = end.clone().unwrap_or_else(|| errors::lost("the connection is being closed"));
        self.shut(&reason).await;
        if end.is_none() {
            let _ = timeout(self.target.timeouts.close, self.say_goodbye()).await;
        }
        for (sent, left) in self.line.cut() {
            if let Sent::Event(reply) = sent {
                settle(reply, if left { Err(lost(&reason)) } else { Err(not_sent(&reason)) });
            }
        }
        end
    }

    async fn run(&mut self, stop: &CancellationToken) -> Option<AttemptError> {
        let mut stopped = pin!(stop.cancelled());
        let mut alarm = pin!(sleep_until(Instant::now()));
        let mut has_gathered = false;
        loop {
            if let Err(end) = self.take_arrived() {
                return Some(end);
            }
            self.open_or_shut().await;
            let has_sent = self.send_waiting();
            if has_sent && !has_gathered && self.line.amqp().output().len() < MOST_OUTPUT {
                // Whoever woke this task is seldom the only one with something to send: the others are let run first, and
                // all their events leave together.
                has_gathered = true;
                yield_now().await;
                continue;
            }
            has_gathered = false;
            let next_alarm = self.next_alarm();
            if let Some(at) = next_alarm.filter(|at| *at != alarm.deadline()) {
                alarm.as_mut().reset(at);
            }
            let turn = tokio::select! {
                biased;
                () = &mut stopped => return None,
                () = &mut alarm, if next_alarm.is_some() => match self.ring(Instant::now()) {
                    Ok(()) => continue,
                    Err(end) => return Some(end),
                },
                turn = poll_fn(|cx| self.poll(cx)) => turn,
            };
            match turn {
                Ok(Turn::Work) => {}
                Ok(Turn::Token(token)) => self.put(token),
                Err(cut) => return Some(errors::of_cut(cut)),
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Turn, Cut>> {
        if let Renewing::Fetching(token, _) = &mut self.renewing
            && let Poll::Ready(token) = token.as_mut().poll(cx)
        {
            return Poll::Ready(Ok(Turn::Token(token)));
        }
        if let Poll::Ready(read) = self.line.poll(cx) {
            return Poll::Ready(read.map(|()| Turn::Work));
        }
        // Without credit requests stay where they are, in the bounded queue.
        if self.next.is_none()
            && self.has_room()
            && let Some(entrance) = &mut self.entrance
            && let Poll::Ready(Some(request)) = entrance.requests.poll_recv(cx)
        {
            self.next = Some(request);
            return Poll::Ready(Ok(Turn::Work));
        }
        Poll::Pending
    }

    fn has_room(&mut self) -> bool {
        let amqp = self.line.amqp();
        amqp.output().len() < MOST_OUTPUT && self.links.iter().any(|link| amqp.credit(*link) > 0)
    }

    /// The link whose turn it is, of those with credit.
    fn next_link(&mut self) -> Option<Link> {
        let amqp = self.line.amqp();
        if amqp.output().len() >= MOST_OUTPUT {
            return None;
        }
        let count = self.links.len();
        let place =
            (0..count).map(|ahead| (self.turn + ahead) % count).find(|place| amqp.credit(self.links[*place]) > 0)?;
        self.turn = place + 1;
        Some(self.links[place])
    }

    /// Writes what waits in the queue into the output, as far as there is credit. Whether there was anything.
    fn send_waiting(&mut self) -> bool {
        let mut has_sent = false;
        while let Some(link) = self.next_link() {
            let queued = || self.entrance.as_mut().and_then(|entrance| entrance.requests.try_recv().ok());
            let Some(request) = self.next.take().or_else(queued) else { break };
            has_sent = true;
            self.send(link, request);
        }
        has_sent
    }

    fn send(&mut self, link: Link, Request { event, reply }: Request) {
        // Its transaction has given up.
        if reply.is_closed() {
            return;
        }
        let amqp = self.line.amqp();
        self.head.clear();
        event.write_head(&mut self.head);
        let (size, most) = ((self.head.len() + event.body().len()) as u64, amqp.max_message_size(link));
        if size > most {
            return settle(reply, Err(Unstored::NotSent(errors::too_large(size, most))));
        }
        if let Err(Sent::Event(reply)) = amqp.send(link, Sent::Event(reply), &[&self.head, event.body()]) {
            settle(reply, Err(not_sent(&errors::lost("the link has no credit"))));
        }
    }

    /// Deals with everything that has arrived; an error is the connection's end.
    fn take_arrived(&mut self) -> Result<(), AttemptError> {
        while let Some(event) = self.line.arrived().map_err(errors::of_cut)? {
            match event {
                Event::Settled { token: Sent::Event(reply), outcome } => {
                    settle(reply, errors::of_outcome(&outcome).map_err(Unstored::Refused));
                }
                Event::Closed(error) => return Err(errors::of_closed(error.as_ref())),
                Event::Ended(error) => return Err(errors::of_ended(error.as_ref())),
                event => self.take(event)?,
            }
        }
        let has_given_up = |sent: &Sent| matches!(sent, Sent::Event(reply) if reply.is_closed());
        self.line.amqp().forget(has_given_up);
        Ok(())
    }

    /// Deals with what happens to links.
    fn take(&mut self, event: Event<Sent>) -> Result<(), AttemptError> {
        let event = match &mut self.renewing {
            Renewing::Putting(exchange, token, _) => match exchange.take(self.line.amqp(), event) {
                Taken::Other(event) => event,
                Taken::Ours => return Ok(()),
                Taken::Over(replies) => {
                    self.renewal.after(replies.map(|_| &*token));
                    self.renewing = Renewing::Idle;
                    return Ok(());
                }
            },
            _ => event,
        };
        match (event, &self.reattaching.step) {
            (Event::Attached(link), Step::Asked(asked, _)) if link == *asked => {
                self.links.push(link);
                self.reattaching.step = Step::Idle;
                Ok(())
            }
            (Event::Detached { link, error, .. }, Step::Asked(asked, _)) if link == *asked => {
                Err(errors::of_attach(error.as_ref()))
            }
            (Event::Detached { link, error, unsettled }, _) => {
                self.detached(link, error.as_ref(), unsettled);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn detached(&mut self, link: Link, error: Option<&client::Error>, unsettled: Vec<Sent>) {
        if !self.links.contains(&link) {
            return;
        }
        let end = errors::of_detach(error);
        debug!(hub = self.target.hub, %end, "a link was lost");
        self.links.retain(|other| *other != link);
        for sent in unsettled {
            if let Sent::Event(reply) = sent {
                settle(reply, Err(lost(&end)));
            }
        }
        self.latest_end = Some(end);
    }

    /// Lets transactions in when there is a link, and sends them elsewhere when there is none any more.
    async fn open_or_shut(&mut self) {
        match (self.links.is_empty(), &self.entrance) {
            (true, Some(_)) => {
                let end = self.latest_end.take().unwrap_or_else(|| errors::lost("the service detached the link"));
                self.shut(&end).await;
            }
            (false, None) => {
                let (queue, requests) = Queue::new(self.target.links, self.line.liveness().clone());
                self.pool.add(queue.clone());
                self.entrance = Some(Entrance { queue, requests });
            }
            _ => {}
        }
    }

    /// Lets nothing in any more, and tells what waits that it was not sent.
    async fn shut(&mut self, end: &AttemptError) {
        let waiting = self.next.take();
        if let Some(request) = waiting {
            settle(request.reply, Err(not_sent(end)));
        }
        let Some(Entrance { queue, mut requests }) = self.entrance.take() else { return };
        self.pool.remove(&queue);
        requests.close();
        // Ends as soon as those have sent who had reserved a place.
        while let Some(request) = requests.recv().await {
            settle(request.reply, Err(not_sent(end)));
        }
    }

    /// When something is due.
    fn next_alarm(&mut self) -> Option<Instant> {
        if matches!(self.reattaching.step, Step::Idle) && self.links.len() < self.target.links {
            let wait = self.reattaching.backoff.next(&mut rand::rng());
            self.reattaching.step = Step::At(Instant::now() + wait);
        }
        let reattach = match self.reattaching.step {
            Step::Idle => None,
            Step::At(at) | Step::Asked(_, at) => Some(at),
        };
        let renew = match self.renewing {
            Renewing::Idle => self.renewal.at(),
            Renewing::Fetching(_, until) | Renewing::Putting(_, _, until) => Some(until),
        };
        reattach.into_iter().chain(renew).min()
    }

    /// Does what is due; an error is the connection's end.
    fn ring(&mut self, now: Instant) -> Result<(), AttemptError> {
        let until = now + self.target.timeouts.connect;
        match self.reattaching.step {
            Step::At(at) if at <= now => {
                let link = self.target.attach(&mut self.line);
                self.reattaching.step = Step::Asked(link, until);
            }
            Step::Asked(_, at) if at <= now => {
                return Err(AttemptError::lost(FailureKind::Timeout, "the link was not attached again"));
            }
            _ => {}
        }
        match &self.renewing {
            Renewing::Idle if self.renewal.at().is_some_and(|at| at <= now) => {
                let token = self.target.tokens.token(&self.target.resource);
                self.renewing = Renewing::Fetching(Box::pin(token), until);
            }
            Renewing::Fetching(_, at) if *at <= now => self.put(Err(no_answer())),
            Renewing::Putting(exchange, _, at) if *at <= now => {
                exchange.end(self.line.amqp());
                self.put(Err(no_answer()));
            }
            _ => {}
        }
        Ok(())
    }

    fn put(&mut self, token: Result<Token, AttemptError>) {
        self.renewing = match token {
            Ok(token) => {
                let put = authorise::put(&self.target.resource, &token);
                let exchange = Exchange::begin(self.line.amqp(), authorise::NODE, [put]);
                Renewing::Putting(exchange, token, Instant::now() + self.target.timeouts.connect)
            }
            Err(error) => {
                self.renewal.after(Err(error));
                Renewing::Idle
            }
        };
    }

    /// Ends session and connection politely. The caller bounds the time.
    async fn say_goodbye(&mut self) {
        self.line.amqp().close();
        loop {
            match self.line.event().await {
                Ok(Event::Settled { token: Sent::Event(reply), outcome }) => {
                    settle(reply, errors::of_outcome(&outcome).map_err(Unstored::Refused));
                }
                Ok(Event::Closed(_)) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}

/// Tells a transaction what became of it, if it still listens.
fn settle(reply: Reply, outcome: Result<(), Unstored>) {
    let _ = reply.send(outcome.map_err(Box::new));
}

fn lost(end: &AttemptError) -> Unstored {
    Unstored::Lost(errors::of_lost_delivery(end))
}

fn not_sent(end: &AttemptError) -> Unstored {
    Unstored::NotSent(errors::elsewhere(end))
}

fn no_answer() -> AttemptError {
    AttemptError::lost(FailureKind::Timeout, "no answer")
}
