//! Reads a table back and holds it against the data of a run.

use txgen_lake::{LakeError, Location, Reader, Store};

use super::document::Stored;
use super::progress::Step;
use super::read::Reading;
use super::reconcile::{Findings, Item, Reconciler};
use crate::service::ServiceName;

/// A Delta table that a run was landed in.
#[derive(Clone, Debug)]
pub struct Table {
    /// Where it is.
    pub location: Location,
    /// The store that holds it.
    pub store: Store,
}

impl Reading<'_> {
    /// What the table holds of what the run wrote to the service.
    pub(super) async fn table(&self, service: ServiceName, table: &Table) -> Result<Findings, LakeError> {
        let name = table.location.to_string();
        let reader = Reader::open(&name, &table.store).await?;
        let place = format!("the table {name}, version {}", reader.version());
        self.progress.next(Step {
            place: "The table".to_owned(),
            counted: "rows of the run read",
            expected: Some(self.expected.count(service)),
            detail: place.clone(),
        });
        let run = self.job.subject.run;
        let mut reconciler = Reconciler::new(self.expected, service, self.job.listed);
        let mut take = |row: txgen_lake::Row| {
            if let Some(stored) = Stored::of(&row.document, run) {
                let key = row.document.get("ipCountryCode").and_then(serde_json::Value::as_str);
                // A container's physical partitions split; where a document is says nothing.
                let partition = (service == ServiceName::EventHubs).then_some(row.partition);
                reconciler.take(&Item { stored, key, partition });
                self.progress.count(reconciler.read());
            }
        };
        reader.rows(&mut take).await?;
        Ok(reconciler.finish(place, &self.job.subject.ambiguous(service)))
    }
}
