//! Reads a run's documents back: a query for each partition key, or one over all of the container.

use std::collections::VecDeque;
use std::time::Duration;

use azure_data_cosmos::feed::FeedScope;
use azure_data_cosmos::options::QueryOptions;
use azure_data_cosmos::{ContainerClient, CosmosError, Query};
use futures_util::StreamExt as _;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::CosmosDb;
use super::answer::RequestError;
use super::{client, connect};
use crate::service::retry::Verdict;
use crate::service::{ConnectError, FailureKind, ServiceName, remedy};
use crate::settings::{CosmosDbSettings, Proxy};

/// Queries at a time: reading is cheap, and the account has other work.
const AT_A_TIME: usize = 4;
/// How long one page may take, the waits of Azure's client for throttling included.
pub(super) const PAGE_TIMEOUT: Duration = Duration::from_secs(60);
/// Pages in a row that fail before the reading is given up.
const MOST_TRIES: u32 = 8;

/// A document, without the order of its properties.
pub type Document = Map<String, Value>;

/// Reads documents.
pub struct Reader {
    container: ContainerClient,
    endpoint: String,
    proxy: Option<(Proxy, String)>,
}

/// Where to look.
#[derive(Clone, Debug)]
enum Place {
    Key(String),
    Everywhere,
}

impl Reader {
    /// Reaches the account and the container, creating neither.
    ///
    /// # Errors
    /// A [`ConnectError`] within 15 s if the account cannot be reached, refuses txgen, or has no such container.
    pub async fn connect(settings: &CosmosDbSettings, cancel: CancellationToken) -> Result<Self, ConnectError> {
        let container = CosmosDb::existing_container(settings, cancel).await?;
        Ok(Self { container, endpoint: settings.endpoint.to_string(), proxy: connect::way(settings) })
    }

    /// Reads every document whose id begins with `id_prefix` under one of `keys`. `take` is given the key under which
    /// each was found.
    ///
    /// # Errors
    /// When the service does not answer a query, after all attempts.
    pub async fn read_keys(
        &self,
        id_prefix: &str,
        keys: impl Iterator<Item = String> + Send,
        take: &mut (dyn FnMut(&str, Document) + Send),
    ) -> Result<(), ConnectError> {
        let keys: VecDeque<String> = keys.collect();
        let (pages, mut arrived) = mpsc::channel::<(String, Vec<Document>)>(AT_A_TIME * 2);
        // It owns the sender, so that looking ends with it.
        let queries = async move {
            let pages = &pages;
            let mut queries = futures_util::stream::iter(keys)
                .map(|key| async move {
                    let key = &key;
                    self.query(id_prefix, Place::Key(key.clone()), |page| pages.send((key.clone(), page))).await
                })
                .buffer_unordered(AT_A_TIME);
            while let Some(read) = queries.next().await {
                read?;
            }
            Ok(())
        };
        let looking = async {
            while let Some((key, page)) = arrived.recv().await {
                page.into_iter().for_each(|document| take(&key, document));
            }
        };
        let (result, ()) = tokio::join!(queries, looking);
        result
    }

    /// Reads every document whose id begins with `id_prefix`, wherever it is.
    ///
    /// # Errors
    /// As [`Self::read_keys`].
    pub async fn read_everywhere(
        &self,
        id_prefix: &str,
        take: &mut (dyn FnMut(Document) + Send),
    ) -> Result<(), ConnectError> {
        let (pages, mut arrived) = mpsc::channel::<Vec<Document>>(2);
        let query = async move { self.query(id_prefix, Place::Everywhere, |page| pages.send(page)).await };
        let looking = async {
            while let Some(page) = arrived.recv().await {
                page.into_iter().for_each(&mut *take);
            }
        };
        let (result, ()) = tokio::join!(query, looking);
        result
    }

    /// Gives every page of one query to `hand_over`; goes on after the last good page when one fails.
    async fn query<F, E>(
        &self,
        id_prefix: &str,
        place: Place,
        hand_over: impl Fn(Vec<Document>) -> F,
    ) -> Result<(), ConnectError>
    where
        F: Future<Output = Result<(), E>>,
    {
        let mut continuation = None;
        let mut retries = PageRetries::new(self.proxy.as_ref());
        'again: loop {
            let mut options = QueryOptions::default();
            options.operation = client::for_metadata();
            options.feed.continuation_token.clone_from(&continuation);
            let scope = match &place {
                Place::Key(key) => FeedScope::partition(key.clone()),
                Place::Everywhere => FeedScope::full_container(),
            };
            let query = Query::from("SELECT * FROM c WHERE STARTSWITH(c.id, @prefix)");
            let query = query.with_parameter("@prefix", id_prefix).map_err(|error| self.failure(&error.to_string()))?;
            let begun =
                timeout(PAGE_TIMEOUT, self.container.query_items::<Document>(query, scope, Some(options))).await;
            let mut pages = match begun {
                Ok(Ok(items)) => items.into_pages(),
                Ok(Err(error)) => {
                    self.wait_or_give_up(&mut retries, Some(&error)).await?;
                    continue 'again;
                }
                Err(_) => {
                    self.wait_or_give_up(&mut retries, None).await?;
                    continue 'again;
                }
            };
            loop {
                match timeout(PAGE_TIMEOUT, pages.next()).await {
                    Ok(None) => return Ok(()),
                    Ok(Some(Ok(page))) => {
                        retries.reset();
                        continuation = pages.to_continuation_token().ok();
                        if hand_over(page.into_items()).await.is_err() {
                            return Ok(());
                        }
                    }
                    Ok(Some(Err(error))) => {
                        self.wait_or_give_up(&mut retries, Some(&error)).await?;
                        continue 'again;
                    }
                    Err(_) => {
                        self.wait_or_give_up(&mut retries, None).await?;
                        continue 'again;
                    }
                }
            }
        }
    }

    async fn wait_or_give_up(
        &self,
        retries: &mut PageRetries<'_>,
        error: Option<&CosmosError>,
    ) -> Result<(), ConnectError> {
        retries.wait_or_give_up(error).await.map_err(|reason| self.failure(&reason))
    }

    fn failure(&self, reason: &str) -> ConnectError {
        let message = format!("{}: documents cannot be read back: {reason}", self.endpoint);
        ConnectError { service: ServiceName::CosmosDb, message }
    }
}

/// How often a page is asked for again.
#[derive(Debug)]
pub(super) struct PageRetries<'a> {
    /// What leads to the account, where anything does.
    proxy: Option<&'a (Proxy, String)>,
    tries: u32,
}

impl<'a> PageRetries<'a> {
    pub(super) fn new(proxy: Option<&'a (Proxy, String)>) -> Self {
        Self { proxy, tries: 0 }
    }

    /// A page has come.
    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }

    /// Waits before the next try, if that can help; otherwise says why it does not. `None` is a page that never came.
    pub(super) async fn wait_or_give_up(&mut self, error: Option<&CosmosError>) -> Result<(), String> {
        self.tries += 1;
        let (is_final, message) = match error.map(RequestError::of) {
            None => (false, format!("no answer within {PAGE_TIMEOUT:?}")),
            Some(error) => {
                let error = error.into_attempt_error(self.proxy.map(|(proxy, authority)| (proxy, authority.as_str())));
                let is_final = matches!(error.verdict, Verdict::GiveUp | Verdict::RetryRefusal);
                let message = match error.kind {
                    FailureKind::KeysDisabled | FailureKind::ClockSkew | FailureKind::NetworkBlocked => {
                        format!("{error}; {}", remedy(ServiceName::CosmosDb, error.kind))
                    }
                    _ => error.to_string(),
                };
                (is_final, message)
            }
        };
        if is_final || self.tries >= MOST_TRIES {
            return Err(message);
        }
        sleep(Duration::from_millis(100) * 2_u32.pow(self.tries)).await;
        Ok(())
    }
}
