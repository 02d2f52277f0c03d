//! Where Cosmos DB puts a document: the hash of its partition key, and the physical partitions that share the hashes.
//!
//! The emulator serves documents by these rules, and the report shows by them where a run's transactions went.

mod murmur;
pub(crate) mod partition_key;
pub(crate) mod partitions;
