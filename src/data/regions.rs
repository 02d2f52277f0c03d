//! Where people live and where their internet addresses seem to be: public facts, and rough shares of buyers.

/// How a country, or a part of one, writes its postcodes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Postcode {
    /// None, or none that anyone gives.
    None,
    /// A number between two, without leading zeros: that is how spreadsheets leave them.
    Range(u32, u32),
    /// A text in which 9 is any digit, 1 any but zero, and A any letter.
    Pattern(&'static str),
}

/// A part of a country.
#[derive(Clone, Copy, Debug)]
pub(super) struct Region {
    /// As a lookup of an internet address gives it.
    pub(super) name: &'static str,
    /// The postcodes that such a lookup gives; where there are none, any of the region's own.
    pub(super) hubs: &'static [&'static str],
    /// As buyers give it; empty where they give none.
    pub(super) state: &'static str,
    /// Buyers, in relation to the other regions.
    pub(super) weight: u32,
    pub(super) postcode: Postcode,
    /// What is added to a price for tax, in thousandths of a percent; 0 where prices include it.
    pub(super) tax: u64,
    /// The offset of its local time from UTC in hours, where it is not the country's.
    pub(super) utc: Option<i64>,
}

const fn region(
    name: &'static str,
    hubs: &'static [&'static str],
    state: &'static str,
    weight: u32,
    postcode: Postcode,
) -> Region {
    Region { name, hubs, state, weight, postcode, tax: 0, utc: None }
}

const fn state(name: &'static str, state: &'static str, weight: u32, zip: (u32, u32), tax: u64, utc: i64) -> Region {
    Region { tax, utc: Some(utc), ..region(name, &[], state, weight, Postcode::Range(zip.0, zip.1)) }
}

/// Sales taxes are what was charged on downloads in 2013, the state's and typical local ones together.
pub(super) const US: &[Region] = &[
    state("california", "CA", 124, (90001, 96162), 0, -8),
    state("texas", "TX", 84, (75001, 79999), 8250, -6),
    state("florida", "FL", 62, (32003, 34997), 6000, -5),
    state("washington", "WA", 44, (98001, 99403), 9500, -8),
    state("new york", "NY", 44, (10001, 14925), 8875, -5),
    state("pennsylvania", "PA", 40, (15001, 19640), 6000, -5),
    state("illinois", "IL", 34, (60001, 62999), 6250, -6),
    state("colorado", "CO", 28, (80001, 81658), 4000, -7),
    state("north carolina", "NC", 28, (27006, 28909), 6750, -5),
    state("ohio", "OH", 28, (43001, 45999), 6750, -5),
    state("oregon", "OR", 24, (97001, 97920), 0, -8),
    state("michigan", "MI", 24, (48001, 49971), 6000, -5),
    state("new jersey", "NJ", 24, (7001, 8989), 7000, -5),
    state("minnesota", "MN", 24, (55001, 56763), 7275, -6),
    state("massachusetts", "MA", 24, (1001, 2791), 6250, -5),
    state("maryland", "MD", 24, (20601, 21930), 6000, -5),
    state("indiana", "IN", 24, (46001, 47997), 7000, -5),
    state("georgia", "GA", 24, (30002, 39901), 7000, -5),
    state("virginia", "VA", 22, (20101, 24658), 5000, -5),
    state("arizona", "AZ", 18, (85001, 86556), 8300, -7),
    state("tennessee", "TN", 16, (37010, 38589), 7000, -6),
    state("oklahoma", "OK", 12, (73001, 74966), 8375, -6),
    state("south carolina", "SC", 14, (29001, 29945), 7000, -5),
    state("wisconsin", "WI", 14, (53001, 54990), 5500, -6),
    state("missouri", "MO", 14, (63001, 65899), 7725, -6),
    state("louisiana", "LA", 10, (70001, 71497), 9000, -6),
    state("kentucky", "KY", 10, (40003, 42788), 6000, -5),
    state("utah", "UT", 12, (84001, 84791), 6850, -7),
    state("alabama", "AL", 10, (35004, 36925), 9000, -6),
    state("nevada", "NV", 10, (88901, 89883), 8100, -8),
    state("kansas", "KS", 10, (66002, 67954), 7650, -6),
    state("connecticut", "CT", 10, (6001, 6928), 6350, -5),
    state("iowa", "IA", 8, (50001, 52809), 7000, -6),
    state("new hampshire", "NH", 8, (3031, 3897), 0, -5),
    state("idaho", "ID", 8, (83201, 83877), 6000, -7),
    state("arkansas", "AR", 6, (71601, 72959), 8500, -6),
    state("nebraska", "NE", 6, (68001, 69367), 7000, -6),
    state("new mexico", "NM", 5, (87001, 88439), 7000, -7),
    state("west virginia", "WV", 5, (24701, 26886), 6000, -5),
    state("mississippi", "MS", 4, (38601, 39776), 7000, -6),
    state("district of columbia", "DC", 6, (20001, 20599), 6000, -5),
    state("delaware", "DE", 5, (19701, 19980), 0, -5),
    state("rhode island", "RI", 4, (2801, 2940), 7000, -5),
    state("maine", "ME", 4, (3901, 4992), 5000, -5),
    state("montana", "MT", 4, (59001, 59937), 0, -7),
    state("hawaii", "HI", 4, (96701, 96898), 4500, -10),
    state("vermont", "VT", 3, (5001, 5907), 6000, -5),
    state("alaska", "AK", 3, (99501, 99950), 0, -9),
    state("wyoming", "WY", 2, (82001, 83128), 5000, -7),
    state("north dakota", "ND", 2, (58001, 58856), 6000, -6),
    state("south dakota", "SD", 2, (57001, 57799), 6000, -6),
];

const fn province(
    name: &'static str,
    hubs: &'static [&'static str],
    state: &'static str,
    weight: u32,
    postcode: &'static str,
    tax: u64,
    utc: i64,
) -> Region {
    Region { tax, utc: Some(utc), ..region(name, hubs, state, weight, Postcode::Pattern(postcode)) }
}

pub(super) const CANADA: &[Region] = &[
    province("ontario", &["k1a 0a1", "m5h 2n2", "l5b 3c1", "0"], "ON", 42, "M9A 9A9", 13_000, -5),
    province("quebec", &["h2y 2j7", "h2y 2j7", "g1r 4p5"], "QC", 22, "H9A 9A9", 14_975, -5),
    province("british columbia", &["v5k 1a1", "v6b 1a1"], "BC", 15, "V9A 9A9", 12_000, -8),
    province("alberta", &["t2p 2m5", "t5j 0n3"], "AB", 11, "T9A 9A9", 5_000, -7),
    province("manitoba", &["r3c 0v8"], "MB", 4, "R9A 9A9", 12_000, -6),
    province("saskatchewan", &["s4p 3y2"], "SK", 3, "S9A 9A9", 10_000, -6),
    province("nova scotia", &["b3h 4r2"], "NS", 2, "B9A 9A9", 15_000, -4),
    province("new brunswick", &["e3b 5a3"], "NB", 2, "E9A 9A9", 13_000, -4),
    province("newfoundland and labrador", &["a1b 3x9"], "NF", 1, "A9A 9A9", 13_000, -4),
];

pub(super) const AUSTRALIA: &[Region] = &[
    region("new south wales", &["1005", "1005", "2000"], "New South Wales", 34, Postcode::Range(2000, 2999)),
    region("victoria", &["3000"], "Victoria", 24, Postcode::Range(3000, 3999)),
    region("queensland", &["4000"], "Queensland", 20, Postcode::Range(4000, 4999)),
    Region {
        utc: Some(8),
        ..region("western australia", &["6000"], "Western Australia", 16, Postcode::Range(6000, 6797))
    },
    region("south australia", &["5000"], "South Australia", 6, Postcode::Range(5000, 5799)),
    region("tasmania", &["7000"], "Tasmania", 2, Postcode::Range(7000, 7470)),
    region("australian capital territory", &["2600"], "Australian Capital Territory", 2, Postcode::Range(2600, 2620)),
    region("northern territory", &["0"], "Northern Territory", 1, Postcode::Range(800, 886)),
];

pub(super) const BRITAIN: &[Region] = &[
    region("greater london", &["tw8", "ig1", "ec3v", "e1", "w1a"], "", 38, Postcode::Pattern("AA1 9AA")),
    region("manchester", &["m1"], "", 8, Postcode::Pattern("M19 9AA")),
    region("sheffield", &["s1"], "", 7, Postcode::Pattern("S1 9AA")),
    region("birmingham", &["b1"], "", 7, Postcode::Pattern("B19 9AA")),
    region("leeds", &["ls1"], "", 5, Postcode::Pattern("LS1 9AA")),
    region("kent", &["me1"], "", 5, Postcode::Pattern("ME1 9AA")),
    region("hampshire", &["so14"], "", 5, Postcode::Pattern("SO1 9AA")),
    region("glasgow city", &["g1"], "", 5, Postcode::Pattern("G1 9AA")),
    region("cardiff", &["cf10"], "", 4, Postcode::Pattern("CF1 9AA")),
    region("bristol", &["bs1"], "", 4, Postcode::Pattern("BS1 9AA")),
];

const FIVE_DIGITS: Postcode = Postcode::Pattern("19999");
const FOUR_DIGITS: Postcode = Postcode::Pattern("1999");

pub(super) const FRANCE: &[Region] = &[
    region("paris", &["75001", "75001", "75015"], "", 22, Postcode::Range(75001, 75020)),
    region("hauts-de-seine", &["92100", "92600"], "", 10, Postcode::Range(92000, 92800)),
    region("rhone", &["69001"], "", 8, Postcode::Range(69001, 69960)),
    region("bas-rhin", &["67000"], "", 6, Postcode::Range(67000, 67980)),
    region("ille-et-vilaine", &["35000"], "", 6, Postcode::Range(35000, 35960)),
    region("nord", &["59000"], "", 8, Postcode::Range(59000, 59990)),
    region("gironde", &["33000"], "", 6, Postcode::Range(33000, 33990)),
    region("bouches-du-rhone", &["13001"], "", 8, Postcode::Range(13001, 13960)),
    region("haute-garonne", &["31000"], "", 6, Postcode::Range(31000, 31860)),
];

pub(super) const GERMANY: &[Region] = &[
    region("hamburg", &["20001"], "", 12, Postcode::Range(20001, 22769)),
    region("bayern", &["80331", "90402"], "", 18, Postcode::Range(80331, 97909)),
    region("hessen", &["60001"], "", 10, Postcode::Range(60001, 65936)),
    region("nordrhein-westfalen", &["40210", "50667"], "", 22, Postcode::Range(40210, 59969)),
    region("berlin", &["13178", "10115"], "", 10, Postcode::Range(10115, 14199)),
    region("baden-wurttemberg", &["70173"], "", 14, Postcode::Range(68001, 79879)),
    region("rheinland-pfalz", &["56001"], "", 6, Postcode::Range(54290, 56869)),
    region("sachsen", &["4103"], "", 6, Postcode::Range(1067, 9669)),
];

pub(super) const BRAZIL: &[Region] = &[
    region("sao paulo", &["01000-000", "01001-000"], "SP", 34, Postcode::Pattern("01999-999")),
    region("rio de janeiro", &["20010-000"], "RJ", 14, Postcode::Pattern("22999-999")),
    region("rio grande do sul", &["93010-001"], "RS", 12, Postcode::Pattern("93999-999")),
    region("bahia", &["40010-000"], "BA", 8, Postcode::Pattern("41999-999")),
    region("minas gerais", &["30100-000"], "MG", 10, Postcode::Pattern("30999-999")),
    region("santa catarina", &["88010-000"], "SC", 7, Postcode::Pattern("88999-999")),
    region("parana", &["80010-000"], "PR", 7, Postcode::Pattern("80999-999")),
    region("espirito santo", &["29010-001"], "ES", 4, Postcode::Pattern("29999-999")),
    region("distrito federal", &["70000-000"], "DF", 4, Postcode::Pattern("70999-999")),
];

pub(super) const SWEDEN: &[Region] = &[
    region("stockholms lan", &["11858", "11858", "18300"], "", 10, FIVE_DIGITS),
    region("vastra gotalands lan", &["40010"], "", 5, Postcode::Pattern("199 99")),
    region("skane lan", &["20010"], "", 4, FIVE_DIGITS),
    region("varmlands lan", &["65001"], "", 2, FIVE_DIGITS),
    region("blekinge lan", &["37100"], "", 2, FIVE_DIGITS),
];

pub(super) const ITALY: &[Region] = &[
    region("milano", &["20100"], "Milano", 10, Postcode::Range(20010, 20162)),
    region("roma", &["119"], "Roma", 6, Postcode::Range(118, 199)),
    region("torino", &["10100"], "Torino", 4, Postcode::Range(10121, 10156)),
    region("bergamo", &["24100"], "Bergamo", 3, Postcode::Range(24121, 24129)),
    region("napoli", &["80100"], "Napoli", 4, Postcode::Range(80121, 80147)),
    region("firenze", &["50100"], "Firenze", 3, Postcode::Range(50121, 50145)),
    region("modena", &["41100"], "Modena", 2, Postcode::Range(41121, 41126)),
];

pub(super) const DENMARK: &[Region] = &[
    region("hovedstaden", &["1787", "2750"], "", 8, Postcode::Range(1050, 3700)),
    region("midtjylland", &["8000"], "", 5, Postcode::Range(7400, 8990)),
    region("sjaelland", &["4640", "4534"], "", 4, Postcode::Range(4000, 4990)),
    region("syddanmark", &["5000"], "", 3, Postcode::Range(5000, 6990)),
];

/// The states came out of the files as question marks, one for each character that was lost.
const LOST: &str = "???";

pub(super) const JAPAN: &[Region] = &[
    region("tokyo", &["100", "100-0000"], LOST, 12, Postcode::Pattern("119-9999")),
    region("osaka", &["530"], LOST, 5, Postcode::Pattern("530-9999")),
    region("kanagawa", &["231"], LOST, 5, Postcode::Pattern("231-9999")),
    region("aichi", &["450"], LOST, 3, Postcode::Pattern("450-9999")),
    region("hokkaido", &["060-0000"], LOST, 2, Postcode::Pattern("001-9999")),
    region("fukuoka", &["810"], LOST, 2, Postcode::Pattern("810-9999")),
];

const SIX_DIGITS: Postcode = Postcode::Pattern("199999");

pub(super) const RUSSIA: &[Region] = &[
    region("moskva", &["100000", "109147"], "", 10, Postcode::Range(101_000, 129_999)),
    region("sankt-peterburg", &["195269"], "", 5, Postcode::Range(190_000, 199_406)),
    Region {
        utc: Some(6),
        ..region("omskaya oblast'", &["644000"], "?????????? ???.", 3, Postcode::Range(644_000, 644_999))
    },
    region("yaroslavskaya oblast'", &["152100"], "", 2, Postcode::Range(150_000, 152_999)),
    Region { utc: Some(5), ..region("sverdlovskaya oblast'", &["620000"], "", 3, Postcode::Range(620_000, 624_999)) },
];

pub(super) const SWITZERLAND: &[Region] = &[
    region("zurich", &["8043"], "", 10, Postcode::Range(8001, 8957)),
    region("vaud", &["1000"], "", 4, Postcode::Range(1000, 1897)),
    region("bern", &["3000"], "", 3, Postcode::Range(3001, 3900)),
];

pub(super) const NORWAY: &[Region] = &[
    region("oslo", &["1006"], "", 10, Postcode::Range(150, 1295)),
    region("hordaland", &["5003"], "", 4, Postcode::Range(5003, 5998)),
    region("sor-trondelag", &["7010"], "", 3, Postcode::Range(7010, 7398)),
    region("troms", &["9020"], "", 1, Postcode::Range(9008, 9498)),
];

/// Nobody knows the postcode, so forms hold none or a zero.
pub(super) const IRELAND: &[Region] = &[
    region("dublin", &["0"], "", 8, Postcode::Pattern("0")),
    region("cork", &["0"], "", 2, Postcode::None),
    region("waterford", &["0"], "", 1, Postcode::None),
];

pub(super) const NEW_ZEALAND: &[Region] = &[
    region("auckland", &["1001"], "", 8, Postcode::Range(600, 1072)),
    region("wellington", &["6001"], "", 3, Postcode::Range(6011, 6037)),
    region("canterbury", &["8001"], "", 2, Postcode::Range(8011, 8083)),
    region("waikato", &["2001"], "", 2, Postcode::Range(3200, 3296)),
];

pub(super) const ARGENTINA: &[Region] = &[
    region("distrito federal", &["1000"], "Buenos Aires", 10, Postcode::Range(1000, 1499)),
    region("buenos aires", &["1663", "1605"], "Buenos Aires", 6, Postcode::Range(1600, 1999)),
    region("santa fe", &["2300", "0"], "Santa Fe", 3, Postcode::Range(2000, 3599)),
    region("unknown", &["0"], "Mendoza", 1, Postcode::Range(5500, 5699)),
];

pub(super) const FINLAND: &[Region] = &[
    region("uusimaa", &["0", "1200"], "", 10, Postcode::Range(100, 10_999)),
    region("pirkanmaa", &["33100"], "", 4, Postcode::Range(33_100, 39_999)),
    region("keski-suomi", &["40100"], "", 2, Postcode::Range(40_100, 44_999)),
];

pub(super) const NETHERLANDS: &[Region] = &[
    region("zuid-holland", &["3000", "3000", "2550"], "", 10, Postcode::Pattern("2599 AA")),
    region("noord-holland", &["1000"], "", 8, Postcode::Pattern("1099 AA")),
    region("utrecht", &["3500"], "", 3, Postcode::Pattern("3599 AA")),
];

pub(super) const SOUTH_AFRICA: &[Region] = &[
    region("gauteng", &["2000", "2125", "0"], "", 10, Postcode::Range(1, 2199)),
    region("western cape", &["8001"], "", 5, Postcode::Range(7100, 8099)),
    region("kwazulu-natal", &["4000"], "", 4, Postcode::Range(3200, 4730)),
];

pub(super) const SPAIN: &[Region] = &[
    region("madrid", &["28001"], "Madrid", 12, Postcode::Range(28001, 28991)),
    region("barcelona", &["8001"], "Barcelona", 8, Postcode::Range(8001, 8980)),
    region("valencia", &["46001"], "Valencia", 3, Postcode::Range(46001, 46980)),
];

pub(super) const BELGIUM: &[Region] = &[
    region("brussels", &["1006"], "", 10, Postcode::Range(1000, 1210)),
    region("antwerpen", &["2000"], "", 4, Postcode::Range(2000, 2990)),
    region("hainaut", &["7000"], "", 2, Postcode::Range(6000, 7973)),
];

pub(super) const KOREA: &[Region] = &[
    region("seoul teukbyeolsi", &["0"], "??", 8, Postcode::Pattern("139-199")),
    region("gyeonggi-do", &["461"], "??? ???", 6, Postcode::Pattern("449-199")),
    region("busan gwangyeoksi", &["0"], "Busan", 2, Postcode::Pattern("609-199")),
];

pub(super) const SINGAPORE: &[Region] = &[region("none", &["0"], "", 1, SIX_DIGITS)];
pub(super) const HONG_KONG: &[Region] = &[region("none", &["0"], "", 1, Postcode::None)];

pub(super) const MEXICO: &[Region] = &[
    region("distrito federal", &["1000"], "Distrito Federal", 8, Postcode::Range(1000, 16_999)),
    region("nuevo leon", &["64000"], "Nuevo León", 5, Postcode::Range(64_000, 67_999)),
    region("jalisco", &["0", "44100"], "Jalisco", 4, Postcode::Range(44_100, 49_999)),
    region("quintana roo", &["77000"], "Quintana Roo", 2, Postcode::Range(77_000, 77_999)),
];

pub(super) const AUSTRIA: &[Region] = &[
    region("wien", &["1000"], "", 8, Postcode::Pattern("1199")),
    region("tirol", &["6010"], "", 3, Postcode::Range(6010, 6691)),
    region("steiermark", &["8010"], "", 3, FOUR_DIGITS),
];

pub(super) const POLAND: &[Region] = &[
    region("mazowieckie", &["00-956"], "", 8, Postcode::Pattern("04-999")),
    region("malopolskie", &["30-001"], "Malopolskie", 3, Postcode::Pattern("31-999")),
    region("podlaskie", &["15-001"], "Podlaskie", 2, Postcode::Pattern("15-999")),
];

pub(super) const INDIA: &[Region] = &[
    region("maharashtra", &["411001", "400000"], "Maharashtra", 8, Postcode::Range(400_001, 445_402)),
    region("delhi", &["0"], "National Capital Territory of Delhi", 5, Postcode::Range(110_001, 110_096)),
    region("karnataka", &["560001"], "Karnataka", 4, Postcode::Range(560_001, 591_346)),
    region("tamil nadu", &["600001"], "Tamil Nadu", 3, Postcode::Range(600_001, 643_253)),
];

pub(super) const CHINA: &[Region] = &[
    region("guangdong", &["0"], "GD", 5, Postcode::Range(510_000, 529_999)),
    region("shanghai shi", &["200000"], "SH", 5, Postcode::Range(200_000, 202_180)),
    region("beijing shi", &["100000"], "BJ", 4, Postcode::Range(100_000, 102_629)),
];
