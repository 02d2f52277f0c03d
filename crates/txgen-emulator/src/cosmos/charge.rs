//! The RU model: what a request costs, in request units.
//!
//! A write costs 5.8 RU per KB, the size rounded up to a power of two, and 0.3 RU per top-level property for indexing
//! it; a point read 1 RU per KB. These are the rates of the model that ships with Azure's Rust SDK, and they agree with
//! the 5 RU and more per 1 KB write, 1 RU per 1 KB read of
//! <https://learn.microsoft.com/azure/cosmos-db/request-units>. One of txgen's transactions costs 14 to 15 RU.

/// Reading or changing a database, a container or an offer.
pub(super) const METADATA: f64 = 1.0;
/// What a point read costs that finds nothing, or nothing new.
pub(super) const NOTHING: f64 = 1.0;
/// What a page of a query or feed costs before it has found anything.
const PAGE: f64 = 2.3;
/// Loading one document to look at it.
const LOADED: f64 = 0.03;
/// Handing out 1 KB of results.
const RETURNED_PER_KB: f64 = 0.3;

/// The charge for creating, replacing or deleting a document of `size` bytes with so many top-level properties.
pub(super) fn write(size: usize, properties: u32) -> f64 {
    round(5.8 * size_steps(size) + 0.3 * f64::from(properties))
}

/// The charge for reading a document of `size` bytes by its id.
pub(super) fn read(size: usize) -> f64 {
    size_steps(size)
}

/// The charge for one page of a query or feed that loaded so many documents and returns so many bytes.
pub(super) fn page(loaded: usize, returned: usize) -> f64 {
    // Counts and sizes are far below 2^52.
    #[allow(clippy::cast_precision_loss)]
    round(PAGE + LOADED * loaded as f64 + RETURNED_PER_KB * returned as f64 / 1024.0)
}

fn size_steps(bytes: usize) -> f64 {
    let kilobytes = bytes.div_ceil(1024).max(1).next_power_of_two();
    // Documents are at most 2 MB.
    #[allow(clippy::cast_precision_loss)]
    {
        kilobytes as f64
    }
}

/// To a hundredth, as the service reports charges.
fn round(charge: f64) -> f64 {
    (charge * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_costs_14_to_15_request_units() {
        let charge = write(900, 29);
        assert!((14.0..15.0).contains(&charge), "{charge}");
    }

    #[test]
    fn size_counts_in_powers_of_two() {
        assert_eq!(write(1024, 0), 5.8);
        assert_eq!(write(1025, 0), 11.6);
        assert_eq!(write(3000, 0), 23.2);
        assert_eq!(read(0), 1.0);
        assert_eq!(read(5000), 8.0);
    }

    #[test]
    fn a_page_costs_more_the_more_it_loads_and_returns() {
        assert_eq!(page(0, 0), 2.3);
        assert_eq!(page(100, 10 * 1024), 8.3);
    }
}
