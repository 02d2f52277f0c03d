//! A run on a terminal: the progress lines, and the full-screen view.

use crate::support;
use std::path::Path;
use std::process::Command;

use crate::support::terminal::{Terminal, on_a_terminal};
use crate::support::{shipped_data, stderr, stdout, txgen};
use portable_pty::CommandBuilder;

/// `txgen run --emulator` with these arguments, for a terminal.
fn run(directory: &Path, arguments: &[&str]) -> CommandBuilder {
    let mut command = txgen(directory);
    command.args(["run", "--emulator", "--data"]).arg(shipped_data()).args(arguments);
    on_a_terminal(&command)
}

/// What the totals say of a count at Event Hubs and Cosmos DB.
fn total(text: &str, name: &str) -> Vec<u64> {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in:\n{text}"));
    line[name.len()..].split_whitespace().map(|figure| figure.parse().unwrap()).collect()
}

#[test]
fn progress_stays_below_the_blocks_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--rate", "1000", "--loop", "--limit", "3000"];
    let mut terminal = Terminal::start(run(directory.path(), &arguments), 110, 40);
    terminal.wait_until("blocks and progress lines below them", |text| {
        let blocks = text.find("Total requests: requested");
        let progress = text.find("time up").filter(|_| text.contains("of 3000"));
        blocks.zip(progress).is_some_and(|(blocks, progress)| blocks < progress)
    });
    assert!(terminal.wait().success(), "{}", terminal.text());
    let text = terminal.scrolled();
    assert!(!text.contains("time up") && !text.contains("of 3000"), "progress was left behind:\n{text}");
    for line in ["Total requests: requested 1000", "Total requests: requested 3000"] {
        assert!(text.lines().any(|shown| shown.trim_end() == line), "{line} is torn:\n{text}");
    }
    // Every line of a block is whole: it begins with a name and nothing else is on it.
    let failed = text.lines().filter(|line| line.trim_end() == "Cosmos DB: total failed 0").count();
    let blocks = text.lines().filter(|line| line.starts_with("Total requests: requested")).count();
    assert_eq!(failed, blocks, "{text}");
    assert_eq!(total(&text, "succeeded"), [3000, 3000]);
}

#[test]
fn quiet_shows_progress_alone_and_then_the_totals() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--rate", "500", "--loop", "--limit", "1000", "--quiet"];
    let mut terminal = Terminal::start(run(directory.path(), &arguments), 80, 24);
    terminal.wait_until("progress alone", |text| text.contains("of 1000") && !text.contains("Total requests"));
    assert!(terminal.wait().success());
    let text = terminal.scrolled();
    assert!(text.starts_with("Run "), "{text}");
    assert!(!text.contains("time up"), "{text}");
}

#[test]
fn progress_stays_below_a_table_until_its_end_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--rate", "1000", "--loop", "--limit", "3000", "--output", "table"];
    let mut terminal = Terminal::start(run(directory.path(), &arguments), 150, 40);
    terminal.wait_until("rows and progress lines below them", |text| {
        let row = text.lines().position(|line| line.trim_start().starts_with("1000 "));
        let progress = text.lines().position(|line| line.contains(" of 3000"));
        row.zip(progress).is_some_and(|(row, progress)| row < progress)
    });
    assert!(terminal.wait().success(), "{}", terminal.text());
    let text = terminal.scrolled();
    assert!(!text.contains("time up") && !text.contains(" of 3000"), "progress was left behind:\n{text}");
    // The table is whole: one row for each batch, with nothing between them.
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.iter().position(|line| line.trim_start().starts_with("1000 ")).unwrap();
    let requested = lines[first..].iter().map_while(|line| line.split_whitespace().next());
    let requested: Vec<u64> =
        requested.map(|figure| figure.parse().unwrap_or_else(|_| panic!("torn:\n{text}"))).collect();
    assert!(requested.len() >= 3 && requested.is_sorted() && requested.last() == Some(&3000), "{text}");
    assert_eq!(total(&text, "succeeded"), [3000, 3000]);
}

#[test]
fn progress_can_be_switched_off() {
    let directory = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(run(directory.path(), &["--limit", "1000", "--no-progress"]), 110, 40);
    assert!(terminal.wait().success());
    assert!(!terminal.written().contains("time up"), "{}", terminal.written());
}

#[test]
fn ctrl_c_is_answered_between_the_progress_lines() {
    let directory = tempfile::tempdir().unwrap();
    let mut terminal =
        Terminal::start(run(directory.path(), &["--rate", "100", "--loop", "--output", "table"]), 110, 40);
    terminal.wait_until("all progress lines", |text| text.matches(" of ?").count() == 2);
    terminal.press("\u{3}");
    assert_eq!(terminal.wait().exit_code(), 130);
    let text = terminal.scrolled();
    assert!(text.contains("Stopping: what is in flight is being settled."), "{text}");
    assert!(text.contains("Interrupted;") && !text.contains("time up"), "{text}");
}

#[test]
fn nothing_live_reaches_a_pipe() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = txgen(directory.path());
    command.args(["run", "--emulator", "--limit", "1200", "--data"]).arg(shipped_data());
    let output = command.env("TERM", "xterm-256color").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    for text in [stdout(&output), stderr(&output)] {
        assert!(!text.contains('\u{1b}') && !text.contains('\r') && !text.contains("time up"), "{text:?}");
    }
    assert_eq!(stderr(&output), "");
}

#[test]
fn the_view_shows_both_services_follows_the_terminals_size_and_stops_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--tui", "--rate", "400", "--loop", "--seconds-to-run", "300"];
    let mut terminal = Terminal::start(run(directory.path(), &arguments), 110, 36);
    terminal.wait_until("the whole view", |text| {
        [
            "Event Hubs",
            "Cosmos DB",
            "Request units",
            "of 15000 provisioned",
            "Busiest partition keys",
            "us ",
            "Latest errors",
        ]
        .iter()
        .all(|pane| text.contains(pane))
    });
    assert!(terminal.has_alternate_screen() && !terminal.is_as_a_shell_wants_it());
    terminal.resize(60, 12);
    terminal.wait_for("70 columns and 20 rows show more");
    terminal.resize(90, 30);
    terminal.wait_for("Latest errors");
    terminal.press("q");
    assert_eq!(terminal.wait().exit_code(), 130);
    assert!(!terminal.has_alternate_screen() && terminal.is_as_a_shell_wants_it());
    let text = terminal.text();
    assert!(text.contains("Interrupted;") && !text.contains("Busiest partition keys"), "{text}");
    assert_eq!(total(&text, "failed"), [0, 0], "what was in flight is settled:\n{text}");
}

#[test]
fn the_views_latest_errors_are_those_of_the_services_whatever_its_size() {
    let directory = tempfile::tempdir().unwrap();
    let faults = ["--fault", "event_hubs:reject:10%", "--fault", "cosmos_db:429:50%"];
    let _emulator = support::emulator::Emulator::start(directory.path(), &faults);
    let mut command = txgen(directory.path());
    command.args(["run", "--tui", "--rate", "100", "--loop", "--retry-for", "1ms", "--data"]).arg(shipped_data());
    let mut terminal = Terminal::start(on_a_terminal(&command), 80, 24);
    let rejected = "bad_request (com.microsoft:argument-error): transactions: The event was rejected on purpose.";
    // A line for each, though one of them fails five times as often.
    terminal.wait_until("failures of both", |text| {
        let lines = |parts: [&str; 2]| text.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        lines(["Event Hubs: transaction ", "failed: bad_request (com"])
            && lines(["Cosmos DB: transaction ", "failed: throttled (429"])
    });
    terminal.resize(120, 40);
    terminal.wait_until("whole failures of both", |text| {
        unwrapped(text).contains(rejected) && unwrapped(text).contains("Learn more: http://aka.ms/cosmosdb-error-429")
    });
    terminal.resize(60, 14);
    terminal.wait_until("the small view's failures", |text| {
        text.contains("70 columns and 20 rows") && unwrapped(text).contains(rejected)
    });
    terminal.resize(80, 24);
    // A key that comes in the same moment as a new size is only seen with the next key.
    terminal.wait_for("Busiest partition keys");
    terminal.press("q");
    assert_eq!(terminal.wait().exit_code(), 130);
    let text = terminal.scrolled();
    let whole: String = text.lines().collect();
    assert!(
        whole.contains(rejected) && whole.contains("failed as bad_request"),
        "what went wrong stays readable:\n{text}"
    );
}

/// The text of a screen without its lines and borders.
fn unwrapped(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c == '│').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn ctrl_c_works_in_the_view_and_twice_stops_at_once() {
    let directory = tempfile::tempdir().unwrap();
    // So few RU/s that settling everything would take minutes.
    let arguments = ["--tui", "--throughput", "400", "--loop", "--only-cosmos", "--drain-timeout", "10m"];
    let mut terminal = Terminal::start(run(directory.path(), &arguments), 110, 36);
    terminal.wait_until("throttling", |text| text.contains("throttled") && !text.contains("throttled 0"));
    terminal.press("\u{3}");
    terminal.wait_for("Press Ctrl-C to stop at once");
    terminal.press("\u{3}");
    assert_eq!(terminal.wait().exit_code(), 130);
    assert!(!terminal.has_alternate_screen() && terminal.is_as_a_shell_wants_it());
    assert!(terminal.text().contains("failed as abandoned"), "{}", terminal.text());
}

#[test]
fn a_signal_gives_the_terminal_back_too() {
    let directory = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(run(directory.path(), &["--tui", "--rate", "100", "--loop"]), 110, 36);
    terminal.wait_for("Busiest partition keys");
    let killed = Command::new("kill").args(["-TERM", &terminal.process_id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(terminal.wait().exit_code(), 130);
    assert!(!terminal.has_alternate_screen() && terminal.is_as_a_shell_wants_it());
    let text = terminal.scrolled();
    assert!(text.contains("Stopping: what is in flight is being settled."), "{text}");
}

#[test]
fn a_view_that_ends_with_the_data_leaves_the_totals() {
    let directory = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(run(directory.path(), &["--tui", "--limit", "2000"]), 110, 40);
    assert!(terminal.wait().success(), "{}", terminal.text());
    assert!(terminal.had_alternate_screen && !terminal.has_alternate_screen());
    let text = terminal.scrolled();
    assert!(text.contains("Plan ") && text.contains("every transaction requested was stored"), "{text}");
    assert!(!text.contains("Total requests"), "no blocks:\n{text}");
}

#[test]
fn without_a_terminal_the_view_is_refused_before_anything_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = txgen(directory.path());
    let output = command.args(["run", "--emulator", "--tui", "--data"]).arg(shipped_data()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--tui needs a terminal, and standard output is none"), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
    for other in [["--quiet"].as_slice(), &["--output", "json"]] {
        let output = txgen(directory.path()).args(["run", "--emulator", "--tui"]).args(other).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("cannot be used with"), "{}", stderr(&output));
    }
}
