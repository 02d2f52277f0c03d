//! The progress lines below the blocks: a heading and one line for each service.

use anstream::adapter::strip_str;
use anstyle::Style;

use super::{LiveRun, clock_or_dash, rate_figure, settled};
use crate::report::style::{BAD, CAUTION, NAME};
use crate::stats::ServiceSnapshot;

/// The widest bar; a longer one shows no more.
const WIDEST_BAR: usize = 30;
/// A bar of fewer cells shows nothing.
const NARROWEST_BAR: usize = 5;
/// Cells that stay free at a line's end: some terminals wrap as soon as the last one is taken.
const FREE: usize = 2;
/// The width of the columns without the bar.
const COLUMNS: usize = 78;

/// The lines, for a terminal of this many columns, with colours as ANSI escapes where there is room for all columns.
#[must_use]
pub fn lines(live: &LiveRun, width: usize) -> Vec<String> {
    let width = width.saturating_sub(FREE);
    let bar = match width.saturating_sub(COLUMNS + 1) {
        cells if cells < NARROWEST_BAR => 0,
        cells => cells.min(WIDEST_BAR),
    };
    let mut lines = vec![heading(live, bar)];
    lines.extend(live.services().iter().map(|service| line(live, service, bar)));
    if width < COLUMNS {
        // Cut off instead of wrapped: wrapped ones could not be taken away again.
        lines.iter_mut().for_each(|line| *line = strip_str(line).to_string().chars().take(width).collect());
    }
    lines
}

fn heading(live: &LiveRun, bar: usize) -> String {
    let gap = if bar > 0 { bar + 1 } else { 0 };
    format!(
        "{NAME}{:<10}{:gap$} {:>17} {:>8} {:>7} {:>9} {:>6} {:>7} {:>7}{NAME:#}",
        live.state(),
        "",
        "done",
        "writes/s",
        "pending",
        "throttled",
        "failed",
        "ETA",
        "time up"
    )
}

fn line(live: &LiveRun, service: &ServiceSnapshot, bar: usize) -> String {
    let counts = &service.counts;
    let rate = live.pace(service.service).map_or(0.0, super::Pace::writes_per_second);
    format!(
        "{:<10}{} {:>17} {:>8} {:>7} {} {} {:>7} {:>7}",
        service.service.to_string(),
        cells(live.share(service), bar),
        format!("{} of {}", settled(counts), live.expected()),
        rate_figure(rate),
        counts.pending,
        painted(counts.throttled, 9, CAUTION),
        painted(counts.failed, 6, BAD),
        clock_or_dash(live.time_by_rows(service)),
        clock_or_dash(live.time_left()),
    )
}

/// A bar of this many cells, and a space before it.
fn cells(share: Option<f64>, cells: usize) -> String {
    if cells == 0 {
        return String::new();
    }
    let full = (share.unwrap_or(0.0) * cells as f64).floor() as usize;
    format!(" {}{}", "█".repeat(full), "░".repeat(cells - full))
}

fn painted(count: u64, width: usize, style: Style) -> String {
    if count > 0 { format!("{style}{count:>width$}{style:#}") } else { format!("{count:>width$}") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::live::sample;
    use crate::run::Expected;

    fn plain(live: &LiveRun, width: usize) -> String {
        lines(live, width).iter().map(|line| strip_str(line).to_string() + "\n").collect()
    }

    #[test]
    fn each_service_has_a_line_of_figures_under_one_heading() {
        let live = LiveRun::new(sample::description(), sample::moment());
        insta::assert_snapshot!(plain(&live, 120), @r"
        0:14                                                   done writes/s pending throttled failed     ETA time up
        Event Hubs █████████████░░░░░░░░░░░░░░░░░    9274 of ~20000      662     726         0      0    0:16    9:46
        Cosmos DB  █░░░░░░░░░░░░░░░░░░░░░░░░░░░░░     837 of ~20000       60    9163       128      1    5:20    9:46
        ");
    }

    #[test]
    fn in_eighty_columns_the_bar_makes_room() {
        let live = LiveRun::new(sample::description(), sample::moment());
        let text = plain(&live, 80);
        assert!(text.lines().all(|line| line.chars().count() <= 78), "{text}");
        insta::assert_snapshot!(text, @r"
        0:14                    done writes/s pending throttled failed     ETA time up
        Event Hubs    9274 of ~20000      662     726         0      0    0:16    9:46
        Cosmos DB      837 of ~20000       60    9163       128      1    5:20    9:46
        ");
    }

    #[test]
    fn a_narrow_terminal_gets_what_fits_on_one_line_each() {
        let live = LiveRun::new(sample::description(), sample::moment());
        let text = plain(&live, 40);
        assert!(text.lines().all(|line| line.chars().count() == 38), "{text}");
        assert!(text.contains("9274 of ~20000"), "{text}");
    }

    #[test]
    fn what_is_not_known_is_not_made_up() {
        let mut moment = sample::moment();
        moment.expected = Expected::Unknown;
        let mut description = crate::description::sample();
        description.run.duration = None;
        insta::assert_snapshot!(plain(&LiveRun::new(description.into(), moment), 80), @r"
        0:14                    done writes/s pending throttled failed     ETA time up
        Event Hubs         9274 of ?      662     726         0      0       -       -
        Cosmos DB           837 of ?       60    9163       128      1       -       -
        ");
    }

    #[test]
    fn the_wait_before_the_run_and_stopping_take_the_clocks_place() {
        let mut moment = sample::moment();
        moment.lead_left = Duration::from_secs(75);
        assert!(plain(&LiveRun::new(sample::description(), moment.clone()), 80).starts_with("in 1:15 "));
        moment.stopping = true;
        assert!(plain(&LiveRun::new(sample::description(), moment), 80).starts_with("stopping "));
    }

    #[test]
    fn only_what_went_wrong_has_a_colour() {
        let live = LiveRun::new(sample::description(), sample::moment());
        let [_, event_hubs, cosmos_db] = &lines(&live, 80)[..] else { panic!("a heading and two services") };
        assert!(!event_hubs.contains('\u{1b}'), "{event_hubs:?}");
        assert!(cosmos_db.contains(&format!("{CAUTION}{:>9}{CAUTION:#}", 128)), "{cosmos_db:?}");
    }
}
