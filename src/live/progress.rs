//! The progress lines below the blocks: a heading and one line for each service.

use anstream::adapter::strip_str;
use anstyle::Style;

use super::{Watched, clock_or_dash, rate_figure, settled};
use crate::report::style::{BAD, CAUTION, NAME};
use crate::stats::ServiceSnapshot;

/// The widest bar; a longer one shows no more.
const WIDEST_BAR: usize = 30;
/// A bar of fewer cells tells nothing.
const NARROWEST_BAR: usize = 5;
/// Cells that stay free at a line's end: some terminals wrap as soon as the last one is taken.
const FREE: usize = 2;
/// The width of the columns without the bar.
const COLUMNS: usize = 78;

/// The lines, for a terminal of this many columns, with colours as ANSI escapes where there is room for all columns.
#[must_use]
pub fn lines(watched: &Watched, width: usize) -> Vec<String> {
    let width = width.saturating_sub(FREE);
    let bar = match width.saturating_sub(COLUMNS + 1) {
        cells if cells < NARROWEST_BAR => 0,
        cells => cells.min(WIDEST_BAR),
    };
    let mut lines = vec![heading(watched, bar)];
    lines.extend(watched.services().iter().map(|service| line(watched, service, bar)));
    if width < COLUMNS {
        // Cut off instead of wrapped: wrapped ones could not be taken away again.
        lines.iter_mut().for_each(|line| *line = strip_str(line).to_string().chars().take(width).collect());
    }
    lines
}

fn heading(watched: &Watched, bar: usize) -> String {
    let gap = if bar > 0 { bar + 1 } else { 0 };
    format!(
        "{NAME}{:<10}{:gap$} {:>17} {:>8} {:>7} {:>9} {:>6} {:>7} {:>7}{NAME:#}",
        watched.state(),
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

fn line(watched: &Watched, service: &ServiceSnapshot, bar: usize) -> String {
    let counts = &service.counts;
    let rate = watched.pace(service.service).map_or(0.0, super::Pace::writes_per_second);
    format!(
        "{:<10}{} {:>17} {:>8} {:>7} {} {} {:>7} {:>7}",
        service.service.to_string(),
        cells(watched.share(service), bar),
        format!("{} of {}", settled(counts), watched.expected()),
        rate_figure(rate),
        counts.pending,
        painted(counts.throttled, 9, CAUTION),
        painted(counts.failed, 6, BAD),
        clock_or_dash(watched.time_by_rows(service)),
        clock_or_dash(watched.time_left()),
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
    use crate::live::{Expected, sample};

    fn plain(watched: &Watched, width: usize) -> String {
        lines(watched, width).iter().map(|line| strip_str(line).to_string() + "\n").collect()
    }

    #[test]
    fn each_service_has_a_line_of_figures_under_one_heading() {
        let watched = Watched::new(sample::plan(), sample::moment());
        insta::assert_snapshot!(plain(&watched, 120), @r"
        0:14                                                   done writes/s pending throttled failed     ETA time up
        Event Hubs █████████████░░░░░░░░░░░░░░░░░    9274 of ~20000      662     726         0      0    0:16    9:46
        Cosmos DB  █░░░░░░░░░░░░░░░░░░░░░░░░░░░░░     837 of ~20000       60    9163       128      1    5:20    9:46
        ");
    }

    #[test]
    fn in_eighty_columns_the_bar_makes_room() {
        let watched = Watched::new(sample::plan(), sample::moment());
        let text = plain(&watched, 80);
        assert!(text.lines().all(|line| line.chars().count() <= 78), "{text}");
        insta::assert_snapshot!(text, @r"
        0:14                    done writes/s pending throttled failed     ETA time up
        Event Hubs    9274 of ~20000      662     726         0      0    0:16    9:46
        Cosmos DB      837 of ~20000       60    9163       128      1    5:20    9:46
        ");
    }

    #[test]
    fn a_narrow_terminal_gets_what_fits_on_one_line_each() {
        let watched = Watched::new(sample::plan(), sample::moment());
        let text = plain(&watched, 40);
        assert!(text.lines().all(|line| line.chars().count() == 38), "{text}");
        assert!(text.contains("9274 of ~20000"), "{text}");
    }

    #[test]
    fn what_nobody_knows_is_not_made_up() {
        let mut moment = sample::moment();
        moment.expected = Expected::Unknown;
        let plan = super::super::Plan { duration: None, ..sample::plan() };
        insta::assert_snapshot!(plain(&Watched::new(plan, moment), 80), @r"
        0:14                    done writes/s pending throttled failed     ETA time up
        Event Hubs         9274 of ?      662     726         0      0       -       -
        Cosmos DB           837 of ?       60    9163       128      1       -       -
        ");
    }

    #[test]
    fn the_wait_before_the_run_and_stopping_take_the_clocks_place() {
        let mut moment = sample::moment();
        moment.lead_left = Duration::from_secs(75);
        assert!(plain(&Watched::new(sample::plan(), moment.clone()), 80).starts_with("in 1:15 "));
        moment.stopping = true;
        assert!(plain(&Watched::new(sample::plan(), moment), 80).starts_with("stopping "));
    }

    #[test]
    fn only_what_went_wrong_has_a_colour() {
        let watched = Watched::new(sample::plan(), sample::moment());
        let [_, event_hubs, cosmos_db] = &lines(&watched, 80)[..] else { panic!("a heading and two services") };
        assert!(!event_hubs.contains('\u{1b}'), "{event_hubs:?}");
        assert!(cosmos_db.contains(&format!("{CAUTION}{:>9}{CAUTION:#}", 128)), "{cosmos_db:?}");
    }
}
