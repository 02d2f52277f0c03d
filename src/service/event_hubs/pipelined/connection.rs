//! One connection: opened, authorised, kept, and opened again when it is lost.

use std::sync::Arc;

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

use super::super::backoff::Backoff;
use super::super::condition::Retry;
use super::super::patience::Patience;
use super::super::setback::Setback;
use super::super::tokens::{Pass, TokenSource};
use super::dial::Dialer;
use super::lane::{self, Lane};
use super::line::Pulse;
use super::pool::Pool;
use super::{authorise, management, trouble};
use crate::service::FailureKind;

/// The largest frame that txgen takes: answers are small.
const MAX_FRAME_SIZE: u32 = 64 * 1024;

/// Refusals after which a credential that was good before is taken to be good no longer. One alone happens: a token that
/// expired on its way, a namespace that is being moved.
const BELIEVED: u32 = 3;

/// A hub, and how to get there: what all its connections have in common.
pub(super) struct Target {
    pub(super) hub: String,
    /// What tokens are for, such as `sb://host/hub`.
    pub(super) resource: String,
    pub(super) dialer: Dialer,
    pub(super) tokens: TokenSource,
    pub(super) lanes: usize,
    pub(super) patience: Patience,
}

/// An open, authorised connection with its links.
pub(super) struct Open {
    // The order counts: links go before their session, and that before its connection.
    senders: Vec<Sender>,
    session: SessionHandle<()>,
    connection: ConnectionHandle<()>,
    pulse: Arc<Pulse>,
    pass: Pass,
}

impl Target {
    /// Opens a connection and all its links. Takes at most [`Patience::connect`].
    pub(super) async fn open(&self) -> Result<Open, Setback> {
        timeout(self.patience.connect, self.open_unbounded()).await.unwrap_or_else(|_| {
            Err(Setback::not_sent(
                FailureKind::Timeout,
                format!("{} did not answer within {:?}", self.dialer.address().authority(), self.patience.connect),
            ))
        })
    }

    async fn open_unbounded(&self) -> Result<Open, Setback> {
        let (wire, pulse) = self.dialer.dial().await?;
        let mut connection = Connection::builder()
            .container_id(format!("txgen-{}", Uuid::new_v4()))
            .hostname(self.dialer.address().host.as_str())
            .sasl_profile(SaslProfile::Anonymous)
            .max_frame_size(MAX_FRAME_SIZE)
            .idle_time_out(u32::try_from(self.patience.idle.as_millis()).unwrap_or(u32::MAX))
            .properties(about_txgen())
            .open_with_stream(wire)
            .await
            .map_err(|error| trouble::of_open(&error))?;
        // A finite window is filled up again by the flows of links only, and stalls without one.
        let mut session = Session::builder()
            .incoming_window(u32::MAX)
            .outgoing_window(u32::MAX)
            .begin(&mut connection)
            .await
            .map_err(|error| trouble::of_begin(&error))?;
        let pass = self.tokens.pass(&self.resource).await?;
        authorise::put(&mut session, &self.resource, &pass).await?;
        let mut senders = Vec::with_capacity(self.lanes);
        for _ in 0..self.lanes {
            senders.push(self.attach(&mut session).await?);
        }
        Ok(Open { senders, session, connection, pulse, pass })
    }

    async fn attach(&self, session: &mut SessionHandle<()>) -> Result<Sender, Setback> {
        Sender::builder()
            .name(format!("txgen-{}", Uuid::new_v4()))
            .target(self.hub.as_str())
            .sender_settle_mode(SenderSettleMode::Unsettled)
            .attach(session)
            .await
            .map_err(|error| trouble::of_attach(&error))
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
    ) -> Result<Vec<management::Partition>, Setback> {
        management::each_partition(&mut self.session, hub, count, &self.pass.text).await
    }

    /// Ends session and connection politely. The caller bounds the time.
    pub(super) async fn close(mut self) {
        let _ = self.session.end().await;
        let _ = self.connection.close().await;
        self.pulse.cut();
    }

    /// How many partitions the hub has; `None` when the service does not tell.
    ///
    /// # Errors
    /// When the reply shows that nothing can be sent: a link that was refused after it was attached, a hub that is not
    /// there.
    pub(super) async fn partitions(&mut self, hub: &str) -> Result<Option<u32>, Setback> {
        let reply = management::partitions(&mut self.session, hub, &self.pass.text).await;
        // The service may attach a link first and refuse it then; by now that refusal has arrived.
        if let Some(error) = self.senders.iter_mut().find_map(|sender| sender.on_detach().now_or_never()) {
            return Err(trouble::of_detach(&error));
        }
        reply.or_else(|setback| match setback.kind {
            FailureKind::NotFound | FailureKind::Connection | FailureKind::Timeout => Err(setback),
            _ => {
                debug!(hub, %setback, "the hub's properties cannot be read");
                Ok(None)
            }
        })
    }
}

/// Keeps one connection of a hub up.
pub(super) struct Keeper {
    pub(super) target: Arc<Target>,
    pub(super) pool: Arc<Pool>,
    /// Ends it.
    pub(super) stop: CancellationToken,
}

impl Keeper {
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
        let mut backoff = Backoff::when_lost();
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
                Err(setback) => {
                    warn!(hub = self.target.hub, %setback, "the connection was not opened again");
                    refusals += u32::from(setback.kind == FailureKind::Unauthorized);
                    self.pool.tell(if refusals < BELIEVED { doubted(setback) } else { setback });
                }
            }
        }
    }

    /// Why the connection was lost; `None` when it was stopped.
    async fn serve(&self, open: Open) -> Option<Setback> {
        let Open { senders, session, connection, pulse, pass } = open;
        let mut served =
            Served { keeper: self, session, connection, pulse, owners: JoinSet::new(), stop: self.stop.child_token() };
        for sender in senders {
            served.launch(sender);
        }
        let end = served.run(&pass).await;
        served.end(end.is_none()).await;
        end
    }
}

/// A refusal that is not believed yet: whoever waits for a connection goes on waiting.
fn doubted(setback: Setback) -> Setback {
    match setback.kind {
        FailureKind::Unauthorized => Setback { retry: Retry::Resend, ..setback },
        _ => setback,
    }
}

/// An open connection at work.
struct Served<'a> {
    keeper: &'a Keeper,
    session: SessionHandle<()>,
    connection: ConnectionHandle<()>,
    pulse: Arc<Pulse>,
    /// The tasks that own the links.
    owners: JoinSet<Setback>,
    /// Stops those.
    stop: CancellationToken,
}

impl Served<'_> {
    fn launch(&mut self, sender: Sender) {
        let (lane, queue) = Lane::new(self.pulse.clone());
        let (pool, stop) = (self.keeper.pool.clone(), self.stop.clone());
        pool.add(lane.clone());
        self.owners.spawn(async move {
            let leave = Leave(pool, lane);
            lane::own(sender, queue, stop, || drop(leave)).await
        });
    }

    /// Runs until the connection is lost, or stopped: then `None`.
    async fn run(&mut self, pass: &Pass) -> Option<Setback> {
        let Patience { idle, .. } = self.keeper.target.patience;
        let mut renewal = Renewal::of(pass);
        let mut watch = interval(idle / 4);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reattach = Backoff::when_lost();
        loop {
            tokio::select! {
                () = self.keeper.stop.cancelled() => return None,
                result = self.connection.on_close() => return Some(trouble::of_close(result)),
                result = self.session.on_end() => return Some(trouble::of_end(result)),
                Some(end) = self.owners.join_next() => {
                    let end = end.unwrap_or_else(|error| Setback::unanswered(FailureKind::Internal, error));
                    debug!(hub = self.keeper.target.hub, %end, "a link was lost");
                    // The link may be the first to notice that the connection is lost.
                    if self.session.is_ended() || self.connection.is_closed() {
                        return Some(end);
                    }
                    match self.keeper.stop.run_until_cancelled(self.reattach(&mut reattach)).await {
                        None => return None,
                        Some(Err(setback)) => return Some(setback),
                        Some(Ok(())) => {}
                    }
                }
                () = sleep_until(renewal.at), if renewal.due => {
                    let renewed = timeout(self.keeper.target.patience.connect, self.renew()).await;
                    renewal.after(renewed.unwrap_or_else(|_| Err(Setback::unanswered(FailureKind::Timeout, "no answer"))));
                }
                _ = watch.tick() => if self.pulse.silence() > idle {
                    return Some(Setback::unanswered(
                        FailureKind::Connection,
                        format!("nothing was heard from the service for {idle:?}"),
                    ));
                },
            }
        }
    }

    async fn reattach(&mut self, backoff: &mut Backoff) -> Result<(), Setback> {
        let target = &self.keeper.target;
        let wait = backoff.next(&mut rand::rng());
        sleep(wait).await;
        let sender = timeout(target.patience.connect, target.attach(&mut self.session)).await;
        let sender =
            sender.map_err(|_| Setback::unanswered(FailureKind::Timeout, "the link was not attached again"))??;
        self.launch(sender);
        Ok(())
    }

    async fn renew(&mut self) -> Result<Pass, Setback> {
        let target = &self.keeper.target;
        let pass = target.tokens.pass(&target.resource).await?;
        authorise::put(&mut self.session, &target.resource, &pass).await?;
        Ok(pass)
    }

    async fn end(mut self, politely: bool) {
        self.stop.cancel();
        if !politely {
            // Whoever still waits for this connection shall not wait any longer.
            self.pulse.cut();
        }
        while self.owners.join_next().await.is_some() {}
        if politely {
            let close = async {
                let _ = self.session.end().await;
                let _ = self.connection.close().await;
            };
            let _ = timeout(self.keeper.target.patience.close, close).await;
            self.pulse.cut();
        }
    }
}

/// When the token is to be renewed.
struct Renewal {
    at: Instant,
    due: bool,
    retry: Backoff,
}

impl Renewal {
    fn of(pass: &Pass) -> Self {
        let wait = pass.renew_in(&mut rand::rng());
        Self { at: Instant::now() + wait.unwrap_or_default(), due: wait.is_some(), retry: Backoff::when_busy() }
    }

    /// Schedules the next one. A refused renewal is tried again: until the token expires nothing is lost, and after that
    /// the service detaches the links, and opening the connection again tells why.
    fn after(&mut self, renewed: Result<Pass, Setback>) {
        match renewed {
            Ok(pass) => {
                debug!("the token was renewed");
                *self = Self::of(&pass);
            }
            Err(setback) => {
                warn!(%setback, "the token was not renewed");
                self.at = Instant::now() + self.retry.next(&mut rand::rng());
            }
        }
    }
}

/// Takes a lane out of the pool.
struct Leave(Arc<Pool>, Arc<Lane>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.remove(&self.1);
    }
}
