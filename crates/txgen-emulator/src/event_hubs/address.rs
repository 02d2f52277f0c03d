//! The nodes that links attach to, by their addresses.

/// Addresses longer than this name nothing: hub, group and partition have at most 256, 50 and 4 characters.
const MAX_LENGTH: usize = 1024;

/// What an address stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node<'a> {
    /// `$cbs`: tokens are put here.
    Cbs,
    /// `$management`, or `HUB/$management`.
    Management,
    /// `HUB`.
    Hub(&'a str),
    /// `HUB/Partitions/ID`.
    Partition(&'a str, &'a str),
    /// `HUB/ConsumerGroups/GROUP/Partitions/ID`.
    Consumer(&'a str, &'a str, &'a str),
}

/// The path of an address or a resource: clients send `hub`, `/hub` and whole URLs such as `amqps://host:5671/hub/`.
pub(super) fn path_of(address: &str) -> &str {
    let path = match address.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => address,
    };
    path.trim_matches('/')
}

/// Reads an address; `None` for one that can name nothing here.
pub(super) fn parse(address: &str) -> Option<Node<'_>> {
    let path = path_of(address);
    if path.len() > MAX_LENGTH {
        return None;
    }
    let is = |word: &str, expected: &str| word.eq_ignore_ascii_case(expected);
    let mut words = path.split('/');
    let mut next = || words.next();
    match (next(), next(), next(), next(), next(), next()) {
        (Some(node), None, ..) if is(node, "$cbs") => Some(Node::Cbs),
        (Some(node), None, ..) if is(node, "$management") => Some(Node::Management),
        (Some(hub), None, ..) if !hub.is_empty() => Some(Node::Hub(hub)),
        (Some(_), Some(node), None, ..) if is(node, "$management") => Some(Node::Management),
        (Some(hub), Some(word), Some(id), None, ..) if is(word, "partitions") => Some(Node::Partition(hub, id)),
        (Some(hub), Some(groups), Some(group), Some(word), Some(id), None)
            if is(groups, "consumergroups") && is(word, "partitions") =>
        {
            Some(Node::Consumer(hub, group, id))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_every_client_are_understood() {
        for (address, node) in [
            ("$cbs", Some(Node::Cbs)),
            ("$management", Some(Node::Management)),
            ("amqps://ns:5671/hub/$management", Some(Node::Management)),
            ("hub", Some(Node::Hub("hub"))),
            ("/hub/", Some(Node::Hub("hub"))),
            ("amqps://127.0.0.1:5672/hub", Some(Node::Hub("hub"))),
            ("hub/Partitions/3", Some(Node::Partition("hub", "3"))),
            ("amqp://ns/hub/partitions/3", Some(Node::Partition("hub", "3"))),
            ("hub/ConsumerGroups/$Default/Partitions/0", Some(Node::Consumer("hub", "$Default", "0"))),
            ("amqps://ns", None),
            ("", None),
            ("hub/other/3", None),
            ("hub/ConsumerGroups/g/Partitions/0/more", None),
        ] {
            assert_eq!(parse(address), node, "{address}");
        }
    }

    #[test]
    fn a_boundless_address_names_nothing() {
        assert_eq!(parse(&"x".repeat(2_000)), None);
    }
}
