//! Session tokens: how far each physical partition was when it answered a write, so that a later read can wait until what
//! it reads from is as far (<https://learn.microsoft.com/azure/cosmos-db/consistency-levels#session-consistency>).
//!
//! One is written `RANGE:VERSION#GLOBAL_LSN#REGION=LOCAL_LSN…`
//! (<https://learn.microsoft.com/azure/cosmos-db/how-to-convert-session-token>). The version counts the changes of the
//! partition's topology; of two tokens with the same one each number is the higher of both, and otherwise the newer version
//! says which regions there are, as in Azure's own clients
//! (<https://github.com/Azure/azure-cosmos-dotnet-v3/blob/master/Microsoft.Azure.Cosmos/src/direct/VectorSessionToken.cs>).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Partition key ranges, and regions of one, that are kept at most: more than any container has.
const MOST: usize = 10_000;

/// How far the partition key ranges of a container are known to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SessionToken(BTreeMap<u32, Progress>);

/// How far one range is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Progress {
    version: i64,
    global_lsn: i64,
    /// Local LSNs by region.
    regions: BTreeMap<u32, i64>,
}

/// A text that is no session token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a session token, such as 0:1#5#2=4")]
pub struct NoSessionToken;

/// A part of a token's text, taken apart but for its regions.
#[derive(Clone, Copy)]
struct Part<'a> {
    range: u32,
    version: i64,
    global_lsn: i64,
    regions: &'a str,
}

impl SessionToken {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what an answer says; allocates for ranges, regions and versions alone that are new. What is no token is left out.
    pub(super) fn add(&mut self, text: &str) {
        text.split(',').filter_map(Part::read).for_each(|part| self.add_part(part));
    }

    /// Adds what another one knows.
    pub fn merge(&mut self, other: &Self) {
        for (range, Progress { version, global_lsn, regions }) in &other.0 {
            self.raise(*range, *version, *global_lsn, regions.iter().map(|(region, lsn)| (*region, *lsn)));
        }
    }

    fn add_part(&mut self, part: Part<'_>) {
        self.raise(part.range, part.version, part.global_lsn, part.regions().flatten());
    }

    fn raise(&mut self, range: u32, version: i64, global_lsn: i64, regions: impl Iterator<Item = (u32, i64)>) {
        let is_full = self.0.len() >= MOST;
        match self.0.get_mut(&range) {
            None if is_full => {}
            None => {
                self.0.insert(range, Progress::new(version, global_lsn, regions));
            }
            Some(known) if known.version < version => {
                let former = std::mem::replace(known, Progress::new(version, global_lsn, regions));
                known.raise(former.global_lsn, former.regions.into_iter(), false);
            }
            Some(known) => known.raise(global_lsn, regions, known.version == version),
        }
    }

    /// What a read of a range sends: what is known of it, or of the ranges that it comes from.
    pub(super) fn of_range(&self, id: &str, parents: &[String]) -> Option<String> {
        let known = |id: &str| self.0.get(&id.parse().ok()?);
        let progress = known(id).or_else(|| parents.iter().rev().find_map(|parent| known(parent)))?;
        Some(format!("{id}:{progress}"))
    }
}

impl Progress {
    fn new(version: i64, global_lsn: i64, regions: impl Iterator<Item = (u32, i64)>) -> Self {
        Self { version, global_lsn, regions: regions.take(MOST).collect() }
    }

    /// Each number becomes the higher of both; regions that are new are taken over or not.
    fn raise(&mut self, global_lsn: i64, regions: impl Iterator<Item = (u32, i64)>, with_new_regions: bool) {
        self.global_lsn = self.global_lsn.max(global_lsn);
        for (region, lsn) in regions {
            if let Some(known) = self.regions.get_mut(&region) {
                *known = lsn.max(*known);
            } else if with_new_regions && self.regions.len() < MOST {
                self.regions.insert(region, lsn);
            }
        }
    }
}

impl<'a> Part<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (range, text) = text.trim().split_once(':')?;
        let (version, text) = text.split_once('#')?;
        let (global_lsn, regions) = text.split_once('#').unwrap_or((text, ""));
        let part = Self {
            range: range.parse().ok()?,
            version: version.parse().ok()?,
            global_lsn: global_lsn.parse().ok()?,
            regions,
        };
        part.regions().all(|region| region.is_some()).then_some(part)
    }

    /// Each region and its local LSN; `None` for what is none.
    fn regions(self) -> impl Iterator<Item = Option<(u32, i64)>> {
        let read = |text: &str| {
            let (region, lsn) = text.split_once('=')?;
            Some((region.parse().ok()?, lsn.parse().ok()?))
        };
        self.regions.split('#').filter(|text| !text.is_empty()).map(read)
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.version, self.global_lsn)?;
        self.regions.iter().try_for_each(|(region, lsn)| write!(f, "#{region}={lsn}"))
    }
}

impl fmt::Display for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (range, progress) in &self.0 {
            write!(f, "{separator}{range}:{progress}")?;
            separator = ",";
        }
        Ok(())
    }
}

impl FromStr for SessionToken {
    type Err = NoSessionToken;

    fn from_str(text: &str) -> Result<Self, NoSessionToken> {
        let mut token = Self::default();
        for part in text.split(',') {
            token.add_part(Part::read(part).ok_or(NoSessionToken)?);
        }
        Ok(token)
    }
}

impl From<SessionToken> for String {
    fn from(token: SessionToken) -> Self {
        token.to_string()
    }
}

impl TryFrom<String> for SessionToken {
    type Error = NoSessionToken;

    fn try_from(text: String) -> Result<Self, NoSessionToken> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(texts: &[&str]) -> String {
        let mut token = SessionToken::default();
        texts.iter().for_each(|text| token.add(text));
        token.to_string()
    }

    #[test]
    fn of_each_range_the_highest_numbers_are_kept() {
        assert_eq!(joined(&["0:1#5#2=4", "1:1#9", "0:1#7#2=3", "0:1#6#2=9"]), "0:1#7#2=9,1:1#9");
        assert_eq!(joined(&["0:-1#5", "0:-1#4", "10:-1#1", "2:-1#1"]), "0:-1#5,2:-1#1,10:-1#1");
    }

    #[test]
    fn a_newer_version_says_which_regions_there_are() {
        let merged = "0:2#8#2=6#3=1";
        assert_eq!(joined(&["0:1#8#1=5#2=6", "0:2#7#2=4#3=1"]), merged);
        assert_eq!(joined(&["0:2#7#2=4#3=1", "0:1#8#1=5#2=6"]), merged);
    }

    #[test]
    fn what_is_no_token_changes_nothing() {
        for text in ["", "0", "0:5", "x:1#5", "0:x#5", "0:1#x", "0:1#5#2", "0:1#5#2=x", "0:1#5#x=2"] {
            assert_eq!(joined(&["0:1#5", text]), "0:1#5", "{text}");
            assert_eq!(text.parse::<SessionToken>(), Err(NoSessionToken), "{text}");
        }
    }

    #[test]
    fn a_read_of_a_part_waits_for_what_it_comes_from() {
        let token: SessionToken = "0:1#5#2=4,3:1#9".parse().unwrap();
        let parents = ["0".to_owned(), "1".to_owned()];
        assert_eq!(token.of_range("3", &parents).as_deref(), Some("3:1#9"));
        assert_eq!(token.of_range("2", &parents).as_deref(), Some("2:1#5#2=4"));
        assert_eq!(token.of_range("2", &[]), None);
    }

    fn any_text() -> impl Strategy<Value = String> {
        let regions = proptest::collection::btree_map(0..4_u32, 0..20_i64, 0..3);
        (0..3_u32, -1..3_i64, 0..20_i64, regions).prop_map(|(range, version, global_lsn, regions)| {
            format!("{range}:{}", Progress { version, global_lsn, regions })
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(texts in proptest::collection::vec(any_text(), 1..5)) {
            let mut token = SessionToken::default();
            texts.iter().for_each(|text| token.add(text));
            prop_assert_eq!(token.to_string().parse::<SessionToken>().unwrap(), token);
        }

        #[test]
        fn adding_the_same_again_changes_nothing_and_no_number_ever_falls(
            first in any_text(),
            second in any_text(),
        ) {
            let mut token: SessionToken = first.parse().unwrap();
            let before = token.clone();
            token.add(&first);
            prop_assert_eq!(&token, &before);
            token.add(&second);
            for (range, known) in &before.0 {
                prop_assert!(token.0[range].global_lsn >= known.global_lsn && token.0[range].version >= known.version);
            }
        }
    }
}
