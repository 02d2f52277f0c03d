//! How long the publishers wait for what.

use std::time::Duration;

use crate::service::retry::ATTEMPT_TIMEOUT;

/// Every wait of the Event Hubs publishers, but for those between attempts, has one of these bounds. The defaults are for
/// Azure; tests shorten them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For opening and authorising everything at the start, and for each try to open a connection again.
    pub connect: Duration,
    /// For the TCP connection alone.
    pub dial: Duration,
    /// For the answer to one request. Past it the request is lost.
    pub attempt: Duration,
    /// For any sign of life from the service on an open connection. Half of it is announced in the AMQP `open`, as
    /// AMQP 1.0, section 2.4.5, advises.
    pub idle: Duration,
    /// For closing connections at the end.
    pub close: Duration,
    /// The life of the tokens that txgen signs itself.
    pub token_life: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            dial: Duration::from_secs(5),
            attempt: ATTEMPT_TIMEOUT,
            idle: Duration::from_secs(60),
            close: Duration::from_secs(3),
            token_life: Duration::from_secs(3600),
        }
    }
}
