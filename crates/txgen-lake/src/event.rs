//! An event as a source hands it over.

use bytes::Bytes;

/// An event, or a change of a document, with its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The partition that holds it.
    pub partition: u32,
    /// Its number there.
    pub sequence_number: i64,
    /// Its place there, as the service writes it.
    pub offset: Option<String>,
    /// When the service took it, in microseconds since 1970-01-01 UTC.
    pub enqueued_unix_us: Option<i64>,
    /// The partition key that it was sent with.
    pub partition_key: Option<String>,
    /// The properties that it was sent with, as a JSON object.
    pub properties: Option<String>,
    /// What it says.
    pub body: Bytes,
}
