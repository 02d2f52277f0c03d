use proptest::prelude::*;

use super::*;

fn parse(text: impl AsRef<[u8]>) -> AppSettings {
    AppSettings::parse(Path::new("s.json"), text.as_ref()).map_err(|problems| problems.join("\n")).unwrap()
}

fn problems(text: impl AsRef<[u8]>) -> Vec<String> {
    AppSettings::parse(Path::new("s.json"), text.as_ref()).err().expect("the text is not settings")
}

fn text(settings: &AppSettings, key: Key) -> Option<&str> {
    settings.get(key).map(|(text, _)| text)
}

#[test]
fn comments_trailing_commas_and_a_byte_order_mark_pass() {
    let settings = parse("\u{feff}{\n// seconds\n\"SECONDS_TO_RUN\": \"600\", /* and */\n\"seconds_to_lead\": 5,\n}");
    assert_eq!(text(&settings, Key::SecondsToRun), Some("600"));
    assert_eq!(settings.get(Key::SecondsToLead).unwrap().1.to_string(), "s.json line 4");
    assert!(settings.warnings.is_empty());
}

#[test]
fn numbers_booleans_and_strings_say_the_same() {
    let settings = parse(r#"{"SECONDS_TO_RUN": 600, "ONLY_WRITE_TO_COSMOS_DB": true, "COSMOS_DB_DATABASE": " d "}"#);
    assert_eq!(text(&settings, Key::SecondsToRun), Some("600"));
    assert_eq!(text(&settings, Key::OnlyWriteToCosmosDb), Some("true"));
    assert_eq!(text(&settings, Key::CosmosDbDatabase), Some("d"));
}

#[test]
fn empty_strings_and_null_are_not_set() {
    let settings = parse(r#"{"SECONDS_TO_RUN": "", "SECONDS_TO_LEAD": null, "COSMOS_DB_DATABASE": "  "}"#);
    for key in [Key::SecondsToRun, Key::SecondsToLead, Key::CosmosDbDatabase] {
        assert_eq!(text(&settings, key), None);
    }
}

#[test]
fn utf_16_with_its_mark_is_read() {
    let json = "{\"SECONDS_TO_RUN\": 1}";
    let little: Vec<u8> = "\u{feff}".encode_utf16().chain(json.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = "\u{feff}".encode_utf16().chain(json.encode_utf16()).flat_map(u16::to_be_bytes).collect();
    assert_eq!(text(&parse(little), Key::SecondsToRun), Some("1"));
    assert_eq!(text(&parse(big), Key::SecondsToRun), Some("1"));
}

#[test]
fn an_unknown_key_is_a_warning_that_names_the_nearest() {
    let settings = parse("{\n\"COSMOS_DB_ENDPIONT\": \"\",\n\"Logging\": {\"LogLevel\": \"Debug\"}}");
    assert_eq!(
        settings.warnings,
        [
            "s.json line 2: unknown key `COSMOS_DB_ENDPIONT`; did you mean COSMOS_DB_ENDPOINT?",
            "s.json line 3: unknown key `Logging`; it is ignored",
        ]
    );
}

#[test]
fn utf_16_without_its_mark_is_read() {
    let little: Vec<u8> = "{\"SECONDS_TO_RUN\": 1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(text(&parse(little), Key::SecondsToRun), Some("1"));
}

#[test]
fn values_of_azure_functions_are_read_and_its_other_keys_are_left_alone() {
    let settings = parse(
        "{\"IsEncrypted\": false, \"Values\": {\n\"SECONDS_TO_RUN\": 5, \"AzureWebJobsStorage\": \"\",\n\
         \"COSMOS_DB_ENDPIONT\": \"\"}}",
    );
    assert_eq!(settings.get(Key::SecondsToRun).unwrap().1.to_string(), "s.json line 2");
    let unknown = "s.json line 3: unknown key `COSMOS_DB_ENDPIONT`; did you mean COSMOS_DB_ENDPOINT?";
    assert_eq!(settings.warnings, [unknown]);
    let encrypted = problems("{\"IsEncrypted\": true, \"Values\": {}}");
    assert!(encrypted[0].starts_with("s.json line 1: IsEncrypted is true: "), "{encrypted:?}");
}

#[test]
fn a_key_one_level_down_elsewhere_is_reported_with_its_place() {
    let settings = parse("{\"Txgen\": {\"Seconds_To_Run\": 5}}");
    let message = "s.json line 1: SECONDS_TO_RUN is one level down, under `Txgen`, where it is ignored; move it up";
    assert_eq!(settings.warnings, [message]);
}

#[test]
fn what_a_chat_or_a_word_processor_has_made_of_json_is_named_by_its_place() {
    for (json, problem) in [
        (
            "{\n\"SECONDS_TO_RUN\": \u{201c}5\u{201d}}",
            "s.json line 2, column 19: broken JSON: U+201C (curly quotation mark); write \" in its place",
        ),
        ("\u{200b}{}", "s.json line 1, column 1: broken JSON: U+200B (zero-width space); delete it"),
        ("{\u{a0}\"a\": [}", "s.json line 1, column 2: broken JSON: U+00A0 (non-breaking space); delete it"),
        ("---\nSECONDS_TO_RUN: 5\n", "s.json line 2: is YAML, NAME: value, and no JSON; write {\"NAME\": \"value\"}"),
        ("<configuration/>", "s.json looks like XML or a web page, and is no JSON; write {\"NAME\": \"value\"}"),
        (
            "# a\nexport SECONDS_TO_RUN=5",
            "s.json line 2: is a list of variables, NAME=value, and no JSON; set them in the environment, or write \
             {\"NAME\": \"value\"}",
        ),
    ] {
        assert_eq!(problems(json), [problem]);
    }
    let settings = parse("{\"SECONDS_\u{200b}TO_RUN\": 1}");
    assert_eq!(
        settings.warnings,
        ["s.json line 1: unknown key `SECONDS_\\u{200b}TO_RUN`, which holds U+200B (zero-width space) as \
          character 9, which cannot be seen; delete it; did you mean SECONDS_TO_RUN?"]
    );
}

#[test]
fn broken_json_is_reported_by_line_and_column_and_shows_no_text() {
    for (json, problem) in [
        ("{\n\"SECONDS_TO_RUN\": 1\n\"SECONDS_TO_LEAD\": 2}", "s.json line 2, column 20: broken JSON: expected comma"),
        ("{\n  \"SECONDS_TO_RUN\": \"c2VjcmV0", "s.json line 2, column 21: broken JSON: unterminated string literal"),
        (
            "{\n\"SECONDS_TO_RUN\": 1,\n",
            "s.json line 1, column 1: broken JSON: the file ends before the } that belongs to this; is its end missing?",
        ),
        ("{SECONDS_TO_RUN: 1}", "s.json line 1, column 2: broken JSON: expected string for object property"),
        ("{'SECONDS_TO_RUN': 1}", "s.json line 1, column 2: broken JSON: single-quoted strings are not allowed"),
        ("{\"SECONDS_TO_RUN\": c2VjcmV0}", "s.json line 1, column 20: broken JSON: unexpected token"),
        ("{} {}", "s.json line 1, column 4: broken JSON: text cannot contain more than one JSON value"),
        ("", "s.json: must hold one JSON object, as in {\"SECONDS_TO_RUN\": \"600\"}"),
        ("[1]", "s.json: must hold one JSON object, as in {\"SECONDS_TO_RUN\": \"600\"}"),
    ] {
        assert_eq!(problems(json), [problem]);
    }
    assert_eq!(
        problems(b"{\n\"a\": \"\xff\"}"),
        ["s.json: is not UTF-8 text (line 2: byte 0xFF, which is ÿ in Windows-1252); save it as UTF-8"]
    );
}

#[test]
fn all_wrong_keys_are_reported_at_once() {
    assert_eq!(
        problems("{\"SECONDS_TO_RUN\": 1,\n\"Seconds_To_Run\": 2,\n\"SECONDS_TO_LEAD\": [3]}"),
        [
            "s.json line 2: SECONDS_TO_RUN is there twice, first in line 1; remove one of them",
            "s.json line 3: SECONDS_TO_LEAD must be a string, a number, true, false or null",
        ]
    );
}

#[test]
fn an_optional_file_may_be_absent_and_a_required_one_may_not() {
    let absent = tempfile::tempdir().unwrap().path().join("absent.json");
    let problems = AppSettings::read(&SettingsFile::Required(absent.clone())).err().unwrap();
    assert!(problems[0].starts_with(&format!("{}: cannot be read: ", absent.display())), "{problems:?}");
    assert!(AppSettings::read(&SettingsFile::Optional(absent)).is_ok_and(|settings| !settings.found));
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let deep = format!("{{\"a\": {}", "[".repeat(100_000));
    assert_eq!(problems(deep).len(), 1);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = AppSettings::parse(Path::new("s.json"), &bytes);
    }

    #[test]
    fn no_text_of_jsons_own_characters_panics(text in r#"[\{\}\[\]":,/*\\ 0-9a-eux\n\u{feff}'+.-]{0,80}"#) {
        let _ = AppSettings::parse(Path::new("s.json"), text.as_bytes());
    }
}
