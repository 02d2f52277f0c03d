//! Cosmos DB: the hash of a partition key, and the physical partitions that share the hashes.

pub mod key_definition;
mod murmur;
pub mod partition_key;
pub mod partitions;
