//! One bulkhead per service: at most N requests in flight and a bounded queue before them, so that one service that
//! stalls never starves the other.
//!
//! Each request in flight is one tokio task. A task whose request is settled takes the next one from the queue, and
//! ends when there is none: a service that keeps up has hardly a queue and as many tasks as requests.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::recorder::Recorder;
use crate::service::{Attempts, Counters, Failure, FailureKind, Service, ServiceName};
use crate::stats::Outcome;
use crate::transaction::Transaction;

/// One in so many of the requests in flight may wait ready for a place: a fraction of a millisecond's worth.
const AHEAD: usize = 16;

/// A transaction on its way to one service.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// What to send; both services share it.
    pub(super) transaction: Arc<Transaction>,
    /// When it was meant to be sent.
    pub(super) intended: Instant,
}

/// What all bulkheads of a run share with it.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    /// Takes the outcomes.
    pub(super) recorder: Arc<Recorder>,
    /// Notified whenever a request is settled and there may be room again.
    pub(super) changed: Arc<Notify>,
    /// Gives up what is in flight.
    pub(super) abandon: CancellationToken,
}

/// The bulkhead of one service.
pub(super) struct Bulkhead {
    inner: Arc<Inner>,
    /// Starts a task for a request; the service's type is hidden in here, so that bulkheads fit in one list.
    start: Box<dyn Fn(Request) + Send + Sync>,
}

struct Inner {
    service: ServiceName,
    max_in_flight: usize,
    counters: Arc<Counters>,
    shared: Shared,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Request>,
    in_flight: usize,
}

impl Bulkhead {
    /// A bulkhead before `service`, with at most `max_in_flight` requests in flight.
    pub(super) fn new<S: Service>(
        service: Arc<S>,
        max_in_flight: NonZeroUsize,
        counters: Arc<Counters>,
        shared: Shared,
    ) -> Self {
        let inner = Arc::new(Inner {
            service: service.name(),
            max_in_flight: max_in_flight.get(),
            counters,
            shared,
            state: Mutex::default(),
        });
        let of_task = inner.clone();
        let start = move |request| {
            tokio::spawn(work(of_task.clone(), service.clone(), request));
        };
        Self { inner, start: Box::new(start) }
    }

    /// Takes a request: it starts at once where there is room, and waits in the queue where there is none.
    ///
    /// The caller bounds the queue by looking at [`Self::pending`] first.
    pub(super) fn request(&self, request: Request) {
        {
            let mut state = self.inner.state();
            if state.in_flight >= self.inner.max_in_flight {
                state.queue.push_back(request);
                return;
            }
            state.in_flight += 1;
        }
        (self.start)(request);
    }

    /// Whether a request would start at once, or as soon as one of the few before it has: those few keep a place in
    /// flight from standing empty between a settlement and the next request.
    pub(super) fn has_room(&self) -> bool {
        let max_in_flight = self.inner.max_in_flight;
        let state = self.inner.state();
        state.in_flight + state.queue.len() < max_in_flight + max_in_flight / AHEAD
    }

    /// Requests queued or in flight.
    pub(super) fn pending(&self) -> usize {
        let state = self.inner.state();
        state.queue.len() + state.in_flight
    }

    /// Empties the queue; what was in it is counted as not sent.
    pub(super) fn drop_queue(&self) {
        let dropped = std::mem::take(&mut self.inner.state().queue);
        let transactions = dropped.iter().map(|request| &*request.transaction);
        self.inner.shared.recorder.not_sent(self.inner.service, transactions);
    }
}

impl fmt::Debug for Bulkhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.state();
        write!(f, "Bulkhead({}: {} in flight, {} queued)", self.inner.service, state.in_flight, state.queue.len())
    }
}

/// One task: sends, settles, and takes the next from the queue until there is none.
async fn work<S: Service>(inner: Arc<Inner>, service: Arc<S>, mut request: Request) {
    loop {
        let outcome = inner.send(&*service, &request).await;
        inner.shared.recorder.settled(inner.service, &request.transaction, &outcome);
        let next = inner.next();
        inner.shared.changed.notify_one();
        match next {
            Some(next) => request = next,
            None => return,
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next request for a task that has settled its own, which otherwise leaves its place in flight.
    fn next(&self) -> Option<Request> {
        let mut state = self.state();
        let next = state.queue.pop_front();
        if next.is_none() {
            state.in_flight -= 1;
        }
        next
    }

    async fn send<S: Service>(&self, service: &S, request: &Request) -> Outcome {
        self.counters.admit();
        let admitted = Instant::now();
        let attempts = Attempts::new(&self.counters);
        // Both ways to end it early, a panic and giving it up, drop the request that is outstanding, which counts it as lost.
        // A panic in a library must not take a place in flight with it: the run would wait for it for ever.
        let sending = AssertUnwindSafe(service.send(&request.transaction, &attempts)).catch_unwind();
        let result = tokio::select! {
            biased;
            ended = sending => ended.unwrap_or_else(|_| Err(panicked(&attempts))),
            () = self.shared.abandon.cancelled() => Err(abandoned(&attempts)),
        };
        let ambiguous = attempts.may_be_stored();
        Outcome { result, intended: request.intended, admitted, settled: Instant::now(), ambiguous }
    }
}

fn abandoned(attempts: &Attempts<'_>) -> Failure {
    let latest_error = attempts.latest_error().map(|why| format!("; before that: {why}")).unwrap_or_default();
    let failure =
        Failure::new(FailureKind::Abandoned, format!("the run was stopped before the service answered{latest_error}"));
    if attempts.may_be_stored() { failure.ambiguous() } else { failure }
}

fn panicked(attempts: &Attempts<'_>) -> Failure {
    let failure =
        Failure::new(FailureKind::Internal, "the task that sent it panicked; this is a defect, please report it");
    if attempts.may_be_stored() { failure.ambiguous() } else { failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_up_says_why_its_latest_attempt_came_to_nothing() {
        let counters = Counters::default();
        let attempts = Attempts::new(&counters);
        assert_eq!(abandoned(&attempts).message, "the run was stopped before the service answered");
        attempts.failed(&"busy");
        attempts.failed(&"cannot reach ns:5671: no such name");
        assert_eq!(
            abandoned(&attempts).message,
            "the run was stopped before the service answered; before that: cannot reach ns:5671: no such name"
        );
    }
}
