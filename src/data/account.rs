//! Who pays: an account, with everything about it that stays the same from one transaction to the next.
//!
//! An account is a pure function of the seed and its number, so that it can come back at any time without being
//! remembered.

use super::clock::Moment;
use super::countries::{COUNTRIES, Country, UNKNOWN};
use super::prices::Currency;
use super::random::Dice;
use super::regions::{Postcode, Region};

/// Where an internet address seems to be.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) country: &'static Country,
    pub(super) region: &'static str,
    pub(super) postcode: String,
    /// The first half of the address, as in `121.219`.
    pub(super) address: (u8, u8),
    /// The offset of its local time from UTC in hours.
    pub(super) utc: i64,
}

/// Somebody who pays.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) id: String,
    pub(super) home: Place,
    /// Of the bill, upper case.
    pub(super) country: String,
    pub(super) region: Option<&'static Region>,
    pub(super) billing_postcode: String,
    pub(super) billing_state: &'static str,
    pub(super) postcode: String,
    pub(super) state: String,
    pub(super) language: String,
    pub(super) currency: &'static Currency,
    pub(super) instrument: &'static str,
    pub(super) card: &'static str,
    pub(super) cvv: &'static str,
    pub(super) is_registered: bool,
    /// In days, when the account was first seen.
    pub(super) age: u64,
    /// Of the card or the like in the account, in minutes, when the account was first seen.
    pub(super) instrument_age: u64,
}

/// What card issuers answered to the digits on the card's back, in the shares of the real data.
const CVV_RESULTS: [(&str, u32); 8] =
    [("M", 174_965), ("", 22_509), ("X", 1_142), ("P", 561), ("N", 460), ("U", 289), ("Y", 43), ("S", 31)];

const CARDS: [(&str, u32); 4] = [("VISA", 575), ("MC", 241), ("AMEX", 101), ("DISCOVER", 32)];

/// Ages stop here in the real data.
pub(super) const OLDEST: u64 = 2000;

impl Account {
    /// The account of this number, which is first seen at this moment.
    pub(super) fn new(number: u64, first_seen: Moment, dice: &mut Dice) -> Self {
        let origin = origin(first_seen, dice);
        let payer = if origin.code == UNKNOWN { &COUNTRIES[0] } else { origin };
        let region = (!payer.regions.is_empty()).then(|| dice.weighted(payer.regions, |region| region.weight));
        let home = home(origin, region, dice);

        let &(cvv, _) = dice.weighted(&CVV_RESULTS, |(_, weight)| *weight);
        // Whoever pays by PayPal has no card to check, and gives no billing address.
        let by_paypal = cvv.is_empty() && dice.chance(6_000);
        let card = if by_paypal { "" } else { card(payer, cvv, dice) };

        let postcode = postcode(region.map_or(Postcode::Pattern("19999"), |region| region.postcode), dice);
        let state = region.map_or("", |region| region.state);
        let language = match dice.chance(100) {
            true => "en-GB".to_owned(),
            false if payer.languages.is_empty() => format!("en-{}", payer.code.to_uppercase()),
            false => dice.weighted(payer.languages, |(_, weight)| *weight).0.to_owned(),
        };
        Self {
            id: account_id(number, dice),
            country: payer.code.to_uppercase(),
            billing_postcode: if by_paypal || dice.chance(120) {
                String::new()
            } else {
                as_typed(payer, &postcode, dice)
            },
            billing_state: if by_paypal { "" } else { state },
            postcode: match payer.code {
                "ie" => "0".to_owned(),
                _ if postcode.is_empty() => "-".to_owned(),
                _ => postcode,
            },
            state: if payer.code == "jp" { dice.between(1, 47).to_string() } else { state.to_owned() },
            currency: Currency::find(if dice.chance(80) { "USD" } else { payer.currency }),
            instrument: if by_paypal { "PAYPAL" } else { "CREDITCARD" },
            is_registered: dice.chance(400),
            age: if dice.chance(5_500) { 1 } else { dice.spread(2, 1024).min(OLDEST) },
            instrument_age: match dice.below(100) {
                0..40 => 0,
                40..65 => 1,
                _ => dice.spread(2, 500_000),
            },
            home,
            region,
            language,
            card,
            cvv,
        }
    }
}

/// The country that a new account comes from: as often as its share says, but rarely in the middle of its night.
fn origin(moment: Moment, dice: &mut Dice) -> &'static Country {
    for _ in 0..5 {
        let country = any_country(dice);
        let is_night = moment.hour_at(country.utc) < 6;
        if !is_night || dice.chance(1_000) {
            return country;
        }
    }
    any_country(dice)
}

/// A country, as often as its share says.
pub(super) fn any_country(dice: &mut Dice) -> &'static Country {
    dice.weighted(&COUNTRIES, |country| country.share)
}

/// Where the account's addresses are: mostly in the region of its bill.
fn home(country: &'static Country, region: Option<&'static Region>, dice: &mut Dice) -> Place {
    match region {
        Some(region) if !dice.chance(1_500) => place_in(country, Some(region), dice),
        _ => place(country, dice),
    }
}

/// Somewhere in a country.
pub(super) fn place(country: &'static Country, dice: &mut Dice) -> Place {
    let region = (!country.regions.is_empty()).then(|| dice.weighted(country.regions, |region| region.weight));
    place_in(country, region, dice)
}

fn place_in(country: &'static Country, region: Option<&'static Region>, dice: &mut Dice) -> Place {
    let address = (*dice.one_of(country.registry.first_octets()), dice.below(256) as u8);
    let Some(region) = region.filter(|_| country.code != UNKNOWN) else {
        let postcode = if country.code == UNKNOWN { UNKNOWN } else { "0" };
        return Place { country, region: country.capital, postcode: postcode.to_owned(), address, utc: country.utc };
    };
    let postcode = match (region.hubs, region.postcode) {
        // Lookups know a dozen places in a state.
        ([], Postcode::Range(low, high)) => (low + (high - low) / 12 * dice.below(12) as u32).to_string(),
        ([], _) => "0".to_owned(),
        (hubs, _) => (*dice.one_of(hubs)).to_owned(),
    };
    Place { country, region: region.name, postcode, address, utc: region.utc.unwrap_or(country.utc) }
}

/// The kind of card; which it is decides whether its digits can be checked.
fn card(payer: &Country, cvv: &str, dice: &mut Dice) -> &'static str {
    if cvv == "X" && dice.chance(if payer.code == "jp" { 9_000 } else { 4_500 }) {
        return "JCB";
    }
    match dice.weighted(&CARDS, |(_, weight)| *weight).0 {
        "DISCOVER" if payer.code != "us" => "VISA",
        card => card,
    }
}

fn postcode(rule: Postcode, dice: &mut Dice) -> String {
    match rule {
        Postcode::None => String::new(),
        Postcode::Range(low, high) => dice.between(low.into(), high.into()).to_string(),
        Postcode::Pattern(pattern) => {
            let character = |pattern| match pattern {
                '9' => char::from(b'0' + dice.below(10) as u8),
                '1' => char::from(b'1' + dice.below(9) as u8),
                'A' => char::from(b'A' + dice.below(26) as u8),
                other => other,
            };
            pattern.chars().map(character).collect()
        }
    }
}

/// A postcode as people type it: with or without its blank, in capitals or not.
fn as_typed(payer: &Country, postcode: &str, dice: &mut Dice) -> String {
    let mut typed = postcode.to_owned();
    match payer.code {
        "us" if dice.chance(150) => typed = format!("{typed}-{:04}", dice.below(10_000)),
        "gb" | "ca" | "nl" => {
            if dice.chance(2_500) {
                typed.retain(|character| character != ' ');
            }
            if dice.chance(1_500) {
                typed.make_ascii_lowercase();
            }
        }
        _ => {}
    }
    typed
}

/// `A985156985579195` or, with one digit more, `A1829581321489900`: no two accounts of a file have the same.
fn account_id(number: u64, dice: &mut Dice) -> String {
    /// Multiplying by it, modulo a power of ten, puts numbers in another order and loses none: it ends in a 7.
    const SHUFFLE: u64 = 387_420_487;
    const LIMIT: u64 = 1_000_000_000;
    const FIRST: u64 = 271_828_182;
    const SHORT: [(u64, u32); 4] = [(844_428, 34), (985_156, 28), (914_800, 27), (314_903, 1)];
    const LONG: [(u64, u32); 5] = [(105_552, 43), (182_958, 15), (168_885, 15), (189_994, 14), (175_922, 10)];
    let shuffled = (number % LIMIT + FIRST) % LIMIT * SHUFFLE % LIMIT;
    if dice.chance(6_000) {
        let prefix = dice.weighted(&SHORT, |(_, weight)| *weight).0;
        format!("A{prefix}{:09}", shuffled)
    } else {
        let prefix = dice.weighted(&LONG, |(_, weight)| *weight).0;
        format!("A{prefix}{:09}0", shuffled)
    }
}
