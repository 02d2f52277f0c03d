//! Single lines for the user, on standard error.

use std::sync::atomic::{AtomicBool, Ordering};

use tracing::Level;

use super::console;
use crate::text::single_line;

/// Whether lines are JSON objects, as the log's are.
static JSON: AtomicBool = AtomicBool::new(false);

/// From now on lines are JSON objects.
pub(crate) fn write_json() {
    JSON.store(true, Ordering::Relaxed);
}

/// Writes one line for a human on standard error, or a log's line where the log is JSON.
pub(crate) fn notice(line: &str) {
    say(Level::WARN, single_line(line), &single_line(line));
}

/// The error that ends the program.
pub(crate) fn notice_error(message: &str) {
    let bad = anstyle::AnsiColor::Red.on_default().bold();
    let lines: Vec<String> = message.lines().map(single_line).collect();
    say(Level::ERROR, message.to_owned(), &format!("{bad}error:{bad:#} {}", lines.join("\n")));
}

fn say(level: Level, message: String, text: &str) {
    let text = if JSON.load(Ordering::Relaxed) { json_line(level, message) } else { text.to_owned() };
    console::write_line(&text);
}

/// Like the log's own lines; those can be switched off, this one cannot.
fn json_line(level: Level, message: String) -> String {
    let now = time::OffsetDateTime::now_utc();
    let timestamp = now.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
    serde_json::json!({ "timestamp": timestamp, "level": level.as_str(), "message": message, "target": "txgen" })
        .to_string()
}
