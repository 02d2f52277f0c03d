use proptest::prelude::*;
use serde_json::Value;

use super::fuzzing::summary;
use super::*;

fn threshold(text: &str) -> Threshold {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn crossed(text: &str) -> bool {
    threshold(text).judge(&summary()).iter().any(|verdict| verdict.crossed)
}

fn refusal(text: &str) -> String {
    text.parse::<Threshold>().unwrap_err().to_string()
}

#[test]
fn a_threshold_is_crossed_when_its_condition_holds() {
    for text in [
        "failed>0",
        "cosmos_db.failed>=1",
        "services.cosmos_db.failed == 1",
        "cosmos_db.succeeded != 10",
        "event_hubs.writes_per_second<1001",
        "event_hubs.response_time_ms.p99 > 9",
        "cosmos_db.response_time_ms.max>=9",
        "request_units<=130.5",
        "rejected_rows=2",
        "unreadable_cells.localHour>2",
        "partition_keys.us>9",
        "cosmos_db.failures.too_large>0",
        "lateness_ms.p50<1",
    ] {
        assert!(crossed(text), "{text}");
    }
    for text in [
        "failed>1",
        "event_hubs.failed>0",
        "event_hubs.writes_per_second<999",
        "event_hubs.response_time_ms.p99>50",
        "cosmos_db.failures.throttled>0",
        "partition_keys.gb>0",
        "unreadable_cells.isProxyIP>0",
        "requested!=10",
    ] {
        assert!(!crossed(text), "{text}");
    }
}

#[test]
fn a_figure_without_a_service_is_looked_at_in_each() {
    let verdicts = threshold(" failed > 0 ").judge(&summary());
    let message: Vec<_> = verdicts
        .iter()
        .map(|verdict| (&*verdict.threshold, &*verdict.figure, verdict.value, verdict.crossed))
        .collect();
    assert_eq!(
        message,
        [("failed>0", "event_hubs.failed", Some(0.0), false), ("failed>0", "cosmos_db.failed", Some(1.0), true)]
    );
}

#[test]
fn any_percentile_can_be_asked_for() {
    let value = |figure: &str| threshold(&format!("event_hubs.service_time_ms.{figure}>0")).judge(&summary())[0].value;
    let near =
        |figure: &str, ms: f64| assert!((value(figure).unwrap() - ms).abs() < 0.01, "{figure}: {:?}", value(figure));
    near("p10", 1.0);
    near("p50", 5.0);
    near("p95", 10.0);
    near("p999", 10.0);
    near("p99.9", 10.0);
    near("mean", 5.5);
    near("max", 10.0);
    for wrong in ["p", "p0", "p100.0", "p00", "p-1", "p9e1", "p99.", "p.9", "q99", "p99.9.9", "median"] {
        assert!(refusal(&format!("event_hubs.service_time_ms.{wrong}>0")).contains("there is no figure"), "{wrong}");
    }
    assert_eq!(threshold("lateness_ms.p9999>0"), threshold("lateness_ms.p9999>0.0"));
}

#[test]
fn a_figure_without_a_value_counts_as_crossed() {
    let mut summary = summary();
    summary.rate = None;
    summary.services.get_mut(&ServiceName::CosmosDb).unwrap().histograms.service_time.clear();
    for text in ["rate<1", "cosmos_db.service_time_ms.p99>50"] {
        let verdicts = threshold(text).judge(&summary);
        assert_eq!((verdicts[0].value, verdicts[0].crossed), (None, true), "{text}");
    }
}

#[test]
fn a_wrong_name_is_answered_with_the_nearest_right_one() {
    for (wrong, right) in [
        ("faild>0", "failed"),
        ("cosmos_db.response_time.p99>50", "cosmos_db.response_time_ms.p99"),
        ("cosmosdb.failed>0", "cosmos_db.failed"),
        ("event_hub.writes_per_second<1000", "event_hubs.writes_per_second"),
        ("event_hubs.request_units>0", "event_hubs.requested"),
        ("services.cosmos_db.failures.to_large>0", "cosmos_db.failures.too_large"),
        ("unreadable_cells.localhour>0", "unreadable_cells.localHour"),
        ("writes/s<10", "writes_per_second"),
    ] {
        let name = wrong.split(['<', '>']).next().unwrap();
        assert_eq!(refusal(wrong), format!("there is no figure `{name}`; the nearest one is `{right}`"));
    }
}

#[test]
fn a_text_of_any_length_is_answered_in_one_short_line() {
    for text in [format!("{}>0", "x\u{7}".repeat(50_000)), format!("failed>{}", "\n1".repeat(50_000))] {
        let message = refusal(&text);
        assert!(message.len() < 1000 && !message.contains(char::is_control), "{message:?}");
    }
}

#[test]
fn what_is_no_condition_is_reported_with_examples() {
    for text in ["", "failed", "failed>", ">0", "failed!0", "failed is 0"] {
        assert!(refusal(text).starts_with("must be a figure of the summary, one of < <= > >= == != and"), "{text}");
    }
    for number in ["50ms", "1e999", "nan", "1,5", "0=1"] {
        let message = format!("`{number}` is not a number; the figure's name gives its unit");
        assert_eq!(refusal(&format!("failed>{number}")), message);
    }
}

#[test]
fn every_number_of_the_document_is_a_figure() {
    fn leaves(path: &str, value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    leaves(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, value, found);
                }
            }
            Value::Number(_) => found.push(path.to_owned()),
            _ => {}
        }
    }
    let summary = summary();
    let mut document = serde_json::to_value(&summary).unwrap();
    // The course of the run is no figure.
    document.as_object_mut().unwrap().remove("series");
    let mut names = Vec::new();
    leaves("", &document, &mut names);
    assert!(names.len() > 50, "{names:?}");
    for name in names {
        let pointer = format!("/{}", name.replace('.', "/"));
        let verdicts = threshold(&format!("{name}<0")).judge(&summary);
        assert_eq!((verdicts.len(), verdicts[0].value), (1, document.pointer(&pointer).unwrap().as_f64()), "{name}");
        assert!(format!("services.{}", verdicts[0].figure).ends_with(&name), "{name}");
    }
}

#[test]
fn failures_fail_a_run_unless_a_threshold_says_how_many_are_too_many() {
    let passed = |texts: &[&str]| {
        let thresholds: Vec<_> = texts.iter().map(|text| threshold(text)).collect();
        super::passed(&thresholds, &summary())
    };
    assert!(!passed(&[]));
    assert!(!passed(&["cosmos_db.response_time_ms.p99>50"]));
    assert!(passed(&["failed>5"]));
    assert!(passed(&["cosmos_db.failed>5"]));
    assert!(!passed(&["event_hubs.failed>5"]), "that says nothing of Cosmos DB");
    assert!(!passed(&["failed>0"]));
    assert!(!passed(&["failed>5", "requested<11"]));
}

proptest! {
    #[test]
    fn a_threshold_survives_being_written_and_read(figure in 0usize..4, sign in 0usize..7, limit in -1e9..1e9) {
        let figure = ["failed", "cosmos_db.request_units", "lateness_ms.p99.9", "partition_keys.us"][figure];
        let threshold = threshold(&format!("{figure} {} {limit}", COMPARISONS[sign].0));
        prop_assert_eq!(threshold.to_string().parse::<Threshold>(), Ok(threshold));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,40}") {
        let _ = text.parse::<Threshold>();
    }
}
