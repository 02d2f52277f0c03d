//! The `$cbs` node: claims-based security, where tokens are put.
//! Source: <https://docs.oasis-open.org/amqp/amqp-cbs/v1.0/amqp-cbs-v1.0.html>.

use bytes::BytesMut;

use super::core::Core;
use super::grants::{Denied, check};
use super::message::Request;

/// Takes the token of a put-token request, and answers it.
pub(super) fn answer(core: &mut Core, request: &Request<'_>) -> BytesMut {
    match put_token(core, request) {
        Ok(()) => request.reply(202, "Accepted", &[], |w| w.null()),
        Err(Denied { status, description }) => {
            tracing::debug!(status, description, "put-token refused");
            request.reply(status, &description, &[], |w| w.null())
        }
    }
}

fn put_token(core: &mut Core, request: &Request<'_>) -> Result<(), Denied> {
    let bad = |description: &str| Denied { status: 400, description: description.to_owned() };
    if request.property("operation") != Some("put-token") {
        return Err(bad("The operation is not supported; put-token is."));
    }
    let token_type = request.property("type").ok_or_else(|| bad("The request has no type."))?;
    let audience = request.property("name").ok_or_else(|| bad("The request has no name."))?;
    let token = request.text_body().ok_or_else(|| bad("The request's body is not a token."))?;
    if core.namespace.refuses_token() {
        return Err(Denied { status: 401, description: "The token was refused on purpose.".to_owned() });
    }
    let options = &core.namespace.options;
    let now = core.now.unix_seconds();
    let grant = check(&options.policies, options.accept_entra_tokens, token_type, token, audience, now)?;
    if let Some(hub) = grant.hub()
        && core.namespace.hub(hub).is_none()
    {
        return Err(Denied { status: 404, description: core.namespace.not_found(hub) });
    }
    if !core.grants.put(grant) {
        return Err(Denied { status: 400, description: "The connection holds too many tokens.".to_owned() });
    }
    Ok(())
}
