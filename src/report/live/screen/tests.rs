use ratatui::Terminal;
use ratatui::backend::TestBackend;
use tokio::time::Instant;

use super::*;
use crate::report::live::sample;
use crate::service::{Failure, FailureKind};
use crate::stats::LatestFailure;

fn screen() -> Screen {
    let mut moment = sample::moment();
    let failure = Failure::new(FailureKind::TooLarge, "larger than 2 MB").with_status(413);
    moment.snapshot.services[1].latest_failures = vec![LatestFailure { at: Instant::now(), row: 7, failure }];
    let mut screen = Screen::new(sample::description(), moment);
    screen.event(&Event::Rejected { line: 12, reason: "3 fields, where the header has 28".into(), last_shown: false });
    screen
}

fn drawn(screen: &Screen, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen.draw(frame)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn both_services_are_side_by_side_with_what_they_share_below() {
    insta::assert_snapshot!(drawn(&screen(), 110, 36));
}

#[test]
fn a_usual_terminal_has_room_for_everything() {
    insta::assert_snapshot!(drawn(&screen(), 80, 24));
}

#[test]
fn one_service_alone_takes_the_whole_width() {
    let mut moment = sample::moment();
    moment.snapshot.services.truncate(1);
    let text = drawn(&Screen::new(sample::description(), moment), 80, 24);
    assert!(!text.contains("Cosmos DB") && !text.contains("Request units"), "{text}");
    assert!(text.contains("Busiest partition keys"), "{text}");
}

#[test]
fn a_small_terminal_gets_the_progress_lines() {
    let text = drawn(&screen(), 60, 10);
    assert!(text.contains("9274 of ~20000") && text.contains("70 columns and 20 rows show more"), "{text}");
}

#[test]
fn no_size_is_too_small_or_too_large() {
    let screen = screen();
    for (width, height) in [(1, 1), (2, 30), (69, 20), (70, 20), (71, 19), (300, 100)] {
        drawn(&screen, width, height);
    }
}

#[test]
fn a_run_that_has_not_begun_can_be_drawn() {
    let mut moment = sample::moment();
    moment.snapshot.requested = 0;
    moment.snapshot.series.points.clear();
    moment.snapshot.busiest_keys.clear();
    moment.snapshot.services.iter_mut().for_each(|service| service.counts = crate::stats::Counts::default());
    moment.expected = crate::run::Expected::Unknown;
    let text = drawn(&Screen::new(sample::description(), moment), 80, 24);
    assert!(text.contains("0 of ?") && text.contains("latency -"), "{text}");
}

#[test]
fn the_answer_to_a_key_takes_the_keys_place() {
    let mut screen = screen();
    assert!(drawn(&screen, 80, 24).contains("q or Ctrl-C: stop in order"));
    screen.notice("Stopping: what is in flight is being settled.");
    let text = drawn(&screen, 80, 24);
    assert!(text.contains("Stopping: what is in flight") && !text.contains("q or Ctrl-C"), "{text}");
}

#[test]
fn messages_are_bounded_and_cannot_rewrite_the_terminal() {
    let mut screen = screen();
    (0..1000).for_each(|number| screen.message(&format!("message {number}\u{1b}[2J")));
    assert_eq!(screen.messages.len(), MESSAGES);
    let text = drawn(&screen, 80, 24);
    assert!(text.contains("message 999\\u{1b}[2J") && !text.contains("message 900"), "{text}");
}

#[test]
fn the_latest_failures_of_both_services_are_shown_in_the_order_of_time() {
    let mut moment = sample::moment();
    let start = Instant::now();
    for (service, rows) in [(0, [1, 3]), (1, [2, 4])] {
        let failed = |row: u64| LatestFailure {
            at: start + std::time::Duration::from_secs(row),
            row,
            failure: Failure::new(FailureKind::Timeout, "no answer"),
        };
        moment.snapshot.services[service].latest_failures = rows.map(failed).into();
    }
    let lines = Screen::new(sample::description(), moment).troubles(100, 3);
    let rows: Vec<&str> = lines.iter().filter_map(|line| line.split(' ').nth(3)).collect();
    assert_eq!(rows, ["2", "3", "4"], "{lines:?}");
}
