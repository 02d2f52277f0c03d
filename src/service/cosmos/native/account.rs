//! The account's own description: its regions, and which of them to write to and to read from.
//!
//! <https://learn.microsoft.com/azure/cosmos-db/nosql/troubleshoot-sdk-availability>

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _};
use url::Url;

/// What of the account's document counts here.
#[derive(Clone, Debug, serde::Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(super) struct Account {
    /// In the account's own order: of an account with one region for writes, that one.
    writable_locations: Vec<Location>,
    #[serde(default)]
    readable_locations: Vec<Location>,
    /// Whether every region takes writes.
    #[serde(default)]
    pub(super) enable_multiple_write_locations: bool,
    user_consistency_policy: Option<ConsistencyPolicy>,
}

#[derive(Clone, Debug, serde::Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
struct ConsistencyPolicy {
    default_consistency_level: String,
}

/// A region of the account.
#[derive(Clone, Debug, serde::Deserialize, PartialEq, Eq)]
pub(super) struct Location {
    /// Such as `West Europe`.
    pub(super) name: String,
    #[serde(rename = "databaseAccountEndpoint", deserialize_with = "url")]
    pub(super) endpoint: Url,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.endpoint)
    }
}

fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

impl Account {
    pub(super) fn parse(document: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(document).ok().filter(|account| !account.writable_locations.is_empty())
    }

    /// The region to write to: the first of `preferred` that takes writes, or else the first that does, and of all those
    /// one that is not among `avoided` if there is one.
    pub(super) fn write_location(&self, preferred: &[String], avoided: &[Url]) -> Option<&Location> {
        let wanted = preferred
            .iter()
            .filter_map(|name| self.writable_locations.iter().find(|location| is_same_region(&location.name, name)));
        let mut ranked = wanted.chain(&self.writable_locations);
        let is_good = |location: &&Location| !avoided.iter().any(|url| is_same_service(url, &location.endpoint));
        ranked.clone().find(is_good).or_else(|| ranked.next())
    }

    /// The first of `preferred` that can be read from.
    pub(super) fn read_location(&self, preferred: &[String]) -> Option<&Location> {
        let location =
            |name: &String| self.readable_locations.iter().find(|location| is_same_region(&location.name, name));
        preferred.iter().find_map(location)
    }

    /// Whether one of these regions takes writes.
    pub(super) fn writes_in(&self, regions: &[String]) -> bool {
        regions.iter().any(|name| self.writable_locations.iter().any(|location| is_same_region(&location.name, name)))
    }

    /// Whether a read shows what is written under the session token that it comes with.
    pub(super) fn has_session_consistency(&self) -> bool {
        self.user_consistency_policy.as_ref().is_some_and(|policy| policy.default_consistency_level == "Session")
    }

    /// Whether there is more than one region, be it for reading.
    pub(super) fn has_several_regions(&self) -> bool {
        self.writable_locations.len() > 1 || self.readable_locations.len() > 1
    }

    /// Where else the account can be asked for its description.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Url> {
        self.writable_locations.iter().chain(&self.readable_locations).map(|location| &location.endpoint)
    }
}

/// `West Europe` is `westeurope`.
fn is_same_region(one: &str, other: &str) -> bool {
    let letters =
        |name: &str| name.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect::<String>();
    letters(one) == letters(other)
}

/// Whether both lead to the same place: `https://a.example/` is `https://a.example:443/`.
pub(super) fn is_same_service(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn endpoint(region: &str) -> Url {
        format!("https://woodgrove-{region}.documents.azure.com:443/").parse().unwrap()
    }

    fn account(regions: &[(&str, &str)]) -> Account {
        let locations: Vec<_> = regions
            .iter()
            .map(|(name, host)| json!({ "name": name, "databaseAccountEndpoint": endpoint(host).as_str() }))
            .collect();
        let several = regions.len() > 1;
        let document =
            json!({ "id": "woodgrove", "writableLocations": locations, "enableMultipleWriteLocations": several });
        Account::parse(document.to_string().as_bytes()).unwrap()
    }

    fn chosen<'a>(account: &'a Account, preferred: &[&str], avoided: &[&str]) -> &'a str {
        let preferred: Vec<String> = preferred.iter().map(ToString::to_string).collect();
        let avoided: Vec<Url> = avoided.iter().map(|region| endpoint(region)).collect();
        &account.write_location(&preferred, &avoided).unwrap().name
    }

    #[test]
    fn writes_go_to_the_first_preferred_region_that_takes_them() {
        let account = account(&[("East US", "eastus"), ("West Europe", "westeurope"), ("Japan East", "japaneast")]);
        assert_eq!(chosen(&account, &[], &[]), "East US");
        assert_eq!(chosen(&account, &["westeurope", "Japan East"], &[]), "West Europe");
        assert_eq!(chosen(&account, &["Mars North", "japan east"], &[]), "Japan East");
        assert_eq!(chosen(&account, &["Mars North"], &[]), "East US");
    }

    #[test]
    fn documents_are_read_from_the_first_preferred_region_that_can_be_read() {
        let location =
            |name: &str, host: &str| json!({ "name": name, "databaseAccountEndpoint": endpoint(host).as_str() });
        let document = json!({
            "writableLocations": [location("East US", "eastus")],
            "readableLocations": [location("East US", "eastus"), location("West Europe", "westeurope")],
        });
        let account = Account::parse(document.to_string().as_bytes()).unwrap();
        let chosen = |preferred: &[&str]| {
            let preferred: Vec<String> = preferred.iter().map(ToString::to_string).collect();
            account.read_location(&preferred).map(|location| location.name.clone())
        };
        assert_eq!(chosen(&["Mars North", "westeurope", "East US"]).as_deref(), Some("West Europe"));
        assert_eq!((chosen(&[]), chosen(&["Mars North"])), (None, None));
    }

    #[test]
    fn a_region_that_refuses_writes_is_passed_over_while_there_is_another() {
        let several = account(&[("East US", "eastus"), ("West Europe", "westeurope")]);
        assert_eq!(chosen(&several, &["East US"], &["eastus"]), "West Europe");
        assert_eq!(chosen(&several, &["East US"], &["eastus", "westeurope"]), "East US");
        let single = account(&[("East US", "eastus")]);
        assert_eq!(chosen(&single, &["West Europe"], &["eastus"]), "East US");
    }

    #[test]
    fn what_names_no_region_for_writes_describes_no_account() {
        for document in ["hello", "{}", r#"{"writableLocations":[]}"#, r#"{"writableLocations":[{"name":"x"}]}"#] {
            assert_eq!(Account::parse(document.as_bytes()), None, "{document}");
        }
    }
}
