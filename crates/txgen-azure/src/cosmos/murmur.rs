//! MurmurHash3 x64 128: the hash that Cosmos DB spreads partition keys with.
//!
//! The clients compute it as well, to send a query for one key straight to its partition, so it must be this very
//! function: <https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp>, seed 0.

const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;

/// The two halves of the hash, in the order in which the reference implementation writes them.
pub(super) fn hash_128(data: &[u8]) -> (u64, u64) {
    let (mut h1, mut h2) = (0_u64, 0_u64);
    let mut blocks = data.chunks_exact(16);
    for block in &mut blocks {
        let (k1, k2) = lanes(block);
        h1 ^= scramble_first(k1);
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= scramble_second(k2);
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    // The tail, padded with zeros: a lane of zeros scrambles to zero, so this is the reference's fall-through switch.
    let (k1, k2) = lanes(blocks.remainder());
    h1 ^= scramble_first(k1);
    h2 ^= scramble_second(k2);

    let length = data.len() as u64;
    h1 ^= length;
    h2 ^= length;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = avalanche(h1);
    h2 = avalanche(h2);
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    (h1, h2)
}

/// The 32-bit hash, of which version 1 of partition keys is made.
pub(super) fn hash_32(data: &[u8]) -> u32 {
    let scramble = |k: u32| k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let word = |bytes: &[u8]| {
        let mut padded = [0; 4];
        for (to, from) in padded.iter_mut().zip(bytes) {
            *to = *from;
        }
        u32::from_le_bytes(padded)
    };
    let mut blocks = data.chunks_exact(4);
    let mut hash = 0_u32;
    for block in &mut blocks {
        hash = (hash ^ scramble(word(block))).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    hash ^= scramble(word(blocks.remainder()));
    // Keys are at most some kilobytes long; the reference takes the length modulo 2^32.
    #[allow(clippy::cast_possible_truncation)]
    let length = data.len() as u32;
    hash ^= length;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

/// At most 16 bytes as two little-endian numbers, missing bytes being zero.
fn lanes(block: &[u8]) -> (u64, u64) {
    let (mut first, mut second) = ([0; 8], [0; 8]);
    for (to, from) in first.iter_mut().chain(&mut second).zip(block) {
        *to = *from;
    }
    (u64::from_le_bytes(first), u64::from_le_bytes(second))
}

fn scramble_first(k: u64) -> u64 {
    k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

fn scramble_second(k: u64) -> u64 {
    k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

fn avalanche(mut h: u64) -> u64 {
    h ^= h >> 33;
    h = h.wrapping_mul(0xff51_afd7_ed55_8ccd);
    h ^= h >> 33;
    h = h.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ (h >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_the_reference_implementation() {
        assert_eq!(hash_32(b""), 0);
        assert_eq!(hash_32(b"hello"), 0x248b_fa47);
        assert_eq!(hash_128(b""), (0, 0));
        assert_eq!(hash_128(b"hello"), (0xcbd8_a7b3_41bd_9b02, 0x5b1e_906a_48ae_1d19));
        assert_eq!(
            hash_128(b"The quick brown fox jumps over the lazy dog"),
            (0xe34b_bc7b_bc07_1b6c, 0x7a43_3ca9_c49a_9347)
        );
    }
}
