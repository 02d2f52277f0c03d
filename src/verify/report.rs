//! The result of a verification, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::reconcile::{Finding, Findings};
use crate::identity::RunId;
use crate::service::ServiceName;
use crate::text::{counted, single_line};

/// What kind of document it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Verify,
}

/// The result of a verification: the document `"type": "verify"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    #[serde(rename = "type")]
    kind: Kind,
    version: String,
    /// The run.
    pub run_id: RunId,
    /// The data that its rows were held against.
    pub data: Vec<String>,
    /// Whether every row is where it belongs, as it was sent: exit code 0.
    pub ok: bool,
    /// By service: `event_hubs`, `cosmos_db`; one entry for each hub, or the container.
    pub services: BTreeMap<ServiceName, Vec<Findings>>,
    /// What the reader should know beside, one line each.
    pub remarks: Vec<String>,
}

impl Verification {
    /// The result of what was found.
    #[must_use]
    pub fn new(
        run_id: RunId,
        data: Vec<String>,
        services: BTreeMap<ServiceName, Vec<Findings>>,
        remarks: Vec<String>,
    ) -> Self {
        let ok = services.values().flatten().all(Findings::is_good);
        Self { kind: Kind::Verify, version: env!("CARGO_PKG_VERSION").to_owned(), run_id, data, ok, services, remarks }
    }

    /// One line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Text keys and numbers always serialise.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// Lines for people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("Run {}, held against {}\n", self.run_id, self.data.join(", "));
        for (service, places) in &self.services {
            places.iter().for_each(|findings| add_place(&mut text, *service, findings));
        }
        text.push('\n');
        self.remarks.iter().for_each(|remark| text.push_str(&format!("{}\n", single_line(remark))));
        let faults: u64 =
            self.services.values().flatten().flat_map(Findings::faults).map(|(_, found)| found.count).sum();
        text.push_str(&if self.ok {
            "Every row is there, as it was sent, where it belongs.\n".to_owned()
        } else {
            format!("{} found.\n", counted(faults, "fault"))
        });
        text
    }
}

fn add_place(text: &mut String, service: ServiceName, findings: &Findings) {
    // Writing into a string cannot fail.
    let _ = writeln!(text, "\n{service}: {}", single_line(&findings.place));
    let rows = [
        ("expected", findings.expected),
        ("read", findings.read),
        ("present", findings.present),
        ("intact", findings.intact),
        ("missing", findings.missing.count),
        ("duplicated", findings.duplicated.count),
        ("duplicated after an ambiguous send", findings.duplicated_after_ambiguous.count),
        ("different from the data", findings.different.count),
        ("on the wrong partition", findings.wrong_partition.count),
        ("ttl wrong", findings.ttl_wrong.count),
        ("unexpected", findings.unexpected.count),
    ];
    for (name, count) in rows {
        let _ = writeln!(text, "{name:<36}{count:>10}");
    }
    for (name, finding) in findings.faults() {
        add_first(text, name, finding);
    }
    if findings.duplicated_after_ambiguous.count > 0 {
        add_first(text, "duplicated after an ambiguous send", &findings.duplicated_after_ambiguous);
    }
}

fn add_first(text: &mut String, name: &str, finding: &Finding) {
    for found in &finding.first {
        let detail = if found.detail.is_empty() { String::new() } else { format!(": {}", found.detail) };
        let _ = writeln!(text, "  {name}: row {}, id {}{}", found.row, found.id, single_line(&detail));
    }
    let listed = finding.first.len() as u64;
    if finding.count > listed {
        let _ = writeln!(text, "  {name}: and {} more", finding.count - listed);
    }
}
