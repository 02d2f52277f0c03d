use super::*;

use std::io::Write as _;

use proptest::prelude::*;
use serde_json::Value;

use crate::transaction::{COLUMNS, Kind};

fn options() -> SourceOptions {
    SourceOptions::new(RunId::random(), 60)
}

fn open(text: impl AsRef<[u8]>) -> Result<Source, SourceError> {
    Source::from_reader("rows.csv", io::Cursor::new(text.as_ref().to_owned()), options())
}

fn refusal(text: impl AsRef<[u8]>) -> String {
    open(text).unwrap_err().to_string()
}

/// The account of each row that arrives, and the line and reason of each that does not, in order.
fn outcomes(source: &mut Source) -> Vec<String> {
    source
        .map(|row| match row {
            Ok(transaction) => document(&transaction)["accountID"].as_str().unwrap().to_owned(),
            Err(error) => error.to_string(),
        })
        .collect()
}

fn document(transaction: &Transaction) -> Value {
    serde_json::from_slice(&transaction.body).unwrap()
}

const HEADER: &str = "transactionID,accountID,ipCountryCode,localHour\n";

#[test]
fn rows_are_numbered_from_one_on_and_their_ids_tell_the_number() {
    let mut source = open(format!("{HEADER}T1,A1,us,1\nT2,A2\nT3,A3,gb,3\n")).unwrap();
    let rows: Vec<_> = source.by_ref().filter_map(Result::ok).collect();
    assert_eq!(rows.iter().map(|row| row.row).collect::<Vec<_>>(), [1, 3]);
    for row in &rows {
        assert_eq!(RunId::split(row.id).unwrap().1, row.row);
        assert_eq!(document(row)["id"], row.id.to_string());
        assert_eq!(document(row)["ipCountryCode"], *row.partition_key);
    }
    assert_eq!((source.report().rows_read, source.report().rejected_rows), (3, 1));
}

#[test]
fn a_row_that_cannot_be_read_is_named_by_its_line_and_the_next_one_follows() {
    let mut text = format!("{HEADER}T,A1,us,1\r\n\r\nT,A2,us\nT,A3,us,1,2\nT,\"A\n4\",us,1\n").into_bytes();
    text.extend_from_slice(b"T,A5,\xe9,1\nonly\nT,A6,us,\"1");
    assert_eq!(
        outcomes(&mut open(text).unwrap()),
        [
            "A1",
            "line 4: 3 fields, where the header has 4",
            "line 5: 5 fields, where the header has 4",
            "A\n4",
            "line 8: field 3 is not UTF-8 text (byte 0xE9, which is é in Windows-1252)",
            "line 9: 1 field, where the header has 4",
            "A6",
        ]
    );
}

#[test]
fn a_quote_that_is_never_closed_costs_one_row() {
    let unclosed = "a quotation mark opens a field that does not end on this line";
    let mut rows = open(format!("{HEADER}T,\"A1,us,1\nT,A2,us,2\nT,A3,us,3\n")).unwrap();
    assert_eq!(outcomes(&mut rows), [format!("line 2: {unclosed}"), "A2".to_owned(), "A3".to_owned()]);
    // The open field is the last one, so that the row has as many fields as it should.
    let mut rows = open(format!("{HEADER}T,A1,us,\"1\nT,A2,us,2\nT,A3,us,3\n")).unwrap();
    assert_eq!(outcomes(&mut rows), [format!("line 2: {unclosed}"), "A2".to_owned(), "A3".to_owned()]);
    // A later quote closes it.
    let mut rows = open(format!("{HEADER}T,\"A1,us,1\nT,A2,us,2\nT,\"A3\",us,3\nT,A4,us,4\n")).unwrap();
    assert_eq!(outcomes(&mut rows), [&format!("line 2: {unclosed}"), "A2", "A3", "A4"]);
}

#[test]
fn a_row_of_endless_length_is_passed_over() {
    let long = "x".repeat(3 << 20);
    let mut rows = open(format!("{HEADER}T,{long},us,1\nT,A2,us,2\n")).unwrap();
    assert_eq!(outcomes(&mut rows), ["line 2: longer than 1048576 bytes; is a quotation mark never closed?", "A2"]);
}

#[test]
fn a_strict_reading_rejects_what_a_lenient_one_replaces() {
    let text = format!("{HEADER}T,A1,us,\nT,A2,us,noon\nT,A3,us,12\n");
    let mut lenient = open(&text).unwrap();
    assert_eq!(outcomes(&mut lenient), ["A1", "A2", "A3"]);
    assert_eq!((lenient.report().cells.empty(), lenient.report().cells.unreadable()), (1, 1));

    let strict = SourceOptions { strict: true, ..options() };
    let mut strict = Source::from_reader("rows.csv", io::Cursor::new(text), strict).unwrap();
    assert_eq!(
        outcomes(&mut strict),
        ["line 2: localHour is empty", "line 3: localHour `noon` is not a whole number", "A3"]
    );
    assert_eq!(strict.report().rejected_rows, 2);
}

#[test]
fn marks_breaks_and_separators_of_other_systems_are_understood() {
    for text in [
        "\u{feff}transactionID,accountID,ipCountryCode,transactionAmount\r\nT,A1,us,1.5\r\n",
        "\n\ntransactionID, ACCOUNTID , ipcountrycode,TransactionAmount\nT,A1,us,1.5",
        "\u{feff}\"transactionID\",\"accountID\",\"ipCountryCode\",\"transactionAmount\"\n\"T\",\"A1\",\"us\",\"1.5\"\n",
        "transactionID;accountID;ipCountryCode;transactionAmount\nT;A1;us;1,5\n",
        "transactionID\taccountID\tipCountryCode\ttransactionAmount\nT\tA1\tus\t1.5\n",
        "transactionID|accountID|ipCountryCode|transactionAmount\nT|A1|us|1.5\n",
    ] {
        let mut source = open(text).unwrap();
        let row = document(&source.next().unwrap().unwrap());
        assert_eq!((&row["accountID"], &row["transactionAmount"]), (&"A1".into(), &1.5.into()), "{text}");
        assert!(source.next().is_none());
        assert_eq!(source.report().cells, CellReport::default());
    }
}

#[test]
fn files_that_hold_nothing_are_told_apart() {
    for empty in ["", "\n\r\n", "\u{feff}"] {
        assert!(refusal(empty).starts_with("rows.csv is empty; `txgen data generate"), "{empty:?}");
    }
    for header in ["transactionID,accountID,ipCountryCode", "transactionID,accountID,ipCountryCode\n\n"] {
        assert!(refusal(header).starts_with("rows.csv has a header but no rows;"), "{header:?}");
    }
}

#[test]
fn files_of_another_kind_are_named() {
    assert!(refusal(b"PK\x03\x04\x14\0").contains("looks like a ZIP archive or an Excel workbook; unpack it"));
    assert!(refusal(b"\x7fELF\x02\x01\x01\0").contains("looks like binary data"));
    assert!(refusal("{\"transactionID\": 1}\n{}").contains("looks like JSON"));
    assert!(refusal("<!DOCTYPE html>\n<html>").contains("looks like HTML or XML"));
    assert!(refusal(b"na\xefve,b\n1,2\n").contains("text that is not UTF-8"));
    assert!(refusal(vec![b'x'; 3 << 20]).contains("data without lines"));
}

#[test]
fn a_header_that_will_not_do_says_what_is_missing_and_what_was_found() {
    assert_eq!(
        refusal("name,age\nx,1\n"),
        "rows.csv does not look like a CSV file of transactions: its first line should name columns such as \
         transactionID, accountID and ipCountryCode, separated by commas, but holds `name`, `age`"
    );
    let respelled = refusal("Transaction ID,Account ID,IP Country Code\nx,1,2\n");
    assert!(respelled.ends_with("; is `Transaction ID` meant to be transactionID?"), "{respelled}");
    assert_eq!(
        refusal("transactionID;account_id;country;localHour\nx;1;2;3\n"),
        "rows.csv has no column accountID or ipCountryCode, without which nothing can be sent; is `account_id` meant to \
         be accountID? (separated by semicolons, found: `transactionID`, `account_id`, `country`, `localHour`)"
    );
    assert_eq!(
        refusal("transactionID,accountID,ipCountryCode,AccountID\nx,1,2,3\n"),
        "rows.csv has accountID twice, in columns 2 and 4; remove or rename one of them"
    );
}

#[test]
fn a_missing_file_and_a_directory_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let missing = Source::open(&directory.path().join("none.csv"), options()).unwrap_err().to_string();
    assert!(missing.contains("none.csv does not exist") && missing.contains("txgen data generate"), "{missing}");
    let error = Source::open(directory.path(), options()).unwrap_err().to_string();
    assert!(error.contains("is a directory"), "{error}");
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn a_repeated_file_goes_round_and_the_row_numbers_go_on() {
    let file = file(&format!("{HEADER}T,A1,us,1\nbad\nT,A2,us,2\n"));
    let mut source = Source::open(file.path(), SourceOptions { repeat: true, ..options() }).unwrap();
    let rows: Vec<_> = source.by_ref().take(8).collect();
    let numbers: Vec<_> = rows.iter().filter_map(|row| row.as_ref().ok()).map(|row| row.row).collect();
    assert_eq!(numbers, [1, 3, 4, 6, 7]);
    let lines: Vec<_> = rows.iter().filter_map(|row| row.as_ref().err()).map(ToString::to_string).collect();
    assert_eq!(lines, vec!["line 3: 1 field, where the header has 4"; 3]);
    assert_eq!(source.report().passes, 3);
}

#[test]
fn a_file_without_a_good_row_is_not_repeated_for_ever() {
    let file = file(&format!("{HEADER}bad\nworse\n"));
    let mut source = Source::open(file.path(), SourceOptions { repeat: true, ..options() }).unwrap();
    let last = source.by_ref().take(3).last().unwrap().unwrap_err();
    assert!(last.to_string().contains("none of the 2 rows"), "{last}");
    assert!(source.next().is_none());
}

#[test]
fn a_repeated_file_goes_on_for_a_shard_that_owns_no_row_of_a_pass() {
    let file = file(&format!("{HEADER}T,A1,us,1\nT,A2,us,2\n"));
    let shard = Shard::new(2, 5).unwrap();
    let mut source = Source::open(file.path(), SourceOptions { repeat: true, shard, ..options() }).unwrap();
    let rows: Vec<_> = source.by_ref().take(3).map(|row| row.unwrap().row).collect();
    assert_eq!(rows, [3, 8, 13]);
    assert_eq!((source.report().rows_read, source.report().passes), (13, 7));
}

#[test]
fn a_stream_is_read_once_even_when_repeating() {
    let repeating = SourceOptions { repeat: true, ..options() };
    let text = format!("{HEADER}T,A1,us,1\n");
    assert_eq!(Source::from_reader("-", io::Cursor::new(text), repeating).unwrap().count(), 1);
}

#[test]
fn a_failing_read_ends_the_source_with_the_line_it_got_to() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let input = io::Cursor::new(format!("{HEADER}T,A1,us,1\nT,A2,u")).chain(Broken);
    let mut source = Source::from_reader("rows.csv", input, options()).unwrap();
    assert!(source.next().unwrap().is_ok());
    let error = source.next().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "cannot read rows.csv past line 2");
    assert!(source.next().is_none());
}

/// Real rows in the raw layout, where this checkout has them.
const REAL_ROWS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/untagged_transactions_1000.csv");
/// What a consumer of the original generator's events saw: every value turned into a string.
const REAL_EVENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/events_seen_by_consumer_10.json");

#[test]
fn every_real_row_of_the_raw_layout_arrives() {
    if !Path::new(REAL_ROWS).exists() {
        return;
    }
    let mut source = Source::open(Path::new(REAL_ROWS), options()).unwrap();
    let rows: Vec<_> = source.by_ref().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 1000);
    let first = document(&rows[0]);
    assert_eq!(first["transactionDateTime"], "2013-04-09T09:50:40");
    assert_eq!(first["transactionAmountUSD"], 103.48965);
    assert_eq!(first["accountAge"], 0);
    let report = source.report();
    assert_eq!(report.layout, Layout::Raw);
    let replaced: Vec<_> = report.cells.columns().map(|(name, count)| (name, count.empty, count.unreadable)).collect();
    assert_eq!(replaced, [("localHour", 54, 0), ("isProxyIP", 16, 0)]);
}

#[test]
fn documents_have_the_names_the_order_and_the_types_of_real_events() {
    let Ok(events) = std::fs::read(REAL_EVENTS) else { return };
    let events: Vec<serde_json::Map<String, Value>> = serde_json::from_slice(&events).unwrap();
    for event in &events {
        let columns: Vec<_> = COLUMNS.iter().map(|column| (column, event[column.name].as_str().unwrap())).collect();
        let mut text = csv::Writer::from_writer(Vec::new());
        text.write_record(columns.iter().map(|(column, _)| column.name)).unwrap();
        text.write_record(columns.iter().map(|(_, value)| value)).unwrap();
        let strict = SourceOptions { strict: true, ..options() };
        let text = io::Cursor::new(text.into_inner().unwrap());
        let body = Source::from_reader("event", text, strict).unwrap().next().unwrap().unwrap().body;
        let made: serde_json::Map<String, Value> = serde_json::from_slice(&body).unwrap();

        let mut names = names_in_order(&body);
        assert_eq!((names.remove(0).as_str(), names.remove(28).as_str()), ("id", "ttl"));
        assert_eq!(names, names_in_order(&std::fs::read(REAL_EVENTS).unwrap())[..names.len()]);
        assert_eq!(made["ttl"], 60);
        assert_eq!(made["collectionType"], event["collectionType"]);
        for (column, value) in columns {
            let expected = match column.kind {
                Kind::Text | Kind::PartitionKey | Kind::DateTime => Value::from(value),
                Kind::Number => Value::from(value.parse::<f64>().unwrap()),
                Kind::Integer => Value::from(value.parse::<i32>().unwrap()),
                Kind::Boolean => Value::from(value == "true"),
            };
            assert_eq!(made[column.name], expected, "{}", column.name);
        }
    }
}

/// The property names of flat JSON objects, in the order of the text; values must not hold `":`.
fn names_in_order(json: &[u8]) -> Vec<String> {
    let text = str::from_utf8(json).unwrap();
    let before_colons = text.split("\":").map(|part| part.rsplit('"').next().unwrap().to_owned());
    let mut names: Vec<_> = before_colons.collect();
    names.pop();
    names
}

/// Texts that CSV, JSON, numbers, booleans and dates may stumble over, and any other.
fn cell() -> impl Strategy<Value = String> {
    const ODD: [&str; 21] = [
        "",
        " ",
        "\"",
        "\"\"",
        ",",
        ";",
        "\r\n",
        "\n",
        "\\",
        "1",
        "-1.0",
        "1e999",
        "nan",
        "TRUE",
        "2013-08-15T06:55:00",
        "8/15/2013 6:55:00 AM",
        "T",
        "\u{feff}",
        "\0",
        "é",
        "20130409",
    ];
    prop_oneof![proptest::sample::select(&ODD[..]).prop_map(str::to_owned), any::<String>()]
}

/// Whole lines, good ones and bad ones.
fn lines() -> impl Strategy<Value = Vec<(&'static str, bool)>> {
    const LINES: [(&str, bool); 7] = [
        ("T,A,us,1\n", true),
        ("\"T\",\"A\",us,1\r\n", true),
        ("\n", true),
        ("T,\"A\nB\r\nC\",us,1\n", true),
        ("short,row\n", false),
        ("a,row,too,long,here\r\n", false),
        ("\"open,A,us,1\n", false),
    ];
    proptest::collection::vec(proptest::sample::select(&LINES[..]), 1..40)
}

/// What became of each row, by its number in the run.
fn by_number(source: &mut Source) -> Vec<(u64, String)> {
    source
        .map(|row| match row {
            Ok(transaction) => (transaction.row, String::from_utf8(transaction.body.to_vec()).unwrap()),
            Err(RowError::Rejected(rejected)) => (rejected.row, rejected.to_string()),
            Err(RowError::Fatal(error)) => panic!("{error}"),
        })
        .collect()
}

proptest! {
    #[test]
    fn shards_read_the_very_rows_of_the_whole_run_and_each_row_once(
        lines in lines(), count in 1u32..6, odd in "[\"\n,é]{0,6}"
    ) {
        let text: String = [HEADER].into_iter().chain(lines.iter().map(|(line, _)| *line)).chain([&*odd]).collect();
        let read = |shard| {
            let options = SourceOptions { run: "0b5c1f6e-93d2-8a47".parse().unwrap(), shard, ..options() };
            let mut source = Source::from_reader("rows.csv", io::Cursor::new(text.clone()), options).ok()?;
            Some((by_number(&mut source), source.report().rejected_rows))
        };
        let Some((whole, rejected)) = read(Shard::WHOLE) else { return Ok(()) };
        let shards: Vec<_> = (0..count).map(|index| read(Shard::new(index, count).unwrap()).unwrap()).collect();
        prop_assert_eq!(shards.iter().map(|(_, rejected)| rejected).sum::<u64>(), rejected);
        let mut merged: Vec<_> = shards.into_iter().flat_map(|(rows, _)| rows).collect();
        merged.sort();
        prop_assert_eq!(merged, whole);
    }

    #[test]
    fn any_row_becomes_a_document_of_the_right_names_and_types(
        cells in proptest::collection::vec(cell(), COLUMNS.len())
    ) {
        let mut text = csv::Writer::from_writer(Vec::new());
        text.write_record(COLUMNS.iter().map(|column| column.name)).unwrap();
        text.write_record(&cells).unwrap();
        let transaction = open(text.into_inner().unwrap()).unwrap().next().unwrap().unwrap();
        let document = document(&transaction);
        prop_assert_eq!(document.as_object().unwrap().len(), COLUMNS.len() + 3);
        prop_assert_eq!(&document["ipCountryCode"], &*transaction.partition_key);
        for (column, cell) in COLUMNS.iter().zip(&cells) {
            let value = &document[column.name];
            let is_right = match column.kind {
                Kind::Text => value == cell,
                Kind::PartitionKey => value.as_str().is_some_and(|key| !key.is_empty()),
                Kind::Number => value.is_number(),
                Kind::Integer => value.is_i64(),
                Kind::Boolean => value.is_boolean(),
                Kind::DateTime => value.as_str().is_some_and(|text| text.is_empty() || text.len() == 19),
            };
            prop_assert!(is_right, "{}: {:?} became {}", column.name, cell, value);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic_or_go_on_for_ever(
        bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), proptest::sample::select(&b"\",\n\r;\xef\xbb\xbf\xc3\xa9\0"[..])],
            0..200,
        ),
        with_header: bool,
    ) {
        let text = if with_header { [HEADER.as_bytes(), &bytes].concat() } else { bytes };
        let lines = text.iter().filter(|&&byte| byte == b'\n' || byte == b'\r').count() + 1;
        if let Ok(source) = open(&text) {
            prop_assert!(source.count() <= lines);
        }
    }

    #[test]
    fn rejected_rows_are_named_by_their_own_lines(
        rows in lines()
    ) {
        let (mut text, mut line, mut expected) = (HEADER.to_owned(), 2, Vec::new());
        let open_quotes = rows.iter().filter(|(row, _)| row.starts_with("\"open")).count();
        // One quote left open may be closed by the next one's opening; the lines between are then read twice at most.
        prop_assume!(open_quotes <= 1);
        for (row, is_good) in rows {
            if !is_good {
                expected.push(line);
            }
            text.push_str(row);
            line += row.matches('\n').count() as u64;
        }
        if let Ok(mut source) = open(text) {
            let rejected: Vec<_> = source.by_ref().filter_map(|row| match row {
                Err(RowError::Rejected(rejected)) => Some(rejected.line),
                _ => None,
            }).collect();
            prop_assert_eq!(rejected, expected);
        }
    }
}
