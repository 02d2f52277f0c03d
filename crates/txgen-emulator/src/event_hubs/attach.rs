//! Letting links in: what they attach to, whether they may, and the service's words when not.

use std::collections::VecDeque;
use std::sync::Arc;

use txgen_amqp::performative::{AmqpError, Attach};

use super::address::{self, Node};
use super::core::Core;
use super::grants::Right;
use super::incoming::{HubInlet, Incoming, Inlet};
use super::management::invalid_partition;
use super::outgoing::{Consumer, Outgoing, Outlet};
use super::selector::position;
use super::store::{Hub, Position, Refused};

/// Bytes of a receiver's name; a longer one is left out of messages.
const MAX_RECEIVER_NAME: usize = 256;

/// A receiver that asks for this learns with each event how far the partition has got.
pub(super) const RUNTIME_METRICS: &str = "com.microsoft:enable-receiver-runtime-metric";

/// A link that was let in.
#[derive(Debug)]
pub(super) enum Admitted {
    /// The peer sends.
    Incoming(Incoming),
    /// The peer receives; whether it gets runtime metrics.
    Outgoing(Outgoing, bool),
}

/// Decides over a link.
///
/// # Errors
/// The error with which the link is detached.
pub(super) fn admit(core: &mut Core, attach: &Attach<'_>) -> Result<Admitted, AmqpError> {
    let terminus = if attach.peer_receives { attach.source } else { attach.target };
    let address = terminus.and_then(|terminus| terminus.address).unwrap_or_default();
    let not_found = || AmqpError::new("amqp:not-found", core.namespace.not_found(&shortened(address)));
    let node = address::parse(address).ok_or_else(not_found)?;
    if attach.peer_receives {
        admit_receiver(core, attach, &node, address)
    } else {
        admit_sender(core, attach, &node, address)
    }
}

/// Enough of an address to recognise it.
fn shortened(address: &str) -> String {
    address::path_of(address).chars().take(200).collect()
}

fn admit_sender(core: &mut Core, attach: &Attach<'_>, node: &Node<'_>, address: &str) -> Result<Admitted, AmqpError> {
    let inlet = match *node {
        Node::Cbs => {
            take_cbs_link(core, attach.peer_receives)?;
            Inlet::Cbs
        }
        Node::Management => Inlet::Management,
        Node::Hub(hub) => {
            let (hub, path) = enter(core, Right::Send, hub, address)?;
            Inlet::Hub(HubInlet { hub, partition: None, path })
        }
        Node::Partition(hub, id) => {
            let (hub, path) = enter(core, Right::Send, hub, address)?;
            let partition = Some(partition_id(&hub, id)?);
            Inlet::Hub(HubInlet { hub, partition, path })
        }
        Node::Consumer(..) => {
            return Err(AmqpError::new("amqp:not-allowed", "A consumer group takes no events; send to the event hub."));
        }
    };
    Ok(Admitted::Incoming(Incoming::new(inlet, attach.initial_delivery_count, core.namespace.options.credit)))
}

fn admit_receiver(core: &mut Core, attach: &Attach<'_>, node: &Node<'_>, address: &str) -> Result<Admitted, AmqpError> {
    let replies = |of_cbs| {
        let address = attach.target.and_then(|target| target.address).filter(|address| address.len() <= 1024);
        let outlet = Outlet::Replies { of_cbs, address: address.map(str::to_owned), waiting: VecDeque::new() };
        Admitted::Outgoing(Outgoing::new(attach.handle, outlet), false)
    };
    match *node {
        Node::Cbs => {
            take_cbs_link(core, attach.peer_receives)?;
            Ok(replies(true))
        }
        Node::Management => Ok(replies(false)),
        Node::Hub(_) | Node::Partition(..) => Err(AmqpError::new(
            "amqp:not-allowed",
            "Events are received from HUB/ConsumerGroups/GROUP/Partitions/ID, not from the event hub itself.",
        )),
        Node::Consumer(hub, group, id) => {
            let (hub, path) = enter(core, Right::Listen, hub, address)?;
            if !hub.consumer_groups.iter().any(|known| known.eq_ignore_ascii_case(group)) {
                let description = core.namespace.not_found(&format!("{}/consumergroups/{group}", hub.name));
                return Err(AmqpError::new("amqp:not-found", description));
            }
            let consumer = consumer(core, attach, hub, group, id, path)?;
            let metrics = attach.desires(RUNTIME_METRICS);
            Ok(Admitted::Outgoing(Outgoing::new(attach.handle, Outlet::Consumer(consumer)), metrics))
        }
    }
}

/// The service permits one `$cbs` link in each direction on a connection.
fn take_cbs_link(core: &mut Core, peer_receives: bool) -> Result<(), AmqpError> {
    let taken = &mut core.cbs_links[usize::from(peer_receives)];
    if std::mem::replace(taken, true) {
        return Err(AmqpError::new(
            "amqp:not-allowed",
            "A link to this connection's $cbs node has already been opened.",
        ));
    }
    Ok(())
}

/// The hub, and the link's path in lower case, if the connection has the right.
fn enter(core: &Core, right: Right, hub: &str, address: &str) -> Result<(Arc<Hub>, String), AmqpError> {
    let path = address::path_of(address).to_ascii_lowercase();
    if !core.grants.allow(right, &path, core.now.unix_seconds()) {
        return Err(unauthorized(core, right, &path));
    }
    match core.namespace.hub(hub) {
        Some(hub) => Ok((Arc::clone(hub), path)),
        None => Err(AmqpError::new("amqp:not-found", core.namespace.not_found(&path))),
    }
}

/// What the service says to a link without the right.
pub(super) fn unauthorized(core: &Core, right: Right, path: &str) -> AmqpError {
    AmqpError::new(
        "amqp:unauthorized-access",
        format!(
            "Unauthorized access. '{}' claim(s) are required to perform this operation. Resource: 'sb://{}/{path}'.",
            right.claim(),
            core.namespace.host()
        ),
    )
}

fn partition_id(hub: &Hub, id: &str) -> Result<u32, AmqpError> {
    id.parse()
        .ok()
        .filter(|id| hub.partition(*id).is_some())
        .ok_or_else(|| AmqpError::new("com.microsoft:argument-out-of-range", invalid_partition(hub, id)))
}

fn consumer(
    core: &Core,
    attach: &Attach<'_>,
    hub: Arc<Hub>,
    group: &str,
    id: &str,
    path: String,
) -> Result<Consumer, AmqpError> {
    let argument_error = |description: String| AmqpError::new("com.microsoft:argument-error", description);
    let id = partition_id(&hub, id)?;
    let unknown = || AmqpError::new("com.microsoft:argument-out-of-range", invalid_partition(&hub, &id.to_string()));
    let partition = hub.partition(id).ok_or_else(unknown)?;
    let position = position(attach.source.and_then(|source| source.filters)).map_err(argument_error)?;
    let (_, metrics) = partition.properties(core.now.unix_ms);
    match position {
        Position::Offset(offset, _) if offset > metrics.last_offset => {
            return Err(argument_error(format!(
                "The supplied offset '{offset}' is invalid. The last offset in the system is '{}'",
                metrics.last_offset
            )));
        }
        Position::SequenceNumber(number, _) if number > metrics.last_sequence_number => {
            return Err(argument_error(format!(
                "The supplied sequence number '{number}' is invalid. The last sequence number in the system is '{}'",
                metrics.last_sequence_number
            )));
        }
        _ => {}
    }
    let epoch = attach.property("com.microsoft:epoch").ok().flatten().and_then(|epoch| epoch.integer());
    let name = attach.property("com.microsoft:receiver-name").ok().flatten().and_then(|name| name.text());
    let name = name.filter(|name| name.len() <= MAX_RECEIVER_NAME);
    let subscription = partition.subscribe(group, epoch, name, &core.bell).map_err(|refused| match refused {
        Refused::Epoch(description) => AmqpError::new("amqp:link:stolen", description),
        Refused::TooMany => AmqpError::new(
            "amqp:resource-limit-exceeded",
            "Exceeded the maximum number of allowed receivers per partition in a consumer group which is 5.",
        ),
    })?;
    // The place is looked up after the subscription, so that no event falls between the two.
    let next = partition.find(position);
    let metrics = attach.desires(RUNTIME_METRICS);
    Ok(Consumer::new(hub, id, subscription, next, metrics, path))
}
