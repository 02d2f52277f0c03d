//! Values of the emulator's flags.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::{Context as _, bail};
use azure_core::credentials::Secret;
use txgen_azure::key_vault::is_secret_name;
use txgen_emulator::key_vault::LocalSecret;

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

pub(in crate::cli::emulator) fn hub_name(text: &str) -> Result<String, String> {
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

/// The longest value of a secret. Source: <https://learn.microsoft.com/azure/key-vault/secrets/about-secrets>.
const MAX_SECRET_BYTES: u64 = 25_000;

/// `NAME=VALUE` or `NAME=@FILE`, as it was typed. It is looked at later: the parser of the flags shows the values that it
/// refuses.
#[derive(Clone, Debug)]
pub(in crate::cli) struct SecretArg(Secret);

impl SecretArg {
    pub(super) fn typed(text: &str) -> Result<Self, Infallible> {
        Ok(Self(Secret::new(text.to_owned())))
    }

    /// The secret, whose file is read where one is named. No error shows a value.
    pub(in crate::cli::emulator) fn read(&self) -> anyhow::Result<LocalSecret> {
        let Some((name, value)) = self.0.secret().split_once('=') else {
            bail!("--secret: has no `=`; give NAME=VALUE, or NAME=@FILE");
        };
        if !is_secret_name(name) {
            bail!("--secret: the name before the first `=` must have 1 to 127 letters, digits and hyphens");
        }
        let value = match value.strip_prefix('@') {
            Some(file) => {
                read_secret(Path::new(file)).with_context(|| format!("--secret {name}: cannot use `{file}`"))?
            }
            None => value.to_owned(),
        };
        if value.is_empty() {
            bail!("--secret {name}: the value is empty");
        }
        Ok(LocalSecret::new(name, Secret::new(value)))
    }
}

/// A file's text without the line end that editors put behind it.
fn read_secret(file: &Path) -> anyhow::Result<String> {
    use std::io::Read as _;

    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(MAX_SECRET_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SECRET_BYTES {
        bail!("a secret has at most {MAX_SECRET_BYTES} bytes");
    }
    let text = String::from_utf8(bytes).ok().context("it is not UTF-8")?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_with_either_kind_of_unit() {
        for (text, expected) in [("1500", 1_500), ("500MB", 500_000_000), ("2GiB", 2 << 30), ("64 k", 64 << 10)] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_host_may_be_written_in_brackets_and_as_localhost() {
        for (text, expected) in [("localhost", "127.0.0.1"), ("[::1]", "::1"), ("0.0.0.0", "0.0.0.0")] {
            assert_eq!(host(text).unwrap().to_string(), expected);
        }
    }
}
