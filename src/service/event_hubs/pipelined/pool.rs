//! The connections that are up, and why there is none when none is.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use super::queue::{Queue, Slot};
use crate::service::FailureKind;
use crate::service::retry::{AttemptError, Verdict};

/// The connections of one hub over which can be sent.
pub(super) struct Pool {
    queues: RwLock<Vec<Arc<Queue>>>,
    /// Why no connection could be opened, at the latest try; changes wake those who wait for one.
    latest_error: watch::Sender<Option<AttemptError>>,
}

impl Pool {
    pub(super) fn new() -> Self {
        Self { queues: RwLock::default(), latest_error: watch::Sender::new(None) }
    }

    /// A place on the connection with the least on it. Waits for one when none is up; `waits` is called with the reason at every failed try.
    ///
    /// # Errors
    /// When none is up because the service refuses txgen: waiting would not help.
    pub(super) async fn enter(&self, waits: &(dyn Fn(&AttemptError) + Sync)) -> Result<Slot, AttemptError> {
        if let Some(place) = self.least_loaded() {
            return Ok(place);
        }
        let mut changes = self.latest_error.subscribe();
        loop {
            if let Some(place) = self.least_loaded() {
                return Ok(place);
            }
            if let Some(error) = changes.borrow_and_update().as_ref() {
                if error.verdict == Verdict::GiveUp {
                    return Err(error.clone().before_sending());
                }
                waits(error);
            }
            if changes.changed().await.is_err() {
                return Err(AttemptError::impossible(FailureKind::Abandoned, "the publisher is closed"));
            }
        }
    }

    fn least_loaded(&self) -> Option<Slot> {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        queues.iter().min_by_key(|queue| queue.load()).map(Queue::enter)
    }

    /// A connection is up.
    pub(super) fn add(&self, queue: Arc<Queue>) {
        self.queues.write().unwrap_or_else(PoisonError::into_inner).push(queue);
        self.latest_error.send_replace(None);
    }

    /// A connection is gone, or has no link.
    pub(super) fn remove(&self, queue: &Arc<Queue>) {
        self.queues.write().unwrap_or_else(PoisonError::into_inner).retain(|other| !Arc::ptr_eq(other, queue));
    }

    /// A connection could not be opened.
    pub(super) fn report(&self, error: AttemptError) {
        self.latest_error.send_replace(Some(error));
    }

    /// Why no connection could be opened, at the latest try.
    pub(super) fn latest_error(&self) -> Option<AttemptError> {
        self.latest_error.borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::super::socket::Socket;
    use super::*;

    async fn queue() -> Arc<Queue> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        Queue::new(1, Socket::new(socket).unwrap().1).0
    }

    #[tokio::test]
    async fn transactions_spread_evenly_over_the_connections() {
        let pool = Pool::new();
        let queues = [queue().await, queue().await, queue().await];
        queues.iter().for_each(|queue| pool.add(queue.clone()));
        let mut places = Vec::new();
        for _ in 0..30 {
            places.push(pool.enter(&|_| ()).await.unwrap());
        }
        assert_eq!(queues.each_ref().map(|queue| queue.load()), [10, 10, 10]);
        drop(places);
        assert_eq!(queues.each_ref().map(|queue| queue.load()), [0, 0, 0]);
    }

    #[tokio::test]
    async fn a_transaction_waits_for_a_connection_to_come_up() {
        let pool = Arc::new(Pool::new());
        let waiting = tokio::spawn({
            let pool = pool.clone();
            async move { pool.enter(&|_| ()).await.map(|_| ()) }
        });
        pool.report(AttemptError::lost(FailureKind::Connection, "connection refused"));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        pool.add(queue().await);
        assert!(waiting.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_refusal_ends_the_wait() {
        let pool = Pool::new();
        pool.report(AttemptError::impossible(FailureKind::Unauthorized, "expired"));
        let error = pool.enter(&|_| ()).await.err().unwrap();
        assert_eq!(error.kind, FailureKind::Unauthorized);
        assert!(!error.left);
    }
}
