//! What the reader of a verification should know beside its findings.

use std::collections::BTreeMap;
use std::path::Path;

use time::OffsetDateTime;

use super::reconcile::Findings;
use super::subject::Subject;
use crate::service::ServiceName;
use crate::text::counted;

/// One line each; `now` decides which documents have expired.
pub(super) fn remarks(
    subject: &Subject,
    found: &BTreeMap<ServiceName, Vec<Findings>>,
    now: OffsetDateTime,
) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(part) = subject.parts.iter().find(|part| part.is_unfinished) {
        let folder = Path::new(&part.name).parent().unwrap_or(Path::new(".")).display().to_string();
        remarks.push(format!(
            "The run was killed, and its dead letters were not sent again: txgen run --data {folder}/cosmos_db.csv \
             --only-cosmos, and likewise event_hubs.csv."
        ));
    }
    for (service, places) in found {
        let missing = places.iter().map(|findings| findings.missing.count).max().unwrap_or_default();
        let not_stored = subject.not_stored(*service);
        if missing > not_stored && !subject.parts.iter().any(|part| part.is_unfinished) {
            remarks.push(format!(
                "{service}: {} missing that the run said it had stored.",
                counted(missing - not_stored, "row")
            ));
        } else if missing > 0 && not_stored > 0 {
            remarks.push(format!("{service}: the run itself reports {not_stored} that it did not store."));
        }
        let expires = subject.started_at.saturating_add(time::Duration::seconds(subject.ttl_seconds().into()));
        if *service == ServiceName::CosmosDb && missing > 0 && expires < now {
            remarks.push(format!("{service}: the documents of the run have expired since {expires}."));
        }
    }
    remarks
}
