//! What both ends of a wire must agree on when they speak to Azure Event Hubs or Azure Cosmos DB: how a connection
//! string is read, how a token is signed and checked, and which partition a key belongs to.
//!
//! txgen signs and sends by these rules; its local services check and store by them. Each rule is here once, with the
//! page or the source that it comes from. The crate does no input or output.

pub mod cosmos;
pub mod event_hubs;
mod service_name;

pub use service_name::ServiceName;
