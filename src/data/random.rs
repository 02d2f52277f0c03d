//! Chance that is the same on every platform and for ever: ChaCha's bytes, and whole numbers made of them here.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// A stream of chance. The same seed and stream always fall the same way.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        // The seed is spread by hand: how `seed_from_u64` does it is up to the library.
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut random = ChaCha8Rng::from_seed(key);
        random.set_stream(stream);
        Self(random)
    }

    /// 16 bytes.
    pub(super) fn bytes(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.0.next_u64().to_le_bytes());
        bytes[8..].copy_from_slice(&self.0.next_u64().to_le_bytes());
        bytes
    }

    /// A number from 0 to below `limit`; each is as likely as the others but for one part in 2⁶⁴ / `limit`.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        let wide = u128::from(self.0.next_u64()) * u128::from(limit);
        (wide >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// A number from `low` up to twice `high`, each doubling of it as likely as the others: many small, few large.
    pub(super) fn spread(&mut self, low: u64, high: u64) -> u64 {
        let octave = low << self.below(u64::from((high / low).max(1).ilog2()) + 1);
        octave + self.below(octave)
    }

    /// Whether something happens that does so this often in ten thousand times.
    pub(super) fn chance(&mut self, in_ten_thousand: u64) -> bool {
        self.below(10_000) < in_ten_thousand
    }

    /// One of a list that is not empty.
    pub(super) fn one_of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as u64) as usize]
    }

    /// One of a list that is not empty, each as often as its weight says.
    pub(super) fn weighted<'a, T>(&mut self, list: &'a [T], weight: impl Fn(&T) -> u32) -> &'a T {
        let total = list.iter().map(|item| u64::from(weight(item))).sum();
        let mut left = self.below(total);
        for item in list {
            match left.checked_sub(u64::from(weight(item))) {
                Some(less) => left = less,
                None => return item,
            }
        }
        &list[list.len() - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_falls_the_same_way_for_ever() {
        let mut dice = Dice::new(42, 7);
        let fallen: Vec<_> = (0..6).map(|_| dice.below(1000)).collect();
        assert_eq!(fallen, FALLEN);
    }

    /// Seed 42, stream 7. If this changes, so does every file that was ever generated.
    const FALLEN: [u64; 6] = [185, 580, 945, 734, 862, 370];

    #[test]
    fn weights_are_kept() {
        let mut dice = Dice::new(1, 1);
        let list = [("a", 70), ("b", 0), ("c", 30)];
        let mut counts = [0; 3];
        for _ in 0..10_000 {
            let (name, _) = dice.weighted(&list, |(_, weight)| *weight);
            counts[usize::from(name.as_bytes()[0] - b'a')] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((6800..7200).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn spread_numbers_stay_in_their_bounds() {
        let mut dice = Dice::new(1, 1);
        let numbers: Vec<_> = (0..10_000).map(|_| dice.spread(500, 100_000)).collect();
        assert!(numbers.iter().all(|number| (500..200_000).contains(number)));
        assert!(numbers.iter().any(|&number| number < 1000) && numbers.iter().any(|&number| number > 60_000));
    }
}
