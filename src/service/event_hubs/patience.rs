//! How long the publishers wait for what.

use std::time::Duration;

/// Every wait of the Event Hubs publishers has one of these bounds. The defaults are for Azure; tests shorten them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For opening and authorising everything at the start, and for each try to open a connection again.
    pub connect: Duration,
    /// For the answer to one request. Past it the request is ambiguous.
    pub attempt: Duration,
    /// For one transaction's `server-busy` answers, all together.
    pub throttle: Duration,
    /// For one transaction's lost connections and failed repeats, all together.
    pub recovery: Duration,
    /// For any sign of life from the service on an open connection. Half of it is announced in the AMQP `open`, as
    /// AMQP 1.0, section 2.4.5, advises.
    pub idle: Duration,
    /// For the politeness at the end.
    pub close: Duration,
    /// The life of the tokens that txgen signs itself.
    pub token_life: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            attempt: Duration::from_secs(60),
            throttle: Duration::from_secs(120),
            recovery: Duration::from_secs(120),
            idle: Duration::from_secs(60),
            close: Duration::from_secs(3),
            token_life: Duration::from_secs(3600),
        }
    }
}
