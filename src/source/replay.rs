//! Dead letters as data: rows that keep the ids which an earlier run gave them, with their formula cells restored.

use uuid::Uuid;

use super::dead_letter::{ID_COLUMN, REASON_COLUMN, ROW_COLUMN};
use super::formula;
use crate::identity::RunId;
use crate::service::FailureKind;
use crate::transaction::Cells;

/// Where a file of dead letters has the columns that txgen has added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReplayColumns {
    id: usize,
    row: usize,
    reason: Option<usize>,
}

/// What a row says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identified {
    pub(super) run: RunId,
    pub(super) row: u64,
    /// Whether an earlier run may have stored it.
    pub(super) may_be_stored: bool,
}

impl ReplayColumns {
    /// The columns of a header; `None` if it is none of dead letters.
    ///
    /// # Errors
    /// When one column is there without the other: the ids would silently be new ones.
    pub(super) fn find(header: &[String]) -> Result<Option<Self>, String> {
        let place = |name: &str| header.iter().position(|column| column.trim().eq_ignore_ascii_case(name));
        match (place(ID_COLUMN), place(ROW_COLUMN)) {
            (Some(id), Some(row)) => Ok(Some(Self { id, row, reason: place(REASON_COLUMN) })),
            (None, None) => Ok(None),
            (id, _) => {
                let (there, missing) = if id.is_some() { (ID_COLUMN, ROW_COLUMN) } else { (ROW_COLUMN, ID_COLUMN) };
                Err(format!(
                    "has a column {there} but no {missing}: dead letters are replayed with both, and other data has \
                     neither"
                ))
            }
        }
    }

    /// Whether a column is one of those that txgen has added.
    pub(super) fn contains(&self, place: usize) -> bool {
        place == self.id || place == self.row || Some(place) == self.reason
    }

    /// What a row says of itself; or what is wrong with that.
    pub(super) fn identify(&self, cells: &Cells<'_>) -> Result<Identified, String> {
        let id = cells.get(self.id).trim();
        let (run, row) = id
            .parse::<Uuid>()
            .ok()
            .and_then(RunId::split)
            .ok_or_else(|| format!("{ID_COLUMN} `{}` is not an id of txgen", crate::transaction::shortened(id)))?;
        if cells.get(self.row).trim().parse() != Ok(row) {
            return Err(format!("{ID_COLUMN} is that of row {row}, but {ROW_COLUMN} says otherwise"));
        }
        // Somebody else's document under this id stays a conflict; all others may have been stored by the run itself.
        let reason = self.reason.map_or("", |place| cells.get(place));
        let may_be_stored = !reason.starts_with(FailureKind::Conflict.key());
        Ok(Identified { run, row, may_be_stored })
    }
}

/// The cells of a row as they were before they became dead letters.
#[derive(Debug, Default)]
pub(super) struct Restorer {
    text: String,
    ends: Vec<usize>,
}

impl Restorer {
    /// Restores every cell.
    pub(super) fn restore(&mut self, cells: &Cells<'_>) -> Cells<'_> {
        self.text.clear();
        self.ends.clear();
        for cell in cells.iter() {
            self.text.push_str(formula::restored(cell));
            self.ends.push(self.text.len());
        }
        Cells::of_text(&self.text, &self.ends)
    }
}
