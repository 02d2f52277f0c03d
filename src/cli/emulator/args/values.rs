//! Values of the emulator's flags.

use std::net::{IpAddr, Ipv4Addr};

/// The longest name of an event hub. Source:
/// <https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsofteventhub>.
const MAX_HUB_NAME: usize = 256;

pub(super) fn host(text: &str) -> Result<IpAddr, String> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    let address = text.trim_start_matches('[').trim_end_matches(']').parse();
    address.map_err(|_| "not an address such as 127.0.0.1, 0.0.0.0 or ::1".to_owned())
}

pub(super) fn hub_name(text: &str) -> Result<String, String> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_' | '$');
    if (1..=MAX_HUB_NAME).contains(&text.len()) && text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(format!("a name has 1 to {MAX_HUB_NAME} letters, digits, periods, hyphens and underscores"))
    }
}

pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let unit = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => 0,
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    number.filter(|number| *number > 0).ok_or_else(|| "not a number of bytes such as 500MB or 2GiB".to_owned())
}
