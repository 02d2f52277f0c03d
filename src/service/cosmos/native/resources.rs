//! The account, and the database and the container in it: read, and made.
//!
//! <https://learn.microsoft.com/rest/api/cosmos-db/cosmosdb-resources>

use std::sync::Arc;

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::account::{Account, Location, is_same_service};
use super::answered::{impossible, unreadable};
use super::authorization::Credential;
use super::connection::Answered;
use super::region::{JSON, Region};
use super::request::{Address, Request, body, json as model};
use crate::service::cosmos::answer::RequestError;
use crate::service::cosmos::provision::{ContainerProperties, Offer, new_container};
use crate::service::retry::ATTEMPT_TIMEOUT;
use crate::settings::CosmosDbSettings;

/// The throughput of a new database that its containers share, in RU/s.
/// <https://learn.microsoft.com/rest/api/cosmos-db/create-a-database>
const OFFER_THROUGHPUT: HeaderName = HeaderName::from_static("x-ms-offer-throughput");
const IS_QUERY: HeaderName = HeaderName::from_static("x-ms-documentdb-isquery");
pub(super) const TRUE: HeaderValue = HeaderValue::from_static("True");
const QUERY_JSON: HeaderValue = HeaderValue::from_static("application/query+json");

/// A database.
#[derive(Clone, Debug, Deserialize)]
pub(in super::super) struct Database {
    #[serde(rename = "_rid")]
    pub(in super::super) rid: String,
}

/// An account, and the names of the database and the container in it.
pub(in super::super) struct Resources {
    pub(super) database_name: String,
    pub(super) container_name: String,
    pub(super) credential: Credential,
    pub(super) account: Account,
    /// The region that is written to at first.
    pub(super) writes: Arc<Region>,
    /// The region that documents are read from.
    pub(super) reads: Arc<Region>,
}

impl Resources {
    /// Asks the account where it takes writes, and what it can be read from.
    pub(in super::super) async fn connect(
        settings: &CosmosDbSettings,
        credential: Credential,
    ) -> Result<Self, RequestError> {
        let CosmosDbSettings { endpoint, database, container, max_in_flight, preferred_regions, proxies, .. } =
            settings;
        let start = Location { name: String::new(), endpoint: endpoint.clone() };
        let mut writes = Region::new(start, 0, *max_in_flight, proxies).map_err(impossible)?;
        let account = read_account(&writes, &credential, Instant::now() + ATTEMPT_TIMEOUT).await?;
        let location = write_location(&account, settings, &[]);
        // The connection that is there is kept where it leads to the right place already.
        if is_same_service(&location.endpoint, endpoint) {
            writes.location = location;
        } else {
            writes = Region::new(location, 0, *max_in_flight, proxies).map_err(impossible)?;
        }
        if account.enable_multiple_write_locations {
            writes.allow_tentative_writes();
        }
        let writes = Arc::new(writes);
        let reads = match account.read_location(preferred_regions) {
            Some(location)
                if is_safe(location, settings) && !is_same_service(&location.endpoint, &writes.location.endpoint) =>
            {
                Arc::new(Region::new(location.clone(), 0, *max_in_flight, proxies).map_err(impossible)?)
            }
            _ => Arc::clone(&writes),
        };
        tracing::debug!(writes = %writes.location, reads = %reads.location, "the regions of the account");
        Ok(Self {
            database_name: database.clone(),
            container_name: container.clone(),
            credential,
            account,
            writes,
            reads,
        })
    }

    pub(in super::super) fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Whether the account looks at session tokens.
    pub(in super::super) fn has_session_consistency(&self) -> bool {
        self.account.has_session_consistency()
    }

    /// <https://learn.microsoft.com/rest/api/cosmos-db/get-a-database>
    pub(in super::super) async fn database(&self) -> Result<Database, RequestError> {
        model(self.ask(Request::get(self.address_of_database()?)).await?)
    }

    /// Creates the database, with throughput that its containers share, if any.
    /// <https://learn.microsoft.com/rest/api/cosmos-db/create-a-database>
    pub(in super::super) async fn create_database(&self, throughput: Option<u32>) -> Result<Database, RequestError> {
        let body = json!({ "id": self.database_name }).to_string();
        let mut request = Request::post(Address::of(&["dbs"])?, body).with(CONTENT_TYPE, JSON);
        if let Some(throughput) = throughput {
            request = request.with(OFFER_THROUGHPUT, HeaderValue::from(throughput));
        }
        model(self.ask(request).await?)
    }

    /// <https://learn.microsoft.com/rest/api/cosmos-db/get-a-collection>
    pub(in super::super) async fn container(&self) -> Result<ContainerProperties, RequestError> {
        model(self.ask(Request::get(self.address_of_container(&[])?)).await?)
    }

    /// <https://learn.microsoft.com/rest/api/cosmos-db/create-a-collection>
    pub(in super::super) async fn create_container(&self) -> Result<ContainerProperties, RequestError> {
        let body = new_container(&self.container_name).to_string();
        let request = Request::post(Address::of(&["dbs", &self.database_name, "colls"])?, body);
        model(self.ask(request.with(CONTENT_TYPE, JSON)).await?)
    }

    /// The throughput of the database or the container with this resource id; `None` where it has none of its own.
    /// <https://learn.microsoft.com/rest/api/cosmos-db/querying-offers>
    pub(in super::super) async fn offer(&self, rid: &str) -> Result<Option<Offer>, RequestError> {
        #[derive(Deserialize)]
        struct Offers {
            #[serde(rename = "Offers")]
            offers: Vec<Offer>,
        }
        let query = Query::new("SELECT * FROM c WHERE c.offerResourceId = @rid", &[("@rid", rid)]);
        let offers: Offers = model(self.ask(query.request(Address::of(&["offers"])?)).await?)?;
        Ok(offers.offers.into_iter().next())
    }

    async fn ask(&self, request: Request) -> Result<Answered, RequestError> {
        request.send(&self.writes, &self.credential, Instant::now() + ATTEMPT_TIMEOUT).await
    }

    fn address_of_database(&self) -> Result<Address, RequestError> {
        Address::of(&["dbs", &self.database_name])
    }

    /// Of the container, or of one of its feeds.
    pub(super) fn address_of_container(&self, feed: &[&str]) -> Result<Address, RequestError> {
        Address::of(&[&["dbs", &*self.database_name, "colls", &*self.container_name], feed].concat())
    }
}

/// A query as a body has it: <https://learn.microsoft.com/rest/api/cosmos-db/querying-cosmosdb-resources-using-the-rest-api>.
#[derive(Clone, Debug)]
pub(in super::super) struct Query(bytes::Bytes);

impl Query {
    pub(in super::super) fn new(text: &str, parameters: &[(&str, &str)]) -> Self {
        let parameters: Vec<_> =
            parameters.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        Self(json!({ "query": text, "parameters": parameters }).to_string().into())
    }

    pub(super) fn request(&self, address: Address) -> Request {
        Request::post(address, self.0.clone()).with(CONTENT_TYPE, QUERY_JSON).with(IS_QUERY, TRUE)
    }
}

/// <https://learn.microsoft.com/rest/api/cosmos-db/get-a-database-account>
pub(super) async fn read_account(
    region: &Region,
    credential: &Credential,
    deadline: Instant,
) -> Result<Account, RequestError> {
    let answered = Request::get(Address::of(&[])?).send(region, credential, deadline).await?;
    Account::parse(&body(answered)?).ok_or_else(|| unreadable("it describes no account"))
}

/// The account's choice, within the user's.
pub(super) fn write_location(account: &Account, settings: &CosmosDbSettings, avoided: &[url::Url]) -> Location {
    let own = || Location { name: String::new(), endpoint: settings.endpoint.clone() };
    let location = account.write_location(&settings.preferred_regions, avoided).cloned().unwrap_or_else(own);
    if is_safe(&location, settings) { location } else { Location { name: location.name, ..own() } }
}

/// An account that sends to where its description could be listened to on the way is not followed.
fn is_safe(location: &Location, settings: &CosmosDbSettings) -> bool {
    settings.endpoint.scheme() != "https" || location.endpoint.scheme() == "https"
}
