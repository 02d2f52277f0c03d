//! Keeps one connection of a hub up: serves it, and opens another one when it is lost.

use std::sync::Arc;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::super::tokens::Token;
use super::connection::{Open, Target};
use super::pool::Pool;
use super::serving::Serving;
use crate::service::FailureKind;
use crate::service::retry::{AttemptError, Backoff, MOST_REFUSALS, RetryPolicy, Verdict};

/// Keeps one connection of a hub up.
pub(super) struct Supervisor {
    pub(super) target: Arc<Target>,
    pub(super) pool: Arc<Pool>,
    /// Ends it.
    pub(super) stop: CancellationToken,
}

impl Supervisor {
    /// Serves the open connection, and its successors, until it is stopped.
    pub(super) async fn keep(self, first: Open) {
        let mut open = first;
        loop {
            let serving = Serving::new(&self.target, &self.pool, open);
            let Some(end) = serving.serve(&self.stop).await else { return };
            warn!(hub = self.target.hub, %end, "the connection was lost");
            let Some(next) = self.reopen().await else { return };
            open = next;
        }
    }

    async fn reopen(&self) -> Option<Open> {
        let mut backoff = self.target.policy.reconnecting();
        let mut refusals = 0;
        loop {
            let wait = backoff.next(&mut rand::rng());
            let open = async {
                sleep(wait).await;
                self.target.open().await
            };
            match self.stop.run_until_cancelled(open).await? {
                Ok(open) => {
                    info!(hub = self.target.hub, "the connection is open again");
                    return Some(open);
                }
                Err(error) => {
                    let error = self.target.tokens.advise(error, &self.target.dialer.address().host);
                    warn!(hub = self.target.hub, %error, "the connection was not opened again");
                    refusals += u32::from(error.kind == FailureKind::Unauthorized);
                    self.pool.report(if refusals < MOST_REFUSALS { doubted(error) } else { believed(error) });
                }
            }
        }
    }
}

/// A refusal that is not believed yet: transactions that wait for a connection go on waiting.
fn doubted(error: AttemptError) -> AttemptError {
    match error.kind {
        FailureKind::Unauthorized => AttemptError { verdict: Verdict::Retry, ..error },
        _ => error,
    }
}

fn believed(error: AttemptError) -> AttemptError {
    match error.kind {
        FailureKind::Unauthorized => AttemptError { verdict: Verdict::GiveUp, ..error },
        _ => error,
    }
}

/// When the token has to be renewed.
pub(super) struct Renewal {
    at: Instant,
    due: bool,
    policy: RetryPolicy,
    backoff: Backoff,
}

impl Renewal {
    pub(super) fn new(token: &Token, policy: RetryPolicy) -> Self {
        let wait = token.renew_in(&mut rand::rng());
        let at = Instant::now() + wait.unwrap_or_default();
        Self { at, due: wait.is_some(), policy, backoff: policy.reconnecting() }
    }

    /// When, if ever.
    pub(super) fn at(&self) -> Option<Instant> {
        self.due.then_some(self.at)
    }

    /// Schedules the next one. A refused renewal is tried again: until the token expires nothing is lost, and after that
    /// the service detaches the links, and opening the connection again shows why.
    pub(super) fn after(&mut self, renewed: Result<&Token, AttemptError>) {
        match renewed {
            Ok(token) => {
                debug!("the token was renewed");
                *self = Self::new(token, self.policy);
            }
            Err(error) => {
                warn!(%error, "the token was not renewed");
                self.at = Instant::now() + self.backoff.next(&mut rand::rng());
            }
        }
    }
}
