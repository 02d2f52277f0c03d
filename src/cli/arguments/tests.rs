use clap::CommandFactory as _;

use crate::cli::Cli;

fn message(line: &str) -> String {
    let arguments = line.split(' ').map(Into::into);
    Cli::read(arguments).map(|_| "fine".to_owned()).unwrap_or_else(|error| error.to_string())
}

#[test]
fn what_a_command_line_means_is_reported() {
    for (line, part) in [
        ("txgen run --limit -5", "invalid value '-5' for '--limit <N>': must be a whole number from 1 on"),
        ("txgen run --ttl -1", "invalid value '-1' for '--ttl <DURATION>': must be whole seconds"),
        ("txgen run --seconds-to-lead -5s", "invalid value '-5s' for '--seconds-to-lead <SECONDS>'"),
        ("txgen data generate --rows -1", "invalid value '-1' for '--rows <N>': must be a whole number, such as"),
        ("txgen data generate --rows 1.5e0", "invalid value '1.5e0' for '--rows <N>'"),
        ("txgen data generate --rows 1,000", "must be a whole number, such as 20000 or 1e6"),
        ("txgen run --max-failures many", "must be a whole number from 1 on"),
        (
            "txgen run \u{2013}-emulator",
            "begins with U+2013 (en dash), as word processors write it; write '--emulator'",
        ),
        ("txgen run \u{2014}limit=5", "begins with U+2014 (em dash), as word processors write it; write '--limit=5'"),
        ("txgen \u{2013}emulator", "begins with U+2013 (en dash), as word processors write it; write '--emulator'"),
        ("txgen run -emulator", "tip: flags have two dashes: '--emulator'"),
        ("txgen run -limit=5", "tip: flags have two dashes: '--limit=5'"),
        ("txgen run --dry-run 5", "tip: the value follows behind an equals sign: '--dry-run=5'"),
        ("txgen run --emulator true", "tip: '--emulator' takes no value"),
        ("txgen --emulator", "tip: the subcommand comes first: 'txgen run --emulator'"),
        ("txgen --rows 5", "tip: the subcommand comes first: 'txgen data generate --rows'"),
        ("txgen -emulator", "tip: the subcommand comes first: 'txgen run --emulator'"),
        ("txgen data --rows 5", "tip: the subcommand comes first: 'txgen data generate --rows'"),
        ("txgen generate", "tip: it belongs to another one: 'txgen data generate'"),
        ("txgen run emulator", "tip: flags have two dashes: '--emulator'"),
        ("txgen run --dry-run -5", "invalid value '-5' for '--dry-run[=<N>]': must be a whole number from 1 on"),
        ("txgen version", "tip: 'txgen --version' prints the version"),
    ] {
        let message = message(line);
        assert!(message.contains(part), "{line}\n{message}");
    }
}

#[test]
fn secrets_that_are_pasted_into_a_command_line_are_not_shown() {
    for line in [
        "txgen run --cosmos-endpoint https://user:hush@account/",
        "txgen run --cosmos-endpoint AccountEndpoint=https://a/;AccountKey=hush",
        "txgen run Endpoint=sb://ns/;SharedAccessKeyName=S;SharedAccessKey=hush",
        "txgen Endpoint=sb://ns/;SharedAccessKeyName=S;SharedAccessKey=hush",
    ] {
        let message = message(line);
        assert!(message.contains("(hidden)") && !message.contains("hush"), "{line}\n{message}");
    }
}

#[test]
fn numbers_may_be_scientific() {
    for line in ["txgen data generate --rows 1e6", "txgen run --limit=2E3", "txgen run --max-pending 1.5e3"] {
        assert_eq!(message(line), "fine", "{line}");
    }
    let root = Cli::command();
    let arguments = ["txgen", "run", "--limit", "1e3", "--database", "1e3"].map(Into::into).to_vec();
    let meant = super::as_meant(&root, arguments);
    assert_eq!(meant, ["txgen", "run", "--limit", "1000", "--database", "1e3"], "a name stays as it is");
}
