//! How a partition wakes the connections that read it.

use tokio::sync::Notify;

/// Rung by a partition when events arrive or a link is stolen; heard by the one task that owns a connection.
///
/// A ring without a listener is kept until the next one listens, so nothing that happens between two waits is missed.
#[derive(Debug, Default)]
pub(super) struct Bell(Notify);

impl Bell {
    /// Wakes the connection.
    pub(super) fn ring(&self) {
        self.0.notify_one();
    }

    /// Waits for a ring.
    pub(super) async fn heard(&self) {
        self.0.notified().await;
    }
}
