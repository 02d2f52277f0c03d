//! One connection: opened, authorised, kept, and opened again when it is lost.

use std::sync::Arc;
use std::time::Duration;

use fe2o3_amqp::connection::ConnectionHandle;
use fe2o3_amqp::sasl_profile::SaslProfile;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::{Connection, Sender, Session};
use fe2o3_amqp_types::definitions::{Fields, SenderSettleMode};
use fe2o3_amqp_types::primitives::{Symbol, Value};
use futures_util::FutureExt as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::super::timeouts::Timeouts;
use super::super::tokens::{Token, TokenSource};
use super::dial::Dialer;
use super::link::{self, Link};
use super::pool::Pool;
use super::socket::Liveness;
use super::{authorise, errors, management};
use crate::service::FailureKind;
use crate::service::retry::{AttemptError, Backoff, MOST_REFUSALS, RetryPolicy, Verdict};

/// The largest frame that txgen takes: answers are small.
const MAX_FRAME_SIZE: u32 = 64 * 1024;

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
    // The order counts: links go before their session, and that before its connection.
    senders: Vec<Sender>,
    session: SessionHandle<()>,
    connection: ConnectionHandle<()>,
    liveness: Arc<Liveness>,
    token: Token,
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
        let mut connection = Connection::builder()
            .container_id(format!("txgen-{}", Uuid::new_v4()))
            .hostname(self.dialer.address().host.as_str())
            .sasl_profile(SaslProfile::Anonymous)
            .max_frame_size(MAX_FRAME_SIZE)
            .idle_time_out(u32::try_from(self.timeouts.idle.as_millis()).unwrap_or(u32::MAX))
            .properties(about_txgen())
            .open_with_stream(wire)
            .await
            .map_err(|error| errors::of_open(&error))?;
        // A finite window is filled up again by the flows of links only, and stalls without one.
        let mut session = Session::builder()
            .incoming_window(u32::MAX)
            .outgoing_window(u32::MAX)
            .begin(&mut connection)
            .await
            .map_err(|error| errors::of_begin(&error))?;
        let token = self.tokens.token(&self.resource).await?;
        let put = authorise::put(&mut session, &self.resource, &token).await;
        put.map_err(|error| self.tokens.explain(error))?;
        let mut senders = Vec::with_capacity(self.links);
        for _ in 0..self.links {
            senders.push(self.attach(&mut session).await?);
        }
        Ok(Open { senders, session, connection, liveness, token })
    }

    async fn attach(&self, session: &mut SessionHandle<()>) -> Result<Sender, AttemptError> {
        Sender::builder()
            .name(format!("txgen-{}", Uuid::new_v4()))
            .target(self.hub.as_str())
            .sender_settle_mode(SenderSettleMode::Unsettled)
            .attach(session)
            .await
            .map_err(|error| errors::of_attach(&error))
    }
}

/// What the service's operators see of txgen.
fn about_txgen() -> Fields {
    [("product", env!("CARGO_PKG_NAME")), ("version", env!("CARGO_PKG_VERSION")), ("platform", std::env::consts::OS)]
        .into_iter()
        .map(|(key, value)| (Symbol::from(key), Value::String(value.to_owned())))
        .collect()
}

impl Open {
    /// The session, for links of other kinds.
    pub(super) fn session(&mut self) -> &mut SessionHandle<()> {
        &mut self.session
    }

    /// What each partition of the hub holds, of so many.
    pub(super) async fn each_partition(
        &mut self,
        hub: &str,
        count: u32,
    ) -> Result<Vec<management::Partition>, AttemptError> {
        management::each_partition(&mut self.session, hub, count, &self.token.text).await
    }

    /// When the hub was created, in milliseconds since 1970-01-01 UTC; `None` when the service does not tell.
    pub(super) async fn created_unix_ms(&mut self, hub: &str) -> Result<Option<i64>, AttemptError> {
        management::created_unix_ms(&mut self.session, hub, &self.token.text).await
    }

    /// How long the token is good before it is to be renewed; `None` where it cannot be.
    pub(super) fn renew_in(&self) -> Option<Duration> {
        self.token.renew_in(&mut rand::rng())
    }

    /// Renews the token.
    pub(super) async fn renew(&mut self, target: &Target) -> Result<(), AttemptError> {
        let token = target.tokens.token(&target.resource).await?;
        authorise::put(&mut self.session, &target.resource, &token).await?;
        self.token = token;
        Ok(())
    }

    /// Waits until session or connection end, or nothing has been heard from the service for so long.
    pub(super) async fn end(&mut self, idle: Duration) -> AttemptError {
        let mut watch = interval(idle / 4);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                result = self.connection.on_close() => return errors::of_close(result),
                result = self.session.on_end() => return errors::of_end(result),
                _ = watch.tick() => if self.liveness.silence() > idle {
                    return AttemptError::lost(
                        FailureKind::Connection,
                        format!("nothing was heard from the service for {idle:?}"),
                    );
                },
            }
        }
    }

    /// Ends session and connection politely. The caller bounds the time.
    pub(super) async fn close(mut self) {
        let _ = self.session.end().await;
        let _ = self.connection.close().await;
        self.liveness.cut();
    }

    /// How many partitions the hub has; `None` when the service does not say.
    ///
    /// # Errors
    /// When the reply shows that nothing can be sent: a link that was refused after it was attached, a hub that is not
    /// there.
    pub(super) async fn partitions(&mut self, hub: &str) -> Result<Option<u32>, AttemptError> {
        let reply = management::partitions(&mut self.session, hub, &self.token.text).await;
        // The service may attach a link first and refuse it then; by now that refusal has arrived.
        if let Some(error) = self.senders.iter_mut().find_map(|sender| sender.on_detach().now_or_never()) {
            return Err(errors::of_detach(&error));
        }
        reply.or_else(|error| match error.kind {
            FailureKind::NotFound | FailureKind::Connection | FailureKind::Timeout => Err(error),
            _ => {
                debug!(hub, %error, "the hub's properties cannot be read");
                Ok(None)
            }
        })
    }
}

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
            let Some(end) = self.serve(open).await else { return };
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

    /// Why the connection was lost; `None` when it was stopped.
    async fn serve(&self, open: Open) -> Option<AttemptError> {
        let Open { senders, session, connection, liveness, token } = open;
        let mut served = Served {
            supervisor: self,
            session,
            connection,
            liveness,
            owners: JoinSet::new(),
            stop: self.stop.child_token(),
        };
        for sender in senders {
            served.launch(sender);
        }
        let end = served.run(&token).await;
        served.end(end.is_none()).await;
        end
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

/// An open connection at work.
struct Served<'a> {
    supervisor: &'a Supervisor,
    session: SessionHandle<()>,
    connection: ConnectionHandle<()>,
    liveness: Arc<Liveness>,
    /// The tasks that own the links.
    owners: JoinSet<AttemptError>,
    /// Stops those.
    stop: CancellationToken,
}

impl Served<'_> {
    fn launch(&mut self, sender: Sender) {
        let (link, queue) = Link::new(self.liveness.clone());
        let (pool, stop) = (self.supervisor.pool.clone(), self.stop.clone());
        pool.add(link.clone());
        self.owners.spawn(async move {
            let leave = Leave(pool, link);
            link::own(sender, queue, stop, || drop(leave)).await
        });
    }

    /// Runs until the connection is lost, or stopped: then `None`.
    async fn run(&mut self, token: &Token) -> Option<AttemptError> {
        let Timeouts { idle, .. } = self.supervisor.target.timeouts;
        let policy = self.supervisor.target.policy;
        let mut renewal = Renewal::new(token, policy);
        let mut watch = interval(idle / 4);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reattach = policy.reconnecting();
        loop {
            tokio::select! {
                () = self.supervisor.stop.cancelled() => return None,
                result = self.connection.on_close() => return Some(errors::of_close(result)),
                result = self.session.on_end() => return Some(errors::of_end(result)),
                Some(end) = self.owners.join_next() => {
                    let end = end.unwrap_or_else(|error| AttemptError::lost(FailureKind::Internal, error));
                    debug!(hub = self.supervisor.target.hub, %end, "a link was lost");
                    // The link may be the first to notice that the connection is lost.
                    if self.session.is_ended() || self.connection.is_closed() {
                        return Some(end);
                    }
                    match self.supervisor.stop.run_until_cancelled(self.reattach(&mut reattach)).await {
                        None => return None,
                        Some(Err(error)) => return Some(error),
                        Some(Ok(())) => {}
                    }
                }
                () = sleep_until(renewal.at), if renewal.due => {
                    let renewed = timeout(self.supervisor.target.timeouts.connect, self.renew()).await;
                    renewal.after(renewed.unwrap_or_else(|_| Err(AttemptError::lost(FailureKind::Timeout, "no answer"))));
                }
                _ = watch.tick() => if self.liveness.silence() > idle {
                    return Some(AttemptError::lost(
                        FailureKind::Connection,
                        format!("nothing was heard from the service for {idle:?}"),
                    ));
                },
            }
        }
    }

    async fn reattach(&mut self, backoff: &mut Backoff) -> Result<(), AttemptError> {
        let target = &self.supervisor.target;
        let wait = backoff.next(&mut rand::rng());
        sleep(wait).await;
        let sender = timeout(target.timeouts.connect, target.attach(&mut self.session)).await;
        let sender =
            sender.map_err(|_| AttemptError::lost(FailureKind::Timeout, "the link was not attached again"))??;
        self.launch(sender);
        Ok(())
    }

    async fn renew(&mut self) -> Result<Token, AttemptError> {
        let target = &self.supervisor.target;
        let token = target.tokens.token(&target.resource).await?;
        authorise::put(&mut self.session, &target.resource, &token).await?;
        Ok(token)
    }

    async fn end(mut self, politely: bool) {
        self.stop.cancel();
        if !politely {
            // What still waits for this connection must not wait any longer.
            self.liveness.cut();
        }
        while self.owners.join_next().await.is_some() {}
        if politely {
            let close = async {
                let _ = self.session.end().await;
                let _ = self.connection.close().await;
            };
            let _ = timeout(self.supervisor.target.timeouts.close, close).await;
            self.liveness.cut();
        }
    }
}

/// When the token has to be renewed.
struct Renewal {
    at: Instant,
    due: bool,
    policy: RetryPolicy,
    backoff: Backoff,
}

impl Renewal {
    fn new(token: &Token, policy: RetryPolicy) -> Self {
        let wait = token.renew_in(&mut rand::rng());
        let at = Instant::now() + wait.unwrap_or_default();
        Self { at, due: wait.is_some(), policy, backoff: policy.reconnecting() }
    }

    /// Schedules the next one. A refused renewal is tried again: until the token expires nothing is lost, and after that
    /// the service detaches the links, and opening the connection again shows why.
    fn after(&mut self, renewed: Result<Token, AttemptError>) {
        match renewed {
            Ok(token) => {
                debug!("the token was renewed");
                *self = Self::new(&token, self.policy);
            }
            Err(error) => {
                warn!(%error, "the token was not renewed");
                self.at = Instant::now() + self.backoff.next(&mut rand::rng());
            }
        }
    }
}

/// Takes a link out of the pool.
struct Leave(Arc<Pool>, Arc<Link>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.remove(&self.1);
    }
}
