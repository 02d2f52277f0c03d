//! The record: one CSV row in, one JSON document out.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

/// One CSV row, ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Transaction {
    /// Its number in the run, counted from 1 on; with `--loop` the count goes on over the passes.
    pub row: u64,
    /// Its id in this run, the `id` of the JSON.
    pub id: Uuid,
    /// ipCountryCode: the partition key of both services.
    pub partition_key: Arc<str>,
    /// The JSON document, serialised once and shared by both services.
    pub body: Bytes,
}
