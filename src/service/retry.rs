//! The one retry policy: which failed attempt is made again, when, and for how long.
//!
//! Both services and both Event Hubs clients use it. What may heal is tried again for one budget of time per transaction,
//! whatever the reason, so that the same outage ends the same way at both services and a comparison of them is fair.

use std::fmt;
use std::time::Duration;

use rand::{Rng, RngExt as _};
use tokio::time::{Instant, sleep};

use super::{Attempt, Attempts, Failure, FailureKind};

/// How long one request waits for its answer unless a caller says otherwise.
pub(super) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);

/// The span of the first wait; each further one doubles it.
const FIRST_SPAN: Duration = Duration::from_millis(100);
/// The longest span, unless the budget is short.
const LONGEST_SPAN: Duration = Duration::from_secs(10);
/// No attempt waits longer for its answer than this part of the budget, so that one answer that never comes leaves time for
/// others.
const ATTEMPTS_IN_BUDGET: u32 = 6;
/// What an attempt has in any case: an answer from another continent, on a bad day.
const SHORTEST_ATTEMPT: Duration = Duration::from_secs(5);
/// No wait is longer than this part of the budget, so that nearly all of a budget is used before a transaction fails.
const PART_OF_BUDGET: u32 = 12;
/// Connections are not opened in a tighter loop than this in the end, however short the budget.
const SHORTEST_CAP: Duration = Duration::from_secs(1);
/// No wait is shorter, so that nothing becomes a busy loop.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// Refusals after which a credential that was good before is taken to be good no longer. One alone happens: a token that
/// expired on its way, a namespace that is being moved.
pub(super) const MOST_REFUSALS: u32 = 3;

/// How long is tried for, and how long is waited for one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RetryPolicy {
    /// For one transaction, from the start of its first attempt.
    pub(super) budget: Duration,
    /// For the answer to one request, unless the budget is short. Past it the request is lost.
    pub(super) attempt: Duration,
}

impl RetryPolicy {
    /// How long one attempt waits for its answer: the only one has the full time, one of several a part of the budget.
    fn attempt_timeout(&self) -> Duration {
        if self.budget.is_zero() {
            return self.attempt;
        }
        self.attempt.min(SHORTEST_ATTEMPT.max(self.budget / ATTEMPTS_IN_BUDGET))
    }

    /// The waits between attempts.
    pub(super) fn backoff(&self) -> Backoff {
        let cap = LONGEST_SPAN.min(self.budget / PART_OF_BUDGET);
        Backoff { span: FIRST_SPAN.min(cap), cap }
    }

    /// The waits before a connection is opened again, which goes on for as long as the run.
    pub(super) fn reconnecting(&self) -> Backoff {
        let Backoff { cap, .. } = self.backoff();
        Backoff { span: FIRST_SPAN, cap: cap.max(SHORTEST_CAP) }
    }
}

/// Growing waits with full jitter (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>), so that
/// thousands of transactions that failed together do not come back together.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    span: Duration,
    cap: Duration,
}

impl Backoff {
    /// The next wait.
    pub(super) fn next(&mut self, rng: &mut impl Rng) -> Duration {
        let span = self.span;
        self.span = self.cap.min(span.saturating_mul(2));
        span.mul_f64(rng.random_range(0.0..=1.0)).max(LEAST_WAIT)
    }

    /// The wait after this error: the service's own, where it names one.
    fn after(&mut self, error: &AttemptError) -> Duration {
        let backoff = self.next(&mut rand::rng());
        error.retry_after.map_or(backoff, |wait| wait.max(LEAST_WAIT))
    }
}

/// What an answer, or the lack of one, means for the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The same request gets the same answer.
    GiveUp,
    /// Not stored; another attempt may be.
    Retry,
    /// Not stored, because of a credential that was good before: [`MOST_REFUSALS`] in a row are believed.
    RetryRefusal,
    /// Not stored, because the service is throttling.
    Throttled,
    /// It is open whether it is stored; sent again under the same id.
    Ambiguous,
}

/// Why one attempt, at sending or at connecting, did not succeed, and whether another one can.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AttemptError {
    /// What a failure by this is counted as.
    pub(super) kind: FailureKind,
    /// The service's own code, such as `amqp:not-found` or `403/1014`.
    pub(super) status: Option<String>,
    /// One line for a human, without secrets.
    pub(super) message: String,
    /// Whether another attempt can help.
    pub(super) verdict: Verdict,
    /// When the service wants to be asked again.
    pub(super) retry_after: Option<Duration>,
    /// What the service's support finds the request by.
    pub(super) activity_id: Option<String>,
    /// Whether the request left the machine: if not, another attempt is no resend.
    pub(super) left: bool,
}

impl AttemptError {
    /// The service answered with its own code.
    pub(super) fn answered(kind: FailureKind, verdict: Verdict, status: String, message: &str) -> Self {
        Self { status: Some(status), verdict, ..Self::lost(kind, message) }
    }

    /// The request left, and no answer came: the connection was lost, or the time is out.
    pub(super) fn lost(kind: FailureKind, message: impl fmt::Display) -> Self {
        Self {
            kind,
            status: None,
            message: one_line(&message.to_string()),
            verdict: Verdict::Ambiguous,
            retry_after: None,
            activity_id: None,
            left: true,
        }
    }

    /// The request did not leave; another one may.
    pub(super) fn not_sent(kind: FailureKind, message: impl fmt::Display) -> Self {
        Self { verdict: Verdict::Retry, left: false, ..Self::lost(kind, message) }
    }

    /// The request did not leave, and none ever will.
    pub(super) fn impossible(kind: FailureKind, message: impl fmt::Display) -> Self {
        Self { verdict: Verdict::GiveUp, ..Self::not_sent(kind, message) }
    }

    /// The same for a request that was not sent yet, because it is an error of a connection that is being opened.
    pub(super) fn before_sending(self) -> Self {
        let verdict = if self.verdict == Verdict::Ambiguous { Verdict::Retry } else { self.verdict };
        Self { verdict, left: false, ..self }
    }

    /// The time for the answer is over.
    pub(super) fn timed_out(waited: Duration) -> Self {
        Self::lost(FailureKind::Timeout, format_args!("no answer within {}", shown(waited)))
    }

    fn into_failure(self, ambiguous: bool) -> Failure {
        let message = match self.activity_id {
            Some(id) => format!("{}; activity id {id}", self.message.trim_end_matches('.')),
            None => self.message,
        };
        Failure { kind: self.kind, status: self.status, message, ambiguous }
    }
}

impl fmt::Display for AttemptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.status {
            Some(status) => write!(f, "{} ({status})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// A duration to the millisecond.
pub(super) fn shown(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
}

/// Ends the attempt as its result says.
pub(super) fn conclude<T>(attempt: Attempt<'_>, result: &Result<T, AttemptError>) {
    match result.as_ref().map_err(|error| error.verdict) {
        Ok(_) | Err(Verdict::GiveUp | Verdict::Retry | Verdict::RetryRefusal) => attempt.answered(),
        Err(Verdict::Throttled) => attempt.throttled(),
        Err(Verdict::Ambiguous) => attempt.lost(),
    }
}

/// One transaction's way through its attempts at one place: a container, or one of several event hubs.
pub(super) struct Retries<'a> {
    policy: RetryPolicy,
    attempts: &'a Attempts<'a>,
    start: Instant,
    /// Boxed, because nearly no transaction needs it.
    failed: Option<Box<Failed>>,
}

struct Failed {
    backoff: Backoff,
    tries: u32,
    refusals: u32,
    may_be_stored: bool,
    latest: Option<AttemptError>,
}

impl<'a> Retries<'a> {
    /// The first attempt is about to start.
    pub(super) fn new(policy: RetryPolicy, attempts: &'a Attempts<'a>) -> Self {
        Self { policy, attempts, start: Instant::now(), failed: None }
    }

    /// When an attempt that starts now must be over: a transaction ends with its budget, but for the first attempt, which
    /// has its full time.
    pub(super) fn deadline(&self) -> Instant {
        self.end().min(Instant::now() + self.policy.attempt_timeout())
    }

    /// When the transaction must be over.
    pub(super) fn end(&self) -> Instant {
        self.start + self.policy.budget.max(self.policy.attempt_timeout())
    }

    /// Waits until it is time for another attempt.
    ///
    /// # Errors
    /// The transaction's failure, when another attempt cannot help or the budget is used up.
    pub(super) async fn wait(&mut self, error: AttemptError) -> Result<(), Failure> {
        let is_cut_short = error.kind == FailureKind::Timeout && Instant::now() >= self.end();
        let failed = self.failed.get_or_insert_with(|| {
            Box::new(Failed {
                backoff: self.policy.backoff(),
                tries: 0,
                refusals: 0,
                may_be_stored: false,
                latest: None,
            })
        });
        failed.may_be_stored |= error.verdict == Verdict::Ambiguous;
        failed.tries += 1;
        let is_refusal = error.verdict == Verdict::RetryRefusal;
        failed.refusals = if is_refusal { failed.refusals + 1 } else { 0 };
        if error.verdict == Verdict::GiveUp || failed.refusals >= MOST_REFUSALS {
            return Err(error.into_failure(failed.may_be_stored));
        }
        let wait = failed.backoff.after(&error);
        let elapsed = self.start.elapsed();
        if elapsed + wait > self.policy.budget {
            // An attempt that the end of the budget cut short says less than the one before it.
            let error = failed.latest.take().filter(|_| is_cut_short).unwrap_or(error);
            return Err(used_up(error, failed.tries, elapsed).into_failure(failed.may_be_stored));
        }
        self.attempts.failed(&error);
        tracing::debug!(%error, ?wait, "an attempt failed; another follows");
        Box::pin(sleep(wait)).await;
        if error.left && error.verdict != Verdict::Throttled {
            self.attempts.resent();
        }
        failed.latest = Some(error);
        Ok(())
    }
}

/// The attempts of a request that is no transaction, such as one for a page: made again for a time without success.
pub(super) struct Repeats {
    policy: RetryPolicy,
    /// Whether a service that cannot be reached may come back.
    was_reached: bool,
    start: Instant,
    backoff: Backoff,
}

impl Repeats {
    /// Of a request to a service that has answered before.
    pub(super) fn new(policy: RetryPolicy) -> Self {
        Self { policy, was_reached: true, start: Instant::now(), backoff: policy.reconnecting() }
    }

    /// Of a request that may be the first one: a service that cannot be reached is probably named wrongly.
    pub(super) fn at_first_contact(policy: RetryPolicy) -> Self {
        Self { was_reached: false, ..Self::new(policy) }
    }

    /// One has succeeded: the next one has the whole time.
    pub(super) fn reset(&mut self) {
        *self = Self { was_reached: self.was_reached, ..Self::new(self.policy) };
    }

    /// Waits until it is time for another attempt; `false` at once where none can help, or the time is used up. A refused
    /// credential was not good before.
    pub(super) async fn wait(&mut self, error: &AttemptError) -> bool {
        let helps = match error.verdict {
            Verdict::Throttled | Verdict::Ambiguous => true,
            Verdict::Retry => self.was_reached || error.left,
            Verdict::GiveUp | Verdict::RetryRefusal => false,
        };
        let wait = self.backoff.after(error);
        if !helps || self.start.elapsed() + wait > self.policy.budget {
            return false;
        }
        tracing::debug!(%error, ?wait, "a request failed; another follows");
        sleep(wait).await;
        true
    }
}

fn used_up(mut error: AttemptError, tries: u32, after: Duration) -> AttemptError {
    let still = if error.verdict == Verdict::Throttled { "still throttled" } else { "given up" };
    let plural = if tries == 1 { "attempt" } else { "attempts" };
    error.message = format!("{} ({still} after {:.0} s and {tries} {plural})", error.message, after.as_secs_f64());
    error
}

/// Texts of services and operating systems are cut here, in bytes: an error is one line, not a page.
const LONGEST_LINE: usize = 400;

/// White space and control characters become single blanks, and what is too long is cut.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::new();
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > LONGEST_LINE {
            let end = (0..=LONGEST_LINE).rev().find(|&end| line.is_char_boundary(end)).unwrap_or(0);
            line.truncate(end);
            line.push('…');
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests;
