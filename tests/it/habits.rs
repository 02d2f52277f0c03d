//! What every command of txgen has in common: help, version, suggestions, completions, man pages, and the log.

use crate::support;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{stderr, stdout};
use serde_json::Value;

/// Every command that does something, as it is typed.
fn commands() -> Vec<Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    succeeding(txgen(directory.path()).args(["man", "-o", "."]));
    let mut commands: Vec<Vec<String>> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.trim_end_matches(".1").split('-').skip(1).map(str::to_owned).collect())
        .collect();
    commands.sort();
    assert!(commands.len() >= 8, "{commands:?}");
    commands
}

fn txgen(directory: &Path) -> Command {
    support::txgen(directory)
}

fn succeeding(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}{}", stdout(&output), stderr(&output));
    output
}

fn of(arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    txgen(directory.path()).args(arguments).output().unwrap()
}

#[test]
fn every_command_has_help_with_examples_that_fits_a_terminal() {
    for command in commands() {
        for flag in ["-h", "--help"] {
            let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
            arguments.push(flag);
            let output = of(&arguments);
            let help = stdout(&output);
            assert!(output.status.success() && help.contains("Usage: txgen"), "{arguments:?}: {help}");
            assert!(help.contains("Examples:\n"), "{arguments:?} lacks examples: {help}");
            for line in help.lines() {
                assert!(line.chars().count() <= 120, "{arguments:?}: {line}");
            }
        }
    }
}

#[test]
fn alone_it_says_in_eight_lines_what_it_is_and_what_to_try() {
    let output = of(&[]);
    let said = stderr(&output);
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 8), "{said}");
    assert!(stdout(&output).is_empty());
    assert_eq!(said.lines().filter(|line| line.starts_with("  txgen ")).count(), 3, "{said}");
}

#[test]
fn a_run_against_the_local_services_ends_with_what_to_look_at_next() {
    let last_lines = |arguments: &[&str]| {
        let run = [&["run", "--emulator"], arguments].concat();
        let printed = stdout(&of(&run));
        printed.lines().skip_while(|line| *line != "Next:").map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        last_lines(&["--limit", "20"]),
        [
            "Next:",
            "  txgen run --emulator --tui               the same, full-screen",
            "  txgen run --emulator --report run.html   the same, as a page with charts",
        ]
    );
    // 150 documents take more RU than there are in seven seconds.
    let throttled = last_lines(&["--limit", "150", "--throughput", "400"]);
    assert!(throttled.last().unwrap().ends_with("why attempts were throttled"), "{throttled:?}");
    assert!(last_lines(&["--limit", "20", "--quiet"]).is_empty());
}

#[test]
fn the_short_help_is_shorter_than_the_long_one() {
    let (short, long) = (stdout(&of(&["run", "-h"])), stdout(&of(&["run", "--help"])));
    assert!(short.lines().count() < long.lines().count());
    for rare in ["--log-format", "--drain-timeout", "--event-hub-client", "--shard", "--max-pending", "--metrics"] {
        assert!(!short.contains(rare) && long.contains(rare), "{rare}");
    }
    assert!(short.contains("see more with '--help'"), "{short}");
    // As wide as it gets, so that the count does not depend on where the test runs.
    assert!(short.lines().count() <= 66, "{} lines:\n{short}", short.lines().count());
    let headings =
        ["Options:", "Output:", "What to write to:", "Pace and length:", "Cosmos DB:", "Event Hubs:", "Examples:"];
    let places: Vec<_> = headings.iter().map(|heading| short.find(&format!("\n{heading}\n"))).collect();
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{places:?}: {short}");
}

#[test]
fn a_mistyped_subcommand_is_answered_with_the_one_that_was_meant() {
    for (arguments, meant) in [
        (&["rnu"][..], "run"),
        (&["verfiy", "--summary", "s.json"], "verify"),
        (&["-v", "emualtor"], "emulator"),
        (&["data", "genrate"], "generate"),
    ] {
        let output = of(arguments);
        assert_eq!((output.status.code(), &*stdout(&output)), (Some(2), ""), "{arguments:?}");
        let message = stderr(&output);
        assert!(message.contains(&format!("a similar subcommand exists: '{meant}'")), "{arguments:?}: {message}");
    }
    assert!(!stderr(&of(&["start"])).contains("similar"));
}

#[test]
fn the_version_names_the_commit_of_a_checkout() {
    let git = Command::new("git")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["rev-parse", "--show-toplevel"])
        .output()
        .map_or_else(|_| String::new(), |output| stdout(&output));
    let version = format!("txgen {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(stdout(&of(&["-V"])), format!("{version}\n"));
    let long = stdout(&of(&["--version"]));
    if Path::new(git.trim()) == Path::new(env!("CARGO_MANIFEST_DIR")) {
        let commit = long.trim().strip_prefix(&format!("{version} (")).and_then(|rest| rest.strip_suffix(')')).unwrap();
        let (commit, date) = commit.split_once(' ').unwrap();
        let commit = commit.trim_end_matches("-dirty");
        assert!(commit.len() == 9 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{long}");
        assert!(date.len() == 10 && date.starts_with("20"), "{long}");
    } else {
        assert!(long.starts_with(&version), "{long}");
    }
}

/// The build script, compiled by itself, and what it says of a directory.
#[cfg(unix)]
#[test]
fn the_commit_is_that_of_the_checkout_or_of_the_crates_tarball_and_of_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("script");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("build.rs");
    let compiled = Command::new("rustc").args(["--edition", "2024", "-o"]).arg(&script).arg(source).status();
    // Where there is no compiler, or no git, by these names, others run this test.
    if !compiled.is_ok_and(|status| status.success()) || Command::new("git").arg("--version").output().is_err() {
        return;
    }
    let place = |name: &str| {
        let place = directory.path().join(name);
        std::fs::create_dir_all(place.join("src")).unwrap();
        place
    };
    let version_in = |place: &Path| {
        let said = stdout(&succeeding(Command::new(&script).current_dir(place).env("CARGO_PKG_VERSION", "1.2.3")));
        said.lines().last().unwrap().strip_prefix("cargo::rustc-env=TXGEN_LONG_VERSION=").unwrap().to_owned()
    };

    assert_eq!(version_in(&place("unknown")), "1.2.3");

    let tarball = place("tarball");
    let info = tarball.join(".cargo_vcs_info.json");
    std::fs::write(&info, "{\n  \"git\": {\n    \"sha1\": \"8d9263f6d0123456\"\n  }\n}\n").unwrap();
    assert_eq!(version_in(&tarball), "1.2.3 (8d9263f6d)");
    std::fs::write(&info, "{ \"git\": { \"sha1\": \"oops\" } }").unwrap();
    assert_eq!(version_in(&tarball), "1.2.3");

    let checkout = place("checkout");
    std::fs::write(checkout.join("src/main.rs"), "fn main() {}\n").unwrap();
    for file in ["build.rs", "Cargo.toml", "Cargo.lock"] {
        std::fs::write(checkout.join(file), "").unwrap();
    }
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.current_dir(&checkout).args(["-c", "user.name=n", "-c", "user.email=e"]).args(arguments);
        stdout(&succeeding(git.env("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z")))
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "m"]);
    let commit = git(&["rev-parse", "HEAD"])[..9].to_owned();
    assert_eq!(version_in(&checkout), format!("1.2.3 ({commit} 2026-01-02)"));
    std::fs::write(checkout.join("README.md"), "not in the binary").unwrap();
    assert_eq!(version_in(&checkout), format!("1.2.3 ({commit} 2026-01-02)"));
    std::fs::write(checkout.join("src/main.rs"), "fn main() { }\n").unwrap();
    assert_eq!(version_in(&checkout), format!("1.2.3 ({commit}-dirty 2026-01-02)"));
    assert_eq!(version_in(&place("checkout/inner")), "1.2.3", "a tarball unpacked in somebody else's checkout");
}

#[test]
fn what_is_mistyped_is_answered_with_the_nearest_right_word() {
    for (mistyped, meant) in [
        (&["emulater"][..], "'emulator'"),
        (&["data", "genrate"], "'generate'"),
        (&["run", "--only-cosmoss"], "'--only-cosmos'"),
        (&["emulator", "--partitons", "3"], "'--partitions'"),
        (&["run", "--output", "jsno"], "'json'"),
    ] {
        let output = of(mistyped);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("tip: ") && stderr(&output).contains(meant), "{}", stderr(&output));
    }
}

#[test]
fn completions_of_each_shell_know_commands_and_flags() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = stdout(&of(&["completions", shell]));
        for word in ["generate", "only-cosmos"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn bash_completes_from_the_script() {
    let directory = tempfile::tempdir().unwrap();
    let script = stdout(&of(&["completions", "bash"]));
    std::fs::write(directory.path().join("txgen.bash"), script).unwrap();
    let ask = "source ./txgen.bash; COMP_WORDS=(txgen run --only-c); COMP_CWORD=2; _txgen txgen --only-c run; echo ${COMPREPLY[@]}";
    let Ok(output) = Command::new("bash").current_dir(directory.path()).args(["-c", ask]).output() else { return };
    assert_eq!(stdout(&output), "--only-cosmos\n", "{}", stderr(&output));
}

#[test]
fn there_is_a_man_page_for_every_command_with_its_examples() {
    let directory = tempfile::tempdir().unwrap();
    let output = succeeding(txgen(directory.path()).args(["man", "-o", "share/man1"]));
    assert_eq!(stdout(&output), "", "the pages are in files");
    for page in ["txgen.1", "txgen-run.1", "txgen-data-check.1", "txgen-emulator.1"] {
        let page = std::fs::read_to_string(directory.path().join("share/man1").join(page)).unwrap();
        for part in [".TH txgen", ".SH NAME", ".SH SYNOPSIS", ".SH EXAMPLES", ".SH ENVIRONMENT", "COSMOS_DB_ENDPOINT"] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
    let run = std::fs::read_to_string(directory.path().join("share/man1/txgen-run.1")).unwrap();
    assert!(run.contains("\ntxgen run \\-\\-emulator                    try it"), "examples keep their columns: {run}");
    assert!(run.contains("everything else on standard error"), "what -h hides is in the page: {run}");
}

#[test]
fn a_directory_that_cannot_be_written_to_is_named() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    let output = txgen(directory.path()).args(["man", "-o", "file/man1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("error: --output: cannot write to `file/man1`: "), "{}", stderr(&output));
}

#[test]
fn a_log_that_cannot_be_understood_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let output = txgen(directory.path()).args(["run"]).env("RUST_LOG", "txgen=loud").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("error: RUST_LOG: `txgen=loud` does not say"), "{}", stderr(&output));
}

fn run_emulator(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = txgen(directory);
    command.args(["run", "--emulator", "--limit", "20", "--data"]).arg(support::shipped_data()).args(arguments);
    command
}

#[test]
fn the_log_goes_to_standard_error_and_leaves_the_output_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let output = succeeding(&mut run_emulator(directory.path(), &["-vv", "--output", "json"]));
    assert_eq!(support::json_lines(&output).last().unwrap()["type"], "summary");
    assert!(stderr(&output).contains("DEBUG txgen::"), "{}", stderr(&output));
    assert!(!stderr(&output).contains('\u{1b}'), "colours in a pipe");
    let silent = succeeding(&mut run_emulator(directory.path(), &[]));
    assert_eq!(stderr(&silent), "", "nothing is logged unasked");
}

#[test]
fn a_log_in_json_is_json_to_the_last_line() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = run_emulator(directory.path(), &["--log-format", "json", "-vvv", "--strict"]);
    let output = command.output().unwrap();
    let lines: Vec<Value> = stderr(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        for field in ["timestamp", "level", "target"] {
            assert!(line[field].is_string(), "{field}: {line}");
        }
    }
    let message =
        |part: &str| lines.iter().any(|line| line["message"].as_str().is_some_and(|text| text.contains(part)));
    assert!(message("connected to Cosmos DB"), "what is logged");
    assert!(message("rejected"), "what is reported");
    let refused = txgen(directory.path()).args(["--log-format", "json", "run"]).output().unwrap();
    let line: Value = serde_json::from_str(stderr(&refused).trim()).unwrap();
    assert_eq!(line["level"], "ERROR");
    assert!(line["message"].as_str().unwrap().starts_with("nothing to write to"), "{line}");
}
