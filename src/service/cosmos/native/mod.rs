//! txgen's own client for Cosmos DB: the REST protocol over hyper, with nothing done twice.
//!
//! Signatures are made once a second, headers once; a document's bytes are written as they are. What an answer means,
//! and whether to try again, is decided elsewhere, as for Azure's client.

mod account;
mod answered;
mod authorization;
#[cfg(feature = "lake")]
mod changes;
mod connection;
mod dial;
mod feed;
mod pool;
mod region;
mod request;
mod resources;

use std::num::NonZeroUsize;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use url::Url;

use self::account::{Account, Location, is_same_service};
use self::answered::{milliseconds, number, refused, substatus};
use self::authorization::{Kept, NoCredential};
use self::connection::Answered;
use self::pool::{Exchange, Unanswered};
use self::region::Region;
use self::resources::{read_account, write_location};
use super::answer::RequestError;
use super::provision::Transport;
use super::{Created, connect};
use crate::service::FailureKind;
use crate::service::retry::{AttemptError, Verdict};
use crate::settings::{CosmosDbClient, CosmosDbSettings, Proxy};
use crate::transaction::Transaction;

pub(super) use self::authorization::{BadCredential, Credential};
#[cfg(feature = "lake")]
pub(super) use self::changes::After;
pub use self::feed::Document;
use self::feed::SESSION_TOKEN;
pub(super) use self::feed::{KeyRange, Scope};
pub(super) use self::resources::{Database, Query, Resources};

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
    /// Writes to the region that the account was found to take writes in.
    pub(super) fn new(resources: &Resources, settings: &CosmosDbSettings) -> Result<Self, RequestError> {
        let Resources { account, writes, credential, .. } = resources;
        let preferred = &settings.preferred_regions;
        let mut warnings = Vec::new();
        if !preferred.is_empty() && !account.writes_in(preferred) {
            warnings.push(format!(
                "the account takes writes in none of --preferred-regions {}: they go to {}",
                preferred.join(", "),
                writes.location.name
            ));
        }
        let documents = resources.address_of_container(&["docs"])?;
        Ok(Self {
            documents: documents.path.clone(),
            kept: Kept::for_creating(credential.clone(), documents),
            credential: credential.clone(),
            settings: settings.clone(),
            proxy: connect::way(settings),
            region: RwLock::new(Arc::clone(writes)),
            search: Mutex::new(Search { latest: None, avoided: Vec::new(), account: account.clone() }),
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
        session_token: headers.get(SESSION_TOKEN).cloned(),
        ..Created::new(result)
    }
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

#[cfg(test)]
mod tests;
