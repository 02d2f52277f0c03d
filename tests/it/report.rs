//! `txgen report` and `txgen run --report` as a user runs them: the built binary, on summaries of real runs.

use crate::support;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{read_json, stderr, stdout};
use serde_json::Value;

fn report(directory: &Path, arguments: &[&str]) -> Output {
    support::txgen(directory).arg("report").args(arguments).output().unwrap()
}

fn run(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = support::txgen(directory);
    command.args(["run", "--emulator", "--quiet", "--data"]).arg(support::shipped_data()).args(arguments);
    command
}

/// A run of both services with its summary in `name`.
fn summary(directory: &Path, name: &str, arguments: &[&str]) -> Value {
    let output = run(directory, &["--summary-file", name]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    read_json(&directory.join(name))
}

fn write(directory: &Path, name: &str, summary: &Value) {
    std::fs::write(directory.join(name), summary.to_string()).unwrap();
}

fn page(directory: &Path, name: &str) -> String {
    std::fs::read_to_string(directory.join(name)).unwrap()
}

/// A summary of a run over a minute: a real one with made-up intervals, whose rates go up and down around these.
fn lasting(mut summary: Value, event_hubs: u64, cosmos_db: u64) -> Value {
    let point = summary["series"]["points"][0].clone();
    let points = (0..60).map(|second| {
        let mut point = point.clone();
        point["elapsed_seconds"] = (second + 1).into();
        point["seconds"] = 1.into();
        for (service, rate) in [("event_hubs", event_hubs), ("cosmos_db", cosmos_db)] {
            point["services"][service]["succeeded"] = (rate + second * 7 % 11).into();
            point["services"][service]["pending"] = 1.into();
        }
        point
    });
    summary["series"]["points"] = points.collect();
    for (service, rate) in [("event_hubs", event_hubs), ("cosmos_db", cosmos_db)] {
        summary["services"][service]["writes_per_second"] = (rate + 5).into();
    }
    summary
}

fn figure<'a>(comparison: &'a Value, name: &str) -> &'a Value {
    let figures = comparison["figures"].as_array().unwrap();
    figures.iter().find(|figure| figure["figure"] == name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn a_run_is_drawn_as_one_page_at_its_end_and_just_the_same_later() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let summary = summary(directory, "summary.json", &["--limit", "1500", "--report", "run.html"]);
    let page = page(directory, "run.html");
    for message in [
        summary["run_id"].as_str().unwrap(),
        summary["data"]["sha256"].as_str().unwrap(),
        "1,500",
        "COSMOS_DB_THROUGHPUT",
    ] {
        assert!(page.contains(message), "{message} is missing");
    }
    for figure in [
        "writes",
        "request-units",
        "pending",
        "throttled",
        "event_hubs-response-time",
        "cosmos_db-frequencies",
        "keys",
        "partitions",
    ] {
        assert!(page.contains(&format!("id=\"{figure}\"")), "the figure {figure} is missing");
    }
    for foreign in ["<script", "src=", "@import", "url(", "href=\"http"] {
        assert!(!page.contains(foreign), "the page is not whole in itself: {foreign}");
    }
    let output = report(directory, &["summary.json", "-o", "later.html"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(page == self::page(directory, "later.html"), "the pages differ");
}

#[test]
fn the_verdicts_of_the_thresholds_are_on_the_page_of_a_run_that_has_some() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    summary(directory, "summary.json", &["--limit", "50", "--report", "without.html"]);
    assert!(!page(directory, "without.html").contains("id=\"thresholds\""));
    let thresholds = ["--fail-on", "failed>0", "--fail-on", "requested>10", "--report", "with.html"];
    let mut output = run(directory, &[&["--limit", "50", "--summary-file", "s.json"], &thresholds[..]].concat());
    assert_eq!(output.output().unwrap().status.code(), Some(1));
    let output = report(directory, &["s.json", "-o", "later.html"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let page = page(directory, "with.html");
    assert!(page == self::page(directory, "later.html"), "the pages differ");
    let section = page.split("id=\"thresholds\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(page.contains("1 of 2 thresholds crossed."), "{section}");
    for message in ["failed&gt;0", "event_hubs.failed", "cosmos_db.failed", "requested&gt;10", "<td>50</td>", "crossed"]
    {
        assert!(section.contains(message), "no {message} in {section}");
    }
}

#[test]
fn flags_of_all_commands_may_stand_before_a_subcommand_and_a_file_may_not() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    summary(directory, "a.json", &["--limit", "50"]);
    for arguments in [&["-v", "compare", "a.json", "a.json"][..], &["compare", "-v", "a.json", "a.json"]] {
        let output = report(directory, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    }
    for arguments in [&["a.json", "compare", "a.json", "a.json"][..], &["-o", "x.html", "compare", "a.json", "a.json"]]
    {
        let output = report(directory, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stdout(&output));
        assert!(!stderr(&output).is_empty() && !directory.join("x.html").exists());
    }
    assert_eq!(report(directory, &[]).status.code(), Some(2));
    assert_eq!(report(directory, &["a.json"]).status.code(), Some(2), "without -o");
}

#[test]
fn what_is_foreign_is_shown_as_text_and_never_runs() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let mut summary = summary(directory, "summary.json", &["--limit", "50"]);
    let evil = "</title></style><script>alert(1)</script>\"'&\u{1b}[2J";
    summary["partition_keys"] = serde_json::json!({ evil: 50 });
    summary["settings"] = serde_json::json!([{ "key": evil, "value": evil, "source": evil }]);
    summary["data"]["file"] = evil.into();
    let service = &mut summary["services"]["cosmos_db"];
    service["target"]["container"]["database"] = evil.into();
    service["failed"] = 1.into();
    service["failures"] = serde_json::json!({ "internal": 1 });
    service["failure_examples"] =
        serde_json::json!([{ "row": 1, "kind": "internal", "status": evil, "message": evil, "ambiguous": true }]);
    write(directory, "evil.json", &summary);
    for arguments in
        [&["evil.json", "-o", "page.html"][..], &["compare", "summary.json", "evil.json", "-o", "page.html"]]
    {
        let output = report(directory, arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        let page = page(directory, "page.html");
        assert!(page.contains("&lt;script&gt;alert(1)"), "{arguments:?}");
        assert!(!page.contains("<script") && page.matches("</style>").count() == 1, "{arguments:?}");
    }
    let text = stdout(&report(directory, &["compare", "summary.json", "evil.json"]));
    assert!(!text.contains('\u{1b}'), "a terminal must not be rewritten: {text}");
}

#[test]
fn a_comparison_tells_what_changed_and_what_is_more_than_noise() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let before = lasting(summary(directory, "a.json", &["--limit", "50"]), 1000, 300);
    let after = summary(directory, "b.json", &["--limit", "50", "--throughput", "700"]);
    write(directory, "a.json", &before);
    write(directory, "b.json", &lasting(after, 1000, 200));

    let json = report(directory, &["compare", "a.json", "b.json", "--format", "json"]);
    assert!(json.status.success(), "{}", stderr(&json));
    let comparison: Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!(comparison["type"], "comparison");
    assert!(comparison["method"]["test"].as_str().unwrap().contains("Mann-Whitney"));
    let changed = comparison["changes"].as_array().unwrap();
    let throughput = changed.iter().find(|change| change["key"] == "COSMOS_DB_THROUGHPUT").unwrap();
    assert_eq!((throughput["a"].as_str(), throughput["b"].as_str()), (Some("15000 RU/s"), Some("700 RU/s")));
    let slower = figure(&comparison, "cosmos_db.writes_per_second");
    assert_eq!(
        (slower["a"].as_f64(), slower["b"].as_f64(), slower["difference"].as_f64()),
        (Some(305.0), Some(205.0), Some(-100.0))
    );
    assert_eq!((slower["more_than_noise"].as_bool(), slower["better"].as_str()), (Some(true), Some("higher")));
    assert_eq!(figure(&comparison, "event_hubs.writes_per_second")["more_than_noise"], false);
    assert_eq!(figure(&comparison, "wall_seconds")["more_than_noise"], Value::Null);

    let text = stdout(&report(directory, &["compare", "a.json", "b.json"]));
    assert!(text.contains("COSMOS_DB_THROUGHPUT") && text.contains("15000 RU/s -> 700 RU/s"), "{text}");
    assert!(text.contains("-32.8 %  worse, more than noise (p < 0.001)"), "{text}");
    assert!(text.contains("Mann-Whitney U test"), "{text}");

    let html = report(directory, &["compare", "a.json", "b.json", "-o", "comparison.html"]);
    assert!(html.status.success() && stdout(&html).is_empty(), "{}{}", stdout(&html), stderr(&html));
    let page = page(directory, "comparison.html");
    assert!(page.contains("worse, more than noise") && page.contains("700 RU/s") && !page.contains("<script"));
}

#[test]
fn a_run_compared_with_itself_differs_in_nothing() {
    let directory = tempfile::tempdir().unwrap();
    summary(directory.path(), "a.json", &["--limit", "50"]);
    let text = stdout(&report(directory.path(), &["compare", "a.json", "a.json"]));
    assert!(text.contains("nothing: the same settings, data and version"), "{text}");
    assert!(!text.contains('%') || !text.contains("worse") && !text.contains("better"), "{text}");
}

#[test]
fn a_file_that_is_no_summary_is_named_and_nothing_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    std::fs::write(directory.join("text.json"), "hello").unwrap();
    std::fs::write(directory.join("other.json"), r#"{"type":"start"}"#).unwrap();
    for (file, message) in [
        ("missing.json", "cannot read `missing.json`"),
        ("text.json", "`text.json` is no summary"),
        ("other.json", "`other.json` is no summary"),
    ] {
        for arguments in [&[file, "-o", "page.html"][..], &["compare", file, file, "-o", "page.html"]] {
            let output = report(directory, arguments);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}");
            assert!(stderr(&output).contains(message), "{}", stderr(&output));
        }
    }
    assert!(!directory.join("page.html").exists());
}

#[test]
fn a_report_never_overwrites_what_it_reads_and_a_bad_path_fails_before_the_run() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let before = summary(directory, "a.json", &["--limit", "50"]);
    for arguments in [&["a.json", "-o", "./a.json"][..], &["compare", "a.json", "a.json", "-o", "a.json"]] {
        let output = report(directory, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains("name another file"), "{}", stderr(&output));
    }
    assert_eq!(read_json(&directory.join("a.json")), before);

    for (arguments, message) in [
        (&["--report", "no/such/run.html"][..], "--report: cannot write to `no/such/run.html`"),
        (&["--report", "both", "--summary-file", "both"], "both name `both`"),
    ] {
        let output = run(directory, arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(
            stderr(&output).contains(message) && stdout(&output).is_empty(),
            "{}{}",
            stdout(&output),
            stderr(&output)
        );
    }
}

#[test]
fn a_run_that_sent_nothing_still_has_a_page() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let shipped = std::fs::read_to_string(support::shipped_data()).unwrap();
    let heading = shipped.lines().next().unwrap();
    std::fs::write(directory.join("unreadable.csv"), format!("{heading}\nonly,three,fields\n")).unwrap();
    let mut command = support::txgen(directory);
    let arguments = ["run", "--emulator", "--quiet", "--data", "unreadable.csv", "--report", "run.html"];
    let output = command.args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let page = page(directory, "run.html");
    assert!(page.contains("No transaction was requested") && !page.contains("NaN"));
}
