//! The format of a file: a header, then records, each with its length and its checksum.
//!
//! | part | bytes |
//! |---|---|
//! | header | `txgenlog`, the version (4), the service (4) |
//! | record | its length (4), CRC-32 of all that follows and of the length (4), up to where the file was on disk when it was written (8), the record itself |
//!
//! A file that ends in the middle of a record was being written when its process was killed: the end is cut off, and nothing
//! that was acknowledged is lost with it. The number of bytes that were on disk tells such an end from damage: when a
//! whole record behind a broken one says that the broken one had been on disk, it must not be dropped.

/// The version of the format.
pub(crate) const VERSION: u32 = 1;
/// Bytes of a file's header.
pub(crate) const HEADER: usize = 16;
/// The largest record: a batch of 100 documents of 2 MB each, and some more.
pub(crate) const MAX_RECORD: usize = 256 * 1024 * 1024;
const MAGIC: &[u8; 8] = b"txgenlog";
/// Bytes that a record takes besides itself.
const FRAME: usize = 16;

/// Whose log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    EventHubs,
    CosmosDb,
}

impl Service {
    /// How it is called in the names of files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::EventHubs => "event-hubs",
            Self::CosmosDb => "cosmos-db",
        }
    }

    fn mark(self) -> &'static [u8; 4] {
        match self {
            Self::EventHubs => b"hubs",
            Self::CosmosDb => b"docs",
        }
    }

    /// How its files begin.
    pub(crate) fn header(self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..].copy_from_slice(self.mark());
        header
    }
}

/// What a file's beginning says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// Records follow.
    Good,
    /// It was being made when its process was killed.
    Unfinished,
    /// It is of another version.
    Version(u32),
    /// It is something else.
    Foreign,
}

/// Looks at how a file begins.
pub(crate) fn beginning(file: &[u8], service: Service) -> Beginning {
    let expected = service.header();
    let Some((header, _)) = file.split_first_chunk::<HEADER>() else {
        return if expected.starts_with(file) { Beginning::Unfinished } else { Beginning::Foreign };
    };
    if *header == expected {
        return Beginning::Good;
    }
    match (header.strip_prefix(MAGIC), header[8..].first_chunk().map(|version| u32::from_le_bytes(*version))) {
        (Some(_), Some(version)) if version != VERSION => Beginning::Version(version),
        _ => Beginning::Foreign,
    }
}

/// Writes a record as it stands in a file of which the first `synced` bytes are on disk.
pub(crate) fn frame(record: &[u8], synced: u64, out: &mut Vec<u8>) {
    // A record is at most MAX_RECORD long.
    let length = u32::try_from(record.len()).unwrap_or(u32::MAX).to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&checksum(length, synced, record).to_le_bytes());
    out.extend_from_slice(&synced.to_le_bytes());
    out.extend_from_slice(record);
}

/// How many bytes a record takes in a file.
pub(crate) fn framed(record: &[u8]) -> u64 {
    (record.len() + FRAME) as u64
}

fn checksum(length: [u8; 4], synced: u64, record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(&synced.to_le_bytes());
    hasher.update(record);
    hasher.finalize()
}

/// A record at this place of a file.
struct Found<'a> {
    record: &'a [u8],
    synced: u64,
    end: usize,
}

fn at(file: &[u8], at: usize) -> Option<Found<'_>> {
    let (length, rest) = file.get(at..)?.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let (synced, rest) = rest.split_first_chunk::<8>()?;
    let size = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let synced = u64::from_le_bytes(*synced);
    if size == 0 || size > MAX_RECORD || synced > at as u64 {
        return None;
    }
    let record = rest.get(..size)?;
    (checksum(*length, synced, record) == u32::from_le_bytes(*sum)).then_some(Found {
        record,
        synced,
        end: at + FRAME + size,
    })
}

/// The records of a file, up to the first that is not whole.
pub(crate) struct Records<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Records<'a> {
    /// Those of a file that begins well.
    pub(crate) fn new(file: &'a [u8]) -> Self {
        Self { file, at: HEADER.min(file.len()) }
    }

    /// Where the records end that were whole.
    pub(crate) fn end(&self) -> usize {
        self.at
    }

    /// Whether all of the file was read.
    pub(crate) fn is_whole(&self) -> bool {
        self.at == self.file.len()
    }

    /// Whether something that had been on disk is among what could not be read.
    pub(crate) fn has_lost(&self) -> bool {
        let end = self.at as u64;
        (self.at + 1..self.file.len()).any(|place| at(self.file, place).is_some_and(|found| found.synced > end))
    }
}

impl<'a> Iterator for Records<'a> {
    /// A record, and where it begins.
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let found = at(self.file, self.at)?;
        let start = std::mem::replace(&mut self.at, found.end);
        Some((start, found.record))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file of which everything before each record was on disk when that was written.
    fn file(records: &[Vec<u8>]) -> Vec<u8> {
        let mut file = Service::CosmosDb.header().to_vec();
        for record in records {
            let synced = file.len() as u64;
            frame(record, synced, &mut file);
        }
        file
    }

    fn records() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8)
    }

    proptest! {
        #[test]
        fn a_file_cut_anywhere_gives_the_records_before_the_cut(records in records()) {
            let whole = file(&records);
            for cut in HEADER..=whole.len() {
                let mut read = Records::new(&whole[..cut]);
                let found: Vec<_> = read.by_ref().map(|(_, record)| record.to_vec()).collect();
                prop_assert_eq!(&found[..], &records[..found.len()]);
                prop_assert!(read.end() <= cut && !read.has_lost());
                // The next record begins behind the cut.
                let next = records.get(found.len()).map_or(u64::MAX, |record| framed(record));
                prop_assert!(((cut - read.end()) as u64) < next);
            }
        }

        #[test]
        fn a_flipped_byte_is_never_read_and_loses_nothing_in_silence(records in records(), flip in 1..=255_u8) {
            let whole = file(&records);
            for place in HEADER..whole.len() {
                let mut damaged = whole.clone();
                damaged[place] ^= flip;
                let mut read = Records::new(&damaged);
                let found: Vec<_> = read.by_ref().map(|(_, record)| record.to_vec()).collect();
                prop_assert!(found.len() < records.len());
                prop_assert_eq!(&found[..], &records[..found.len()]);
                // All but the last record had been on disk when the last was written.
                prop_assert_eq!(read.has_lost(), found.len() + 1 < records.len());
            }
        }

        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut read = Records::new(&bytes);
            read.by_ref().for_each(drop);
            prop_assert!(read.end() <= bytes.len());
            read.has_lost();
        }
    }

    #[test]
    fn a_file_says_of_what_version_and_service_it_is() {
        let header = Service::EventHubs.header();
        assert_eq!(beginning(&header, Service::EventHubs), Beginning::Good);
        assert_eq!(beginning(&header, Service::CosmosDb), Beginning::Foreign);
        assert_eq!(beginning(&header[..5], Service::EventHubs), Beginning::Unfinished);
        assert_eq!(beginning(b"PK", Service::EventHubs), Beginning::Foreign);
        let mut later = header;
        later[8] = 9;
        assert_eq!(beginning(&later, Service::EventHubs), Beginning::Version(9));
    }
}
