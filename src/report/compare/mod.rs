//! Two runs held against each other: what was set differently, what came out differently, and whether that is more than
//! noise.
//!
//! Pure: two summaries in, a [`Comparison`] out, which is the JSON document itself; [`text`] and the page of
//! [`crate::report::html`] show it.

mod figures;
mod noise;
pub mod text;

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;

use crate::identity::RunId;
use crate::stats::{Summary, Target};
pub use noise::Spread;

/// Two runs, compared. Serialises as the comparison document (`"type": "comparison"`).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    #[serde(rename = "type")]
    kind: &'static str,
    /// The version of txgen that compared.
    pub version: &'static str,
    /// The first run: what the other one is held against.
    pub a: Side,
    /// The second run.
    pub b: Side,
    /// How noise was distinguished from a difference.
    pub method: Method,
    /// Settings that differ, and whatever else was not the same: data, version, targets.
    pub changes: Vec<Change>,
    /// Every figure, those of the whole run first.
    pub figures: Vec<Figure>,
}

/// One of the two runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// The file that its summary was read from.
    pub file: String,
    /// The run's id.
    pub run_id: RunId,
    /// When it started.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// Transactions requested.
    pub requested: u64,
    /// From the first request to the end, in seconds.
    pub wall_seconds: f64,
}

/// How noise was distinguished from a difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Method {
    /// Its name.
    pub test: &'static str,
    /// What it was applied to.
    pub sample: String,
    /// Differences that chance alone brings about less often than this are more than noise.
    pub level: f64,
    /// What it cannot decide.
    pub limits: &'static str,
}

/// Something that was not the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The setting's key, or the name of the circumstance.
    pub key: String,
    /// In the first run; `null` where it has none.
    pub a: Option<String>,
    /// In the second run.
    pub b: Option<String>,
}

/// What is better of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// The higher, the better.
    Higher,
    /// The lower, the better.
    Lower,
    /// Neither.
    Neither,
}

/// One figure of both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// Where it is in the summaries: `cosmos_db.service_time_ms.p99`.
    pub figure: String,
    /// Whose it is: a service's name, or the run.
    #[serde(skip)]
    pub subject: String,
    /// Its name within that, as people say it: `service time p99`.
    #[serde(skip)]
    pub name: String,
    /// Its unit; empty for a count.
    pub unit: &'static str,
    /// In the first run; `null` where that has no such figure.
    pub a: Option<f64>,
    /// In the second run.
    pub b: Option<f64>,
    /// The second less the first.
    pub difference: Option<f64>,
    /// That as a share of the first, from -1; `null` where the first is 0.
    pub relative: Option<f64>,
    /// What is better.
    pub better: Better,
    /// The spread by which it is judged; `null` for figures of the whole run, which have none.
    pub spread: Option<Spread>,
    /// Whether the difference is more than noise; `null` where that cannot be known.
    pub more_than_noise: Option<bool>,
}

impl Figure {
    /// Whether the second run did better: `None` where it did not differ, or neither is better.
    #[must_use]
    pub fn improved(&self) -> Option<bool> {
        let difference = self.difference.filter(|difference| *difference != 0.0)?;
        match self.better {
            Better::Higher => Some(difference > 0.0),
            Better::Lower => Some(difference < 0.0),
            Better::Neither => None,
        }
    }
}

impl Comparison {
    /// Holds `b` against `a`; each comes with the name of its file.
    #[must_use]
    pub fn of(a: (&str, &Summary), b: (&str, &Summary)) -> Self {
        Self {
            kind: "comparison",
            version: env!("CARGO_PKG_VERSION"),
            a: Side::of(a.0, a.1),
            b: Side::of(b.0, b.1),
            method: Method {
                test: "Mann-Whitney U test, two-sided, normal approximation corrected for ties and continuity",
                sample: format!(
                    "the figures of each run's intervals, without the first and the last one in which the service was \
                     active, neighbours averaged into {} to {} batches",
                    noise::LEAST_BATCHES,
                    noise::MOST_BATCHES
                ),
                level: noise::LEVEL,
                limits: "It knows the spread within each run, not from run to run: repeat both runs before relying on a \
                         small difference. Of many figures, one in a hundred passes by chance.",
            },
            changes: changes(a.1, b.1),
            figures: figures::all(a.1, b.1),
        }
    }

    /// The figures by whose they are, in their order.
    #[must_use]
    pub fn by_subject(&self) -> Vec<(&str, Vec<&Figure>)> {
        let mut subjects: Vec<(&str, Vec<&Figure>)> = Vec::new();
        for figure in &self.figures {
            match subjects.last_mut() {
                Some((subject, figures)) if *subject == figure.subject => figures.push(figure),
                _ => subjects.push((&figure.subject, vec![figure])),
            }
        }
        subjects
    }
}

impl Side {
    fn of(file: &str, summary: &Summary) -> Self {
        Self {
            file: file.to_owned(),
            run_id: summary.run_id,
            started_at: summary.started_at,
            requested: summary.requested,
            wall_seconds: summary.wall_seconds,
        }
    }
}

/// What was not the same: settings by their keys, then the circumstances.
fn changes(a: &Summary, b: &Summary) -> Vec<Change> {
    let settings = |summary: &Summary| -> BTreeMap<String, String> {
        summary.settings.iter().map(|setting| (setting.key.clone(), setting.value.clone())).collect()
    };
    let mut changes = differences(&settings(a), &settings(b));
    changes.extend(differences(&circumstances(a), &circumstances(b)));
    changes
}

fn differences(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<Change> {
    let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    keys.into_iter()
        .map(|key| Change { key: key.clone(), a: a.get(key).cloned(), b: b.get(key).cloned() })
        .filter(|change| change.a != change.b)
        .collect()
}

/// What else decides how a run goes.
fn circumstances(summary: &Summary) -> BTreeMap<String, String> {
    let mut circumstances = BTreeMap::new();
    let mut put = |key: &str, value: String| circumstances.insert(key.to_owned(), value);
    put("txgen", summary.version.clone());
    if let Some(shard) = &summary.shard {
        put("shard", format!("{} of {}", shard.index(), shard.count()));
    }
    if let Some(data) = &summary.data {
        match (&data.sha256, data.bytes) {
            (Some(sha256), _) => put("data (SHA-256)", sha256.clone()),
            (None, Some(bytes)) => put("data", format!("{}, {bytes} bytes", data.file)),
            (None, None) => put("data", data.file.clone()),
        };
    }
    for (name, service) in &summary.services {
        match &service.target {
            Some(Target::EventHubs(hubs)) => {
                let partitions =
                    hubs.iter().map(|hub| hub.partitions.map_or("?".to_owned(), |count| count.to_string()));
                put("Event Hubs: partitions of each hub", partitions.collect::<Vec<_>>().join(", "));
            }
            Some(Target::Container(container)) => {
                let provisioned = container.provisioned_request_units_per_second;
                put(
                    "Cosmos DB: RU/s provisioned",
                    provisioned.map_or("?".to_owned(), |provisioned| provisioned.to_string()),
                );
            }
            None => {}
        }
        put(&format!("{name} written"), "yes".to_owned());
    }
    circumstances
}
