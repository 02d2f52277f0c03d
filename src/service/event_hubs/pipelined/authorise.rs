//! Entering a hub: claims-based security over the `$cbs` node.
//!
//! A connection is let in by a token that is put on `$cbs`
//! (<https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide#claims-based-authorization>),
//! and put out again once that token has expired.

use super::super::tokens::Token;
use super::requests::{Property, request};

/// The node.
pub(super) const NODE: &str = "$cbs";

/// The request that puts this token for the resource.
pub(super) fn put(resource: &str, token: &Token) -> Vec<u8> {
    let properties = [
        ("operation", Property::Text("put-token")),
        ("type", Property::Text(token.kind)),
        ("name", Property::Text(resource)),
        ("expiration", Property::Timestamp(token.expires_unix_millis())),
    ];
    request(&properties, Some(token.text.secret()))
}
