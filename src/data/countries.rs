//! The countries that internet addresses come from: their shares of the transactions, and what goes with them.
//!
//! A handful make up four fifths of the real data; the tail is long, and its currency is the dollar.

use super::regions::{self, Region};

/// Who hands out a part of the world's internet addresses, which determines what they begin with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Registry {
    Afrinic,
    Apnic,
    Arin,
    Lacnic,
    Ripe,
}

impl Registry {
    /// First numbers of its addresses: <https://www.iana.org/assignments/ipv4-address-space>.
    pub(super) fn first_octets(self) -> &'static [u8] {
        match self {
            Self::Afrinic => &[41, 102, 105, 154, 196, 197],
            Self::Apnic => &[
                1, 14, 27, 36, 42, 49, 58, 59, 60, 61, 101, 103, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 120,
                121, 122, 123, 124, 125, 175, 180, 182, 183, 202, 203, 210, 211, 218, 219, 220, 221, 222,
            ],
            // The great providers' blocks come up again and again.
            Self::Arin => &[
                24, 24, 24, 24, 50, 63, 64, 65, 66, 66, 67, 67, 68, 68, 69, 70, 70, 71, 71, 71, 72, 72, 74, 74, 75, 76,
                76, 96, 97, 98, 99, 99, 107, 108, 108, 108, 173, 173, 174, 184, 184, 199, 204, 206, 207, 208, 209, 216,
            ],
            Self::Lacnic => &[177, 179, 181, 186, 187, 189, 190, 200, 201],
            Self::Ripe => &[
                2, 5, 31, 37, 46, 62, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 109,
                151, 176, 178, 188, 193, 194, 195, 212, 213, 217,
            ],
        }
    }
}

/// A country, as the code of an internet address.
#[derive(Debug)]
pub(super) struct Country {
    /// ipCountryCode.
    pub(super) code: &'static str,
    /// Out of all [`total_share`] transactions, so many.
    pub(super) share: u32,
    pub(super) currency: &'static str,
    /// Browsers' languages with their weights; empty means English with the country's code.
    pub(super) languages: &'static [(&'static str, u32)],
    /// The offset of its local time from UTC in hours; half hours are left out.
    pub(super) utc: i64,
    pub(super) registry: Registry,
    /// Empty means the capital alone.
    pub(super) regions: &'static [Region],
    pub(super) capital: &'static str,
}

const fn country(
    code: &'static str,
    share: u32,
    currency: &'static str,
    languages: &'static [(&'static str, u32)],
    utc: i64,
    registry: Registry,
    regions: &'static [Region],
) -> Country {
    Country { code, share, currency, languages, utc, registry, regions, capital: "" }
}

const fn small(
    code: &'static str,
    share: u32,
    currency: &'static str,
    languages: &'static [(&'static str, u32)],
    utc: i64,
    registry: Registry,
    capital: &'static str,
) -> Country {
    Country { code, share, currency, languages, utc, registry, regions: &[], capital }
}

const fn tail(code: &'static str, utc: i64, registry: Registry, capital: &'static str) -> Country {
    small(code, 30, "USD", &[], utc, registry, capital)
}

/// The code of an address whose country is not known.
pub(super) const UNKNOWN: &str = "NA";

use Registry::{Afrinic, Apnic, Arin, Lacnic, Ripe};

/// All of them, the most frequent first.
pub(super) static COUNTRIES: [Country; 122] = [
    country("us", 50_400, "USD", &[("en-US", 1)], -5, Arin, regions::US),
    country("ca", 8_000, "CAD", &[("en-CA", 8), ("fr-CA", 1)], -5, Arin, regions::CANADA),
    country("gb", 7_000, "GBP", &[("en-GB", 1)], 0, Ripe, regions::BRITAIN),
    country("au", 5_000, "AUD", &[("en-AU", 1)], 10, Apnic, regions::AUSTRALIA),
    country("fr", 4_000, "EUR", &[("fr-FR", 1)], 1, Ripe, regions::FRANCE),
    country("de", 2_000, "EUR", &[("de-DE", 1)], 1, Ripe, regions::GERMANY),
    country("br", 2_000, "BRL", &[("pt-BR", 1)], -3, Lacnic, regions::BRAZIL),
    country("se", 1_600, "SEK", &[("sv-SE", 1)], 1, Ripe, regions::SWEDEN),
    country("it", 1_500, "EUR", &[("it-IT", 1)], 1, Ripe, regions::ITALY),
    country("dk", 1_500, "DKK", &[("da-DK", 1)], 1, Ripe, regions::DENMARK),
    country("jp", 1_300, "JPY", &[("ja-JP", 1)], 9, Apnic, regions::JAPAN),
    country("ru", 1_200, "RUB", &[("ru-RU", 1)], 4, Ripe, regions::RUSSIA),
    country("no", 1_100, "NOK", &[("nn-NO", 2), ("nb-NO", 1)], 1, Ripe, regions::NORWAY),
    country("ch", 900, "CHF", &[("de-CH", 6), ("fr-CH", 3), ("it-IT", 1)], 1, Ripe, regions::SWITZERLAND),
    country("ie", 800, "EUR", &[("en-IE", 1)], 0, Ripe, regions::IRELAND),
    country("hk", 800, "HKD", &[("zh-HK", 1)], 8, Apnic, regions::HONG_KONG),
    country("nz", 750, "NZD", &[("en-NZ", 1)], 12, Apnic, regions::NEW_ZEALAND),
    country("ar", 700, "ARS", &[("es-AR", 1)], -3, Lacnic, regions::ARGENTINA),
    country("fi", 700, "EUR", &[("fi-FI", 1)], 2, Ripe, regions::FINLAND),
    country("nl", 700, "EUR", &[("nl-NL", 1)], 1, Ripe, regions::NETHERLANDS),
    country("za", 700, "ZAR", &[("en-ZA", 1)], 2, Afrinic, regions::SOUTH_AFRICA),
    country("es", 600, "EUR", &[("es-ES", 2), ("eu-ES", 1)], 1, Ripe, regions::SPAIN),
    country("be", 550, "EUR", &[("nl-BE", 2), ("fr-BE", 1)], 1, Ripe, regions::BELGIUM),
    country("kr", 450, "KRW", &[("ko-KR", 1)], 9, Apnic, regions::KOREA),
    country("sg", 550, "SGD", &[("en-SG", 1)], 8, Apnic, regions::SINGAPORE),
    country("mx", 550, "MXN", &[("es-MX", 1)], -6, Lacnic, regions::MEXICO),
    country("at", 400, "EUR", &[("de-AT", 1)], 1, Ripe, regions::AUSTRIA),
    country("pl", 300, "PLN", &[("pl-PL", 1)], 1, Ripe, regions::POLAND),
    country("in", 250, "INR", &[("en-IN", 1)], 5, Apnic, regions::INDIA),
    country("cn", 200, "CNY", &[("zh-CN", 1)], 8, Apnic, regions::CHINA),
    small("sa", 250, "SAR", &[("ar-SA", 1)], 3, Ripe, "ar riyad"),
    small("gr", 200, "EUR", &[("el-GR", 1)], 2, Ripe, "attiki"),
    small("cl", 200, "CLP", &[("es-CL", 1)], -4, Lacnic, "region metropolitana"),
    small("pr", 150, "USD", &[("es-PR", 1)], -4, Arin, "none"),
    small("pt", 150, "EUR", &[("pt-PT", 1)], 0, Ripe, "lisboa"),
    small("ro", 120, "RON", &[("ro-RO", 1)], 2, Ripe, "bucuresti"),
    small("tw", 120, "TWD", &[("zh-TW", 1)], 8, Apnic, "t'ai-pei"),
    small("il", 120, "ILS", &[("he-IL", 1)], 2, Ripe, "tel aviv"),
    small("co", 120, "COP", &[("es-CO", 1)], -5, Lacnic, "distrito capital"),
    small("ae", 120, "USD", &[("en-US", 1), ("ar-AE", 1)], 4, Ripe, "dubayy"),
    small("hu", 100, "HUF", &[("hu-HU", 1)], 1, Ripe, "budapest"),
    small("pe", 100, "PEN", &[("es-PE", 1)], -5, Lacnic, "lima province"),
    small("cz", 100, "EUR", &[("cs-CZ", 1)], 1, Ripe, "hlavni mesto praha"),
    small("tr", 100, "USD", &[("tr-TR", 1)], 2, Ripe, "istanbul"),
    small("bg", 80, "BGN", &[("bg-BG", 1)], 2, Ripe, "sofiya-grad"),
    small("ve", 80, "VEF", &[("es-VE", 1)], -4, Lacnic, "distrito capital"),
    small("rs", 80, "RSD", &[("sr-Latn-RS", 1)], 1, Ripe, "beograd"),
    small("my", 80, "USD", &[("en-MY", 1)], 8, Apnic, "kuala lumpur"),
    small("th", 80, "USD", &[("th-TH", 1)], 7, Apnic, "krung thep mahanakhon"),
    small("ua", 60, "USD", &[("uk-UA", 1), ("ru-RU", 1)], 2, Ripe, "kyyiv misto"),
    small("eg", 60, "USD", &[("ar-EG", 1)], 2, Afrinic, "al qahirah"),
    small("ph", 60, "USD", &[("en-PH", 1)], 8, Apnic, "manila"),
    small("id", 50, "USD", &[("id-ID", 1)], 7, Apnic, "jakarta raya"),
    small("lu", 50, "EUR", &[("fr-LU", 1)], 1, Ripe, "luxembourg"),
    small("sk", 50, "EUR", &[("sk-SK", 1)], 1, Ripe, "bratislava"),
    small("si", 50, "EUR", &[("sl-SI", 1)], 1, Ripe, "ljubljana"),
    small("hr", 50, "EUR", &[("hr-HR", 1)], 1, Ripe, "grad zagreb"),
    small(UNKNOWN, 60, "USD", &[("en-US", 1)], -5, Arin, "NA"),
    tail("af", 4, Apnic, "kabol"),
    tail("ag", -4, Arin, "saint john"),
    tail("al", 1, Ripe, "tirane"),
    tail("bd", 6, Apnic, "dhaka"),
    tail("bh", 3, Ripe, "capital"),
    tail("bm", -4, Arin, "hamilton"),
    tail("bo", -4, Lacnic, "la paz"),
    tail("bs", -5, Arin, "new providence"),
    tail("by", 3, Ripe, "minsk"),
    tail("cd", 1, Afrinic, "kinshasa"),
    tail("cr", -6, Lacnic, "san jose"),
    tail("cw", -4, Lacnic, "none"),
    tail("cy", 2, Ripe, "nicosia"),
    tail("dm", -4, Arin, "saint george"),
    tail("do", -4, Lacnic, "distrito nacional"),
    tail("ec", -5, Lacnic, "pichincha"),
    tail("ee", 2, Ripe, "harjumaa"),
    tail("fo", 0, Ripe, "none"),
    tail("gg", 0, Ripe, "none"),
    tail("gi", 1, Ripe, "none"),
    tail("gu", 10, Apnic, "none"),
    tail("hn", -6, Lacnic, "francisco morazan"),
    tail("ht", -5, Lacnic, "ouest"),
    tail("is", 0, Ripe, "reykjavik"),
    tail("je", 0, Ripe, "none"),
    tail("jm", -5, Arin, "kingston"),
    tail("jo", 2, Ripe, "amman"),
    tail("ke", 3, Afrinic, "nairobi area"),
    tail("kw", 3, Ripe, "al kuwayt"),
    tail("ky", -5, Arin, "none"),
    tail("kz", 6, Ripe, "almaty city"),
    tail("lb", 2, Ripe, "beyrouth"),
    tail("lc", -4, Arin, "castries"),
    tail("li", 1, Ripe, "vaduz"),
    tail("lk", 5, Apnic, "kolamba"),
    tail("lt", 2, Ripe, "vilniaus apskritis"),
    tail("lv", 2, Ripe, "riga"),
    tail("ly", 2, Afrinic, "tarabulus"),
    tail("ma", 0, Afrinic, "casablanca"),
    tail("mc", 1, Ripe, "none"),
    tail("mk", 1, Ripe, "karpos"),
    tail("mo", 8, Apnic, "none"),
    tail("mq", -4, Ripe, "martinique"),
    tail("mw", 2, Afrinic, "blantyre"),
    tail("mz", 2, Afrinic, "maputo cidade"),
    tail("na", 1, Afrinic, "windhoek"),
    tail("ne", 1, Afrinic, "niamey"),
    tail("ng", 1, Afrinic, "lagos"),
    tail("ni", -6, Lacnic, "managua"),
    tail("np", 5, Apnic, "bagmati"),
    tail("om", 4, Ripe, "masqat"),
    tail("pa", -5, Lacnic, "panama"),
    tail("pf", -10, Apnic, "none"),
    tail("ps", 2, Ripe, "gaza"),
    tail("py", -4, Lacnic, "asuncion"),
    tail("qa", 3, Ripe, "ad dawhah"),
    tail("re", 4, Ripe, "none"),
    tail("sr", -3, Lacnic, "paramaribo"),
    tail("sv", -6, Lacnic, "san salvador"),
    tail("tt", -4, Lacnic, "port-of-spain"),
    tail("tz", 3, Afrinic, "dar es salaam"),
    tail("uy", -3, Lacnic, "montevideo"),
    tail("vi", -4, Arin, "none"),
    tail("vn", 7, Apnic, "ho chi minh"),
];

/// What the shares are out of.
#[cfg(test)]
pub(super) fn total_share() -> u32 {
    COUNTRIES.iter().map(|country| country.share).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_of_the_real_data_is_there_once() {
        let mut codes: Vec<_> = COUNTRIES.iter().map(|country| country.code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), 122);
        let seen = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/ip_country_codes_seen.txt");
        if let Ok(seen) = std::fs::read_to_string(seen) {
            let mut seen: Vec<_> = seen.lines().map(str::trim).filter(|code| !code.is_empty()).collect();
            seen.sort_unstable();
            assert_eq!(codes, seen);
        }
    }

    #[test]
    fn shares_are_out_of_a_hundred_thousand_or_nearly() {
        assert!((95_000..=105_000).contains(&total_share()), "{}", total_share());
    }
}
