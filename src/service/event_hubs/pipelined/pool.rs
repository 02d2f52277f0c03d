//! The lanes that are up, and what is wrong when none is.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use super::super::condition::Retry;
use super::super::setback::Setback;
use super::lane::{Lane, OnLane};
use crate::service::FailureKind;

/// The lanes of one hub, over all its connections.
pub(super) struct Pool {
    lanes: RwLock<Vec<Arc<Lane>>>,
    /// Why no connection could be opened, at the latest try; changes wake those who wait for a lane.
    trouble: watch::Sender<Option<Setback>>,
}

impl Pool {
    pub(super) fn new() -> Self {
        Self { lanes: RwLock::default(), trouble: watch::Sender::new(None) }
    }

    /// A place on the lane with the least on it. Waits for a lane when none is up; `told` hears why, again and again.
    ///
    /// # Errors
    /// When none is up because the service refuses txgen: waiting would not help.
    pub(super) async fn enter(&self, told: &(dyn Fn(&Setback) + Sync)) -> Result<OnLane, Setback> {
        if let Some(place) = self.least_loaded() {
            return Ok(place);
        }
        let mut changes = self.trouble.subscribe();
        loop {
            if let Some(place) = self.least_loaded() {
                return Ok(place);
            }
            if let Some(trouble) = changes.borrow_and_update().as_ref() {
                if trouble.retry == Retry::Never {
                    return Err(Setback { left: false, ..trouble.clone() });
                }
                told(trouble);
            }
            if changes.changed().await.is_err() {
                return Err(Setback::impossible(FailureKind::Abandoned, "the publisher is closed"));
            }
        }
    }

    fn least_loaded(&self) -> Option<OnLane> {
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        lanes.iter().min_by_key(|lane| lane.load()).map(Lane::enter)
    }

    /// A lane is up.
    pub(super) fn add(&self, lane: Arc<Lane>) {
        self.lanes.write().unwrap_or_else(PoisonError::into_inner).push(lane);
        self.trouble.send_replace(None);
    }

    /// A lane is gone.
    pub(super) fn remove(&self, lane: &Arc<Lane>) {
        self.lanes.write().unwrap_or_else(PoisonError::into_inner).retain(|other| !Arc::ptr_eq(other, lane));
    }

    /// A connection could not be opened.
    pub(super) fn tell(&self, trouble: Setback) {
        self.trouble.send_replace(Some(trouble));
    }

    /// Why no connection could be opened, at the latest try.
    pub(super) fn trouble(&self) -> Option<Setback> {
        self.trouble.borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::super::line::Line;
    use super::*;

    async fn lane() -> Arc<Lane> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        Lane::new(Line::new(socket).unwrap().1).0
    }

    #[tokio::test]
    async fn transactions_spread_evenly_over_the_lanes() {
        let pool = Pool::new();
        let lanes = [lane().await, lane().await, lane().await];
        lanes.iter().for_each(|lane| pool.add(lane.clone()));
        let mut places = Vec::new();
        for _ in 0..30 {
            places.push(pool.enter(&|_| ()).await.unwrap());
        }
        assert_eq!(lanes.each_ref().map(|lane| lane.load()), [10, 10, 10]);
        drop(places);
        assert_eq!(lanes.each_ref().map(|lane| lane.load()), [0, 0, 0]);
    }

    #[tokio::test]
    async fn a_transaction_waits_for_a_lane_to_come_up() {
        let pool = Arc::new(Pool::new());
        let waiting = tokio::spawn({
            let pool = pool.clone();
            async move { pool.enter(&|_| ()).await.map(|_| ()) }
        });
        pool.tell(Setback::unanswered(FailureKind::Connection, "connection refused"));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        pool.add(lane().await);
        assert!(waiting.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_refusal_ends_the_wait() {
        let pool = Pool::new();
        pool.tell(Setback::status(401, Some("expired")));
        let setback = pool.enter(&|_| ()).await.err().unwrap();
        assert_eq!(setback.kind, FailureKind::Unauthorized);
        assert!(!setback.left);
    }
}
