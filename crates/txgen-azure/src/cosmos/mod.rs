//! Cosmos DB: the hash of a partition key, and the physical partitions that share the hashes.

mod murmur;
pub mod partition_key;
pub mod partitions;
