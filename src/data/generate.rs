//! Made-up transactions that look like the real ones, row by row.
//!
//! Each row has a stream of chance of its own, and so has each account, so nothing is remembered from row to row: five
//! million rows take no more memory than five.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use uuid::Builder;

use super::account::{Account, OLDEST, Place, any_country, place};
use super::clock::{Clock, Moment};
use super::countries::COUNTRIES;
use super::prices::{Decimal, Items, with_tax};
use super::random::Dice;
use crate::transaction::COLUMNS;

/// Writes a CSV file of so many made-up transactions, in the layout of 28 columns.
///
/// The same rows and seed always make the same bytes. Rows are in the order of their times; about half of them come
/// from the United States, most details of a row agree with each other, and a few do not.
///
/// # Errors
/// Those of writing to `out`.
pub fn generate(rows: u64, seed: u64, out: impl Write) -> io::Result<()> {
    let mut out = csv::Writer::from_writer(out);
    out.write_record(COLUMNS.iter().map(|column| column.name))?;
    let generator = Generator { seed, clock: Clock::new(rows) };
    let mut cells = Cells::default();
    for row in 0..rows {
        generator.row(row, &mut cells);
        out.write_record(&cells.record)?;
    }
    out.flush()
}

struct Generator {
    seed: u64,
    clock: Clock,
}

/// How often in ten thousand times…
mod often {
    /// … an account that was there before pays again,
    pub(super) const REPEAT: u64 = 400;
    /// … does so among the next few hundred rows,
    pub(super) const SOON: u64 = 3_500;
    /// … a transaction comes from an address in another country than the account's,
    pub(super) const ELSEWHERE: u64 = 520;
    /// … and then from a network that many people share.
    pub(super) const SHARED: u64 = 4_000;
    /// … the local hour is not known, of an address at home and of one elsewhere, or is not the right one,
    pub(super) const NO_HOUR: u64 = 330;
    pub(super) const NO_HOUR_ELSEWHERE: u64 = 4_200;
    pub(super) const WRONG_HOUR: u64 = 150;
    /// … it is not known whether the address is a proxy's, or it is one (both together),
    pub(super) const MAYBE_PROXY: u64 = 160;
    pub(super) const PROXY: u64 = 660;
    /// … nothing was rejected that day,
    pub(super) const NO_REJECTS: u64 = 9_700;
    /// … a price in the United States has tax on it.
    pub(super) const TAXED: u64 = 7_500;
}

/// A network through which people from everywhere reach the internet.
struct SharedNetwork {
    code: &'static str,
    region: &'static str,
    postcode: &'static str,
    address: (u8, u8),
    weight: u32,
}

/// A company's, a mobile provider's and a proxy's.
const SHARED_NETWORKS: [SharedNetwork; 3] = [
    SharedNetwork { code: "us", region: "washington", postcode: "98052", address: (131, 107), weight: 9 },
    SharedNetwork { code: "ro", region: "bucuresti", postcode: "70000", address: (109, 99), weight: 8 },
    SharedNetwork { code: "us", region: "new york", postcode: "14534", address: (216, 15), weight: 5 },
];

impl Generator {
    /// Rows and accounts have the even and the odd streams. The first of a row's numbers is its time.
    fn row_dice(&self, row: u64) -> (Moment, Dice) {
        let mut dice = Dice::new(self.seed, 2 * row);
        (self.clock.moment(row, dice.below(u64::MAX)), dice)
    }

    fn account(&self, number: u64, first_seen: Moment) -> Account {
        Account::new(number, first_seen, &mut Dice::new(self.seed, 2 * number + 1))
    }

    fn row(&self, row: u64, cells: &mut Cells) {
        let (moment, mut dice) = self.row_dice(row);
        let number = account_of(row, &mut dice);
        let first_seen = if number == row { moment } else { self.row_dice(number).0 };
        let days = moment.day - first_seen.day;
        let account = self.account(number, first_seen);

        let is_elsewhere = dice.chance(often::ELSEWHERE);
        let device = if is_elsewhere { elsewhere(&mut dice) } else { account.home };
        let items = Items::draw(&mut dice);
        let price = account.currency.price(items, &mut dice);
        let is_taxed = account.country != "US" || dice.chance(often::TAXED);
        let tax = account.region.filter(|_| is_taxed).map_or(0, |region| region.tax);
        let amount = with_tax(price, tax);

        cells.clear();
        cells.push(format_args!("{:X}", Builder::from_random_bytes(dice.bytes()).into_uuid().hyphenated()));
        cells.push(account.id);
        cells.push(Decimal { units: account.currency.in_dollars(amount), decimals: 6 });
        cells.push(Decimal { units: amount, decimals: 2 });
        cells.push(account.currency.code());
        match local_hour(moment, &device, is_elsewhere, &mut dice) {
            Some(hour) => cells.push(hour),
            None => cells.push(""),
        }
        cells.push(format_args!("{}.{}", device.address.0, device.address.1));
        cells.push(device.region);
        cells.push(device.postcode);
        cells.push(device.country.code);
        cells.push(proxy(&mut dice));
        cells.push(account.language);
        cells.push(account.instrument);
        cells.push(account.card);
        cells.push(account.billing_postcode);
        cells.push(account.billing_state);
        cells.push(&account.country);
        cells.push(account.cvv);
        cells.push(items.digital);
        cells.push(items.physical);
        cells.push(account.postcode);
        cells.push(account.state);
        cells.push(&account.country);
        cells.push((account.age + days).min(OLDEST));
        cells.push(if account.is_registered { "TRUE" } else { "FALSE" });
        cells.push(Days { minutes: account.instrument_age + days * 1440 });
        cells.push(if dice.chance(often::NO_REJECTS) { 0 } else { dice.spread(1, 2) });
        cells.push(moment);
    }
}

/// The account of a row (counted from 0): its own, or that of a row before. An account has the number of a row.
fn account_of(row: u64, dice: &mut Dice) -> u64 {
    if row == 0 || !dice.chance(often::REPEAT) {
        row
    } else if dice.chance(often::SOON) {
        row - dice.between(1, row.min(300))
    } else {
        dice.below(row)
    }
}

/// Where an account holder is who is not at home.
fn elsewhere(dice: &mut Dice) -> Place {
    if !dice.chance(often::SHARED) {
        let country = any_country(dice);
        return place(country, dice);
    }
    let network = dice.weighted(&SHARED_NETWORKS, |network| network.weight);
    let country = COUNTRIES.iter().find(|country| country.code == network.code).unwrap_or(&COUNTRIES[0]);
    Place {
        country,
        region: network.region,
        postcode: network.postcode.to_owned(),
        address: network.address,
        utc: country.utc,
    }
}

fn local_hour(moment: Moment, device: &Place, is_elsewhere: bool, dice: &mut Dice) -> Option<i64> {
    if dice.chance(if is_elsewhere { often::NO_HOUR_ELSEWHERE } else { often::NO_HOUR }) {
        None
    } else if dice.chance(often::WRONG_HOUR) {
        Some(dice.below(24) as i64)
    } else {
        Some(moment.hour_at(device.utc))
    }
}

fn proxy(dice: &mut Dice) -> &'static str {
    match dice.below(10_000) {
        ..often::MAYBE_PROXY => "",
        often::MAYBE_PROXY..often::PROXY => "TRUE",
        _ => "FALSE",
    }
}

/// An age as the real data has it: in days, to ten digits.
struct Days {
    minutes: u64,
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const A_DAY: u64 = 1440;
        if self.minutes == 1 {
            return f.write_str("6.94444E-4");
        }
        let decimals = 9 - (self.minutes / A_DAY).checked_ilog10().unwrap_or(0);
        Decimal { units: (self.minutes * 10_u64.pow(decimals) + A_DAY / 2) / A_DAY, decimals }.fmt(f)
    }
}

/// The cells of one row, in memory that the next row uses again.
#[derive(Default)]
struct Cells {
    record: csv::StringRecord,
    scratch: String,
}

impl Cells {
    fn clear(&mut self) {
        self.record.clear();
    }

    fn push(&mut self, value: impl fmt::Display) {
        self.scratch.clear();
        // Writing to a string cannot fail.
        let _ = write!(self.scratch, "{value}");
        self.record.push_field(&self.scratch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::{HashMap, HashSet};
    use std::sync::LazyLock;

    fn generated(rows: u64, seed: u64) -> Vec<u8> {
        let mut out = Vec::new();
        generate(rows, seed, &mut out).unwrap();
        out
    }

    /// A row's cells by column.
    type Row = HashMap<String, String>;

    /// Made once for all tests: what ships.
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| generated(20_000, 42));
    static ROWS: LazyLock<Vec<Row>> =
        LazyLock::new(|| csv::Reader::from_reader(&BYTES[..]).deserialize().map(Result::unwrap).collect());

    fn share(rows: &[Row], matches: impl Fn(&Row) -> bool) -> f64 {
        rows.iter().filter(|row| matches(row)).count() as f64 / rows.len() as f64
    }

    #[test]
    fn the_shipped_file_is_what_the_generator_makes() {
        let shipped = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/data/Untagged_Transactions.csv")).unwrap();
        assert!(
            shipped == *BYTES,
            "data/Untagged_Transactions.csv is not what `txgen data generate --rows 20000 --seed 42` makes"
        );
    }

    #[test]
    fn another_seed_makes_other_rows() {
        assert_eq!(generated(10, 1), generated(10, 1));
        assert_ne!(generated(10, 1), generated(10, 2));
    }

    #[test]
    fn a_file_of_no_rows_has_a_header() {
        let text = String::from_utf8(generated(0, 1)).unwrap();
        assert_eq!(text.trim_end().split(',').collect::<Vec<_>>(), COLUMNS.each_ref().map(|column| column.name));
    }

    #[test]
    fn countries_have_the_shares_of_the_real_data_and_all_of_them_occur() {
        let rows = &*ROWS;
        let is_near = |code: &str, percent: f64, within: f64| {
            let share = 100.0 * share(rows, |row| row["ipCountryCode"] == code);
            assert!((share - percent).abs() <= within, "{code}: {share}");
        };
        is_near("us", 50.0, 2.0);
        for (code, percent) in [("ca", 8.0), ("gb", 7.0), ("au", 5.0), ("fr", 4.0), ("de", 2.0), ("br", 2.0)] {
            is_near(code, percent, 0.8);
        }
        let codes: HashSet<_> = rows.iter().map(|row| row["ipCountryCode"].as_str()).collect();
        assert_eq!(codes.len(), 122);
    }

    #[test]
    fn most_rows_agree_with_themselves_and_some_do_not() {
        let rows = &*ROWS;
        let at_home = share(rows, |row| row["ipCountryCode"].eq_ignore_ascii_case(&row["paymentBillingCountryCode"]));
        assert!((0.94..0.98).contains(&at_home), "{at_home}");
        let british = rows.iter().filter(|row| row["paymentBillingCountryCode"] == "GB");
        let in_pounds = british.clone().filter(|row| row["transactionCurrencyCode"] == "GBP").count();
        assert!((95..100).contains(&(in_pounds * 100 / british.count())));
        let own_language = share(rows, |row| {
            row["browserLanguage"].ends_with(&row["paymentBillingCountryCode"]) || row["browserLanguage"] == "it-IT"
        });
        assert!((0.97..0.999).contains(&own_language), "{own_language}");
    }

    #[test]
    fn cards_are_checked_with_the_results_of_the_real_data() {
        let rows = &*ROWS;
        for (result, expected) in [("M", 174_965), ("", 22_509), ("X", 1_142), ("P", 561), ("N", 460), ("U", 289)] {
            let share = share(rows, |row| row["cvvVerifyResult"] == result);
            let expected = f64::from(expected) / 200_000.0;
            assert!((share - expected).abs() < 0.01_f64.min(expected), "{result}: {share}");
        }
        assert!(rows.iter().all(|row| (row["paymentInstrumentType"] == "PAYPAL") == row["cardType"].is_empty()));
    }

    #[test]
    fn an_account_that_comes_back_is_the_same_account() {
        let rows = &*ROWS;
        let mut accounts: HashMap<&str, &Row> = HashMap::new();
        let mut repeats = 0;
        for row in rows {
            if let Some(before) = accounts.insert(&row["accountID"], row) {
                repeats += 1;
                for same in ["accountCountry", "accountState", "accountPostalCode", "cardType", "isUserRegistered"] {
                    assert_eq!(before[same], row[same], "{same}");
                }
                let age = |row: &Row| row["accountAge"].parse::<u64>().unwrap();
                assert!(age(before) <= age(row));
            }
        }
        assert!((400..1600).contains(&repeats), "{repeats}");
    }

    #[test]
    fn times_go_on_and_ids_are_unlike() {
        let rows = &*ROWS;
        assert!(rows.is_sorted_by(|a, b| a["transactionDateTime"] <= b["transactionDateTime"]));
        let ids: HashSet<_> = rows.iter().map(|row| &row["transactionID"]).collect();
        assert_eq!(ids.len(), rows.len());
        assert!(ids.iter().all(|id| id.len() == 36 && **id == id.to_uppercase()));
    }

    #[test]
    fn ages_are_written_like_the_real_ones() {
        let written = |minutes| Days { minutes }.to_string();
        assert_eq!(written(0), "0.0");
        assert_eq!(written(1), "6.94444E-4");
        assert_eq!(written(66), "0.045833333");
        assert_eq!(written(67_425), "46.82291667");
        assert_eq!(written(1440 * 2), "2.0");
    }
}
