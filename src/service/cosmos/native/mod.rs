//! txgen's own client for Cosmos DB: the REST protocol over hyper, with nothing done twice.
//!
//! Signatures are made once a second, headers once; a document's bytes are written as they are. What an answer means,
//! and whether to try again, is decided elsewhere, as for Azure's client.

mod account;
mod authorization;
mod connection;
mod dial;
mod pool;
mod region;

use std::num::NonZeroUsize;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hyper::Uri;
use hyper::header::{HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use txgen_azure::cosmos::authorization::{AccountKey, Signed};
use url::Url;

use self::account::{Account, Location, is_same_service};
use self::authorization::{Credential, Kept, NoCredential};
use self::connection::Answered;
use self::pool::{Exchange, Unanswered};
use self::region::Region;
use super::answer::{OfProxy, RequestError, body_text, is_page};
use super::provision::Transport;
use super::refusal::own;
use super::{Created, connect};
use crate::service::FailureKind;
use crate::service::entra;
use crate::service::retry::{AttemptError, Verdict};
use crate::settings::{CosmosDbClient, CosmosDbSettings, Proxy};
use crate::transaction::Transaction;

/// What a segment of a path cannot have (RFC 3986, section 3.3).
const NO_SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// How long reading the account's description may take in mid-run.
const ACCOUNT_TIMEOUT: Duration = Duration::from_secs(5);

/// The account is not asked again for where to write within this time.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// For how long a region that refused writes is passed over, as in Azure's clients.
const AVOIDED_FOR: Duration = Duration::from_secs(5 * 60);

/// Creates documents in one container.
pub(super) struct Native {
    settings: CosmosDbSettings,
    credential: Credential,
    documents: Uri,
    kept: Kept,
    region: RwLock<Arc<Region>>,
    search: Mutex<Search>,
    /// What leads there, and to where.
    proxy: Option<(Proxy, String)>,
    /// What the user should know of the regions.
    pub(super) warnings: Vec<String>,
}

/// The search for the region to write to.
struct Search {
    latest: Option<Instant>,
    avoided: Vec<(Url, Instant)>,
    account: Account,
}

impl Native {
    /// Asks the account where it takes writes.
    pub(super) async fn connect(settings: &CosmosDbSettings, deadline: Instant) -> Result<Self, RequestError> {
        let credential = credential(settings)?;
        let CosmosDbSettings { endpoint, database, container, max_in_flight, preferred_regions, proxies, .. } =
            settings;
        let start = Location { name: String::new(), endpoint: endpoint.clone() };
        let mut region = Region::new(start, 0, *max_in_flight, proxies).map_err(impossible)?;
        let account = with_retries(deadline, || read_account(&region, &credential, deadline)).await?;
        let location = write_location(&account, settings, &[]);
        // The connection that is there is kept where it leads to the right place already.
        if is_same_service(&location.endpoint, endpoint) {
            region.location = location;
        } else {
            region = Region::new(location, 0, *max_in_flight, proxies).map_err(impossible)?;
        }
        if account.enable_multiple_write_locations {
            region.allow_tentative_writes();
        }
        tracing::debug!(region = region.location.name, endpoint = %region.location.endpoint, "writes go here");
        let mut warnings = Vec::new();
        if !preferred_regions.is_empty() && !account.writes_in(preferred_regions) {
            warnings.push(format!(
                "the account takes writes in none of --preferred-regions {}: they go to {}",
                preferred_regions.join(", "),
                region.location.name
            ));
        }
        let segment = |name| utf8_percent_encode(name, NO_SEGMENT);
        let path = format!("/dbs/{}/colls/{}/docs", segment(database), segment(container));
        Ok(Self {
            kept: Kept::for_creating(credential.clone(), format!("dbs/{database}/colls/{container}")),
            credential,
            documents: Uri::try_from(path).map_err(impossible)?,
            settings: settings.clone(),
            proxy: connect::way(settings),
            region: RwLock::new(Arc::new(region)),
            search: Mutex::new(Search { latest: None, avoided: Vec::new(), account }),
            warnings,
        })
    }

    /// How requests travel.
    pub(super) fn transport(&self) -> Transport {
        Transport { client: CosmosDbClient::Native, gateway_v2: false, http2: false }
    }

    /// The region that is written to at first, where the account has several.
    pub(super) async fn region_of_several(&self) -> Option<String> {
        let is_one_of_several = self.search.lock().await.account.has_several_regions();
        is_one_of_several.then(|| self.region().location.name.clone())
    }

    /// One request; a second one if the first went out over a connection that the service was closing.
    pub(super) async fn create(&self, transaction: &Transaction, deadline: Instant) -> Created {
        let region = self.region();
        let began = Instant::now();
        let authorization = match timeout_at(deadline, self.kept.authorize()).await {
            Ok(Ok(authorization)) => authorization,
            Ok(Err(NoCredential(reason))) => return Created::failed(no_credential(&reason)),
            Err(_) => return Created::failed(no_credential("it did not come in time")),
        };
        let Ok(partition_key) = HeaderValue::try_from(key_header(&transaction.partition_key)) else {
            return Created::failed(AttemptError::impossible(
                FailureKind::Internal,
                "the partition key fits no header",
            ));
        };
        let exchange = region.create(&self.documents, authorization, partition_key, &transaction.body, deadline).await;
        let elsewhere = may_be_taken_elsewhere(&exchange);
        let proxy = self.proxy.as_ref().map(|(proxy, authority)| (proxy, authority.as_str()));
        let created = taken(exchange, began.elapsed(), proxy);
        if matches!(&created.result, Err(error) if error.kind == FailureKind::Unauthorized) {
            self.kept.forget();
        }
        Created { refused_by_region: elsewhere.then_some(region.number), ..created }
    }

    /// Looks for the region to write to anew, if the region with this number is still the one.
    pub(super) async fn leave(&self, number: u64, deadline: Instant) {
        // Who else is looking looks for all.
        let Ok(mut search) = self.search.try_lock() else { return };
        let left = self.region();
        let now = Instant::now();
        let is_too_soon = search.latest.is_some_and(|latest| now.duration_since(latest) < BETWEEN_LOOKS);
        if left.number != number || is_too_soon {
            return;
        }
        search.latest = Some(now);
        search.avoided.retain(|(_, since)| now.duration_since(*since) < AVOIDED_FOR);
        search.avoided.push((left.location.endpoint.clone(), now));
        let Some(account) = self.ask_again(&search.account, deadline.min(now + ACCOUNT_TIMEOUT)).await else { return };
        let avoided: Vec<Url> = search.avoided.iter().map(|(endpoint, _)| endpoint.clone()).collect();
        let location = write_location(&account, &self.settings, &avoided);
        if !is_same_service(&location.endpoint, &left.location.endpoint) {
            self.change_to(location, account.enable_multiple_write_locations, number + 1);
        }
        search.account = account;
    }

    fn change_to(&self, location: Location, several: bool, number: u64) {
        let Location { name, endpoint } = location.clone();
        match Region::new(location, number, self.settings.max_in_flight, &self.settings.proxies) {
            Ok(mut region) => {
                if several {
                    region.allow_tentative_writes();
                }
                *self.region.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(region);
                tracing::warn!(region = name, %endpoint, "writes go to another region of the Cosmos DB account now");
            }
            Err(error) => tracing::warn!(region = name, %endpoint, %error, "a region cannot be written to"),
        }
    }

    /// The account's description from its own endpoint, or from any region of which it spoke before.
    async fn ask_again(&self, known: &Account, deadline: Instant) -> Option<Account> {
        for endpoint in std::iter::once(&self.settings.endpoint).chain(known.endpoints()) {
            let location = Location { name: String::new(), endpoint: endpoint.clone() };
            let Ok(region) = Region::new(location, 0, NonZeroUsize::MIN, &self.settings.proxies) else { continue };
            match read_account(&region, &self.credential, deadline).await {
                Ok(account) => return Some(account),
                Err(error) => tracing::debug!(%endpoint, error = error.detail, "the account's regions cannot be read"),
            }
        }
        None
    }

    fn region(&self) -> Arc<Region> {
        Arc::clone(&self.region.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The account's choice, within the user's. An account that sends to where its description could be listened to on the
/// way is not followed.
fn write_location(account: &Account, settings: &CosmosDbSettings, avoided: &[Url]) -> Location {
    let own = || Location { name: String::new(), endpoint: settings.endpoint.clone() };
    let location = account.write_location(&settings.preferred_regions, avoided).cloned().unwrap_or_else(own);
    if settings.endpoint.scheme() == "https" && location.endpoint.scheme() != "https" {
        return Location { name: location.name, ..own() };
    }
    location
}

fn credential(settings: &CosmosDbSettings) -> Result<Credential, RequestError> {
    match &settings.auth_key {
        Some(key) => AccountKey::parse(key).map(Credential::AccountKey).ok_or_else(|| no_token("it is not base64")),
        None => entra::credential(settings.endpoint.host_str().unwrap_or_default())
            .map(Credential::EntraId)
            .map_err(|error| no_token(&error.message)),
    }
}

async fn read_account(region: &Region, credential: &Credential, deadline: Instant) -> Result<Account, RequestError> {
    let signed = Signed { verb: "get", resource_type: "", resource_link: "" };
    let authorization = match timeout_at(deadline, credential.authorize(signed)).await {
        Ok(authorization) => authorization.map_err(|NoCredential(reason)| no_token(&reason))?,
        Err(_) => return Err(no_token("it did not come in time")),
    };
    match region.read_account(authorization, deadline).await.result {
        Ok(answered) if answered.head.status.is_success() => {
            answered.body.ok().and_then(|body| Account::parse(&body)).ok_or_else(unreadable)
        }
        Ok(answered) => Err(refused(&answered)),
        Err(Unanswered::NotSent(error)) => Err(RequestError::unanswered(503, false, error.message)),
        Err(Unanswered::Lost(reason)) => Err(RequestError::unanswered(503, true, reason)),
        Err(Unanswered::TimedOut) => Err(RequestError::unanswered(408, true, "no answer in time".to_owned())),
    }
}

/// Again, a few times, where that can help.
async fn with_retries<T, F>(deadline: Instant, attempt: impl Fn() -> F) -> Result<T, RequestError>
where
    F: Future<Output = Result<T, RequestError>>,
{
    let mut wait = Duration::from_millis(100);
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let refused = error.clone().into_attempt_error(None);
        let pause = refused.retry_after.unwrap_or(wait);
        let helps = match refused.verdict {
            Verdict::Throttled | Verdict::Ambiguous => true,
            Verdict::Retry => error.answered,
            Verdict::GiveUp | Verdict::RetryRefusal => false,
        };
        if !helps || wait > Duration::from_secs(1) || Instant::now() + pause >= deadline {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
        wait *= 2;
    }
}

/// Whether another region may be the one to write to: this one said so (it takes no writes, or no longer has the account,
/// or lags behind), or cannot be reached.
fn may_be_taken_elsewhere(exchange: &Exchange) -> bool {
    match &exchange.result {
        Ok(answered) => {
            let status = answered.head.status.as_u16();
            matches!((status, substatus(&answered.head.headers)), (403, 3 | 1008) | (404, 1002))
        }
        Err(Unanswered::NotSent(_)) => true,
        Err(Unanswered::Lost(_) | Unanswered::TimedOut) => false,
    }
}

/// What an exchange comes to.
fn taken(exchange: Exchange, took: Duration, proxy: Option<(&Proxy, &str)>) -> Created {
    let Exchange { result, resent } = exchange;
    let mut created = match result {
        Ok(answered) => answer(&answered, proxy),
        Err(Unanswered::NotSent(error)) => Created::failed(error),
        Err(Unanswered::Lost(reason)) => Created::failed(AttemptError::lost(FailureKind::Connection, reason)),
        Err(Unanswered::TimedOut) => Created::failed(AttemptError::timed_out(took)),
    };
    if resent {
        // The second one was stored under the same id: the first one was not.
        let is_settled = created.result.is_ok();
        created.resent_unread = usize::from(is_settled);
        created.lost_on_the_way = usize::from(!is_settled);
    }
    created
}

fn answer(answered: &Answered, proxy: Option<(&Proxy, &str)>) -> Created {
    let headers = &answered.head.headers;
    let result =
        if answered.head.status.is_success() { Ok(()) } else { Err(refused(answered).into_attempt_error(proxy)) };
    Created {
        request_units: number(headers, "x-ms-request-charge").unwrap_or(0.0),
        server_time: milliseconds(headers, "x-ms-request-duration-ms"),
        ..Created::new(result)
    }
}

fn refused(answered: &Answered) -> RequestError {
    let headers = &answered.head.headers;
    let body = answered.body.as_ref().ok();
    let status = answered.head.status.as_u16();
    let is_of_proxy = status == 407 || body.is_some_and(|body| is_page(body));
    let reason = || answered.head.status.canonical_reason().unwrap_or("no reason given").to_owned();
    RequestError {
        status,
        substatus: substatus(headers),
        answered: true,
        may_have_left: true,
        of_proxy: is_of_proxy.then_some(OfProxy::Answers),
        retry_after: milliseconds(headers, "x-ms-retry-after-ms"),
        activity_id: text(headers, "x-ms-activity-id").map(ToOwned::to_owned),
        detail: body.and_then(|body| body_text(body)).unwrap_or_else(reason),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    text(headers, name)?.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

fn milliseconds(headers: &HeaderMap, name: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(number(headers, name)? / 1000.0).ok()
}

fn substatus(headers: &HeaderMap) -> u32 {
    text(headers, "x-ms-substatus").and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// The partition key as a header has it: a JSON array of one value, in ASCII.
fn key_header(key: &str) -> String {
    let json = serde_json::Value::from(key).to_string();
    let mut header = String::with_capacity(json.len() + 2);
    header.push('[');
    for character in json.chars() {
        if character.is_ascii() && !character.is_ascii_control() {
            header.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                header.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    header.push(']');
    header
}

/// A credential that was good before: another attempt may get it.
fn no_credential(reason: &str) -> AttemptError {
    let error =
        AttemptError::not_sent(FailureKind::Unauthorized, format_args!("no Microsoft Entra ID token: {reason}"));
    AttemptError { verdict: Verdict::RetryRefusal, ..error }
}

fn no_token(reason: &str) -> RequestError {
    RequestError { substatus: own::NO_TOKEN, ..RequestError::unanswered(401, false, reason.to_owned()) }
}

fn unreadable() -> RequestError {
    RequestError { substatus: own::UNREADABLE_ANSWER, ..RequestError::unanswered(500, true, String::new()) }
}

fn impossible(error: impl std::fmt::Display) -> RequestError {
    RequestError::unanswered(500, false, error.to_string())
}

#[cfg(test)]
mod tests;
