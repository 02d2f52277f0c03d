//! What became of the thresholds of a run (`--fail-on`), which decide its exit code.

use std::collections::BTreeSet;

use maud::{Markup, html};

use crate::stats::Verdict;
use crate::text::counted;

/// The verdict of all of them in a few words, below that of the run; nothing where none were set.
pub(super) fn badge(verdicts: &[Verdict]) -> Markup {
    // One that names no service has a verdict for each of them, and is one threshold all the same.
    let named = |verdicts: &mut dyn Iterator<Item = &Verdict>| {
        verdicts.map(|verdict| verdict.threshold.clone()).collect::<BTreeSet<_>>().len() as u64
    };
    let all = named(&mut verdicts.iter());
    let crossed = named(&mut verdicts.iter().filter(|verdict| verdict.crossed));
    let (class, words) = match (crossed, all) {
        (0, 1) => ("good", "The threshold is kept.".to_owned()),
        (0, all) => ("good", format!("All {all} thresholds are kept.")),
        (1, 1) => ("bad", "The threshold is crossed.".to_owned()),
        (crossed, all) => ("bad", format!("{crossed} of {} crossed.", counted(all, "threshold"))),
    };
    html! { @if all > 0 { p { span.badge.(class) { (words) } } } }
}

/// Each of them with the figure that was looked at; nothing where none were set.
pub(super) fn section(verdicts: &[Verdict]) -> Markup {
    html! {
        @if !verdicts.is_empty() {
            section id="thresholds" {
                h2 { "Thresholds" }
                p.lead { "The run has failed if one of these is crossed, or if its figure has no value." }
                div.panel.thresholds {
                    div.scroll.whole tabindex="0" {
                        table {
                            thead {
                                tr { @for column in ["fails if", "figure", "value", "verdict"] { th scope="col" { (column) } } }
                            }
                            tbody { @for verdict in verdicts { (row(verdict)) } }
                        }
                    }
                }
            }
        }
    }
}

fn row(verdict: &Verdict) -> Markup {
    // As it was compared: rounded, it could look as if it were on the other side.
    let value = verdict.value.map_or_else(|| "none".to_owned(), |value| value.to_string());
    let (class, word) = if verdict.crossed { ("bad", "crossed") } else { ("good", "kept") };
    html! {
        tr {
            th scope="row" { code { (verdict.threshold) } }
            td { (verdict.figure) }
            td { (value) }
            td { span.tag.(class) { (word) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(threshold: &str, value: Option<f64>, crossed: bool) -> Verdict {
        Verdict { threshold: threshold.to_owned(), figure: "cosmos_db.failed".to_owned(), value, crossed }
    }

    #[test]
    fn a_run_without_thresholds_says_nothing_of_them() {
        assert_eq!((badge(&[]).0, section(&[]).0), (String::new(), String::new()));
    }

    #[test]
    fn each_threshold_has_its_figure_its_value_and_its_verdict() {
        let verdicts =
            [verdict("failed>0", Some(3.0), true), verdict("<b>", None, true), verdict("x<2", Some(7.125), false)];
        let section = section(&verdicts).0;
        let rows: Vec<&str> = section.split("<tr>").skip(2).collect();
        assert_eq!(rows.len(), 3, "{section}");
        for (row, parts) in rows.iter().zip([
            ["failed&gt;0", "<td>3</td>", "bad\">crossed"],
            ["&lt;b&gt;", "<td>none</td>", "bad\">crossed"],
            ["x&lt;2", "<td>7.125</td>", "good\">kept"],
        ]) {
            assert!(
                parts.iter().all(|part| row.contains(part)) && row.contains("cosmos_db.failed"),
                "{parts:?}: {row}"
            );
        }
    }

    #[test]
    fn the_badge_is_green_only_when_all_are_kept() {
        for (crossed, class, words) in [
            (&[false][..], "good", "The threshold is kept."),
            (&[false, false], "good", "All 2 thresholds are kept."),
            (&[true], "bad", "The threshold is crossed."),
            (&[false, true], "bad", "1 of 2 thresholds crossed."),
        ] {
            let thresholds = ["failed>0", "requested>9"];
            let of_each = thresholds.iter().zip(crossed).map(|(text, crossed)| verdict(text, Some(1.0), *crossed));
            let mut verdicts: Vec<Verdict> = of_each.collect();
            // The same figure of the other service.
            verdicts.push(verdict("failed>0", Some(0.0), false));
            assert_eq!(badge(&verdicts).0, format!("<p><span class=\"badge {class}\">{words}</span></p>"));
        }
    }
}
