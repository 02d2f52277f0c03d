//! What both ends of a wire must agree on when they speak to Azure Event Hubs or Azure Cosmos DB: how a connection
//! string is read, how a token is signed and checked, which partition a key belongs to, and which secret of a key vault a
//! reference means.
//!
//! txgen signs and sends by these rules; its local services check and store by them. Each rule is here once, with the
//! page or the source that it comes from. The crate does no input or output.
//!
//! ```
//! use txgen_azure::event_hubs::ConnectionString;
//! use txgen_azure::event_hubs::partition_hash::partition_of;
//!
//! let text = "Endpoint=sb://contoso.servicebus.windows.net/;EntityPath=orders";
//! let hub = ConnectionString::parse(text)?;
//! assert_eq!(hub.address(), "contoso.servicebus.windows.net:5671");
//! assert_eq!(hub.resource(), "sb://contoso.servicebus.windows.net/orders");
//! assert!(partition_of("us", 10) < 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod cosmos;
pub mod event_hubs;
pub mod key_vault;
mod service_name;

pub use service_name::ServiceName;
