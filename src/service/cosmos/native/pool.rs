//! The connections to one endpoint: as many as are needed at a time, up to a bound, the one used last first.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::{Answered, Connection, Interrupted, Outgoing};
use super::dial::{Dialer, Stream};
use crate::service::FailureKind;
use crate::service::retry::AttemptError;

/// A connection that was idle for longer is not used again: load balancers forget theirs after a few minutes, without a
/// word. <https://learn.microsoft.com/azure/load-balancer/load-balancer-tcp-reset>
const LONGEST_IDLE: Duration = Duration::from_secs(60);

/// Connections at a time that are being opened or have yet to bring their first answer. All that a run needs at once would
/// come to a service as a flood, which it drops when it is slow to accept, and be opened where those that are given back
/// meanwhile are enough.
const NEW_AT_A_TIME: usize = 64;
/// A first answer that takes longer holds up no other connection.
const LONGEST_NEW: Duration = Duration::from_secs(5);

/// Requests that find every connection busy wait for one.
pub(super) struct Pool {
    dialer: Dialer,
    places: Semaphore,
    turns: Semaphore,
    idle: Mutex<VecDeque<Idle>>,
    /// Heard by requests that wait for a new connection.
    given_back: Notify,
}

struct Idle {
    connection: Connection<Stream>,
    since: Instant,
}

/// What became of a request.
pub(super) struct Exchange {
    pub(super) result: Result<Answered, Unanswered>,
    /// The request went out before, over a connection that had been idle and ended without a byte of an answer: the
    /// service closed it at that moment, most probably, and read nothing. Whether that is so, the answer to the second
    /// request may tell.
    pub(super) resent: bool,
}

/// A request without an answer.
#[derive(Debug, PartialEq)]
pub(super) enum Unanswered {
    /// It has never left.
    NotSent(AttemptError),
    /// It has left, at least in part, and its answer will not come.
    Lost(String),
    /// It has left, and its time is out.
    TimedOut,
}

impl Pool {
    pub(super) fn new(dialer: Dialer, most: NonZeroUsize) -> Self {
        let places = Semaphore::new(most.get().min(Semaphore::MAX_PERMITS));
        Self { dialer, places, turns: Semaphore::new(NEW_AT_A_TIME), idle: Mutex::default(), given_back: Notify::new() }
    }

    /// Sends a request over a free connection, or a new one, and reads its whole answer. `request` makes it, each time
    /// that it is sent.
    pub(super) async fn exchange(&self, deadline: Instant, request: impl Fn() -> Outgoing) -> Exchange {
        let Ok(Ok(_place)) = timeout_at(deadline, self.places.acquire()).await else {
            let result = Err(Unanswered::NotSent(not_sent("every connection was busy".to_owned())));
            return Exchange { result, resent: false };
        };
        loop {
            let mut connection = match self.take_idle() {
                Some(connection) => connection,
                // Boxed, because it is rare and its future is large.
                None => match Box::pin(self.connect_or_take_idle(deadline)).await {
                    Ok(Free::Idle(connection)) => connection,
                    Ok(Free::New(new)) => {
                        let result = Box::pin(self.over_a_new_one(new, deadline, &request)).await;
                        return Exchange { result, resent: false };
                    }
                    Err(error) => return Exchange { result: Err(Unanswered::NotSent(error)), resent: false },
                },
            };
            match self.over(&mut connection, deadline, &request).await {
                Ok(answered) => {
                    self.give_back(connection);
                    return Exchange { result: Ok(answered), resent: false };
                }
                Err(Failed::Interrupted(Interrupted::NothingSent(_))) => {}
                Err(Failed::Interrupted(Interrupted::NothingReceived(reason))) => {
                    return match Box::pin(self.connect(deadline)).await {
                        Ok(new) => {
                            let result = Box::pin(self.over_a_new_one(new, deadline, &request)).await;
                            Exchange { result, resent: true }
                        }
                        // What is lost is the first one.
                        Err(_) => Exchange { result: Err(Unanswered::Lost(reason)), resent: false },
                    };
                }
                Err(failed) => return Exchange { result: Err(failed.into()), resent: false },
            }
        }
    }

    async fn over_a_new_one(
        &self,
        New { mut connection, turn }: New<'_>,
        deadline: Instant,
        request: &impl Fn() -> Outgoing,
    ) -> Result<Answered, Unanswered> {
        let answered = {
            let mut answer = pin!(self.over(&mut connection, deadline, request));
            let first = timeout(LONGEST_NEW, &mut answer).await;
            drop(turn);
            match first {
                Ok(answered) => answered?,
                Err(_) => answer.await?,
            }
        };
        self.give_back(connection);
        Ok(answered)
    }

    /// A new connection, or one that is given back while that is being opened: where no more connections are let through,
    /// those that are there serve all requests.
    async fn connect_or_take_idle(&self, deadline: Instant) -> Result<Free<'_>, AttemptError> {
        let mut connecting = pin!(self.connect(deadline));
        loop {
            tokio::select! {
                biased;
                connected = &mut connecting => return connected.map(Free::New),
                () = self.given_back.notified() => {
                    if let Some(connection) = self.take_idle() {
                        return Ok(Free::Idle(connection));
                    }
                }
            }
        }
    }

    async fn connect(&self, deadline: Instant) -> Result<New<'_>, AttemptError> {
        let Ok(Ok(turn)) = timeout_at(deadline, self.turns.acquire()).await else {
            return Err(not_sent("too many connections were being opened".to_owned()));
        };
        let stream = self.dialer.dial(deadline).await?;
        let connection = Connection::begin(stream).await.map_err(|error| not_sent(error.to_string()))?;
        Ok(New { connection, turn })
    }

    async fn over(
        &self,
        connection: &mut Connection<Stream>,
        deadline: Instant,
        request: &impl Fn() -> Outgoing,
    ) -> Result<Answered, Failed> {
        match timeout_at(deadline, connection.exchange(request())).await {
            Ok(ended) => ended.map_err(Failed::Interrupted),
            Err(_) => Err(Failed::TimedOut),
        }
    }

    /// The connection that was used last, if it is still open; those that are not are dropped.
    fn take_idle(&self) -> Option<Connection<Stream>> {
        loop {
            let Idle { mut connection, since } = self.idle().pop_back()?;
            if since.elapsed() < LONGEST_IDLE && connection.is_open() {
                return Some(connection);
            }
        }
    }

    fn give_back(&self, mut connection: Connection<Stream>) {
        if !connection.is_open() {
            return;
        }
        let since = Instant::now();
        let mut idle = self.idle();
        idle.push_back(Idle { connection, since });
        // The one that was not used for longest.
        if idle.front().is_some_and(|oldest| since.duration_since(oldest.since) >= LONGEST_IDLE) {
            let oldest = idle.pop_front();
            drop(idle);
            drop(oldest);
        }
        self.given_back.notify_one();
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_sent(reason: String) -> AttemptError {
    AttemptError::not_sent(FailureKind::Connection, reason)
}

/// A connection that a request may go over.
enum Free<'a> {
    Idle(Connection<Stream>),
    New(New<'a>),
}

/// A connection that has yet to bring its first answer.
struct New<'a> {
    connection: Connection<Stream>,
    turn: SemaphorePermit<'a>,
}

enum Failed {
    Interrupted(Interrupted),
    TimedOut,
}

impl From<Failed> for Unanswered {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Interrupted(Interrupted::NothingSent(reason)) => Self::NotSent(not_sent(reason)),
            Failed::Interrupted(Interrupted::NothingReceived(reason) | Interrupted::Halfway(reason)) => {
                Self::Lost(reason)
            }
            Failed::TimedOut => Self::TimedOut,
        }
    }
}

#[cfg(test)]
mod tests;
