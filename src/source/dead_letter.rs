//! One dead letter: a row of the data as it was, its formula cells neutralised, with three columns behind.

use uuid::Uuid;

use super::formula;

/// The column with a transaction's id.
pub(crate) const ID_COLUMN: &str = "txgen_id";
/// The column with a transaction's number in its run.
pub(crate) const ROW_COLUMN: &str = "txgen_row";
/// The column with the reason why a transaction was not stored.
pub(crate) const REASON_COLUMN: &str = "txgen_reason";

/// The first line of the data that dead letters come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// The columns in the order of the data; `None` for one that txgen has added itself.
    pub columns: Vec<Option<String>>,
    /// What separates columns.
    pub separator: char,
    /// Whether the data are dead letters themselves, whose formula cells are neutralised already.
    pub is_replay: bool,
}

/// A reason is cut here: services' messages are one line, but whose length is theirs.
const LONGEST_REASON: usize = 500;

impl Heading {
    /// The header line of a file of dead letters.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let own = self.columns.iter().flatten().map(|name| formula::neutralised(name));
        self.joined(own.chain([ID_COLUMN, ROW_COLUMN, REASON_COLUMN].map(Into::into)))
    }

    /// The line of one dead letter, whose row stood in the data as `record`.
    #[must_use]
    pub fn letter(&self, record: &[u8], id: Uuid, row: u64, reason: &str) -> Vec<u8> {
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(self.delimiter()).from_reader(record);
        let mut cells = csv::StringRecord::new();
        // The row was read before, or there would be no transaction: this cannot fail, and should it ever, the id is
        // still there to find the row by.
        let _ = reader.read_record(&mut cells);
        let own = self.columns.iter().enumerate().filter(|(_, name)| name.is_some()).map(|(place, _)| {
            let cell = cells.get(place).unwrap_or_default();
            formula::neutralised(if self.is_replay { formula::restored(cell) } else { cell })
        });
        let mut reason: String = reason.chars().filter(|c| !c.is_control()).take(LONGEST_REASON).collect();
        reason = formula::neutralised(&reason).into_owned();
        self.joined(own.chain([id.to_string().into(), row.to_string().into(), reason.into()]))
    }

    pub(crate) fn delimiter(&self) -> u8 {
        // One of the four ASCII characters that a source takes for a separator.
        u8::try_from(self.separator).unwrap_or(b',')
    }

    fn joined<'a>(&self, cells: impl Iterator<Item = std::borrow::Cow<'a, str>>) -> Vec<u8> {
        let mut writer = csv::WriterBuilder::new().delimiter(self.delimiter()).from_writer(Vec::new());
        // Writing into memory cannot fail.
        let _ = writer.write_record(cells.map(|cell| cell.into_owned()));
        writer.into_inner().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use crate::identity::RunId;
    use crate::source::{Source, SourceOptions};

    fn run() -> RunId {
        "0b5c1f6e-93d2-8a47".parse().unwrap()
    }

    fn options(run: RunId) -> SourceOptions {
        SourceOptions { keep_records: true, ..SourceOptions::new(run, 60) }
    }

    fn open(text: Vec<u8>, run: RunId) -> Source {
        Source::from_reader("rows.csv", std::io::Cursor::new(text), options(run)).unwrap()
    }

    /// Every row of the data as a dead letter.
    fn letters(source: &mut Source, reason: &str) -> Vec<u8> {
        let heading = source.heading();
        let mut file = heading.line();
        for transaction in source.by_ref() {
            let transaction = transaction.unwrap();
            let record = transaction.record.as_deref().unwrap();
            file.extend(heading.letter(record, transaction.id, transaction.row, reason));
        }
        file
    }

    const DATA: &str = "transactionID,=extra,accountID,ipCountryCode,accountState\r\n\
        T1,\"=HYPERLINK(\"\"http://x\"\")\",A1,us,-1\r\n\
        \"T,2\",'@x,A2,gb,\"two\nlines\"\r\n\
        @T3,x,A3,fr,\"'tis\"\r\n";

    #[test]
    fn a_letter_is_the_row_with_harmless_cells_and_three_columns_behind() {
        let mut source = open(DATA.into(), run());
        let text = String::from_utf8(letters(&mut source, "throttled (429): \u{7}=too much")).unwrap();
        let id = "0b5c1f6e-93d2-8a47-8000-00000000000";
        assert_eq!(
            text,
            format!(
                "transactionID,'=extra,accountID,ipCountryCode,accountState,txgen_id,txgen_row,txgen_reason\n\
                 T1,\"'=HYPERLINK(\"\"http://x\"\")\",A1,us,'-1,{id}1,1,throttled (429): =too much\n\
                 \"T,2\",''@x,A2,gb,\"two\nlines\",{id}2,2,throttled (429): =too much\n\
                 '@T3,x,A3,fr,'tis,{id}3,3,throttled (429): =too much\n"
            )
        );
    }

    #[test]
    fn replayed_letters_are_the_documents_of_the_run_they_come_from() {
        let mut source = open(DATA.into(), run());
        let original: Vec<_> = open(DATA.into(), run()).map(|row| row.unwrap().body).collect();
        let file = letters(&mut source, "timeout: no answer");
        let mut replay = open(file.clone(), RunId::random());
        assert!(replay.is_replay());
        assert_eq!(replay.run(), run());
        assert_eq!(letters(&mut replay, "timeout: no answer"), file, "dead letters of a replay look the same");
        let replayed: Vec<_> = open(file, RunId::random()).map(|row| row.unwrap()).collect();
        assert!(replayed.iter().all(|transaction| transaction.may_be_stored));
        assert_eq!(replayed.into_iter().map(|transaction| transaction.body).collect::<Vec<_>>(), original);
    }

    #[test]
    fn a_replay_keeps_the_numbers_of_its_rows_whatever_their_order() {
        let file = "accountID;transactionID;ipCountryCode;txgen_row;txgen_id\n\
                    A;T;us;9;0b5c1f6e-93d2-8a47-8000-000000000009\n\
                    A;T;us;2;0b5c1f6e-93d2-8a47-8000-000000000002\n";
        let rows: Vec<_> = open(file.into(), RunId::random()).map(|row| row.unwrap()).collect();
        assert_eq!(rows.iter().map(|row| row.row).collect::<Vec<_>>(), [9, 2]);
        assert!(rows.iter().all(|row| row.id == run().transaction_id(row.row)));
    }

    #[test]
    fn somebody_elses_document_stays_a_conflict_in_a_replay() {
        let mut source = open(DATA.into(), run());
        let file = letters(&mut source, "conflict (409): Entity exists already");
        assert!(open(file, RunId::random()).all(|row| !row.unwrap().may_be_stored));
    }

    #[test]
    fn rows_that_do_not_belong_to_the_replay_are_rejected_with_their_reason() {
        let file = "accountID,transactionID,ipCountryCode,txgen_row,txgen_id\n\
                    A,T,us,9,0b5c1f6e-93d2-8a47-8000-000000000009\n\
                    A,T,us,1,0b5c1f6e-93d2-8a48-8000-000000000001\n\
                    A,T,us,3,0b5c1f6e-93d2-8a47-8000-000000000002\n\
                    A,T,us,3,none\n";
        let message: Vec<_> = open(file.into(), run()).filter_map(Result::err).map(|error| error.to_string()).collect();
        assert_eq!(
            message,
            [
                "line 3: it comes from run 0b5c1f6e-93d2-8a48, but the first one from run 0b5c1f6e-93d2-8a47; replay the dead letters of each run apart",
                "line 4: txgen_id is that of row 2, but txgen_row says otherwise",
                "line 5: txgen_id `none` is not an id of txgen",
            ]
        );
    }

    #[test]
    fn a_file_with_half_of_the_columns_is_refused() {
        let text = "accountID,transactionID,ipCountryCode,txgen_row\nA,T,us,9\n";
        let options = options(run());
        let error = Source::from_reader("rows.csv", text.as_bytes(), options).unwrap_err().to_string();
        assert!(error.starts_with("rows.csv has a column txgen_row but no txgen_id"), "{error}");
    }

    #[test]
    fn no_dead_letters_are_no_mistake() {
        let file = b"accountID,transactionID,ipCountryCode,txgen_row,txgen_id\n".to_vec();
        assert_eq!(open(file, run()).count(), 0);
    }
}
