//! The proxies that the environment names, read as curl reads them: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in
//! upper or lower case (<https://curl.se/docs/manpage.html#ENVIRONMENT>).
//!
//! hyper-util reads the values. Azure's Cosmos DB client has its proxies from there, too, so that all connections of a run
//! take the same way.

use std::fmt;
use std::sync::Arc;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use txgen_azure::event_hubs::ConnectionString;
use url::Url;

const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];
const NO: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// Set by web servers for the programs that they run, where a header of a request could set HTTP_PROXY
/// (<https://httpoxy.org>).
const CGI: &str = "REQUEST_METHOD";

/// The ways to the services: through a proxy, or directly. By default all are direct.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Option<Arc<Variables>>);

#[derive(Debug)]
struct Variables {
    https: Option<Named>,
    http: Option<Named>,
    /// Intercepts whatever NO_PROXY does not exempt.
    not_exempt: Matcher,
}

/// What one variable names.
#[derive(Clone, Debug)]
struct Named {
    variable: &'static str,
    /// `None` if its value is no proxy's address.
    proxy: Option<Intercept>,
}

impl Named {
    fn by(variable: &'static str, value: &str) -> Self {
        let matcher = Matcher::builder().all(value).build();
        let proxy = matcher.intercept(&Uri::from_static("http://host/"));
        // Of a password with an @ in it, the rest would be left in the address.
        let is_whole =
            |proxy: &Intercept| proxy.uri().authority().is_some_and(|authority| !authority.as_str().contains('@'));
        Self { variable, proxy: proxy.filter(is_whole) }
    }
}

impl Proxies {
    /// What the environment says; `env` reads one of its variables.
    pub(super) fn of(env: &dyn Fn(&str) -> Option<String>) -> Self {
        if env(CGI).is_some() {
            return Self::default();
        }
        let first = |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, env(name)?)));
        let named = |names| {
            let is_set = |(_, value): &(&str, String)| !value.trim().is_empty();
            first(names).filter(is_set).or_else(|| first(ALL).filter(is_set))
        };
        let [https, http] = [HTTPS, HTTP].map(|names| named(names).map(|(name, value)| Named::by(name, &value)));
        if https.is_none() && http.is_none() {
            return Self::default();
        }
        let exempt = first(NO).map(|(_, value)| value).unwrap_or_default();
        let not_exempt = Matcher::builder().all("http://proxy/").no(exempt).build();
        Self(Some(Arc::new(Variables { https, http, not_exempt })))
    }

    /// Whether the environment names a proxy at all.
    pub(crate) fn are_named(&self) -> bool {
        self.0.is_some()
    }

    /// The proxy that leads to `url`; `None` is the direct way.
    ///
    /// # Errors
    /// What is wrong with the variable that names it. The value is not shown: it may hold a password.
    pub(crate) fn to(&self, url: &Url) -> Result<Option<Proxy>, String> {
        let Some(variables) = &self.0 else { return Ok(None) };
        let named = match url.scheme() {
            "https" => &variables.https,
            "http" => &variables.http,
            _ => &None,
        };
        let host = url.host_str().unwrap_or_default();
        let is_exempt = |uri: Uri| variables.not_exempt.intercept(&uri).is_none();
        let Some(Named { variable, proxy }) = named else { return Ok(None) };
        if url.as_str().parse().is_ok_and(is_exempt) {
            return Ok(None);
        }
        match proxy {
            Some(intercept) if matches!(intercept.uri().scheme_str(), Some("http" | "https")) => {
                Ok(Some(Proxy { intercept: intercept.clone(), variable }))
            }
            Some(_) => Err(format!(
                "{variable} (environment): names a SOCKS proxy, which txgen does not use; name an HTTP proxy, or reach \
                 {host} directly with NO_PROXY={host}"
            )),
            None => Err(format!(
                "{variable} (environment): must be the address of a proxy, such as http://HOST:PORT or \
                 http://USER:PASSWORD@HOST:PORT, with %40 for an @ in the password; or reach {host} directly with \
                 NO_PROXY={host}"
            )),
        }
    }

    /// The proxy that leads to an event hub over WebSockets.
    ///
    /// # Errors
    /// As [`Self::to`].
    pub(crate) fn to_hub(&self, hub: &ConnectionString) -> Result<Option<Proxy>, String> {
        let scheme = if hub.uses_tls() { "https" } else { "http" };
        let port = hub.port.map(|port| format!(":{port}")).unwrap_or_default();
        match Url::parse(&format!("{scheme}://{}{port}/", hub.host)) {
            Ok(url) => self.to(&url),
            Err(_) => Ok(None),
        }
    }
}

/// An HTTP proxy. It is shown by its address and the variable that names it, without credentials.
#[derive(Clone, Debug)]
pub struct Proxy {
    intercept: Intercept,
    variable: &'static str,
}

impl Proxy {
    /// The host name or address, without brackets.
    pub(crate) fn host(&self) -> &str {
        self.intercept.uri().host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    pub(crate) fn port(&self) -> u16 {
        self.intercept.uri().port_u16().unwrap_or(if self.uses_tls() { 443 } else { 80 })
    }

    /// Whether the connection to the proxy itself is encrypted.
    pub(crate) fn uses_tls(&self) -> bool {
        self.intercept.uri().scheme_str() == Some("https")
    }

    /// The value of `Proxy-Authorization`, marked as sensitive.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.intercept.basic_auth()
    }

    /// The environment variable that names it.
    pub(crate) fn variable(&self) -> &'static str {
        self.variable
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uri = self.intercept.uri();
        let (scheme, host) = (uri.scheme_str().unwrap_or("http"), uri.host().unwrap_or_default());
        write!(f, "{scheme}://{host}:{} ({})", self.port(), self.variable)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::of(&|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    fn way(variables: &[(&str, &str)], url: &str) -> Result<Option<String>, String> {
        let proxy = proxies(variables).to(&url.parse().unwrap());
        assert!(!format!("{proxy:?}").contains("hush"), "{proxy:?}");
        proxy.map(|proxy| proxy.map(|proxy| proxy.to_string()))
    }

    fn proxy(variables: &[(&str, &str)], url: &str) -> String {
        way(variables, url).unwrap().unwrap_or_default()
    }

    const ACCOUNT: &str = "https://account.documents.azure.com/";

    #[test]
    fn the_variable_of_the_scheme_counts_and_then_that_of_all() {
        let https = ("HTTPS_PROXY", "http://proxy:3128");
        let all = ("all_proxy", "http://other:8080");
        assert_eq!(proxy(&[https, all], ACCOUNT), "http://proxy:3128 (HTTPS_PROXY)");
        assert_eq!(proxy(&[https, all], "http://localhost:8081/"), "http://other:8080 (all_proxy)");
        assert_eq!(proxy(&[("HTTPS_PROXY", ""), all], ACCOUNT), "http://other:8080 (all_proxy)");
        assert_eq!(way(&[https], "http://localhost:8081/"), Ok(None));
        assert_eq!(way(&[], ACCOUNT), Ok(None));
    }

    #[test]
    fn an_address_may_lack_its_scheme_and_its_port() {
        assert_eq!(proxy(&[("https_proxy", "proxy:3128")], ACCOUNT), "http://proxy:3128 (https_proxy)");
        assert_eq!(proxy(&[("https_proxy", "http://proxy/")], ACCOUNT), "http://proxy:80 (https_proxy)");
        assert_eq!(proxy(&[("https_proxy", "https://proxy")], ACCOUNT), "https://proxy:443 (https_proxy)");
        assert_eq!(proxy(&[("https_proxy", "http://[::1]:3128")], ACCOUNT), "http://[::1]:3128 (https_proxy)");
    }

    #[test]
    fn credentials_are_kept_and_never_shown() {
        let proxies = proxies(&[("HTTPS_PROXY", "http://user:hush%40home@proxy:3128")]);
        let proxy = proxies.to(&ACCOUNT.parse().unwrap()).unwrap().unwrap();
        // user:hush@home
        assert_eq!(proxy.authorization().unwrap(), "Basic dXNlcjpodXNoQGhvbWU=");
        assert_eq!(proxy.to_string(), "http://proxy:3128 (HTTPS_PROXY)");
        assert!(!format!("{proxies:?}").contains("hush") && !format!("{proxy:?}").contains("hush"));
    }

    #[test]
    fn no_proxy_exempts_hosts_domains_addresses_and_networks() {
        let https = ("HTTPS_PROXY", "http://proxy:3128");
        for (exempt, url) in [
            ("localhost, documents.azure.com", ACCOUNT),
            (".azure.com", ACCOUNT),
            ("*", ACCOUNT),
            ("127.0.0.0/8", "https://127.0.0.1:8081/"),
            ("::1", "https://[::1]:8081/"),
        ] {
            assert_eq!(way(&[https, ("no_proxy", exempt)], url), Ok(None), "{exempt}");
        }
        for (exempt, url) in [("azure.org,ure.com", ACCOUNT), ("localhost", "https://127.0.0.1:8081/")] {
            assert!(way(&[https, ("NO_PROXY", exempt)], url).unwrap().is_some(), "{exempt}");
        }
    }

    #[test]
    fn what_names_no_http_proxy_is_an_error_that_shows_no_value_where_it_is_needed() {
        for value in ["http//user:hush@proxy", "http://user:hu@sh@proxy:1", "ftp://user:hush@proxy", "a b"] {
            let problem = way(&[("HTTPS_PROXY", value)], ACCOUNT).unwrap_err();
            assert!(problem.starts_with("HTTPS_PROXY (environment): must be the address of a proxy"), "{problem}");
            assert!(!problem.contains("hush"), "{problem}");
            assert_eq!(way(&[("HTTPS_PROXY", value), ("NO_PROXY", "azure.com")], ACCOUNT), Ok(None));
        }
        let problem = way(&[("ALL_PROXY", "socks5h://user:hush@proxy:1080")], ACCOUNT).unwrap_err();
        assert!(problem.contains("names a SOCKS proxy") && problem.contains("NO_PROXY=account."), "{problem}");
    }

    #[test]
    fn a_program_of_a_web_server_takes_no_proxy_from_a_request() {
        assert_eq!(way(&[("REQUEST_METHOD", "GET"), ("HTTPS_PROXY", "http://proxy:3128")], ACCOUNT), Ok(None));
    }

    #[test]
    fn the_way_to_an_event_hub_is_that_to_its_address_over_https_or_http() {
        let proxies = proxies(&[("HTTPS_PROXY", "http://tls:1"), ("HTTP_PROXY", "http://plain:1")]);
        let proxy = |text: &str| {
            let hub = ConnectionString::parse(text).unwrap();
            proxies.to_hub(&hub).unwrap().map(|proxy| proxy.host().to_owned())
        };
        assert_eq!(proxy("Endpoint=sb://ns.servicebus.windows.net/").as_deref(), Some("tls"));
        assert_eq!(proxy("Endpoint=sb://[::1]:5672;UseDevelopmentEmulator=true").as_deref(), Some("plain"));
    }
}
