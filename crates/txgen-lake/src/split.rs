//! What a split of physical partitions does to their positions.

use std::collections::BTreeMap;

use crate::error::LakeError;
use crate::source::Source;
use crate::table::{Move, Outcome, Table};

/// The position of a partition that has split: after everything, so that a process that still lands it is fenced.
pub(crate) const CLOSED: i64 = i64::MAX;

/// Gives the partitions of a split the position of the one that they come from, and closes that one, in one commit.
pub(crate) async fn adopt(source: &Source, table: &mut Table) -> Result<(), LakeError> {
    loop {
        let mut moves: BTreeMap<String, Move> = BTreeMap::new();
        for partition in source.may_be_of_a_split() {
            let application = source.application(partition);
            if table.watch(&application).await?.is_some() {
                continue;
            }
            if let Some((ancestor, position)) = ancestor(source, partition, table).await? {
                let closing = Move { application: ancestor.clone(), from: Some(position), to: CLOSED };
                moves.insert(ancestor, closing);
                moves.insert(application.clone(), Move { application, from: None, to: position });
            }
        }
        let moves: Vec<Move> = moves.into_values().collect();
        // Another process that has done so meanwhile leaves nothing to do.
        if moves.is_empty() || matches!(table.commit(&[], &moves).await?, Outcome::Done(_)) {
            return Ok(());
        }
    }
}

/// The partition that held the hashes of this one last, and its position.
async fn ancestor(source: &Source, partition: u32, table: &mut Table) -> Result<Option<(String, i64)>, LakeError> {
    for application in source.ancestors(partition) {
        if let Some(position) = table.watch(&application).await?.filter(|position| *position != CLOSED) {
            return Ok(Some((application, position)));
        }
    }
    Ok(None)
}
