//! Transactions from the feed to the services at the right pace, until the data ends or the run is stopped.
//!
//! Without a rate the fan-out follows the *faster* service: the next transaction is requested as soon as one service
//! could start it at once or has next to nothing waiting, so that the faster one runs at full speed with hardly a queue,
//! while the slower one's pending grows, which is what there is to see. With a rate it keeps an absolute schedule
//! ([`super::pacer`]).

use std::convert::Infallible;
use std::future::pending;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Stop;
use super::bulkhead::{Bulkhead, Request, Shared};
use super::feed::{Feed, Row};
use super::pacer::Pacer;
use super::recorder::Recorder;
use crate::service::{Counters, Service};
use crate::settings::RunSettings;
use crate::stats::{Conclusion, Figures, StopReason};
use crate::transaction::Transaction;

/// How often time is given a chance to make a batch due.
const TICK: Duration = Duration::from_millis(500);
/// How long tasks have to end once everything is given up: they only have to be polled once.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(5);

/// The transactions of a run on their way to the services.
#[derive(Debug)]
pub(super) struct FanOut {
    settings: RunSettings,
    feed: Feed,
    bulkheads: Vec<Bulkhead>,
    shared: Shared,
    stop: Stop,
}

impl FanOut {
    /// Sends the rows of `feed`; outcomes go to `recorder`, and `stop` ends it early.
    pub(super) fn new(settings: RunSettings, feed: Feed, recorder: Arc<Recorder>, stop: Stop) -> Self {
        let shared = Shared { recorder, changed: Arc::new(Notify::new()), abandon: CancellationToken::new() };
        Self { settings, feed, bulkheads: Vec::new(), shared, stop }
    }

    /// Adds a service to write to. `counters` is the one that the recorder's statistics look at.
    pub(super) fn add_service<S: Service>(
        &mut self,
        service: Arc<S>,
        max_in_flight: NonZeroUsize,
        counters: Arc<Counters>,
    ) {
        self.bulkheads.push(Bulkhead::new(service, max_in_flight, counters, self.shared.clone()));
    }

    /// Runs until everything is settled, given up or counted as not sent, and gives the final figures.
    pub(super) async fn execute(mut self) -> (Conclusion, Figures) {
        let recorder = self.shared.recorder.clone();
        let mut started_at = OffsetDateTime::now_utc();
        let reason = match self.lead().await {
            Some(reason) => reason,
            None => {
                started_at = OffsetDateTime::now_utc();
                recorder.begin(Instant::now());
                tokio::select! {
                    reason = self.drive() => reason,
                    never = tick(&recorder) => match never {},
                }
            }
        };
        let conclusion = Conclusion {
            started_at,
            reason,
            rejected_rows: recorder.rejected_rows(),
            unreadable_cells: self.feed.finish().await,
            data: None,
            session_token: None,
        };
        (conclusion, recorder.finish(Instant::now()).await)
    }

    /// Waits before the first transaction; returns the reason if the run is stopped meanwhile.
    async fn lead(&self) -> Option<StopReason> {
        if self.settings.lead.is_zero() && !self.stop.is_requested() {
            return None;
        }
        timeout(self.settings.lead, self.stop.requested()).await.ok()
    }

    async fn drive(&mut self) -> StopReason {
        let deadline = self.settings.duration.map(|duration| Instant::now() + duration);
        let mut reason = self.fan_out(deadline).await;
        self.shared.recorder.all_requested();
        if !is_cut(reason) {
            tokio::select! {
                biased;
                cut = self.cut(deadline) => reason = cut,
                () = self.all_settled() => {}
            }
        }
        if is_cut(reason) {
            self.wind_down().await;
        }
        reason
    }

    /// Requests transactions until there are no more, or until the run is cut short.
    async fn fan_out(&mut self, deadline: Option<Instant>) -> StopReason {
        let pacer = self.settings.rate.map(|rate| Pacer::new(Instant::now(), rate));
        let mut requested = 0;
        loop {
            if self.settings.limit == Some(requested) {
                return StopReason::LimitReached;
            }
            let transaction = match self.next_transaction(deadline).await {
                Ok(transaction) => transaction,
                Err(reason) => return reason,
            };
            let intended = match self.turn(pacer.map(|pacer| pacer.due(requested)), deadline).await {
                Ok(intended) => intended,
                Err(reason) => return reason,
            };
            self.request(transaction, intended);
            requested += 1;
            // Lets other tasks run when neither the feed nor the pace ever has to wait.
            tokio::task::consume_budget().await;
        }
    }

    /// The next transaction of the feed, or why there is none.
    async fn next_transaction(&mut self, deadline: Option<Instant>) -> Result<Transaction, StopReason> {
        loop {
            let row = match self.feed.try_next() {
                Some(row) => Some(row),
                None => {
                    let cut = cut(&self.stop, deadline);
                    tokio::select! {
                        biased;
                        reason = cut => return Err(reason),
                        row = self.feed.next() => row,
                    }
                }
            };
            match row {
                Some(Row::Transaction(transaction)) => return Ok(transaction),
                Some(Row::Rejected { line, reason }) => self.shared.recorder.rejected(line, reason),
                Some(Row::Failed(reason)) => {
                    self.shared.recorder.data_failed(reason);
                    return Err(StopReason::DataFailed);
                }
                None => return Err(StopReason::DataEnded),
            }
        }
    }

    /// Waits until the next transaction's turn has come, and returns when it was meant to be.
    async fn turn(&self, due: Option<Instant>, deadline: Option<Instant>) -> Result<Instant, StopReason> {
        if let Some(due) = due
            && due > Instant::now()
        {
            tokio::select! {
                biased;
                reason = self.cut(deadline) => return Err(reason),
                () = sleep_until(due) => {}
            }
        }
        loop {
            let now = Instant::now();
            if self.stop.is_requested() {
                return Err(self.stop.reason());
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Err(StopReason::TimeUp);
            }
            if self.has_room(due.is_some()) {
                return Ok(due.unwrap_or(now));
            }
            tokio::select! {
                biased;
                reason = self.cut(deadline) => return Err(reason),
                () = self.shared.changed.notified() => {}
            }
        }
    }

    /// Whether a transaction may be requested now: never past `max_pending`, and without a schedule only when one
    /// service has room for it.
    fn has_room(&self, on_schedule: bool) -> bool {
        let max_pending = self.settings.max_pending.get();
        self.bulkheads.iter().all(|bulkhead| bulkhead.pending() < max_pending)
            && (on_schedule || self.bulkheads.iter().any(Bulkhead::has_room))
    }

    fn request(&self, transaction: Transaction, intended: Instant) {
        // Recorded first: a settlement never comes before its request.
        self.shared.recorder.requested(&transaction, intended, Instant::now());
        let transaction = Arc::new(transaction);
        for bulkhead in &self.bulkheads {
            bulkhead.request(Request { transaction: transaction.clone(), intended });
        }
    }

    /// Waits until the run is cut short: stopped from outside, or out of time.
    async fn cut(&self, deadline: Option<Instant>) -> StopReason {
        cut(&self.stop, deadline).await
    }

    async fn all_settled(&self) {
        while self.bulkheads.iter().any(|bulkhead| bulkhead.pending() > 0) {
            self.shared.changed.notified().await;
        }
    }

    /// Settles what is in flight, within the drain time-out; then gives it up.
    async fn wind_down(&self) {
        self.bulkheads.iter().for_each(Bulkhead::drop_queue);
        let settled = tokio::select! {
            biased;
            () = self.stop.requested_at_once() => false,
            settled = timeout(self.settings.drain_timeout, self.all_settled()) => settled.is_ok(),
        };
        if !settled {
            self.shared.abandon.cancel();
            if timeout(ABANDON_TIMEOUT, self.all_settled()).await.is_err() {
                tracing::error!(bulkheads = ?self.bulkheads, "requests in flight did not end when given up");
            }
        }
    }
}

/// Whether this is a reason to leave the queue unsent.
fn is_cut(reason: StopReason) -> bool {
    use StopReason::{Interrupted, OutputClosed, TimeUp, TooManyFailures};
    matches!(reason, TimeUp | Interrupted | OutputClosed | TooManyFailures)
}

async fn cut(stop: &Stop, deadline: Option<Instant>) -> StopReason {
    let time_up = async {
        match deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => pending().await,
        }
    };
    tokio::select! {
        biased;
        reason = stop.requested() => reason,
        () = time_up => StopReason::TimeUp,
    }
}

/// Gives time a chance to make a batch due, for ever.
async fn tick(recorder: &Recorder) -> Infallible {
    loop {
        tokio::time::sleep(TICK).await;
        recorder.tick(Instant::now());
    }
}
