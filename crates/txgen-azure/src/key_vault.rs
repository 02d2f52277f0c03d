//! Key Vault references: a setting that says where its secret is, as App Service and Azure Functions write it.
//!
//! Format: <https://learn.microsoft.com/azure/app-service/app-service-key-vault-references>. Names and hosts:
//! <https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates>.

use std::fmt;

use url::{Host, Url};

/// How a reference begins.
const PREFIX: &str = "@Microsoft.KeyVault";

/// What the name of a vault is followed by in its host: the global cloud first, then China's and the US government's.
const DOMAINS: [&str; 3] = [".vault.azure.net", ".vault.azure.cn", ".vault.usgovcloudapi.net"];

/// The longest name of a secret.
const MAX_NAME: usize = 127;

/// A secret of a vault: the version that is named, or the newest one.
///
/// ```
/// use txgen_azure::key_vault::SecretReference;
///
/// let text = "@Microsoft.KeyVault(VaultName=woodgrove;SecretName=hub)";
/// let reference = SecretReference::parse(text)?;
/// assert_eq!(reference.to_string(), "https://woodgrove.vault.azure.net/secrets/hub");
/// assert_eq!((reference.name(), reference.version()), ("hub", None));
/// # Ok::<(), txgen_azure::key_vault::InvalidReference>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretReference {
    vault: Url,
    name: String,
    version: Option<String>,
}

/// A text that begins as a reference and is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct InvalidReference {
    /// Which part is wrong and what it should be, on one line, without any value: a secret may have been put there.
    pub problem: String,
}

impl SecretReference {
    /// Whether a text is meant as a reference, good or not.
    #[must_use]
    pub fn is_meant_by(text: &str) -> bool {
        text.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
    }

    /// Reads `@Microsoft.KeyVault(SecretUri=https://VAULT.vault.azure.net/secrets/NAME/VERSION)` or
    /// `@Microsoft.KeyVault(VaultName=VAULT;SecretName=NAME;SecretVersion=VERSION)`. The version may be left out. Names of
    /// parts match whatever their case, in any order.
    ///
    /// # Errors
    /// [`InvalidReference`], which names the part that is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        read(text).map_err(|problem| InvalidReference { problem })
    }

    /// Reads the identifier of a secret, `https://VAULT.vault.azure.net/secrets/NAME/VERSION`.
    ///
    /// # Errors
    /// [`InvalidReference`] when it is none, or leads neither to a key vault nor to this machine.
    pub fn of_identifier(text: &str) -> Result<Self, InvalidReference> {
        identifier(text).map_err(|problem| InvalidReference { problem })
    }

    /// The vault, such as `https://VAULT.vault.azure.net/`.
    #[must_use]
    pub fn vault(&self) -> &Url {
        &self.vault
    }

    /// The name of the secret.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version, 32 hexadecimal digits; `None` is the newest one.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Whether the vault is on this machine, where emulators are.
    #[must_use]
    pub fn is_on_this_machine(&self) -> bool {
        is_loopback(&self.vault)
    }
}

/// The identifier of the secret.
impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}secrets/{}", self.vault, self.name)?;
        self.version.iter().try_for_each(|version| write!(f, "/{version}"))
    }
}

/// Whether the service takes this as the name of a secret: 1 to 127 letters, digits and hyphens.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

const NAME_RULE: &str = "must be 1 to 127 letters, digits and hyphens";
const VERSION_RULE: &str = "must be the 32 hexadecimal digits of a version; leave it out for the newest one";

fn expected() -> &'static str {
    "expected is @Microsoft.KeyVault(SecretUri=https://VAULT.vault.azure.net/secrets/NAME) or \
     @Microsoft.KeyVault(VaultName=VAULT;SecretName=NAME)"
}

/// The parts of a reference, each there once or not at all.
#[derive(Default)]
struct Parts<'a> {
    secret_uri: Option<&'a str>,
    vault_name: Option<&'a str>,
    secret_name: Option<&'a str>,
    secret_version: Option<&'a str>,
}

impl<'a> Parts<'a> {
    const KNOWN: [&'static str; 4] = ["SecretUri", "VaultName", "SecretName", "SecretVersion"];

    fn split(text: &'a str) -> Result<Self, String> {
        let mut parts = Self::default();
        for (number, part) in (1..).zip(text.split(';').map(str::trim)).filter(|(_, part)| !part.is_empty()) {
            let (name, value) =
                part.split_once('=').ok_or_else(|| format!("part {number} has no `=`; {}", expected()))?;
            let known = Self::KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(name.trim()));
            let Some(known) = known else {
                return Err(format!("part {number} is none of {}; {}", Self::KNOWN.join(", "), expected()));
            };
            let place = match known {
                "SecretUri" => &mut parts.secret_uri,
                "VaultName" => &mut parts.vault_name,
                "SecretName" => &mut parts.secret_name,
                _ => &mut parts.secret_version,
            };
            match (place.is_some(), value.trim()) {
                (true, _) => return Err(format!("{known} is there twice")),
                // App Service takes an empty version for none.
                (false, "") if known == "SecretVersion" => {}
                (false, "") => return Err(format!("{known} is empty")),
                (false, value) => *place = Some(value),
            }
        }
        Ok(parts)
    }
}

fn read(text: &str) -> Result<SecretReference, String> {
    let inner = text.get(PREFIX.len()..).filter(|_| SecretReference::is_meant_by(text)).map(str::trim);
    let inner = inner.and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'));
    let inner = inner.ok_or_else(|| format!("its parts must be in parentheses; {}", expected()))?;
    let parts = Parts::split(inner)?;
    match parts {
        Parts { secret_uri: Some(uri), vault_name: None, secret_name: None, secret_version: None } => identifier(uri),
        Parts { secret_uri: Some(_), .. } => {
            Err("SecretUri says it all: leave VaultName, SecretName and SecretVersion out beside it".to_owned())
        }
        Parts { vault_name: Some(vault), secret_name: Some(name), secret_version, .. } => {
            if !is_vault_name(vault) {
                return Err(
                    "VaultName must be 3 to 24 letters, digits and hyphens, and begin with a letter: the name \
                            alone, without vault.azure.net"
                        .to_owned(),
                );
            }
            let vault = Url::parse(&format!("https://{vault}{}/", DOMAINS[0])).map_err(|error| error.to_string())?;
            secret(vault, name, secret_version, "SecretName", "SecretVersion")
        }
        Parts { vault_name: Some(_), .. } => Err(format!("SecretName is missing; {}", expected())),
        Parts { secret_name: Some(_), .. } => Err(format!("VaultName is missing; {}", expected())),
        _ => Err(format!("SecretUri is missing; {}", expected())),
    }
}

fn identifier(text: &str) -> Result<SecretReference, String> {
    const SHAPE: &str = "SecretUri must be https://VAULT.vault.azure.net/secrets/NAME, or that with /VERSION behind it";
    let mut vault = Url::parse(text).map_err(|_| SHAPE.to_owned())?;
    let is_bare = vault.username().is_empty()
        && vault.password().is_none()
        && vault.query().is_none()
        && vault.fragment().is_none();
    if vault.scheme() != "https" || !is_bare || vault.port() == Some(0) {
        return Err(SHAPE.to_owned());
    }
    if !is_loopback(&vault) && (!is_key_vault(&vault) || vault.port().is_some()) {
        return Err(
            "SecretUri must lead to VAULT.vault.azure.net (or .vault.azure.cn, .vault.usgovcloudapi.net), or to \
                    an emulator on this machine: no other host is shown a token"
                .to_owned(),
        );
    }
    let path = vault.path().to_owned();
    let mut parts = path.strip_prefix("/secrets/").ok_or_else(|| SHAPE.to_owned())?.splitn(2, '/');
    let name = parts.next().unwrap_or_default();
    let version = parts.next().map(|version| version.strip_suffix('/').unwrap_or(version));
    vault.set_path("/");
    secret(vault, name, version.filter(|version| !version.is_empty()), "SecretUri: NAME", "SecretUri: VERSION")
}

fn secret(
    vault: Url,
    name: &str,
    version: Option<&str>,
    of_name: &str,
    of_version: &str,
) -> Result<SecretReference, String> {
    if !is_secret_name(name) {
        return Err(format!("{of_name} {NAME_RULE}"));
    }
    if version.is_some_and(|version| version.len() != 32 || !version.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return Err(format!("{of_version} {VERSION_RULE}"));
    }
    Ok(SecretReference { vault, name: name.to_owned(), version: version.map(str::to_owned) })
}

fn is_vault_name(name: &str) -> bool {
    (3..=24).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && !name.ends_with('-')
}

fn is_key_vault(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    DOMAINS.into_iter().any(|domain| host.strip_suffix(domain).is_some_and(is_vault_name))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VERSION: &str = "ec96f02080254f109c51a1f14cdb1931";

    fn shown(inner: &str) -> Result<String, String> {
        let parsed = SecretReference::parse(&format!("@Microsoft.KeyVault({inner})"));
        parsed.map(|reference| reference.to_string()).map_err(|invalid| invalid.problem)
    }

    #[test]
    fn both_forms_say_the_same() {
        let whole = format!("https://woodgrove.vault.azure.net/secrets/hub/{VERSION}");
        assert_eq!(shown(&format!("SecretUri={whole}")), Ok(whole.clone()));
        assert_eq!(shown(&format!("VaultName=woodgrove;SecretName=hub;SecretVersion={VERSION}")), Ok(whole.clone()));
        assert_eq!(shown(&format!(" secretname = hub ; SECRETVERSION={VERSION}; vaultname=Woodgrove; ")), Ok(whole));
    }

    #[test]
    fn without_a_version_it_is_the_newest_one() {
        let newest = Ok("https://woodgrove.vault.azure.net/secrets/hub".to_owned());
        for inner in [
            "SecretUri=https://woodgrove.vault.azure.net/secrets/hub",
            "SecretUri=https://woodgrove.vault.azure.net/secrets/hub/",
            "VaultName=woodgrove;SecretName=hub",
            "VaultName=woodgrove;SecretName=hub;SecretVersion=",
        ] {
            assert_eq!(shown(inner), newest, "{inner}");
        }
    }

    #[test]
    fn an_emulator_may_be_anywhere_on_this_machine_and_a_vault_in_any_cloud() {
        for (uri, is_here) in [
            ("https://127.0.0.1:8443/secrets/hub", true),
            ("https://localhost:8443/secrets/hub", true),
            ("https://[::1]:8443/secrets/hub", true),
            ("https://wood-grove1.vault.azure.cn/secrets/hub", false),
            ("https://woodgrove.vault.usgovcloudapi.net/secrets/hub", false),
        ] {
            let reference = SecretReference::of_identifier(uri).unwrap();
            assert_eq!((reference.to_string().as_str(), reference.is_on_this_machine()), (uri, is_here));
        }
    }

    #[test]
    fn a_token_is_shown_to_no_host_that_is_no_vault() {
        for uri in [
            "https://woodgrove.example/secrets/hub",
            "https://vault.azure.net/secrets/hub",
            "https://woodgrove.vault.azure.net.example/secrets/hub",
            "https://a.woodgrove.vault.azure.net/secrets/hub",
            "https://woodgrove.vault.azure.net:8443/secrets/hub",
            "https://192.0.2.1/secrets/hub",
        ] {
            let problem = SecretReference::of_identifier(uri).unwrap_err().problem;
            assert!(problem.contains("no other host is shown a token"), "{uri}: {problem}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_its_part() {
        for (inner, problem) in [
            ("", "SecretUri is missing"),
            ("VaultName=woodgrove", "SecretName is missing"),
            ("SecretName=hub", "VaultName is missing"),
            ("VaultName=;SecretName=hub", "VaultName is empty"),
            ("VaultName=woodgrove;VaultName=woodgrove;SecretName=hub", "VaultName is there twice"),
            ("VaultName=woodgrove.vault.azure.net;SecretName=hub", "VaultName must be 3 to 24"),
            ("VaultName=woodgrove;SecretName=my_hub", "SecretName must be 1 to 127"),
            ("VaultName=woodgrove;SecretName=hub;SecretVersion=1", "SecretVersion must be the 32"),
            ("VaultName=woodgrove;Secret=hub", "part 2 is none of SecretUri"),
            ("woodgrove", "part 1 has no `=`"),
            ("SecretUri=https://woodgrove.vault.azure.net/secrets/hub;SecretName=hub", "SecretUri says it all"),
            ("SecretUri=http://127.0.0.1/secrets/hub", "SecretUri must be https://"),
            ("SecretUri=https://woodgrove.vault.azure.net/keys/hub", "SecretUri must be https://"),
            ("SecretUri=https://woodgrove.vault.azure.net/secrets/a/b/c", "SecretUri: VERSION must be"),
            ("SecretUri=https://woodgrove.vault.azure.net/secrets/", "SecretUri: NAME must be"),
            ("SecretUri=https://u:p@woodgrove.vault.azure.net/secrets/hub", "SecretUri must be https://"),
        ] {
            let message = shown(inner).unwrap_err();
            assert!(message.starts_with(problem), "{inner}: {message}");
        }
        for text in ["@Microsoft.KeyVault", "@Microsoft.KeyVault(SecretUri=x", "@microsoft.keyvault SecretUri=x)"] {
            assert!(SecretReference::is_meant_by(text));
            assert!(SecretReference::parse(text).unwrap_err().problem.contains("in parentheses"), "{text}");
        }
        assert!(!SecretReference::is_meant_by("Endpoint=sb://woodgrove/"));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same_secret(
            vault in "[a-z][a-z0-9]{2,23}",
            name in "[0-9a-zA-Z-]{1,127}",
            version in proptest::option::of("[0-9a-f]{32}"),
        ) {
            let version_part = version.as_ref().map(|version| format!(";SecretVersion={version}")).unwrap_or_default();
            let text = format!("@Microsoft.KeyVault(VaultName={vault};SecretName={name}{version_part})");
            let reference = SecretReference::parse(&text).unwrap();
            prop_assert_eq!((reference.name(), reference.version()), (name.as_str(), version.as_deref()));
            prop_assert_eq!(&SecretReference::of_identifier(&reference.to_string()).unwrap(), &reference);
            let by_uri = SecretReference::parse(&format!("@Microsoft.KeyVault(SecretUri={reference})")).unwrap();
            prop_assert_eq!(by_uri, reference);
        }

        #[test]
        fn no_text_breaks_it_and_no_problem_repeats_a_value(
            part in "(SecretUri|VaultName|SecretName|SecretVersion|Key|)",
            before in "[ -~]{0,20}",
            after in "\\PC{0,20}",
        ) {
            let text = format!("@Microsoft.KeyVault({part}={before}hush!{after})");
            if let Err(invalid) = SecretReference::parse(&text) {
                prop_assert!(!invalid.problem.contains("hush!"), "{}", invalid.problem);
            }
        }
    }
}
