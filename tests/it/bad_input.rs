//! Wrong settings and wrong files: for each the whole message, with what is wrong, where it is, and what to do about it.

use crate::support;
use std::path::Path;

use crate::support::stderr;

/// A key that is base64 and nobody's.
const KEY: &str = "c2VjcmV0c2VjcmV0";

/// What `txgen run` says on standard error, and its exit code.
fn outcome(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = support::txgen(directory);
    command.arg("run").args(arguments).envs(environment.iter().copied());
    if !arguments.contains(&"--data") {
        command.arg("--data").arg(support::shipped_data());
    }
    let output = command.output().unwrap();
    let said = stderr(&output);
    assert!(!said.contains(KEY), "a secret is shown: {said}");
    (output.status.code(), said.trim_end().to_owned())
}

/// Fails with all rows of a table that are not as they should be.
fn check(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
}

fn compare(case: &str, code: i32, expected: &str, got: (Option<i32>, String)) -> Option<String> {
    let is_so = got.0 == Some(code) && got.1 == expected;
    (!is_so).then(|| format!("{case}\n  expected {code}: {expected}\n  got {:?}: {}", got.0, got.1))
}

const COSMOS: &[&str] = &["--only-cosmos"];
const HUBS: &[&str] = &["--only-event-hubs"];

#[test]
fn a_wrong_appsettings_json_is_reported_with_key_value_line_and_remedy() {
    let cases: &[(&str, &[&str], &str)] = &[
        (
            r#"{"SECONDS_TO_RUN": "ten"}"#,
            &["--emulator"],
            "error: SECONDS_TO_RUN (./appsettings.json line 1): `ten` must be seconds from 0 to 31536000, or a duration such as 90s, 10m or 2h",
        ),
        (
            "{\n  // too soon\n  \"SECONDS_TO_LEAD\": -1\n}",
            &["--emulator"],
            "error: SECONDS_TO_LEAD (./appsettings.json line 3): `-1` must be seconds from 0 to 31536000, or a duration such as 90s, 10m or 2h",
        ),
        (
            r#"{"TIME_TO_LIVE_SECONDS": 0}"#,
            &["--emulator"],
            "error: TIME_TO_LIVE_SECONDS (./appsettings.json line 1): `0` must be whole seconds from 1 to 2147483647, or a duration such as 12h or 60d",
        ),
        (
            r#"{"COSMOS_DB_THROUGHPUT": 450}"#,
            &["--emulator"],
            "error: COSMOS_DB_THROUGHPUT (./appsettings.json line 1): `450` must be RU/s in hundreds, from 400 on",
        ),
        (
            r#"{"COSMOS_DB_DATABASE": "a/b"}"#,
            &["--emulator"],
            "error: COSMOS_DB_DATABASE (./appsettings.json line 1): `a/b` must be 1 to 255 characters without `/`, `\\`, `#` and `?`, and not end with a space",
        ),
        (
            r#"{"ONLY_WRITE_TO_COSMOS_DB": "yes"}"#,
            &["--emulator"],
            "error: ONLY_WRITE_TO_COSMOS_DB (./appsettings.json line 1): `yes` must be true or false",
        ),
        (
            r#"{"COSMOS_DB_ENDPOINT": "account.documents.azure.com"}"#,
            COSMOS,
            "error: COSMOS_DB_ENDPOINT (./appsettings.json line 1): `account.documents.azure.com` must begin with https://, as in https://ACCOUNT.documents.azure.com:443/",
        ),
        (
            r#"{"COSMOS_DB_ENDPOINT": "http://account.documents.azure.com/"}"#,
            COSMOS,
            "error: COSMOS_DB_ENDPOINT (./appsettings.json line 1): `http://account.documents.azure.com/` must be https; plain http is for emulators on localhost, 127.0.0.1 and [::1]",
        ),
        (
            r#"{"COSMOS_DB_ENDPOINT": "http://127.0.0.1:9/", "COSMOS_DB_AUTH_KEY": "c2VjcmV0c2VjcmV0!"}"#,
            COSMOS,
            "error: COSMOS_DB_AUTH_KEY (./appsettings.json line 1): is not an account key: that is base64, mostly 88 characters that end with ==; copy PRIMARY KEY again, whole",
        ),
        (
            r#"{"COSMOS_DB_ENDPOINT": "AccountEndpoint=https://a/;AccountKey=c2VjcmV0c2VjcmV0;"}"#,
            COSMOS,
            "error: COSMOS_DB_ENDPOINT (./appsettings.json line 1): is a whole connection string: put its AccountEndpoint here and its AccountKey into COSMOS_DB_AUTH_KEY",
        ),
        (
            r#"{"EVENT_HUB_1_CONNECTION_STRING": "Endpoint=https://ns/;SharedAccessKeyName=S;SharedAccessKey=c2VjcmV0c2VjcmV0"}"#,
            HUBS,
            "error: EVENT_HUB_1_CONNECTION_STRING (./appsettings.json line 1): Endpoint must begin with sb://, as in Endpoint=sb://NAMESPACE.servicebus.windows.net/",
        ),
        (
            r#"{"EVENT_HUB_1_CONNECTION_STRING": "Endpoint=sb://ns/;SharedAccessKey=c2VjcmV0c2VjcmV0"}"#,
            HUBS,
            "error: EVENT_HUB_1_CONNECTION_STRING (./appsettings.json line 1): SharedAccessKey is there without SharedAccessKeyName",
        ),
        (
            r#"{"EVENT_HUB_1_CONNECTION_STRING": "Endpoint=sb://ns/;SharedAccessKeyName=S;SharedAccessKey=c2VjcmV0c2VjcmV0;UseDevelopmentEmulator=true"}"#,
            HUBS,
            "error: EVENT_HUB_1_CONNECTION_STRING (./appsettings.json line 1): UseDevelopmentEmulator=true means no TLS, which is for emulators on this machine alone: leave it out, or let Endpoint be localhost or 127.0.0.1, with a port that is forwarded to the emulator",
        ),
        (
            r#"{"EVENT_HUB_2_CONNECTION_STRING": "Endpoint=sb://ns/;EntityPath=h"}"#,
            HUBS,
            "error: EVENT_HUB_1_CONNECTION_STRING is neither in ./appsettings.json nor in the environment, but EVENT_HUB_2_CONNECTION_STRING is set: the first event hub goes into EVENT_HUB_1_CONNECTION_STRING",
        ),
        (
            r#"{"COSMOS_DB_ENDPONT": "https://a.documents.azure.com/"}"#,
            COSMOS,
            "error: COSMOS_DB_ENDPOINT is neither in ./appsettings.json nor in the environment; fill it in, or try txgen without an Azure account with --emulator\n./appsettings.json line 1: unknown key `COSMOS_DB_ENDPONT`; did you mean COSMOS_DB_ENDPOINT?",
        ),
        (
            "{\"SECONDS_TO_RUN\": 5,\n\"seconds_to_run\": 6}",
            &["--emulator"],
            "error: ./appsettings.json line 2: SECONDS_TO_RUN is there twice, first in line 1; remove one of them",
        ),
        (
            r#"{"SECONDS_TO_RUN": {"a": 1}}"#,
            &["--emulator"],
            "error: ./appsettings.json line 1: SECONDS_TO_RUN must be a string, a number, true, false or null",
        ),
        (
            "{\n\"SECONDS_TO_RUN\": 5",
            &["--emulator"],
            "error: ./appsettings.json line 1, column 1: broken JSON: the file ends before the } that belongs to this; is its end missing?",
        ),
        (
            "[]",
            &["--emulator"],
            "error: ./appsettings.json: must hold one JSON object, as in {\"SECONDS_TO_RUN\": \"600\"}",
        ),
        (
            "",
            &["--emulator"],
            "error: ./appsettings.json: must hold one JSON object, as in {\"SECONDS_TO_RUN\": \"600\"}",
        ),
    ];
    let wrong = cases.iter().filter_map(|(settings, arguments, expected)| {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("appsettings.json"), settings).unwrap();
        compare(settings, 2, expected, outcome(directory.path(), arguments, &[]))
    });
    check(wrong.collect());
}

#[test]
fn wrong_flags_and_environment_variables_are_reported_with_what_is_allowed() {
    const HELP: &str = "\n\nFor more information, try '--help'.";
    let flags: &[(&[&str], &str)] = &[
        (
            &["--rate", "0"],
            "error: invalid value '0' for '--rate <N>': must be a number of transactions per second from 0.001 to 1000000",
        ),
        (&["--limit", "many"], "error: invalid value 'many' for '--limit <N>': must be a whole number from 1 on"),
        (
            &["--ttl", "0"],
            "error: invalid value '0' for '--ttl <DURATION>': must be whole seconds from 1 to 2147483647, or a duration such as 12h or 60d",
        ),
        (
            &["--drain-timeout", "30"],
            "error: invalid value '30' for '--drain-timeout <DURATION>': must be a duration with its unit, such as 500ms, 30s or 5m, and at most 365d",
        ),
        (
            &["--max-pending", "0"],
            "error: invalid value '0' for '--max-pending <N>': must be a whole number from 1 to 10000000",
        ),
    ];
    let environment: &[(&str, &str, &[&str], &str)] = &[
        (
            "SECONDS_TO_RUN",
            "1.5",
            &["--emulator"],
            "error: SECONDS_TO_RUN (environment): `1.5` must be seconds from 0 to 31536000, or a duration such as 90s, 10m or 2h",
        ),
        (
            "COSMOS_DB_ENDPOINT",
            "https://a/b",
            COSMOS,
            "error: COSMOS_DB_ENDPOINT (environment): `https://a/b` must be the account's address alone, as in https://ACCOUNT.documents.azure.com:443/",
        ),
        // What looks like a key or a connection string, and got into the wrong place, is not shown.
        (
            "SECONDS_TO_LEAD",
            "SharedAccessKey=c2VjcmV0c2VjcmV0",
            &["--emulator"],
            "error: SECONDS_TO_LEAD (environment): must be seconds from 0 to 31536000, or a duration such as 90s, 10m or 2h",
        ),
    ];
    let directory = tempfile::tempdir().unwrap();
    let of_flags = flags.iter().filter_map(|(arguments, expected)| {
        let expected = format!("{expected}{HELP}");
        compare(
            &arguments.join(" "),
            2,
            &expected,
            outcome(directory.path(), &[&["--emulator"], *arguments].concat(), &[]),
        )
    });
    let of_environment = environment.iter().filter_map(|(name, value, arguments, expected)| {
        compare(name, 2, expected, outcome(directory.path(), arguments, &[(name, value)]))
    });
    check(of_flags.chain(of_environment).collect());
}

#[test]
fn a_wrong_file_of_transactions_is_reported_with_what_it_is_and_what_to_do() {
    // The file, what is in it, the exit code, further flags, and the message.
    type Case<'a> = (&'a str, &'a [u8], i32, &'a [&'a str], &'a str);
    const HEADER: &str = "transactionID,accountID,ipCountryCode";
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(HEADER.bytes().flat_map(|byte| [byte, 0])).collect();
    let cases: &[Case<'_>] = &[
        (
            "empty.csv",
            b"",
            2,
            &[],
            "error: empty.csv is empty; `txgen data generate -o FILE` makes a file to start with",
        ),
        (
            "other.csv",
            b"name,age\nx,1\n",
            2,
            &[],
            "error: other.csv does not look like a CSV file of transactions: its first line should name columns such as transactionID, accountID and ipCountryCode, separated by commas, but holds `name`, `age`",
        ),
        (
            "document.json",
            b"{\"a\": 1}\n",
            2,
            &[],
            "error: document.json is not a CSV file but looks like JSON; txgen reads CSV with a header line",
        ),
        (
            "book.xlsx",
            b"PK\x03\x04xl/workbook.xml",
            2,
            &[],
            "error: book.xlsx is not a CSV file but looks like a ZIP archive or an Excel workbook; unpack it, or save its sheet as CSV (UTF-8)",
        ),
        (
            "data.gz",
            b"\x1f\x8b\x08\x00",
            2,
            &[],
            "error: data.gz is not a CSV file but looks like gzip; unpack it first",
        ),
        (
            "wide.csv",
            &utf16,
            2,
            &[],
            "error: wide.csv has a header but no rows; `txgen data generate -o FILE` makes a file to start with",
        ),
        (
            "twice.csv",
            b"transactionID,accountID,ipCountryCode,accountID\na,b,c,d\n",
            2,
            &[],
            "error: twice.csv has accountID twice, in columns 2 and 4; remove or rename one of them",
        ),
        (
            "header.csv",
            b"transactionID,accountID,ipCountryCode\n",
            2,
            &[],
            "error: header.csv has a header but no rows; `txgen data generate -o FILE` makes a file to start with",
        ),
        (
            "short.csv",
            b"transactionID,accountID,ipCountryCode\na,b\n",
            1,
            &["--quiet"],
            "Data: line 2 rejected: 2 fields, where the header has 3",
        ),
        (
            "strict.csv",
            b"transactionID,accountID,ipCountryCode,transactionAmount\na,b,us,much\n",
            1,
            &["--quiet", "--strict"],
            "Data: line 2 rejected: transactionAmount `much` is not a number",
        ),
    ];
    let wrong = cases.iter().filter_map(|(name, content, code, arguments, expected)| {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(name), content).unwrap();
        let arguments = [&["--emulator", "--data", name], *arguments].concat();
        compare(name, *code, expected, outcome(directory.path(), &arguments, &[]))
    });
    check(wrong.collect());
}

#[cfg(unix)]
#[test]
fn a_file_that_is_not_there_or_no_file_is_reported_by_its_flag() {
    let cases: &[(&[&str], &str)] = &[
        (
            &["--data", "nowhere.csv"],
            "error: nowhere.csv does not exist; name the CSV file of transactions with --data, or make one: `txgen data generate -o FILE` makes a file to start with",
        ),
        (&["--data", "."], "error: . is a directory; name the CSV file of transactions with --data"),
        (
            &["--settings", "nowhere.json"],
            "error: nowhere.json: cannot be read: No such file or directory (os error 2); name a file that is there with --settings",
        ),
        (
            &["--summary-file", "no/such/summary.json"],
            "error: --summary-file: cannot write to `no/such/summary.json`: No such file or directory (os error 2)",
        ),
        (&["--summary-file", "."], "error: --summary-file: cannot write to `.`: Is a directory (os error 21)"),
    ];
    let directory = tempfile::tempdir().unwrap();
    let wrong = cases.iter().filter_map(|(arguments, expected)| {
        let arguments = [&["--emulator"], *arguments].concat();
        compare(&arguments.join(" "), 2, expected, outcome(directory.path(), &arguments, &[]))
    });
    check(wrong.collect());
}
