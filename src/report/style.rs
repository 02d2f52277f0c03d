//! The few colours of the output, the same everywhere.

use anstyle::{AnsiColor, Style};

/// Headings and names.
pub(crate) const NAME: Style = Style::new().bold();
/// What went well, or was faster.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What needs a look: throttling.
pub(crate) const CAUTION: Style = AnsiColor::Yellow.on_default();
/// What failed.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();

/// The colours of help texts.
pub const STYLES: clap::builder::Styles = clap::builder::Styles::styled()
    .header(Style::new().bold().underline())
    .usage(Style::new().bold().underline())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::Green.on_default());

/// `text` in this style where the count is above 0, plain where it is 0.
pub(crate) fn if_any(count: u64, style: Style) -> String {
    if count > 0 { format!("{style}{count}{style:#}") } else { count.to_string() }
}
