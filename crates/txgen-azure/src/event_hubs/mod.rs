//! Event Hubs: connection strings, shared access signatures, and the partition of a key.

pub mod connection_string;
pub mod partition_hash;
pub mod shared_access;

pub use connection_string::{ConnectionString, HubCredential};
