//! What editors, spreadsheets, shells and chats leave in files and command lines, through the built binary: read where that
//! is no guess, and otherwise named with its remedy, in the same words wherever it appears.

use crate::support;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use crate::support::{json_lines, stderr, stdout};
use serde_json::Value;

const HEADER: &str = "transactionID,accountID,ipCountryCode";

fn txgen(directory: &Path, arguments: &[&str]) -> std::process::Output {
    support::txgen(directory).args(arguments).output().unwrap()
}

/// The profile of data, as JSON.
fn checked(content: impl AsRef<[u8]>) -> Value {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("rows.csv"), content).unwrap();
    let output = txgen(directory.path(), &["data", "check", "--output", "json", "rows.csv"]);
    assert!(!output.stdout.is_empty(), "{}", stderr(&output));
    json_lines(&output).remove(0)
}

fn remarks(profile: &Value) -> Vec<&str> {
    profile["remarks"].as_array().unwrap().iter().map(|remark| remark.as_str().unwrap()).collect()
}

/// What a run says of the data before it begins.
fn foreseen(content: impl AsRef<[u8]>) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("rows.csv"), content).unwrap();
    let output = txgen(directory.path(), &["run", "--emulator", "--data", "rows.csv", "--output", "json"]);
    let start = json_lines(&output).remove(0);
    assert_eq!(start["type"], "start", "{start}");
    start["warnings"].as_array().unwrap().iter().map(|warning| warning.as_str().unwrap().to_owned()).collect()
}

fn utf_16(text: &str, mark: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    mark.encode_utf16().chain(text.encode_utf16()).flat_map(unit).collect()
}

#[test]
fn data_in_utf_16_is_read_with_and_without_its_mark() {
    let text = format!("{HEADER}\r\nT1,Ä1,us\r\nT2,A2,de\r\n");
    for (mark, unit) in [
        ("\u{feff}", u16::to_le_bytes as fn(u16) -> [u8; 2]),
        ("\u{feff}", u16::to_be_bytes),
        ("", u16::to_le_bytes),
        ("", u16::to_be_bytes),
    ] {
        let profile = checked(utf_16(&text, mark, unit));
        assert_eq!((&profile["rows"], &profile["rejected_rows"]), (&2.into(), &0.into()), "{profile}");
        assert!(remarks(&profile)[0].contains("text, not UTF-8; it is read all the same"), "{profile}");
    }
}

#[test]
fn what_spreadsheets_leave_around_rows_is_passed_over_and_told_once() {
    let surplus =
        "rows of the data have empty fields beyond the header's 3 columns, first in line 2; they are passed over";
    let blank = "rows of the data hold separators and nothing else, first in line 4; they are passed over";
    let content = format!("{HEADER}\nT1,A1,us,\nT2,A2,de,\n,,,\n,,,\n");
    let profile = checked(&content);
    assert_eq!((&profile["rows"], &profile["rejected_rows"]), (&2.into(), &0.into()), "{profile}");
    assert_eq!(remarks(&profile), [surplus, blank]);
    assert_eq!(foreseen(&content), [surplus, blank]);

    let unnamed = checked(format!("{HEADER},,\nT1,A1,us\n"));
    assert_eq!((&unnamed["rows"], &unnamed["rejected_rows"]), (&1.into(), &0.into()), "{unnamed}");

    let full = checked(format!("{HEADER}\nT1,A1,us,x\n"));
    assert_eq!(full["first_rejected"][0]["reason"], "4 fields, where the header has 3", "a value is never dropped");
}

#[test]
fn rows_in_quotation_marks_as_a_whole_are_read_without() {
    let wrapped = "rows of the data are in quotation marks as a whole, first in line 2; they are read without";
    for header in [HEADER.to_owned(), format!("\"{HEADER}\"")] {
        let content = format!("{header}\n\"T1,A1,us\"\n\"T2,\"\"A,2\"\",de\"\n");
        let profile = checked(&content);
        assert_eq!((&profile["rows"], &profile["rejected_rows"]), (&2.into(), &0.into()), "{profile}");
        assert_eq!(remarks(&profile), [wrapped]);
        assert_eq!(foreseen(&content), [wrapped]);
    }
    let other = checked(format!("{HEADER}\n\"T1,A1\"\n"));
    assert_eq!(other["first_rejected"][0]["reason"], "1 field, where the header has 3", "nothing is guessed");
}

#[test]
fn a_row_that_sums_up_the_others_is_named() {
    for total in ["Total,,", "TOTAL:,,", "Summe,,1234.5"] {
        let content = format!("{HEADER}\nT1,A1,us\n{total}\n");
        let word = total.split(',').next().unwrap();
        let message = format!(
            "line 3 of the data begins with `{word}` and has no account, as rows do that sum up others; it is sent as a \
             transaction; delete it if it is none"
        );
        assert_eq!(remarks(&checked(&content)), [message.as_str()]);
        assert_eq!(foreseen(&content), [message]);
    }
    assert_eq!(remarks(&checked(format!("{HEADER}\nTotal,A1,us\n"))), [""; 0]);
}

#[test]
fn utf_32_is_named_in_data_and_settings() {
    let utf_32 = |text: &str, mark: &str| -> Vec<u8> {
        mark.chars().chain(text.chars()).flat_map(|character| u32::from(character).to_le_bytes()).collect()
    };
    let directory = tempfile::tempdir().unwrap();
    for mark in ["", "\u{feff}"] {
        std::fs::write(directory.path().join("rows.csv"), utf_32(&format!("{HEADER}\nT1,A1,us\n"), mark)).unwrap();
        let output = txgen(directory.path(), &["data", "check", "rows.csv"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("UTF-32 text; save it as CSV (UTF-8)"), "{}", stderr(&output));
        let said = refused(utf_32("{\"SECONDS_TO_RUN\": 5}", mark));
        assert!(said.contains("./appsettings.json: is UTF-32 text, which is not read; save it as UTF-8"), "{said}");
    }
}

#[test]
fn lines_before_the_header_are_passed_over() {
    for (before, lines) in
        [("sep=;\r\n", 1), ("\"sep=;\"\r\n", 1), ("Transactions of May;;\r\n\r\n2013-05-31;;\r\n", 3)]
    {
        let profile = checked(format!("{before}{}\r\nT1;A1;us\r\n", HEADER.replace(',', ";")));
        assert_eq!((&profile["rows"], &profile["separator"]), (&1.into(), &";".into()), "{before}");
        let message = if lines == 1 { "line 1 of the data comes".to_owned() } else { format!("lines 1 to {lines} of") };
        assert!(remarks(&profile)[0].starts_with(&message), "{profile}");
    }
}

#[test]
fn dates_and_numbers_of_other_countries_are_named_before_the_run() {
    let header = format!("{HEADER},transactionDateTime,transactionAmountUSD\n");
    for (cells, message) in [
        (
            "13/04/2013 06:55:00,1",
            "transactionDateTime: `13/04/2013 06:55:00` in line 3 of the data has the day first, but dates with slashes \
             are read month first: it is no date, and day and month of one like 03/04/2013 change places; write dates as \
             2013-08-15T06:55:00",
        ),
        (
            "13.04.2013,1",
            "transactionDateTime: `13.04.2013` in line 3 of the data has the day first, which is not read as a date; write \
             dates as 2013-08-15T06:55:00",
        ),
        (
            "41373.28,1",
            "transactionDateTime: `41373.28` in line 3 of the data is a spreadsheet's number of a day, which is not read as \
             a date; write dates as 2013-08-15T06:55:00",
        ),
        (
            "2013-08-15,\"12,50\"",
            "transactionAmountUSD: `12,50` in line 3 of the data has a decimal comma, which is read only where semicolons \
             separate the columns; write numbers as 1234.56",
        ),
        (
            "2013-08-15,\"1,234.50\"",
            "transactionAmountUSD: `1,234.50` in line 3 of the data has separators of thousands, which are not read; write \
             numbers as 1234.56",
        ),
    ] {
        let content = format!("{header}T1,A1,us,03/04/2013 06:55:00,1\nT2,A2,us,{cells}\n");
        assert_eq!(foreseen(&content), [message]);
        assert_eq!(remarks(&checked(&content)), [message]);
    }
}

#[test]
fn what_cannot_be_seen_in_data_is_named_by_its_code_point_and_line() {
    let profile = checked(format!("\u{200b}{HEADER}\nT1,A1,us\u{200b}\nT2,A\u{a0}2,us\n"));
    assert_eq!(profile["rows"], 2);
    let message = remarks(&profile);
    assert_eq!(message.len(), 3, "{message:?}");
    assert!(message[0].contains("U+200B (zero-width space) in its name; it is read without"), "{message:?}");
    assert!(
        message[1].starts_with("ipCountryCode in line 2 of the data holds U+200B (zero-width space)"),
        "{message:?}"
    );
    assert!(message[2].starts_with("accountID in line 3 of the data holds U+00A0 (non-breaking space)"), "{message:?}");
}

#[test]
fn windows_1252_is_reported_by_its_first_byte() {
    let profile = checked([HEADER.as_bytes(), b"\nT1,A1,us\nT2,caf\xe9,fr\n"].concat());
    let byte = "byte 0xE9, which is é in Windows-1252";
    assert_eq!(profile["first_rejected"][0]["reason"], format!("field 2 is not UTF-8 text ({byte})"));
    let message = format!(
        "rows of the data are not UTF-8 text, first in line 3, field 2: {byte}; they are rejected; save the \
                        file as CSV UTF-8"
    );
    assert_eq!(remarks(&profile), [message]);
}

#[test]
fn data_comes_from_standard_input_too() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [&["run", "--emulator", "--quiet", "--data", "-"][..], &["data", "check", "-"]] {
        let mut command = support::txgen(directory.path());
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(format!("{HEADER}\nT1,A1,us\nT2,A2,de\n").as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(
            stdout(&output).contains("2 transactions requested") || stdout(&output).contains("2, all of them"),
            "{output:?}"
        );
    }
}

/// What `run` and `check` say of settings, and that they say it alike, before anything is connected.
fn refused(settings: impl AsRef<[u8]>) -> String {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("appsettings.json"), settings).unwrap();
    let data = support::shipped_data();
    let run = txgen(directory.path(), &["run", "--data", data.to_str().unwrap()]);
    let check = txgen(directory.path(), &["check"]);
    assert_eq!((run.status.code(), check.status.code()), (Some(2), Some(2)), "{}", stderr(&run));
    assert_eq!(stderr(&run), stderr(&check));
    stderr(&run)
}

#[test]
fn what_a_chat_leaves_in_settings_is_named_by_its_code_point_and_place() {
    let hub =
        "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=Sender;SharedAccessKey=c2VjcmV0;UseDevelopmentEmulator=true";
    for (value, message) in [
        (format!("\u{201c}{hub}\u{201d}"), "holds U+201C (curly quotation mark) as character 1; write \" in its place"),
        (format!("\u{200b}{hub}"), "holds U+200B (zero-width space) as character 1, which cannot be seen; delete it"),
        (
            format!("{hub}\u{200b};EntityPath=x"),
            "holds U+200B (zero-width space) as character 106, which cannot be seen; delete it",
        ),
    ] {
        let message = format!("EVENT_HUB_1_CONNECTION_STRING (./appsettings.json line 1): {message}");
        let said = refused(format!("{{\"EVENT_HUB_1_CONNECTION_STRING\": \"{value}\"}}"));
        assert!(said.contains(&message), "{said}");
        assert!(!said.contains("c2VjcmV0"), "{said}");
    }
    let said = refused("{\"COSMOS_DB_AUTH_KEY\": \"c2VjcmV0\u{2060}c2VjcmV0\"}");
    assert!(said.contains("holds U+2060 (word joiner) as character 9, which cannot be seen; delete it"), "{said}");
    let said = refused("{\u{201c}SECONDS_TO_RUN\u{201d}: 5}");
    assert!(
        said.contains("line 1, column 2: broken JSON: U+201C (curly quotation mark); write \" in its place"),
        "{said}"
    );
}

#[test]
fn names_that_get_lost_in_an_address_are_wrong_values() {
    for (name, message) in [
        ("Wood\\tgrove", "holds U+0009 (tab) as character 5, which cannot be seen; delete it"),
        ("Wood\\ngrove", "holds U+000A (line feed) as character 5, which cannot be seen; delete it"),
        (".", "`.` is a path in an address, and no name that Cosmos DB can be asked for"),
        ("..", "`..` is a path in an address, and no name that Cosmos DB can be asked for"),
        ("\\\"Woodgrove\\\"", "is in quotation marks, which are no part of a name; leave them out"),
    ] {
        for key in ["COSMOS_DB_DATABASE", "COSMOS_DB_CONTAINER"] {
            let said = refused(format!("{{\"{key}\": \"{name}\"}}"));
            assert!(said.contains(&format!("{key} (./appsettings.json line 1): ")) && said.contains(message), "{said}");
        }
    }
}

#[test]
fn settings_in_utf_16_without_a_mark_and_one_level_down_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let values = "{\"IsEncrypted\": false, \"Values\": {\"COSMOS_DB_ENDPOINT\": \"http://127.0.0.1:1/\", \
                  \"COSMOS_DB_DATABASE\": \"Elsewhere\"}}";
    for content in [values.as_bytes().to_vec(), utf_16(values, "", u16::to_le_bytes)] {
        std::fs::write(directory.path().join("appsettings.json"), content).unwrap();
        let data = support::shipped_data();
        let run = ["run", "--only-cosmos", "--dry-run=1", "--output", "json", "--data", data.to_str().unwrap()];
        let output = txgen(directory.path(), &run);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stdout(&output).contains("Elsewhere"), "{}", stdout(&output));
    }
}

#[test]
fn a_mistyped_variable_is_reported_where_the_setting_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["COSMOS_DB_ENDPIONT", "cosmos_db_endpoint"] {
        let mut command = support::txgen(directory.path());
        let output = command.args(["check", "--only-cosmos"]).env(name, "http://127.0.0.1:1/").output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let message = format!("environment variable `{name}` is not a setting; did you mean COSMOS_DB_ENDPOINT?");
        assert!(stderr(&output).contains(&message), "{}", stderr(&output));
    }
}

#[test]
fn a_hub_that_is_set_and_left_out_and_one_on_this_machine_with_tls_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let hub = "Endpoint=sb://localhost:1;SharedAccessKeyName=Sender;SharedAccessKey=c2VjcmV0";
    let check = |skip: &str| {
        let mut command = support::txgen(directory.path());
        command.args(["check", "--cosmos-endpoint", "http://127.0.0.1:1/"]).env("ONLY_WRITE_TO_COSMOS_DB", skip);
        command.env("COSMOS_DB_AUTH_KEY", "c2VjcmV0").env("EVENT_HUB_1_CONNECTION_STRING", hub);
        stdout(&command.output().unwrap())
    };
    let skipped = "EVENT_HUB_1_CONNECTION_STRING is set, but nothing is written to it: ONLY_WRITE_TO_COSMOS_DB is true \
                   (environment)";
    assert!(check("true").contains(skipped), "{}", check("true"));
    let said = check("false");
    assert!(said.contains("a local emulator speaks without TLS: add UseDevelopmentEmulator=true"), "{said}");
    assert!(!said.contains("port 443"), "{said}");
}
