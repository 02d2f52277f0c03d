//! Reads a run's documents back: a query for each partition key, or for each physical partition.

use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use txgen_azure::cosmos::key_definition::KeyDefinition;
use txgen_azure::cosmos::partition_key::PartitionKey;

use super::native::{Document, KeyRange, Query, Scope};
use super::reading::Reading;
use super::session::SessionToken;
use crate::service::ConnectError;
use crate::settings::CosmosDbSettings;

/// Queries at a time: reading is cheap, and the account has other work.
const AT_A_TIME: usize = 4;

/// Reads documents.
pub struct Reader {
    reading: Reading,
    session: Option<Session>,
}

/// A session that reads go on with.
struct Session {
    token: SessionToken,
    keys: KeyDefinition,
    ranges: Vec<KeyRange>,
}

impl Session {
    /// What a query sends to see at least what was written in the session.
    fn token_of(&self, scope: &Scope) -> Option<String> {
        let range = match scope {
            Scope::Range(range) => range,
            Scope::Key(key) => {
                let place = self.keys.place(&[PartitionKey::String(key.clone())]);
                let holds = |range: &&KeyRange| {
                    let keys = self.keys.parse(&range.min_inclusive, &range.max_exclusive);
                    keys.is_some_and(|keys| keys.contains(&place))
                };
                self.ranges.iter().find(holds)?
            }
        };
        self.token.of_range(&range.id, range.parents())
    }
}

impl Reader {
    /// Reaches the account and the container, creating neither. On an account with session consistency, documents are read
    /// as they are after the writes that `session` tells of, or later.
    ///
    /// # Errors
    /// A [`ConnectError`] within 15 s if the account cannot be reached, refuses txgen, or has no such container.
    pub async fn connect(
        settings: &CosmosDbSettings,
        session: SessionToken,
        cancel: CancellationToken,
    ) -> Result<Self, ConnectError> {
        let reading = Reading::connect(settings, "documents cannot be read back", cancel).await?;
        let counts = !session.is_empty() && reading.resources.has_session_consistency();
        let session = match reading.container.key_definition().filter(|_| counts) {
            Some(keys) => Some(Session { token: session, keys, ranges: reading.key_ranges().await? }),
            None => None,
        };
        Ok(Self { reading, session })
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
        let places = keys.map(|key| (key.clone(), Scope::Key(key))).collect();
        self.read(id_prefix, places, &mut |key: &String, document| take(key, document)).await
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
        let ranges = self.reading.key_ranges().await?;
        let places = ranges.into_iter().map(|range| ((), Scope::Range(range))).collect();
        self.read(id_prefix, places, &mut |(): &(), document| take(document)).await
    }

    /// Reads several places at a time, each of which has a name for `take`.
    async fn read<N: Clone + Send + Sync>(
        &self,
        id_prefix: &str,
        places: Vec<(N, Scope)>,
        take: &mut (dyn FnMut(&N, Document) + Send),
    ) -> Result<(), ConnectError> {
        let parameters = [("@prefix", id_prefix)];
        let query = &Query::new("SELECT * FROM c WHERE STARTSWITH(c.id, @prefix)", &parameters);
        let (pages, mut arrived) = mpsc::channel::<(N, Vec<Document>)>(AT_A_TIME * 2);
        // It owns the sender, so that looking ends with it.
        let queries = async move {
            let pages = &pages;
            let mut queries = futures_util::stream::iter(places)
                .map(|(name, scope)| async move {
                    let name = &name;
                    self.query(query, scope, |page| pages.send((name.clone(), page))).await
                })
                .buffer_unordered(AT_A_TIME);
            while let Some(read) = queries.next().await {
                read?;
            }
            Ok(())
        };
        let looking = async {
            while let Some((name, page)) = arrived.recv().await {
                page.into_iter().for_each(|document| take(&name, document));
            }
        };
        let (result, ()) = tokio::join!(queries, looking);
        result
    }

    /// Gives every page of one query to `hand_over`; goes on after the last good page when one fails.
    async fn query<F, E>(
        &self,
        query: &Query,
        scope: Scope,
        hand_over: impl Fn(Vec<Document>) -> F,
    ) -> Result<(), ConnectError>
    where
        F: Future<Output = Result<(), E>>,
    {
        let mut repeats = self.reading.repeats();
        let mut left = vec![(scope, None)];
        while let Some((scope, continuation)) = left.pop() {
            let session = self.session.as_ref().and_then(|session| session.token_of(&scope));
            let asked = self.reading.resources.query(query, &scope, continuation.as_ref(), session.as_deref());
            match asked.await {
                Ok(page) => {
                    repeats.reset();
                    if page.continuation.is_some() {
                        left.push((scope, page.continuation));
                    }
                    if hand_over(page.documents).await.is_err() {
                        return Ok(());
                    }
                }
                Err(error) => {
                    let is_gone = error.is_of_gone_range();
                    self.reading.wait(&mut repeats, error).await?;
                    match scope {
                        // What is left of a range is left of its parts.
                        Scope::Range(range) if is_gone => {
                            let parts = self.parts_of(&range).await?;
                            left.extend(parts.into_iter().map(|part| (Scope::Range(part), continuation.clone())));
                        }
                        scope => left.push((scope, continuation)),
                    }
                }
            }
        }
        Ok(())
    }

    /// The ranges that a range was split into.
    async fn parts_of(&self, range: &KeyRange) -> Result<Vec<KeyRange>, ConnectError> {
        let mut ranges = self.reading.key_ranges().await?;
        ranges.retain(|other| other.overlaps(range));
        if ranges.iter().any(|part| !range.contains(part)) {
            let reason = "physical partitions were merged meanwhile; read again";
            return Err(self.reading.failure(reason));
        }
        Ok(ranges)
    }
}
