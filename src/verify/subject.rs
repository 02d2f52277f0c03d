//! What is verified: a run, as one or several documents describe it. The summary of the run, those of its shards, those of
//! its replays, and the plan of a run that was killed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use time::OffsetDateTime;

use crate::identity::RunId;
use crate::run::dead_letters::{RunRecord, ServiceRecord, State};
use crate::service::ServiceName;
use crate::service::cosmos::SessionToken;
use crate::shard::Shard;
use crate::stats::{DataFile, Rows, Summary, Target};

/// The contents of one document.
#[derive(Clone, Debug)]
pub struct Part {
    /// The file of the document.
    pub name: String,
    /// The run.
    pub run: RunId,
    /// When it started, or was replayed.
    pub started_at: OffsetDateTime,
    /// The data that was sent.
    pub data: DataFile,
    /// Whose rows of it.
    pub shard: Shard,
    /// Whether rows with unreadable cells were rejected.
    pub strict: bool,
    /// Whether the data started again at its end.
    pub repeat: bool,
    /// How many transactions were requested: the first ones. `None` is all.
    pub requested: Option<u64>,
    /// Whether that is a limit, which the data need not reach.
    pub is_limit: bool,
    /// Seconds that Cosmos DB is to keep each document.
    pub ttl_seconds: u32,
    /// Whether the run was killed, and its dead letters were not completed yet.
    pub is_unfinished: bool,
    /// Whether the services were in the process of the run, and ended with it.
    pub with_emulator: bool,
    /// The services that were written to.
    pub services: BTreeMap<ServiceName, Place>,
}

/// One service, as a document describes it.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// What was written to.
    pub target: Option<Target>,
    /// Rows of which an answer was lost.
    pub ambiguous: Rows,
    /// Transactions that the run itself says it did not store.
    pub not_stored: u64,
    /// How far it was at its answers, where the document says so.
    pub session_token: Option<SessionToken>,
}

/// A run, from every document that describes it.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The run.
    pub run: RunId,
    /// When it started.
    pub started_at: OffsetDateTime,
    /// The documents, in the order in which they were given; at least one.
    pub parts: Vec<Part>,
}

/// Why a document cannot be verified, on one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unverifiable(pub String);

impl Part {
    /// Reads a summary, or the `run.json` of a folder of dead letters; `name` is its file.
    ///
    /// # Errors
    /// When it is neither, or what it describes cannot be verified.
    pub fn read(name: &str, text: &[u8]) -> Result<Self, Unverifiable> {
        let wrong = |problem: &str| Unverifiable(format!("{name} {problem}"));
        let text = last_document(text);
        let document: Value = serde_json::from_slice(text).map_err(|error| {
            wrong(&format!("is not the summary of a run, such as `txgen run --summary-file` writes: {error}"))
        })?;
        let part = match document["type"].as_str() {
            Some("summary") => {
                let shard: Option<Shard> = serde_json::from_value(document["shard"].clone())
                    .map_err(|error| wrong(&format!("names a shard that there is not: {error}")))?;
                let summary = serde_json::from_value(document).map_err(|error| wrong(&error.to_string()))?;
                Self::of_summary(name, &summary, shard.unwrap_or(Shard::WHOLE))
            }
            Some("dead_letters") => {
                Self::of_record(name, &serde_json::from_value(document).map_err(|error| wrong(&error.to_string()))?)
            }
            Some(other) => Err(format!("is a document of type `{other}`; `txgen verify` reads the summary of a run")),
            None => Err("is not the summary of a run, such as `txgen run --summary-file` writes".to_owned()),
        };
        part.map_err(|problem| wrong(&problem))
    }

    fn of_summary(name: &str, summary: &Summary, shard: Shard) -> Result<Self, String> {
        let setting = |key: &str| summary.settings.iter().find(|setting| setting.key == key);
        let is_set = |key: &str| setting(key).is_some_and(|setting| setting.value == "true");
        let of_target = summary.services.values().find_map(|service| match &service.target {
            Some(Target::Container(container)) => Some(container.ttl_seconds),
            _ => None,
        });
        let of_setting = || {
            let ttl = setting("TIME_TO_LIVE_SECONDS")?;
            let seconds = humantime::parse_duration(&ttl.value).ok()?.as_secs();
            u32::try_from(seconds).ok()
        };
        let place = |(name, service): (&ServiceName, &crate::stats::ServiceSummary)| {
            let counts = service.counts;
            let place = Place {
                target: service.target.clone(),
                ambiguous: service.ambiguous_rows.clone(),
                not_stored: counts.failed + counts.not_sent + counts.pending,
                session_token: service.session_token.clone(),
            };
            (*name, place)
        };
        Ok(Self {
            name: name.to_owned(),
            run: summary.run_id,
            started_at: summary.started_at,
            data: summary.data.clone().ok_or("does not say which data was sent")?,
            shard,
            strict: is_set("--strict"),
            repeat: is_set("--loop"),
            requested: Some(summary.requested),
            is_limit: false,
            ttl_seconds: of_target.or_else(of_setting).ok_or("does not say the time to live of its documents")?,
            is_unfinished: false,
            with_emulator: summary.settings.iter().any(|setting| setting.source == "--emulator"),
            services: summary.services.iter().map(place).collect(),
        })
    }

    fn of_record(name: &str, record: &RunRecord) -> Result<Self, String> {
        if record.state == State::Finished {
            return Err("is of a run that ended by itself; give the summary of the run, which says how".to_owned());
        }
        if record.repeat {
            return Err(
                "is of a run with --loop that was killed: how far it got is known to the second alone, which is \
                        not enough to verify it"
                    .to_owned(),
            );
        }
        let place = |(name, service): (&ServiceName, &ServiceRecord)| {
            let mut ambiguous = service.ambiguous_rows.clone();
            if record.state == State::Running {
                // Of which rows an answer was lost is in its journal, which is read when its dead letters are completed.
                ambiguous.forget();
            }
            let target = service.target.clone();
            let place = Place { target, ambiguous, not_stored: service.dead_letters, session_token: None };
            (*name, place)
        };
        Ok(Self {
            name: name.to_owned(),
            run: record.run_id,
            started_at: record.started_at,
            data: record.data.clone(),
            shard: record.shard.unwrap_or(Shard::WHOLE),
            strict: record.strict,
            repeat: false,
            requested: record.limit,
            is_limit: true,
            ttl_seconds: record.ttl_seconds,
            is_unfinished: record.state == State::Running,
            with_emulator: false,
            services: record.services.iter().map(place).collect(),
        })
    }
}

/// The last line of newline-delimited JSON, which `--output json` ends with; any other text as it is.
fn last_document(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii();
    match text.iter().rposition(|byte| *byte == b'\n') {
        Some(end) if text[..end].trim_ascii_end().ends_with(b"}") && text[end + 1..].starts_with(b"{") => {
            &text[end + 1..]
        }
        _ => text,
    }
}

impl Subject {
    /// Joins the documents of one run.
    ///
    /// # Errors
    /// When they describe different runs, or there is none.
    pub fn new(parts: Vec<Part>) -> Result<Self, Unverifiable> {
        let first = parts.first().ok_or_else(|| Unverifiable("there is no summary to verify".to_owned()))?;
        let run = first.run;
        if let Some(other) = parts.iter().find(|part| part.run != run) {
            return Err(Unverifiable(format!(
                "{} is of run {}, but {} of run {run}; verify one run at a time",
                other.name, other.run, first.name
            )));
        }
        let started_at = parts.iter().map(|part| part.started_at).min().unwrap_or(first.started_at);
        Ok(Self { run, started_at, parts })
    }

    /// The services that were written to.
    #[must_use]
    pub fn services(&self) -> BTreeSet<ServiceName> {
        self.parts.iter().flat_map(|part| part.services.keys().copied()).collect()
    }

    /// The time to live of its documents: that of the run itself, which comes first.
    #[must_use]
    pub fn ttl_seconds(&self) -> u32 {
        self.parts.first().map_or(0, |part| part.ttl_seconds)
    }

    /// What was written to, where any document says so.
    #[must_use]
    pub fn target(&self, service: ServiceName) -> Option<&Target> {
        self.parts.iter().find_map(|part| part.services.get(&service)?.target.as_ref())
    }

    /// The rows of which an answer was lost, in the run or in a replay.
    #[must_use]
    pub fn ambiguous(&self, service: ServiceName) -> Rows {
        let mut rows = Rows::default();
        self.parts
            .iter()
            .filter_map(|part| part.services.get(&service))
            .for_each(|place| rows.extend(&place.ambiguous));
        rows
    }

    /// How far the service was at its answers, to the run or to a replay.
    #[must_use]
    pub fn session_token(&self, service: ServiceName) -> SessionToken {
        let mut all = SessionToken::default();
        let tokens = self.parts.iter().filter_map(|part| part.services.get(&service)?.session_token.as_ref());
        tokens.for_each(|token| all.merge(token));
        all
    }

    /// How many transactions the run itself, and its shards, say they did not store.
    #[must_use]
    pub fn not_stored(&self, service: ServiceName) -> u64 {
        self.parts.iter().filter_map(|part| part.services.get(&service)).map(|place| place.not_stored).sum()
    }
}
