//! The end of a run: dead letters written, the summary drawn and shown, a verdict for the caller.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;
use txgen_emulator::Emulators;

use super::dead_letters::{self, DeadLetterWriter, Written};
use super::observer::Observer;
use super::options::Criteria;
use super::{RunError, Stop, Verdict};
use crate::description::RunDescription;
use crate::service::ServiceName;
use crate::source::{DataFile, fingerprint};
use crate::stats::{Conclusion, Figures, Summary};
use crate::text::counted;
use crate::threshold;

/// A run whose last transaction is settled, given up or counted as not sent.
#[derive(Debug)]
pub struct Finished<O> {
    pub(super) description: Arc<RunDescription>,
    pub(super) conclusion: Conclusion,
    pub(super) figures: Figures,
    pub(super) letters: Option<DeadLetterWriter>,
    pub(super) criteria: Criteria,
    pub(super) hash_data: bool,
    pub(super) emulators: Option<Emulators>,
    pub(super) stop: Stop,
    pub(super) observer: O,
}

impl<O: Observer> Finished<O> {
    /// Writes what is left of the dead letters, draws the summary, shows it, and ends the local services.
    ///
    /// # Errors
    /// When dead letters or a file of the observer could not be written.
    pub async fn conclude(self) -> Result<Verdict, RunError> {
        let Self { description, mut conclusion, figures, letters, criteria, hash_data, emulators, stop, observer } =
            self;
        let written = finish_dead_letters(letters).await;
        let observer = catch_up(observer).await?;
        conclusion.data = if hash_data { hash(&description, stop).await } else { None };
        let thresholds = &criteria.thresholds;
        let judge = |summary: &Summary| threshold::verdicts(thresholds, summary);
        let summary = Summary::new(&description, conclusion, figures, judge);
        let passed = threshold::passed(thresholds, &summary);

        let mut remarks: Vec<String> =
            emulators.iter().map(|emulators| format!("The local services hold {}.", emulators.stored())).collect();
        remarks.extend(written.iter().flat_map(replay_remarks));
        observer.finish(&summary, &remarks).map_err(RunError::Failed)?;
        if let Some(emulators) = emulators {
            emulators.stop().await;
        }
        match written.and_then(unwritten) {
            Some(problem) => Err(RunError::Failed(problem)),
            None => Ok(Verdict::of(&summary, passed)),
        }
    }
}

/// Waits until the observer has shown everything, which blocks; tasks that were given up may send a moment longer.
async fn catch_up<O: Observer>(mut observer: O) -> Result<O, RunError> {
    let caught_up = tokio::task::spawn_blocking(move || observer.catch_up().map(|()| observer)).await;
    caught_up
        .map_err(|_| RunError::failed(anyhow!("the thread that waits for the output ended unexpectedly")))?
        .map_err(RunError::Failed)
}

/// What file the data was. A second Ctrl-C saves the time that a large one takes.
async fn hash(description: &RunDescription, stop: Stop) -> Option<DataFile> {
    let path = PathBuf::from(&description.data);
    tokio::task::spawn_blocking(move || fingerprint(&path, || !stop.is_requested_at_once())).await.ok()
}

async fn finish_dead_letters(letters: Option<DeadLetterWriter>) -> Option<Written> {
    let letters = letters?;
    let finished = tokio::task::spawn_blocking(move || letters.finish()).await;
    Some(finished.unwrap_or_else(|error| Written { problem: Some(error.to_string()), ..Written::default() }))
}

/// How each service's dead letters are sent again.
fn replay_remarks(written: &Written) -> Vec<String> {
    let letters = written.letters.iter().filter(|(_, letters)| **letters > 0);
    letters
        .map(|(service, letters)| {
            let only = match service {
                ServiceName::EventHubs => "--only-event-hubs",
                ServiceName::CosmosDb => "--only-cosmos",
            };
            format!(
                "{} of {service}; to send them again: txgen run --data {}/{} {only}",
                counted(*letters, "dead letter"),
                written.folder.display(),
                dead_letters::file_name(*service),
            )
        })
        .collect()
}

/// Why not every dead letter is in its file.
fn unwritten(written: Written) -> Option<anyhow::Error> {
    let problem = written.problem?;
    Some(match written.lost {
        0 => anyhow!("--dead-letters: {problem}"),
        lost => anyhow!("--dead-letters: {} could not be written: {problem}", counted(lost, "dead letter")),
    })
}
