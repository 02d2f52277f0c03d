//! The dead letters of a run that was killed, completed from its data and its journal.
//!
//! A killed run has recorded each transaction that had come to its end, up to the last second. All others, those that were
//! on their way and those that had not had their turn, become dead letters now. Some of them may have been stored: their
//! ids make that harmless on Cosmos DB, and let `txgen verify` recognise a duplicate on Event Hubs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::folder::{DeadLetterError, Folder, file_name, write_record};
use super::journal::Journal;
use super::record::{RunRecord, State};
use crate::identity::RunId;
use crate::private_file;
use crate::service::ServiceName;
use crate::shard::Shard;
use crate::source::dead_letter::{ID_COLUMN, REASON_COLUMN};
use crate::source::{Heading, RowError, Source, SourceOptions, fingerprint, input};

const REASON: &str = "unsettled: the run was killed; it may have been stored";

/// What was added to the dead letters of a killed run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The run.
    pub run_id: RunId,
    /// The data from which it was added.
    pub data: String,
    /// Dead letters added, by service.
    pub added: BTreeMap<ServiceName, u64>,
}

/// Completes the dead letters that `file` is of, if the run that wrote them was killed; `None` where there is nothing to
/// complete. Blocks.
///
/// # Errors
/// When the run is still going on, or what it left behind, or its data, cannot be read or is not what it was.
pub fn complete(file: &Path) -> Result<Option<Recovered>, DeadLetterError> {
    let Some(folder) = Folder::around(file)? else { return Ok(None) };
    let mut record = folder.record()?;
    if record.state != State::Running {
        return Ok(None);
    }
    let run = record.run_id;
    let journal = Journal::read(BufReader::new(folder.journal())).map_err(|error| {
        DeadLetterError::io(format!("cannot read the journal of `{}`", folder.path().display()), error)
    })?;
    let mut source = open_data(&record, run)?;
    let heading = source.heading();
    let mut services = BTreeMap::new();
    for service in record.services.keys() {
        services.insert(*service, Unfinished::open(&folder, *service, &heading, run)?);
    }
    for (service, service_record) in &mut record.services {
        let lost = journal.ambiguous.get(service).into_iter().flat_map(|rows| rows.iter());
        lost.for_each(|range| service_record.ambiguous_rows.insert_range(range.clone()));
        // An earlier completion was interrupted after it had added these.
        let unsettled = services.get(service).into_iter().flat_map(|unfinished| &unfinished.unsettled);
        unsettled.for_each(|row| service_record.ambiguous_rows.insert(*row));
    }
    add_unsettled(&mut source, &mut record, &journal, &heading, &mut services)?;
    let mut added = BTreeMap::new();
    for (service, unfinished) in services {
        added.insert(service, unfinished.added);
        if let Some(service_record) = record.services.get_mut(&service) {
            service_record.dead_letters = unfinished.rows.len() as u64 + unfinished.added;
        }
        unfinished.finish()?;
    }
    record.state = State::Recovered;
    write_record(folder.path(), &record)?;
    Ok(Some(Recovered { run_id: record.run_id, data: record.data.file, added }))
}

fn open_data(record: &RunRecord, run: RunId) -> Result<Source, DeadLetterError> {
    let path = Path::new(&record.data.file);
    let why = format!("the run {} was killed, and what it had not sent is in `{}`", record.run_id, path.display());
    let bytes = input::size(path).ok().flatten();
    if bytes.is_some() && bytes != record.data.bytes {
        return Err(DeadLetterError::new(format!(
            "{why}, which has changed since: it had {} bytes, and has {} now; put the file back as it was",
            record.data.bytes.unwrap_or_default(),
            bytes.unwrap_or_default(),
        )));
    }
    if record.data.sha256.is_some() {
        // What cannot be read is reported when it is opened.
        let found = fingerprint(path, || true).sha256;
        if found.is_some() && found != record.data.sha256 {
            return Err(DeadLetterError::new(format!(
                "{why}, which has changed since: it has as many bytes, but other content (its SHA-256 is not the one that \
                 `run.json` says so); put the file back as it was"
            )));
        }
    }
    let options = SourceOptions {
        run,
        ttl_seconds: record.ttl_seconds,
        strict: record.strict,
        repeat: record.repeat,
        shard: record.shard.unwrap_or(Shard::WHOLE),
        keep_records: true,
    };
    let source = Source::open(path, options).map_err(|error| DeadLetterError::new(format!("{why}; {error}")))?;
    if source.run() == run {
        Ok(source)
    } else {
        Err(DeadLetterError::new(format!("{why}, which holds those of another run now; put the file back as it was")))
    }
}

/// Adds every transaction of the run that is neither settled nor a dead letter already.
fn add_unsettled(
    source: &mut Source,
    record: &mut RunRecord,
    journal: &Journal,
    heading: &Heading,
    services: &mut BTreeMap<ServiceName, Unfinished>,
) -> Result<(), DeadLetterError> {
    let mut left = record.limit.unwrap_or(u64::MAX);
    // Data that starts again has no end; the run had got as far as this.
    let last_row = if record.repeat { journal.last_row() } else { u64::MAX };
    while left > 0 {
        let transaction = match source.next() {
            None => break,
            Some(Ok(transaction)) => transaction,
            Some(Err(RowError::Rejected(_))) => continue,
            Some(Err(RowError::Fatal(error))) => return Err(DeadLetterError::new(error.to_string())),
        };
        if transaction.row > last_row {
            break;
        }
        left -= 1;
        for (service, unfinished) in services.iter_mut() {
            let row = transaction.row;
            if journal.is_settled(*service, row) || unfinished.rows.contains(&row) {
                continue;
            }
            let text = transaction.record.as_deref().unwrap_or_default();
            unfinished.add(&heading.letter(text, transaction.id, row, REASON))?;
            if let Some(service_record) = record.services.get_mut(service) {
                service_record.ambiguous_rows.insert(row);
            }
        }
    }
    Ok(())
}

/// One service's file, as the killed run has left it.
struct Unfinished {
    name: String,
    file: BufWriter<File>,
    /// The rows of its dead letters.
    rows: BTreeSet<u64>,
    /// Those among them that an earlier completion has added, which did not get to its end.
    unsettled: Vec<u64>,
    added: u64,
}

/// The dead letters that are whole.
#[derive(Debug, Default)]
struct Whole {
    rows: BTreeSet<u64>,
    /// Those among them that were added by a completion.
    unsettled: Vec<u64>,
    /// Where the last of them ends.
    end: u64,
}

impl Unfinished {
    /// Opens the file, and cuts off what was not written whole.
    fn open(folder: &Folder, service: ServiceName, heading: &Heading, run: RunId) -> Result<Self, DeadLetterError> {
        let path = folder.path().join(file_name(service));
        let name = path.display().to_string();
        let cannot = |error| DeadLetterError::io(format!("cannot complete `{name}`"), error);
        let mut file =
            private_file::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(cannot)?;
        let Whole { rows, unsettled, end } = whole_letters(&file, heading, run).map_err(cannot)?;
        file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end))).map_err(cannot)?;
        let mut unfinished = Self { file: BufWriter::new(file), rows, unsettled, added: 0, name: name.clone() };
        if end == 0 {
            unfinished.file.write_all(&heading.line()).map_err(cannot)?;
        }
        Ok(unfinished)
    }

    fn add(&mut self, letter: &[u8]) -> Result<(), DeadLetterError> {
        self.added += 1;
        self.file
            .write_all(letter)
            .map_err(|error| DeadLetterError::io(format!("cannot complete `{}`", self.name), error))
    }

    fn finish(mut self) -> Result<(), DeadLetterError> {
        self.file.flush().map_err(|error| DeadLetterError::io(format!("cannot complete `{}`", self.name), error))
    }
}

fn whole_letters(file: &File, heading: &Heading, run: RunId) -> std::io::Result<Whole> {
    let length = file.metadata()?.len();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(heading.delimiter())
        .from_reader(BufReader::new(file));
    let mut whole = Whole::default();
    let mut record = csv::ByteRecord::new();
    let mut places = None;
    while reader.read_byte_record(&mut record).unwrap_or(false) {
        let end = reader.position().byte();
        if end == length && !ends_with_a_line_break(file, length)? {
            break;
        }
        let cell = |place| record.get(place).and_then(|cell| str::from_utf8(cell).ok()).unwrap_or_default();
        match places {
            None => {
                let place = |name: &str| (0..record.len()).find(|place| cell(*place) == name);
                let (Some(id), Some(reason)) = (place(ID_COLUMN), place(REASON_COLUMN)) else { break };
                places = Some((id, reason, record.len()));
            }
            Some((id, reason, width)) => match cell(id).parse().ok().and_then(RunId::split) {
                Some((found, row)) if found == run && record.len() == width => {
                    whole.rows.insert(row);
                    if cell(reason) == REASON {
                        whole.unsettled.push(row);
                    }
                }
                _ => break,
            },
        }
        whole.end = end;
    }
    Ok(whole)
}

fn ends_with_a_line_break(mut file: &File, length: u64) -> std::io::Result<bool> {
    use std::io::Read as _;
    let here = file.stream_position()?;
    let mut last = [0];
    file.seek(SeekFrom::Start(length.saturating_sub(1)))?;
    let read = file.read(&mut last)?;
    file.seek(SeekFrom::Start(here))?;
    Ok(read == 1 && last == *b"\n")
}
