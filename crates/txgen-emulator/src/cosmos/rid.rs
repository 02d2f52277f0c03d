//! Resource ids (`_rid`) and version tags (`_etag`), in the shapes that the SDKs take apart.
//!
//! A `_rid` is base64 of the ids of the resource and of those above it: 4 bytes for a database, 8 for a container, 16
//! for a document. The SDKs read the last eight bytes of a document's as a little-endian number, to put equal values of
//! an ORDER BY into order.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A database's `_rid`.
pub(super) fn database(number: u32) -> String {
    encode(&number.to_be_bytes())
}

/// A container's `_rid`.
pub(super) fn container(database: u32, number: u32) -> String {
    encode(&container_bytes(database, number))
}

/// The `_rid` of a partition key range: a child of the container whose highest four bits are 5.
pub(super) fn range(database: u32, container: u32, number: u32) -> String {
    child(container_bytes(database, container), u64::from(number) | 5 << 60)
}

/// An offer's `_rid`, which is its id as well: offers belong to the account.
pub(super) fn offer(number: u32) -> String {
    let [_, bytes @ ..] = number.to_be_bytes();
    encode(&bytes)
}

fn container_bytes(database: u32, number: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&database.to_be_bytes());
    // The highest bit distinguishes a container from other children of a database.
    bytes[4..].copy_from_slice(&(number | 1 << 31).to_be_bytes());
    bytes
}

/// The `_rid` of the document with this number in the container with these ids.
pub(super) fn document(container: (u32, u32), number: u64) -> String {
    child(container_bytes(container.0, container.1), number)
}

/// The number of the document with this `_rid`, if it is one of this container.
pub(super) fn number_of(container: (u32, u32), rid: &str) -> Option<u64> {
    let bytes = STANDARD.decode(rid.replace('-', "/")).ok()?;
    let number = bytes.strip_prefix(&container_bytes(container.0, container.1))?;
    Some(u64::from_le_bytes(number.try_into().ok()?))
}

fn child(parent: [u8; 8], number: u64) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&parent);
    bytes[8..].copy_from_slice(&number.to_le_bytes());
    encode(&bytes)
}

/// Base64, with `-` for the `/` that would break a path.
fn encode(bytes: &[u8]) -> String {
    let mut text = STANDARD.encode(bytes);
    if text.contains('/') {
        text = text.replace('/', "-");
    }
    text
}

/// A version tag from a counter that never repeats within the resource and the time of the change in Unix seconds; the
/// quotation marks belong to it.
pub(super) fn etag(version: u64, timestamp: u32) -> String {
    let (low, high) = (version & 0xffff_ffff, version >> 32 & 0xffff);
    format!("\"{low:08x}-{high:04x}-0100-0000-{timestamp:08x}0000\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_begins_with_its_parents() {
        let bytes = |rid: &str| STANDARD.decode(rid.replace('-', "/")).unwrap();
        assert_eq!(bytes(&database(7)).len(), 4);
        assert!(bytes(&container(7, 3)).starts_with(&bytes(&database(7))));
        let document = bytes(&document((7, 3), 258));
        assert!(document.starts_with(&bytes(&container(7, 3))));
        assert_eq!(document[8..], [2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(number_of((7, 3), &super::document((7, 3), 258)), Some(258));
        assert_eq!(number_of((7, 4), &super::document((7, 3), 258)), None);
        assert_eq!(number_of((7, 3), "no"), None);
        assert_eq!(bytes(&range(7, 3, 1))[15] >> 4, 5);
    }

    #[test]
    fn an_etag_is_a_quoted_guid_that_tells_versions_apart() {
        assert_eq!(etag(0x1_0000_00ff, 0x6500_0000), "\"000000ff-0001-0100-0000-650000000000\"");
        assert_ne!(etag(1, 9), etag(2, 9));
    }
}
