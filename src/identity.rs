//! Who a transaction is: one id for each row of each run.
//!
//! The same data can be sent again and again, a repeat of one request is idempotent, and a reader can tell from the id
//! alone which run and which row it holds. An id is a UUID of version 8 (RFC 9562, section 5.8): 60 random bits that
//! name the run, then 62 bits that hold the number of the transaction within it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// The run part of every id of one run, written as the first three groups of a UUID: `0b5c1f6e-93d2-8a47`.
///
/// It is a literal prefix of the run's ids, so that `STARTSWITH(c.id, '0b5c1f6e-93d2-8a47')` finds a run's documents.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId([u8; 8]);

impl RunId {
    /// The largest row number that an id can hold.
    pub const MAX_ROW: u64 = (1 << 62) - 1;

    /// A run id from the operating system's randomness.
    #[must_use]
    pub fn random() -> Self {
        Self::from_random_bytes(*Uuid::new_v4().as_bytes())
    }

    /// The one in examples and tests: `0b5c1f6e-93d2-8a47`.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn sample() -> Self {
        Self([0x0b, 0x5c, 0x1f, 0x6e, 0x93, 0xd2, 0x8a, 0x47])
    }

    fn from_random_bytes(bytes: [u8; 16]) -> Self {
        let marked = Uuid::new_v8(bytes).into_bytes();
        let mut run = [0; 8];
        run.copy_from_slice(&marked[..8]);
        Self(run)
    }

    /// The id of the transaction with this number, counted from 1.
    ///
    /// Numbers above [`Self::MAX_ROW`] lose their two highest bits; no run gets that far.
    #[must_use]
    pub fn transaction_id(self, row: u64) -> Uuid {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.0);
        bytes[8..].copy_from_slice(&row.to_be_bytes());
        Uuid::new_v8(bytes)
    }

    /// The run and the row that an id holds; `None` for an id that txgen did not make.
    #[must_use]
    pub fn split(id: Uuid) -> Option<(Self, u64)> {
        if id.get_version_num() != 8 {
            return None;
        }
        let bytes = id.into_bytes();
        let (run, row) = bytes.split_at(8);
        let row = u64::from_be_bytes(row.try_into().ok()?) & Self::MAX_ROW;
        Some((Self(run.try_into().ok()?), row))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if i == 4 || i == 6 {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunId({self})")
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A text that is not a run id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a run id; one looks like 0b5c1f6e-93d2-8a47, and any UUID makes one")]
pub struct InvalidRunId(String);

impl FromStr for RunId {
    type Err = InvalidRunId;

    /// Reads a run id; or makes one of a whole UUID, whose last two groups are left out and whose version becomes 8, so
    /// that whatever has a UUID (`uuidgen`, a Kubernetes Job, a deployment) can name a run.
    fn from_str(text: &str) -> Result<Self, InvalidRunId> {
        let invalid = || InvalidRunId(text.to_owned());
        let hyphens: Vec<usize> = text.match_indices('-').map(|(place, _)| place).collect();
        match hyphens[..] {
            [8, 13] => format!("{text}-8000-000000000000")
                .parse()
                .ok()
                .and_then(Self::split)
                .map(|(run, _)| run)
                .ok_or_else(invalid),
            [8, 13, 18, 23] => {
                text.parse().map(|id: Uuid| Self::from_random_bytes(id.into_bytes())).map_err(|_| invalid())
            }
            _ => Err(invalid()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_run_and_its_row() {
        let run = RunId::random();
        for row in [1, 2, 1_000_000, RunId::MAX_ROW] {
            assert_eq!(RunId::split(run.transaction_id(row)), Some((run, row)));
        }
    }

    #[test]
    fn the_run_id_is_a_prefix_of_its_transactions_ids() {
        let run = RunId::random();
        assert!(run.transaction_id(7).to_string().starts_with(&run.to_string()));
    }

    #[test]
    fn ids_are_version_8_of_the_rfc_variant() {
        let id = RunId::from_random_bytes([0xff; 16]).transaction_id(1);
        assert_eq!(id.to_string(), "ffffffff-ffff-8fff-8000-000000000001");
    }

    #[test]
    fn a_run_id_is_a_string_in_json() {
        let run: RunId = serde_json::from_str("\"0b5c1f6e-93d2-8a47\"").unwrap();
        assert_eq!(serde_json::to_string(&run).unwrap(), "\"0b5c1f6e-93d2-8a47\"");
        let error = serde_json::from_str::<RunId>("\"run 1\"").unwrap_err().to_string();
        assert!(error.starts_with("`run 1` is not a run id"), "{error}");
    }

    #[test]
    fn a_run_id_survives_being_written_and_read() {
        let run = RunId::random();
        assert_eq!(run.to_string().parse(), Ok(run));
    }

    #[test]
    fn other_ids_belong_to_no_run() {
        assert_eq!(RunId::split(Uuid::new_v4()), None);
        for text in ["no-run", "", "0b5c1f6e-93d2-4a47", "0b5c1f6e93d28a47", "0b5c1f6e-93d2-8a47-", "0b5c1f6e-93d2"] {
            assert_eq!(text.parse::<RunId>(), Err(InvalidRunId(text.to_owned())));
        }
    }

    #[test]
    fn any_uuid_names_a_run_by_its_first_three_groups() {
        let run: RunId = "0b5c1f6e-93d2-8a47".parse().unwrap();
        assert_eq!("0B5C1F6E-93D2-4A47-b1de-6d2b0c7ac5f1".parse(), Ok(run));
        assert_eq!(run.transaction_id(7).to_string().parse(), Ok(run));
    }
}
