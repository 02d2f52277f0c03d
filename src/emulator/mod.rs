//! Local Event Hubs and Cosmos DB that speak the real protocols over sockets, so that txgen, and any Azure SDK, can be
//! tried and tested without an account.
pub mod cosmos;
pub mod event_hubs;
