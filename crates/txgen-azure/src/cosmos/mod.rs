//! Cosmos DB: how a request is signed, the hash of a partition key, and the physical partitions that share the hashes.

pub mod authorization;
pub mod key_definition;
mod murmur;
pub mod partition_key;
pub mod partitions;
