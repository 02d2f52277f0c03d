//! Entering a hub: claims-based security over the `$cbs` node.
//!
//! A connection is let in by a token that is put on `$cbs`
//! (<https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide#claims-based-authorization>),
//! and put out again once that token has expired.

use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp_cbs::client::CbsClient;
use fe2o3_amqp_cbs::token::CbsToken;
use fe2o3_amqp_types::primitives::Timestamp;

use super::super::tokens::Token;
use super::errors;
use crate::service::retry::AttemptError;

/// Puts the token on `$cbs`.
///
/// The link pair is opened for this and dropped again: the service permits one at a time on a connection, and does not
/// keep idle ones for the length of a run.
pub(super) async fn put(session: &mut SessionHandle<()>, resource: &str, token: &Token) -> Result<(), AttemptError> {
    let expires = Timestamp::from(token.expires_unix_millis());
    let mut cbs = CbsClient::attach(session).await.map_err(|error| errors::of_request_attach(&error))?;
    cbs.put_token(resource, CbsToken::new(token.text.secret(), token.kind, Some(expires)))
        .await
        .map_err(|error| errors::of_request(&error))
}
