//! Deliveries that were sent and are not settled, by their ids.

use std::collections::VecDeque;

use super::Link;

/// Places for deliveries. Ids are given in turn, so a place is found by its distance from the first one.
#[derive(Debug)]
pub(super) struct Deliveries<T> {
    /// The id of the first place.
    first: u32,
    places: VecDeque<Option<Delivery<T>>>,
}

#[derive(Debug)]
struct Delivery<T> {
    token: T,
    link: Link,
    /// Bytes of the output before its first one.
    began: u64,
}

/// Places, at most: beyond, a peer that settles everything but one would make them grow for ever.
const MOST: usize = 1 << 20;

impl<T> Default for Deliveries<T> {
    fn default() -> Self {
        Self { first: 0, places: VecDeque::new() }
    }
}

impl<T> Deliveries<T> {
    pub(super) fn has_room(&self) -> bool {
        self.places.len() < MOST
    }

    /// How many places are taken up, settled or not.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Takes up a place; gives the delivery's id.
    pub(super) fn add(&mut self, link: Link, token: T, began: u64) -> u32 {
        // Below `MOST`, which fits.
        let id = self.first.wrapping_add(self.places.len() as u32);
        self.places.push_back(Some(Delivery { token, link, began }));
        id
    }

    /// Takes the deliveries with the ids from `first` to `last` out, in their order.
    pub(super) fn settle(&mut self, first: u32, last: u32, mut take: impl FnMut(T)) {
        // Ids are numbers of a circle (section 2.8.10): what lies half a circle ahead lies behind.
        let start = i64::from(first.wrapping_sub(self.first).cast_signed());
        let end = start + i64::from(last.wrapping_sub(first)) + 1;
        let within = |place: i64| usize::try_from(place).unwrap_or(0).min(self.places.len());
        for place in within(start)..within(end) {
            if let Some(delivery) = self.places[place].take() {
                take(delivery.token);
            }
        }
        self.shrink(|_| false);
    }

    /// Takes out what was sent over this link.
    pub(super) fn take_of(&mut self, link: Link) -> Vec<T> {
        let of_link = self.places.iter_mut().filter_map(|place| place.take_if(|delivery| delivery.link == link));
        let taken = of_link.map(|delivery| delivery.token).collect();
        self.shrink(|_| false);
        taken
    }

    /// Gives the first places free that are settled or forgotten.
    pub(super) fn shrink(&mut self, is_forgotten: impl Fn(&T) -> bool) {
        while let Some(place) = self.places.front() {
            if place.as_ref().is_some_and(|delivery| !is_forgotten(&delivery.token)) {
                break;
            }
            self.places.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }

    /// What is not settled, and how many bytes of the output were before it.
    pub(super) fn into_iter(self) -> impl Iterator<Item = (T, u64)> {
        self.places.into_iter().flatten().map(|delivery| (delivery.token, delivery.began))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settled(deliveries: &mut Deliveries<u32>, first: u32, last: u32) -> Vec<u32> {
        let mut taken = Vec::new();
        deliveries.settle(first, last, |token| taken.push(token));
        taken
    }

    #[test]
    fn a_range_settles_what_of_it_is_there_and_only_once() {
        let mut deliveries = Deliveries::default();
        for token in 0..6 {
            deliveries.add(Link(0), token, 0);
        }
        assert_eq!(settled(&mut deliveries, 2, 3), [2, 3]);
        assert_eq!(settled(&mut deliveries, 0, 4), [0, 1, 4]);
        assert_eq!(settled(&mut deliveries, 0, 4), [0_u32; 0]);
        assert_eq!(settled(&mut deliveries, 0, u32::MAX), [5]);
        assert_eq!(deliveries.len(), 0);
    }

    #[test]
    fn ids_go_round() {
        let mut deliveries = Deliveries { first: u32::MAX - 1, places: VecDeque::new() };
        let ids: Vec<_> = (0..4).map(|token| deliveries.add(Link(0), token, 0)).collect();
        assert_eq!(ids, [u32::MAX - 1, u32::MAX, 0, 1]);
        assert_eq!(settled(&mut deliveries, u32::MAX, 0), [1, 2]);
        assert_eq!(settled(&mut deliveries, u32::MAX - 1, 1), [0, 3]);
    }

    #[test]
    fn one_that_is_never_settled_holds_a_place_until_it_is_forgotten() {
        let mut deliveries = Deliveries::default();
        for token in 0..100 {
            deliveries.add(Link(0), token, 0);
        }
        settled(&mut deliveries, 1, 98);
        assert_eq!(deliveries.len(), 100);
        deliveries.shrink(|token| *token == 0);
        assert_eq!(deliveries.len(), 1);
    }

    proptest! {
        #[test]
        fn whatever_is_settled_every_token_comes_back_once(
            first in any::<u32>(),
            count in 0_u32..50,
            ranges in proptest::collection::vec((0_u32..60, 0_u32..60), 0..30),
        ) {
            let mut deliveries = Deliveries { first, places: VecDeque::new() };
            for token in 0..count {
                deliveries.add(Link(token % 3), token, 0);
            }
            let mut back = Vec::new();
            for (start, length) in ranges {
                let start = first.wrapping_add(start);
                deliveries.settle(start, start.wrapping_add(length), |token| back.push(token));
            }
            back.extend(deliveries.take_of(Link(1)));
            back.extend(deliveries.into_iter().map(|(token, _)| token));
            back.sort_unstable();
            prop_assert_eq!(back, (0..count).collect::<Vec<_>>());
        }
    }
}
