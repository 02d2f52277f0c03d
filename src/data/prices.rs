//! What things cost: a few round prices in each currency make up most of the real data, the rest is a long tail.
//!
//! All arithmetic is on whole hundredths, so that the same cents come out everywhere.

#![allow(clippy::inconsistent_digit_grouping, reason = "139_99 is 139.99 in hundredths")]

use std::fmt;

use super::random::Dice;

/// A currency, its rate and its prices.
#[derive(Debug)]
pub(super) struct Currency {
    code: &'static str,
    /// Dollars for one, in millionths, in the spring of 2013.
    rate: u64,
    /// Usual prices in hundredths, each with its weight.
    usual: &'static [(u64, u32)],
}

const fn currency(code: &'static str, rate: u64, usual: &'static [(u64, u32)]) -> Currency {
    Currency { code, rate, usual }
}

static CURRENCIES: [Currency; 33] = [
    currency(
        "USD",
        1_000_000,
        &[
            (139_99, 152),
            (99_99, 61),
            (219_99, 50),
            (79_99, 46),
            (0, 20),
            (109_99, 16),
            (49_99, 15),
            (199_99, 10),
            (69_99, 9),
            (399_99, 8),
            (24_99, 7),
            (59_99, 5),
            (16_00, 5),
            (19_99, 4),
            (119_99, 4),
            (129_99, 2),
        ],
    ),
    currency(
        "EUR",
        1_347_800,
        &[
            (139_00, 36),
            (79_00, 19),
            (119_00, 13),
            (269_00, 11),
            (19_99, 7),
            (119_99, 7),
            (135_00, 5),
            (539_00, 4),
            (39_99, 2),
            (59_99, 2),
        ],
    ),
    currency("CAD", 995_870, &[(139_00, 36), (119_00, 9), (79_00, 10), (249_00, 6), (49_99, 2), (109_99, 3)]),
    currency("GBP", 1_574_900, &[(109_99, 38), (59_99, 20), (219_99, 5), (99_99, 2), (389_99, 2), (49_99, 1), (0, 1)]),
    currency("AUD", 1_045_350, &[(169_00, 18), (99_00, 13), (299_00, 7), (149_00, 5), (69_99, 2)]),
    currency("BRL", 502_550, &[(239_00, 16), (179_00, 2), (309_00, 2), (49_99, 1)]),
    currency("SEK", 156_700, &[(1199_00, 8), (2399_00, 3), (1099_00, 2), (179_99, 1)]),
    currency("DKK", 180_670, &[(999_99, 10), (699_00, 4), (149_00, 1)]),
    currency("JPY", 11_030, &[(365_00, 3), (15540_00, 4), (3255_00, 2), (36540_00, 1), (4990_00, 1)]),
    currency("RUB", 33_280, &[(3499_00, 8), (759_99, 2), (2199_00, 1), (2299_00, 1)]),
    currency("NOK", 181_760, &[(1099_00, 4), (479_00, 2), (149_99, 1), (909_00, 1), (2099_00, 1)]),
    currency("CHF", 1_084_540, &[(169_95, 6), (159_95, 2)]),
    currency("ZAR", 110_805, &[(849_99, 3), (999_99, 2), (1999_00, 1), (499_99, 1)]),
    currency("HKD", 128_890, &[(1099_00, 3), (619_99, 3), (1699_00, 1), (549_00, 1)]),
    currency("NZD", 836_850, &[(145_00, 2), (239_00, 2), (89_99, 1), (199_00, 1)]),
    currency("SGD", 810_110, &[(179_99, 5), (109_99, 1)]),
    currency("ARS", 201_056, &[(479_99, 4), (609_99, 1), (1199_00, 1)]),
    currency("MXN", 78_721, &[(1499_00, 4), (3599_00, 2)]),
    currency("KRW", 920, &[(99000_00, 2), (169_000_00, 1), (75000_00, 1)]),
    currency("PLN", 321_340, &[(579_99, 1), (349_99, 2), (649_99, 1)]),
    currency("SAR", 266_652, &[(529_99, 2), (829_99, 1)]),
    currency("INR", 18_606, &[(5499_00, 2), (6749_00, 1)]),
    currency("CNY", 160_660, &[(699_00, 2), (1299_00, 1)]),
    currency("CLP", 2_120, &[(54999_00, 2), (74999_00, 1)]),
    currency("BGN", 689_132, &[(269_99, 1), (169_99, 1)]),
    currency("PEN", 390_625, &[(299_99, 1), (379_99, 1)]),
    currency("ILS", 268_176, &[(529_99, 1), (329_99, 1)]),
    currency("HUF", 4_560, &[(41999_00, 1), (24999_00, 1)]),
    currency("VEF", 141_843, &[(1199_00, 1), (799_00, 1)]),
    currency("RON", 307_943, &[(449_99, 1), (89_99, 1)]),
    currency("RSD", 12_042, &[(12999_00, 1), (8499_00, 1)]),
    currency("COP", 563, &[(199_999_00, 1), (279_999_00, 1)]),
    currency("TWD", 33_850, &[(2590_00, 1), (3990_00, 1)]),
];

/// What was bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Items {
    pub(super) digital: u64,
    pub(super) physical: u64,
}

impl Items {
    /// Mostly one thing to download.
    pub(super) fn draw(dice: &mut Dice) -> Self {
        const SEEN: [(u64, u64, u32); 20] = [
            (1, 0, 862),
            (0, 1, 53),
            (1, 1, 20),
            (0, 2, 17),
            (2, 0, 14),
            (3, 0, 4),
            (0, 3, 4),
            (0, 4, 3),
            (1, 3, 3),
            (4, 0, 3),
            (0, 5, 3),
            (1, 2, 3),
            (0, 6, 2),
            (1, 5, 2),
            (1, 4, 2),
            (0, 8, 1),
            (5, 0, 1),
            (1, 6, 1),
            (2, 2, 1),
            (2, 1, 1),
        ];
        let (digital, physical, _) = *dice.weighted(&SEEN, |(.., weight)| *weight);
        Self { digital, physical }
    }
}

impl Currency {
    /// The currency with this code; the dollar for one that is not traded in.
    pub(super) fn find(code: &str) -> &'static Self {
        CURRENCIES.iter().find(|currency| currency.code == code).unwrap_or(&CURRENCIES[0])
    }

    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// The price of some items without tax, in hundredths.
    pub(super) fn price(&self, items: Items, dice: &mut Dice) -> u64 {
        if items.physical > 0 {
            // Devices: dear, and each counts.
            let low = if items.digital > 0 { 15_00 } else { 100_00 };
            return self.tail_price(low, 800_00, dice) * items.physical;
        }
        let one = if dice.chance(9_300) {
            dice.weighted(self.usual, |(_, weight)| *weight).0
        } else {
            self.tail_price(20_00, 1300_00, dice)
        };
        one * items.digital.max(1)
    }

    /// Any price, of about so many hundredths of a dollar, mostly one that looks like less than it is.
    fn tail_price(&self, low: u64, high: u64, dice: &mut Dice) -> u64 {
        let hundredths = dice.spread(low, high) * 1_000_000 / self.rate;
        let whole = (hundredths / 100).max(1);
        if self.rate < 50_000 {
            // Small units: the last digit is a nine.
            return (whole / 10 * 10 + 9) * 100;
        }
        match dice.below(100) {
            0..60 => whole * 100 - 1,
            60..85 => whole * 100,
            _ => hundredths.max(1),
        }
    }

    /// The same sum in dollars, in millionths.
    pub(super) fn in_dollars(&self, hundredths: u64) -> u64 {
        (hundredths * self.rate + 50) / 100
    }
}

/// A price with a tax that is given in thousandths of a percent, rounded to hundredths.
pub(super) fn with_tax(hundredths: u64, tax: u64) -> u64 {
    (hundredths * (100_000 + tax) + 50_000) / 100_000
}

/// A number of so many decimals, written without the zeros at its end but with one decimal at least: `139.0`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal {
    pub(super) units: u64,
    pub(super) decimals: u32,
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mut units, mut decimals } = *self;
        while decimals > 1 && units.is_multiple_of(10) {
            units /= 10;
            decimals -= 1;
        }
        let scale = 10_u64.pow(decimals);
        write!(f, "{}.{:0width$}", units / scale, units % scale, width = decimals as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(units: u64, decimals: u32) -> String {
        Decimal { units, decimals }.to_string()
    }

    #[test]
    fn decimals_are_as_short_as_they_can_be() {
        assert_eq!(written(13_999, 2), "139.99");
        assert_eq!(written(13_900, 2), "139.0");
        assert_eq!(written(180, 2), "1.8");
        assert_eq!(written(0, 2), "0.0");
        assert_eq!(written(173_223_251, 6), "173.223251");
        assert_eq!(written(694, 9), "0.000000694");
    }

    #[test]
    fn a_price_is_converted_to_the_last_decimal() {
        let dollars = |code, hundredths| written(Currency::find(code).in_dollars(hundredths), 6);
        assert_eq!(dollars("GBP", 109_99), "173.223251");
        assert_eq!(dollars("EUR", 139_00), "187.3442");
        assert_eq!(dollars("USD", 139_99), "139.99");
        assert_eq!(dollars("INR", 5499_00), "102.314394");
    }

    #[test]
    fn tax_is_added_to_the_cent() {
        assert_eq!(with_tax(139_99, 7_000), 149_79);
        assert_eq!(with_tax(139_99, 6_250), 148_74);
        assert_eq!(with_tax(139_00, 14_975), 159_82);
        assert_eq!(with_tax(139_99, 0), 139_99);
    }

    #[test]
    fn every_country_trades_in_a_currency_that_has_a_rate() {
        for country in &crate::data::countries::COUNTRIES {
            assert_eq!(Currency::find(country.currency).code(), country.currency, "{}", country.code);
        }
    }
}
