//! Which partition a key belongs to: the service's own hash, so that a key lands where Azure would put it.
//!
//! Bob Jenkins' lookup3 (`hashlittle2`, <https://burtleburtle.net/bob/c/lookup3.c>) over the key's UTF-8 bytes with both
//! seeds 0, folded to 16 bits. The JavaScript client carries the same function for its buffered producer
//! (`sdk/eventhub/event-hubs/src/impl/partitionKeyToIdMapper.ts`).

/// The partition, below `partitions`, that the events of `key` go to. `partitions` of 0 counts as 1.
#[must_use]
pub fn partition_of(key: &str, partitions: u32) -> u32 {
    u32::from(fold(key.as_bytes()).unsigned_abs()) % partitions.max(1)
}

fn fold(key: &[u8]) -> i16 {
    let (c, b) = lookup3(key);
    // Only the lower 16 bits count, and they are taken as a signed number.
    (b ^ c) as i16
}

fn lookup3(key: &[u8]) -> (u32, u32) {
    // The key's length counts modulo 2^32, as in the original.
    let start = 0xdead_beef_u32.wrapping_add(key.len() as u32);
    let (mut a, mut b, mut c) = (start, start, start);
    // The last block, even when whole, is for the final mix.
    let mut rest = key;
    while rest.len() > 12 {
        let (block, after) = rest.split_at(12);
        a = a.wrapping_add(word(block, 0));
        b = b.wrapping_add(word(block, 1));
        c = c.wrapping_add(word(block, 2));
        mix(&mut a, &mut b, &mut c);
        rest = after;
    }
    if rest.is_empty() {
        return (c, b);
    }
    a = a.wrapping_add(word(rest, 0));
    b = b.wrapping_add(word(rest, 1));
    c = c.wrapping_add(word(rest, 2));
    finish(&mut a, &mut b, &mut c);
    (c, b)
}

/// The `index`th four bytes, little-endian; missing ones count as zero.
fn word(block: &[u8], index: usize) -> u32 {
    block.iter().skip(index * 4).take(4).rev().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

fn mix(a: &mut u32, b: &mut u32, c: &mut u32) {
    // a -= c; a ^= rot(c, 4); c += b; then the same with the roles going round.
    let (mut x, mut y, mut z) = (*a, *b, *c);
    for rotation in [4, 6, 8, 16, 19, 4] {
        x = x.wrapping_sub(z) ^ z.rotate_left(rotation);
        z = z.wrapping_add(y);
        (x, y, z) = (y, z, x);
    }
    (*a, *b, *c) = (x, y, z);
}

fn finish(a: &mut u32, b: &mut u32, c: &mut u32) {
    let subtract = |x: u32, z: u32, rotation: u32| (x ^ z).wrapping_sub(z.rotate_left(rotation));
    *c = subtract(*c, *b, 14);
    *a = subtract(*a, *c, 11);
    *b = subtract(*b, *a, 25);
    *c = subtract(*c, *b, 16);
    *a = subtract(*a, *c, 4);
    *b = subtract(*b, *a, 14);
    *c = subtract(*c, *b, 24);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key, hash, partition of 4, of 10, of 32; taken from Microsoft's JavaScript client.
    const KNOWN: [(&str, i16, u32, u32, u32); 10] = [
        ("US", -15338, 2, 8, 10),
        ("GB", 20874, 2, 4, 10),
        ("FR", 11850, 2, 0, 10),
        ("BR", 13016, 0, 6, 24),
        ("JP", 25431, 3, 1, 23),
        ("unk", 11222, 2, 2, 22),
        ("", 0, 0, 0, 0),
        ("DE", -29070, 2, 0, 14),
        ("IN", 28229, 1, 9, 5),
        ("CA", 32057, 1, 7, 25),
    ];

    #[test]
    fn known_keys_land_where_the_service_puts_them() {
        for (key, hash, of_4, of_10, of_32) in KNOWN {
            assert_eq!(fold(key.as_bytes()), hash, "{key}");
            assert_eq!([4, 10, 32].map(|count| partition_of(key, count)), [of_4, of_10, of_32], "{key}");
        }
    }

    #[test]
    fn keys_of_any_length_have_a_partition() {
        for length in 0..60 {
            assert!(partition_of(&"k".repeat(length), 10) < 10);
        }
        assert_eq!(partition_of("us", 0), 0);
    }

    /// The reference vectors in lookup3.c, which reach the block mix with their 30 bytes.
    #[test]
    fn the_hash_is_lookup3() {
        assert_eq!(lookup3(b"Four score and seven years ago"), (0x1777_0551, 0xce72_26e6));
        assert_eq!(lookup3(b""), (0xdead_beef, 0xdead_beef));
    }
}
