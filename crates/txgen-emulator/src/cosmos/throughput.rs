//! Provisioned throughput: how many request units each physical partition may spend in each second.
//!
//! RU/s are split evenly over the partitions. A request is admitted while its partition's share of this second is not
//! used up; what it costs beyond that is a debt, taken from the seconds that follow, so that over time no partition
//! spends more than it has. Unspent units are not saved up. A changed throughput counts from the next second.
//!
//! Time is passed in, as the time since the account came up: seconds begin there.

use std::time::Duration;

use super::partition_key::Epk;
use super::partitions::Partitions;

/// What is provisioned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Throughput {
    /// So many RU/s.
    Manual(u32),
    /// Up to so many RU/s.
    Autoscale {
        max: u32,
        /// By how much the maximum grows by itself as data grows; kept, not acted on.
        increment_percent: Option<u32>,
    },
}

impl Throughput {
    /// What a container gets when nothing was asked for and its database has none to share.
    pub(super) const DEFAULT: Self = Self::Manual(400);

    /// The most that can be spent in a second, in RU.
    pub(super) fn limit(self) -> u32 {
        match self {
            Self::Manual(limit) | Self::Autoscale { max: limit, .. } => limit,
        }
    }

    /// Checks it against the service's limits; the error is the service's message.
    /// <https://learn.microsoft.com/azure/cosmos-db/concepts-limits#provisioned-throughput>
    pub(super) fn validate(self) -> Result<Self, String> {
        let (least, step) = match self {
            Self::Manual(_) => (400, 100),
            Self::Autoscale { .. } => (1000, 1000),
        };
        let limit = self.limit();
        if (least..=1_000_000).contains(&limit) && limit.is_multiple_of(step) {
            return Ok(self);
        }
        Err(format!(
            "The offer should have valid throughput values between {least} and 1000000 inclusive in increments of \
             {step}, and not {limit}."
        ))
    }
}

/// The spending of the partitions of one database or container.
#[derive(Clone, Debug)]
pub(super) struct Budgets {
    throughput: Throughput,
    /// What counts now; follows `throughput` when a new second begins.
    in_force: Throughput,
    partitions: Partitions,
    /// The second that `used` is about.
    second: u64,
    /// RU spent by each partition, debts of earlier seconds included.
    used: Vec<f64>,
}

impl Budgets {
    /// Those of a database, for its containers to share.
    pub(super) fn new(throughput: Throughput) -> Self {
        Self::over(Partitions::for_throughput(throughput.limit()), throughput)
    }

    /// Those of a container alone.
    pub(super) fn of_container(throughput: Throughput) -> Self {
        Self::over(Partitions::for_container(throughput.limit()), throughput)
    }

    /// Those of partitions that there are.
    pub(super) fn over(partitions: Partitions, throughput: Throughput) -> Self {
        let used = vec![0.0; partitions.ranges().len()];
        Self { throughput, in_force: throughput, partitions, second: 0, used }
    }

    /// What was provisioned last.
    pub(super) fn throughput(&self) -> Throughput {
        self.throughput
    }

    pub(super) fn partitions(&self) -> &Partitions {
        &self.partitions
    }

    /// Provisions another throughput. Partitions split at once when it needs more of them; RU/s change with the next
    /// second.
    pub(super) fn replace(&mut self, throughput: Throughput, now: Duration) {
        self.advance(now);
        self.throughput = throughput;
        for split in self.partitions.grow_for(throughput.limit()) {
            let half = self.used[split] / 2.0;
            self.used.splice(split..=split, [half; 2]);
        }
    }

    /// Spends `charge` RU in the partition of `key`, or says how long to wait before trying again.
    pub(super) fn spend(&mut self, key: Epk, charge: f64, now: Duration) -> Result<(), Duration> {
        self.admit(key..key, now)?;
        self.charge(key..key, charge);
        Ok(())
    }

    /// Whether the partitions that hold these keys have units left in this second; otherwise how long to wait.
    pub(super) fn admit(&mut self, keys: std::ops::Range<Epk>, now: Duration) -> Result<(), Duration> {
        self.advance(now);
        let share = self.share();
        let most = self.used[self.touched(&keys)].iter().copied().fold(0.0, f64::max);
        if most < share {
            return Ok(());
        }
        // Below 2^32: the debt of some requests over at least a few RU/s.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let full_seconds = (most / share) as u32;
        Err(Duration::from_secs(self.second + u64::from(full_seconds)).saturating_sub(now))
    }

    /// Books `charge` RU on the partitions that hold these keys, to equal parts. Call it after [`Self::admit`].
    pub(super) fn charge(&mut self, keys: std::ops::Range<Epk>, charge: f64) {
        let touched = self.touched(&keys);
        // A handful of partitions.
        #[allow(clippy::cast_precision_loss)]
        let part = charge / touched.len() as f64;
        self.used[touched].iter_mut().for_each(|used| *used += part);
    }

    /// The indices of the partitions that hold keys from `start` to before `end`, or that hold `start` itself.
    fn touched(&self, keys: &std::ops::Range<Epk>) -> std::ops::Range<usize> {
        let first = self.partitions.index_of(keys.start);
        let after = self.partitions.ranges().partition_point(|range| range.min < keys.end);
        first..after.max(first + 1)
    }

    /// Each partition's RU for a second.
    fn share(&self) -> f64 {
        // A handful of partitions.
        #[allow(clippy::cast_precision_loss)]
        let partitions = self.used.len() as f64;
        f64::from(self.in_force.limit()) / partitions
    }

    fn advance(&mut self, now: Duration) {
        let elapsed = now.as_secs().saturating_sub(self.second);
        if elapsed == 0 {
            return;
        }
        let mut pay = |seconds: u64, share: f64| {
            // The product only has to exceed any debt.
            #[allow(clippy::cast_precision_loss)]
            let paid = seconds as f64 * share;
            self.used.iter_mut().for_each(|used| *used = (*used - paid).max(0.0));
        };
        #[allow(clippy::cast_precision_loss)]
        let partitions = self.partitions.ranges().len() as f64;
        pay(1, f64::from(self.in_force.limit()) / partitions);
        pay(elapsed - 1, f64::from(self.throughput.limit()) / partitions);
        self.in_force = self.throughput;
        self.second = now.as_secs();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: Epk = Epk::MIN;

    fn high() -> Epk {
        Epk::from_number(Epk::END_OF_HASHES - 1)
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn manual(throughput: u32) -> Budgets {
        Budgets::new(Throughput::Manual(throughput))
    }

    /// How many requests of 10 RU are admitted.
    fn admitted(budgets: &mut Budgets, key: Epk, now: Duration) -> usize {
        (0..10_000).take_while(|_| budgets.spend(key, 10.0, now).is_ok()).count()
    }

    #[test]
    fn a_partition_spends_its_share_of_each_second_and_no_more() {
        let mut budgets = manual(12_000);
        assert_eq!(admitted(&mut budgets, LOW, ms(100)), 600);
        assert_eq!(admitted(&mut budgets, high(), ms(100)), 600);
        assert_eq!(admitted(&mut budgets, LOW, ms(999)), 0);
        assert_eq!(admitted(&mut budgets, LOW, ms(1000)), 600);
    }

    #[test]
    fn unspent_units_are_not_saved_up() {
        assert_eq!(admitted(&mut manual(400), LOW, ms(60_000)), 40);
    }

    #[test]
    fn a_refused_client_is_asked_to_come_back_with_the_next_second() {
        let mut budgets = manual(400);
        admitted(&mut budgets, LOW, ms(1300));
        assert_eq!(budgets.spend(LOW, 10.0, ms(1300)), Err(ms(700)));
    }

    #[test]
    fn the_request_that_overshoots_is_admitted_and_its_debt_is_paid_later() {
        let mut budgets = manual(400);
        assert!(budgets.spend(LOW, 1000.0, ms(0)).is_ok());
        assert_eq!(budgets.spend(LOW, 10.0, ms(500)), Err(ms(1500)));
        assert!(budgets.spend(LOW, 10.0, ms(1500)).is_err());
        assert_eq!(admitted(&mut budgets, LOW, ms(2000)), 20);
    }

    #[test]
    fn a_replaced_throughput_counts_from_the_next_second() {
        let mut budgets = manual(400);
        budgets.replace(Throughput::Manual(800), ms(200));
        assert_eq!(budgets.throughput(), Throughput::Manual(800));
        assert_eq!(admitted(&mut budgets, LOW, ms(300)), 40);
        assert_eq!(admitted(&mut budgets, LOW, ms(1000)), 80);
    }

    #[test]
    fn lowered_throughput_is_shared_by_as_many_partitions_as_before() {
        let mut budgets = manual(12_000);
        budgets.replace(Throughput::Manual(700), ms(0));
        assert_eq!(admitted(&mut budgets, LOW, ms(1000)), 35);
    }

    #[test]
    fn raised_throughput_splits_the_partitions() {
        let mut budgets = manual(10_000);
        budgets.replace(Throughput::Manual(16_000), ms(0));
        assert_eq!(budgets.partitions().ranges().len(), 2);
        assert_eq!(admitted(&mut budgets, LOW, ms(1000)), 800);
        assert_eq!(admitted(&mut budgets, high(), ms(1000)), 800);
    }

    #[test]
    fn what_spans_all_partitions_is_refused_when_one_is_exhausted() {
        let mut budgets = manual(20_000);
        assert!(budgets.admit(Epk::MIN..Epk::MAX, ms(0)).is_ok());
        admitted(&mut budgets, high(), ms(0));
        assert!(budgets.admit(Epk::MIN..Epk::MAX, ms(0)).is_err());
        assert!(budgets.admit(LOW..LOW, ms(0)).is_ok());
    }

    #[test]
    fn autoscale_is_limited_by_its_maximum() {
        let mut budgets = Budgets::new(Throughput::Autoscale { max: 4000, increment_percent: None });
        assert_eq!(admitted(&mut budgets, LOW, ms(0)), 400);
    }

    #[test]
    fn throughput_must_be_what_the_service_sells() {
        assert!(Throughput::Manual(700).validate().is_ok());
        assert!(Throughput::Manual(300).validate().is_err());
        assert!(Throughput::Manual(450).validate().is_err());
        assert!(Throughput::Manual(1_000_100).validate().is_err());
        assert!(Throughput::Autoscale { max: 4000, increment_percent: None }.validate().is_ok());
        assert!(Throughput::Autoscale { max: 1500, increment_percent: None }.validate().is_err());
    }
}
