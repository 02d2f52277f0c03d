//! What provisioned throughput costs, roughly.
//!
//! List prices of Azure Cosmos DB for NoSQL in US regions, one region, without reservations:
//! <https://azure.microsoft.com/pricing/details/cosmos-db/autoscale-provisioned/>. They differ by region and change;
//! the figure is a warning not to leave 15,000 RU/s running unknowingly, not to check an invoice.

/// US dollars for 100 RU/s of standard (manual) throughput for one hour.
const USD_PER_100_RU_HOUR: f64 = 0.008;
/// Autoscale costs this many times as much for the RU/s it has scaled to.
const AUTOSCALE_FACTOR: f64 = 1.5;
/// Hours in a month, as Azure's price pages count them.
const HOURS_PER_MONTH: f64 = 730.0;

/// A cost estimate in US dollars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// For one hour.
    pub hourly_usd: f64,
    /// For one month of 730 hours.
    pub monthly_usd: f64,
}

impl Cost {
    /// What this many RU/s of manual throughput cost.
    #[must_use]
    pub fn of_manual(request_units_per_second: u32) -> Self {
        let hourly_usd = f64::from(request_units_per_second) / 100.0 * USD_PER_100_RU_HOUR;
        Self { hourly_usd, monthly_usd: hourly_usd * HOURS_PER_MONTH }
    }

    /// What autoscale costs while it is scaled to its maximum of this many RU/s.
    #[must_use]
    pub fn of_autoscale_at(max_request_units_per_second: u32) -> Self {
        let Self { hourly_usd, monthly_usd } = Self::of_manual(max_request_units_per_second);
        Self { hourly_usd: hourly_usd * AUTOSCALE_FACTOR, monthly_usd: monthly_usd * AUTOSCALE_FACTOR }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounded(cost: Cost) -> (String, String) {
        (format!("{:.2}", cost.hourly_usd), format!("{:.2}", cost.monthly_usd))
    }

    #[test]
    fn the_workshops_database_costs_876_dollars_a_month() {
        assert_eq!(rounded(Cost::of_manual(15_000)), ("1.20".into(), "876.00".into()));
    }

    #[test]
    fn autoscale_at_its_maximum_costs_half_as_much_again() {
        assert_eq!(rounded(Cost::of_autoscale_at(15_000)), ("1.80".into(), "1314.00".into()));
    }
}
