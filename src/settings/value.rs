//! One value at a time: text in, a checked value or what is allowed out. Flags, the environment and `appsettings.json`
//! are all read by these, so that a value means the same wherever it stands.
//!
//! Each error completes the sentence "the value …": it never repeats the value, which may be secret.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use azure_core::credentials::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::{Host, Url};

use crate::characters::StrayCharacter;

/// What is wrong with a value, and what is allowed.
pub(super) type Checked<T> = Result<T, String>;

/// A year: longer runs and waits are mistyped.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

fn whole(text: &str, least: u64, most: u64) -> Option<u64> {
    text.parse().ok().filter(|number| (least..=most).contains(number))
}

/// A count from 1 to `most`.
fn count(text: &str, most: u64) -> Checked<NonZeroUsize> {
    whole(text, 1, most)
        .and_then(|number| NonZeroUsize::new(usize::try_from(number).ok()?))
        .ok_or_else(|| format!("must be a whole number from 1 to {most}"))
}

pub(super) fn in_flight(text: &str) -> Checked<NonZeroUsize> {
    count(text, 100_000)
}

pub(super) fn pending(text: &str) -> Checked<NonZeroUsize> {
    count(text, 10_000_000)
}

pub(super) fn connections(text: &str) -> Checked<NonZeroUsize> {
    count(text, 8)
}

/// A count of rows, at least one.
pub(crate) fn rows(text: &str) -> Checked<u64> {
    limit(text).map(NonZeroU64::get)
}

/// A count of transactions.
pub(crate) fn limit(text: &str) -> Checked<NonZeroU64> {
    text.parse().map_err(|_| "must be a whole number from 1 on".to_owned())
}

/// How many findings of a kind are listed.
pub(crate) fn findings_listed(text: &str) -> Checked<u16> {
    whole(text, 0, 10_000)
        .and_then(|count| u16::try_from(count).ok())
        .ok_or_else(|| "must be a whole number from 0 to 10000".to_owned())
}

/// Transactions per second.
pub(super) fn rate(text: &str) -> Checked<f64> {
    text.parse()
        .ok()
        .filter(|rate| (0.001..=1_000_000.0).contains(rate))
        .ok_or_else(|| "must be a number of transactions per second from 0.001 to 1000000".to_owned())
}

/// RU/s. The service takes hundreds, from 400 on:
/// <https://learn.microsoft.com/azure/cosmos-db/concepts-limits#provisioned-throughput>.
pub(super) fn throughput(text: &str) -> Checked<u32> {
    text.parse()
        .ok()
        .filter(|throughput: &u32| *throughput >= 400 && throughput.is_multiple_of(100))
        .ok_or_else(|| "must be RU/s in hundreds, from 400 on".to_owned())
}

/// A duration with its unit.
pub(super) fn duration(text: &str) -> Checked<Duration> {
    humantime::parse_duration(text)
        .ok()
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(|| "must be a duration with its unit, such as 500ms, 30s or 5m, and at most 365d".to_owned())
}

/// Seconds as a plain number, or a duration with its unit.
pub(super) fn seconds(text: &str) -> Checked<Duration> {
    plain_seconds(text)
        .or_else(|| humantime::parse_duration(text).ok())
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(|| "must be seconds from 0 to 31536000, or a duration such as 90s, 10m or 2h".to_owned())
}

fn plain_seconds(text: &str) -> Option<Duration> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok().map(Duration::from_secs)).flatten()
}

/// A time to live in whole seconds. The service holds it as a positive 32-bit number:
/// <https://learn.microsoft.com/azure/cosmos-db/time-to-live>.
pub(super) fn time_to_live(text: &str) -> Checked<u32> {
    plain_seconds(text)
        .or_else(|| humantime::parse_duration(text).ok())
        .filter(|duration| duration.subsec_nanos() == 0)
        .and_then(|duration| u32::try_from(duration.as_secs()).ok())
        .filter(|seconds| (1..=i32::MAX.unsigned_abs()).contains(seconds))
        .ok_or_else(|| "must be whole seconds from 1 to 2147483647, or a duration such as 12h or 60d".to_owned())
}

pub(super) fn boolean(text: &str) -> Checked<bool> {
    if text.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if text.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err("must be true or false".to_owned())
    }
}

/// The name of a database or a container; the rules are those of the `id` in
/// <https://learn.microsoft.com/rest/api/cosmos-db/create-a-database>. A name of dots alone is a path in an address, where
/// what cannot be seen is lost, too.
pub(super) fn resource_name(text: &str) -> Checked<String> {
    if let Some(odd) = StrayCharacter::invisible(text) {
        return Err(odd.to_string());
    }
    if matches!(text, "." | "..") {
        return Err("is a path in an address, and no name that Cosmos DB can be asked for".to_owned());
    }
    let quotes = ['"', '\'', '\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}'];
    if text.starts_with(quotes) && text.ends_with(quotes) {
        return Err("is in quotation marks, which are no part of a name; leave them out".to_owned());
    }
    let length = text.chars().count();
    if (1..=255).contains(&length) && !text.ends_with(' ') && !text.contains(['/', '\\', '#', '?']) {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 255 characters without `/`, `\\`, `#` and `?`, and not end with a space".to_owned())
    }
}

/// A region as Azure calls it: `West Europe`, or `westeurope`.
pub(crate) fn region(text: &str) -> Checked<String> {
    let name = text.trim();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == ' ' || c == '(' || c == ')';
    if !name.is_empty() && name.len() <= 60 && name.chars().all(fits) {
        Ok(name.to_owned())
    } else {
        Err("must be names of regions with commas between them, as in `West Europe,North Europe`".to_owned())
    }
}

/// The address of a Cosmos DB account. Plain http passes for the hosts for which Azure's client takes it.
pub(super) fn cosmos_endpoint(text: &str) -> Checked<Url> {
    const EXAMPLE: &str = "https://ACCOUNT.documents.azure.com:443/";
    let lower = text.to_ascii_lowercase();
    if lower.contains("accountendpoint=") || lower.contains("accountkey=") {
        return Err("is a whole connection string: put its AccountEndpoint here and its AccountKey into \
                    COSMOS_DB_AUTH_KEY"
            .to_owned());
    }
    if let Some(api) = other_api(&lower) {
        return Err(format!(
            "is the address of an account's API for {api}; txgen writes to an account for NoSQL, such as {EXAMPLE}"
        ));
    }
    if lower.contains("portal.azure.com") || lower.contains("portal.azure.cn") || lower.contains("portal.azure.us") {
        return Err(format!(
            "is a page of the Azure portal; expected is the account's URI from its overview, such as {EXAMPLE}"
        ));
    }
    if lower.contains(".servicebus.") {
        return Err(format!("is the address of a namespace of Event Hubs; expected is {EXAMPLE}"));
    }
    if lower.starts_with("endpoint=") {
        return Err(format!("is a connection string of Event Hubs; expected is {EXAMPLE}"));
    }
    if !lower.starts_with("https://") && !lower.starts_with("http://") {
        return Err(format!("must begin with https://, as in {EXAMPLE}"));
    }
    let mut url = Url::parse(text).map_err(|_| match lower.matches(':').count() {
        4.. if !lower.contains('[') => {
            "has an IPv6 address without its brackets; write https://[ADDRESS]:PORT/".to_owned()
        }
        _ => format!("must be an address such as {EXAMPLE}"),
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user name in it, which Cosmos DB does not take; leave it out, and write the key into \
                    COSMOS_DB_AUTH_KEY"
            .to_owned());
    }
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !bare || url.port() == Some(0) {
        return Err(format!("must be the account's address alone, as in {EXAMPLE}"));
    }
    // The dot that ends an absolute name is part of no certificate.
    if let Some(host) = url.host_str().and_then(|host| host.strip_suffix('.')).map(str::to_owned) {
        url.set_host(Some(&host)).map_err(|_| format!("must be an address such as {EXAMPLE}"))?;
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err("must be https; plain http is for emulators on localhost, 127.0.0.1 and [::1]".to_owned());
    }
    Ok(url)
}

/// The API of Cosmos DB that an address belongs to, if not that for NoSQL:
/// <https://learn.microsoft.com/azure/cosmos-db/how-to-configure-private-endpoints> lists their names.
fn other_api(address: &str) -> Option<&'static str> {
    const APIS: [(&str, &str); 8] = [
        ("mongodb://", "MongoDB"),
        ("mongodb+srv://", "MongoDB"),
        (".mongo.cosmos.", "MongoDB"),
        (".mongocluster.cosmos.", "MongoDB"),
        (".cassandra.cosmos.", "Cassandra"),
        (".gremlin.cosmos.", "Gremlin"),
        (".table.cosmos.", "Table"),
        (".postgres.cosmos.", "PostgreSQL"),
    ];
    APIS.iter().find(|(part, _)| address.contains(part)).map(|(_, api)| *api)
}

/// Whether an account's address is one that Azure's client takes for an emulator.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(address)) => address == std::net::Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(address)) => address == std::net::Ipv6Addr::LOCALHOST,
        None => false,
    }
}

/// Whether the key of a policy seems to be one that Azure made, base64 of 32 bytes, with an end missing.
pub(super) fn is_part_of_key(key: &str) -> bool {
    let is_base64 = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    is_base64 && (36..=43).contains(&key.len())
}

/// An account key: base64, whatever its length, for emulators choose their own.
pub(super) fn auth_key(text: &str) -> Checked<Secret> {
    let lower = text.to_ascii_lowercase();
    if lower.contains("accountkey=") || lower.contains("accountendpoint=") {
        Err("is a whole connection string: put its AccountKey here and its AccountEndpoint into COSMOS_DB_ENDPOINT"
            .to_owned())
    } else if lower.contains("sharedaccesskey") {
        Err("belongs to Event Hubs; expected is the key of the Cosmos DB account".to_owned())
    } else if lower.contains("%3d") || lower.contains("%2b") || lower.contains("%2f") {
        Err("is percent-encoded; write = for %3D, + for %2B and / for %2F".to_owned())
    } else if lower.contains("\\u00") {
        Err("has the escapes of JSON in it; write = for \\u003d, + for \\u002b and / for \\u002f".to_owned())
    } else if STANDARD.decode(text).is_ok_and(|key| !key.is_empty()) {
        Ok(Secret::new(text.to_owned()))
    } else {
        Err("is not an account key: that is base64, mostly 88 characters that end with ==; copy PRIMARY KEY again, \
             whole"
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_plain_or_with_a_unit() {
        assert_eq!(seconds("600"), Ok(Duration::from_secs(600)));
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        assert_eq!(seconds("10m"), Ok(Duration::from_secs(600)));
        for wrong in ["-1", "ten", "1.5", "", "366d", "99999999999999999999"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m 30s"), Ok(Duration::from_secs(150)));
        assert!(duration("30").is_err());
    }

    #[test]
    fn a_time_to_live_is_whole_seconds_that_the_service_can_hold() {
        assert_eq!(time_to_live("60d"), Ok(5_184_000));
        assert_eq!(time_to_live("5184000"), Ok(5_184_000));
        assert_eq!(time_to_live("2147483647"), Ok(2_147_483_647));
        for wrong in ["0", "500ms", "2147483648", "-1"] {
            assert!(time_to_live(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn zero_is_no_count_no_rate_and_no_throughput() {
        assert!(in_flight("0").is_err() && pending("0").is_err() && connections("0").is_err() && limit("0").is_err());
        assert!(rate("0").is_err() && rate("nan").is_err() && rate("inf").is_err() && rate("-5").is_err());
        assert!(throughput("0").is_err() && throughput("300").is_err() && throughput("450").is_err());
        assert_eq!((rate("0.5"), throughput("700"), limit("1")), (Ok(0.5), Ok(700), Ok(NonZeroU64::MIN)));
    }

    #[test]
    fn plain_http_is_for_loopback_alone() {
        for fine in
            ["https://a.documents.azure.com:443/", "http://localhost:8081", "http://127.0.0.1:8081/", "http://[::1]:1/"]
        {
            assert!(cosmos_endpoint(fine).is_ok(), "{fine}");
        }
        assert_eq!(
            cosmos_endpoint("http://a.documents.azure.com/"),
            Err("must be https; plain http is for emulators on localhost, 127.0.0.1 and [::1]".to_owned())
        );
    }

    #[test]
    fn an_endpoint_is_the_accounts_address_alone() {
        let example = "https://ACCOUNT.documents.azure.com:443/";
        for (text, problem) in [
            ("a.documents.azure.com", format!("must begin with https://, as in {example}")),
            ("https://a.documents.azure.com/dbs/d", format!("must be the account's address alone, as in {example}")),
            (
                "https://user:key@a/",
                "has a user name in it, which Cosmos DB does not take; leave it out, and write the key into \
                 COSMOS_DB_AUTH_KEY"
                    .to_owned(),
            ),
            ("http://::1:8081/", "has an IPv6 address without its brackets; write https://[ADDRESS]:PORT/".to_owned()),
            ("https://", format!("must be an address such as {example}")),
            ("Endpoint=sb://ns/", format!("is a connection string of Event Hubs; expected is {example}")),
            (
                "AccountEndpoint=https://a/;AccountKey=c2VjcmV0;",
                "is a whole connection string: put its AccountEndpoint here and its AccountKey into COSMOS_DB_AUTH_KEY"
                    .to_owned(),
            ),
        ] {
            assert_eq!(cosmos_endpoint(text), Err(problem), "{text}");
        }
    }

    #[test]
    fn an_endpoint_is_read_as_people_write_it() {
        for (text, url) in [
            ("HTTPS://Account.Documents.Azure.com:443/", "https://account.documents.azure.com/"),
            ("https://account.documents.azure.com.:443/", "https://account.documents.azure.com/"),
            ("https://account.documents.azure.cn", "https://account.documents.azure.cn/"),
            ("https://account.documents.azure.us:443", "https://account.documents.azure.us/"),
            ("http://localhost.:8081", "http://localhost:8081/"),
            ("http://[0:0:0:0:0:0:0:1]:8081", "http://[::1]:8081/"),
        ] {
            assert_eq!(cosmos_endpoint(text).map(|url| url.to_string()), Ok(url.to_owned()), "{text}");
        }
    }

    #[test]
    fn an_account_key_is_base64() {
        assert!(auth_key("c2VjcmV0").is_ok());
        for wrong in ["c2VjcmV", "https://a/", "AccountKey=c2VjcmV0", "SharedAccessKey=c2VjcmV0"] {
            let problem = auth_key(wrong).map(|_| ()).unwrap_err();
            assert!(!problem.contains("c2VjcmV"), "{problem}");
        }
    }

    #[test]
    fn names_that_the_service_refuses_are_refused_here() {
        assert!(resource_name("Woodgrove").is_ok());
        for wrong in [
            "",
            "a/b",
            "a?",
            "a ",
            ".",
            "..",
            "a\tb",
            "a\nb",
            "a\u{200b}",
            "\"a\"",
            "\u{201c}a\u{201d}",
            &"x".repeat(256),
        ] {
            assert!(resource_name(wrong).is_err(), "{wrong}");
        }
    }
}
