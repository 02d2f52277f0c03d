//! The links that are up, and why there is none when none is.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use super::link::{Link, Slot};
use crate::service::FailureKind;
use crate::service::retry::{AttemptError, Verdict};

/// The links of one hub, over all its connections.
pub(super) struct Pool {
    links: RwLock<Vec<Arc<Link>>>,
    /// Why no connection could be opened, at the latest try; changes wake those who wait for a link.
    latest_error: watch::Sender<Option<AttemptError>>,
}

impl Pool {
    pub(super) fn new() -> Self {
        Self { links: RwLock::default(), latest_error: watch::Sender::new(None) }
    }

    /// A place on the link with the least on it. Waits for a link when none is up; `waits` is called with the reason at every failed try.
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
        let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
        links.iter().min_by_key(|link| link.load()).map(Link::enter)
    }

    /// A link is up.
    pub(super) fn add(&self, link: Arc<Link>) {
        self.links.write().unwrap_or_else(PoisonError::into_inner).push(link);
        self.latest_error.send_replace(None);
    }

    /// A link is gone.
    pub(super) fn remove(&self, link: &Arc<Link>) {
        self.links.write().unwrap_or_else(PoisonError::into_inner).retain(|other| !Arc::ptr_eq(other, link));
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

    async fn link() -> Arc<Link> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        Link::new(Socket::new(socket).unwrap().1).0
    }

    #[tokio::test]
    async fn transactions_spread_evenly_over_the_links() {
        let pool = Pool::new();
        let links = [link().await, link().await, link().await];
        links.iter().for_each(|link| pool.add(link.clone()));
        let mut places = Vec::new();
        for _ in 0..30 {
            places.push(pool.enter(&|_| ()).await.unwrap());
        }
        assert_eq!(links.each_ref().map(|link| link.load()), [10, 10, 10]);
        drop(places);
        assert_eq!(links.each_ref().map(|link| link.load()), [0, 0, 0]);
    }

    #[tokio::test]
    async fn a_transaction_waits_for_a_link_to_come_up() {
        let pool = Arc::new(Pool::new());
        let waiting = tokio::spawn({
            let pool = pool.clone();
            async move { pool.enter(&|_| ()).await.map(|_| ()) }
        });
        pool.report(AttemptError::lost(FailureKind::Connection, "connection refused"));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        pool.add(link().await);
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
