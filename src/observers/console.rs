//! The terminal, which a process has once: everything that writes to it goes through here, so that lines neither tear the
//! progress display nor the full-screen view.

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::MultiProgress;

/// Lines that are kept at most until the full-screen view is gone.
const HELD: usize = 1000;

/// What is on the terminal.
static LIVE: Mutex<Live> = Mutex::new(Live::Nothing);

enum Live {
    Nothing,
    /// Progress lines, on standard error.
    Progress(MultiProgress),
    /// The full-screen view: lines have to wait until it is gone.
    Screen(Held),
}

/// Lines that wait for the full-screen view to end.
#[derive(Default)]
struct Held {
    lines: VecDeque<String>,
    /// How many were too many.
    dropped: u64,
    /// Those that the view has not shown yet.
    fresh: Vec<String>,
}

impl Held {
    fn hold(&mut self, line: String) {
        if self.lines.len() == HELD {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back(line);
    }
}

fn live() -> MutexGuard<'static, Live> {
    // Nothing that can panic leaves it half written.
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether progress lines may be drawn: on standard error, and where both streams go to a terminal that can move its
/// cursor; a terminal that a pager has taken over shows standard output elsewhere.
pub(crate) fn can_draw() -> bool {
    io::stdout().is_terminal() && io::stderr().is_terminal() && !is_dumb()
}

/// Whether the terminal cannot do more than print one line after the other.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Writes a line on standard error, if that is still read.
pub(crate) fn write_line(line: &str) {
    match &mut *live() {
        Live::Nothing => write_plain(line),
        Live::Progress(progress) => progress.suspend(|| write_plain(line)),
        Live::Screen(held) => {
            if held.fresh.len() < HELD {
                held.fresh.push(line.to_owned());
            }
            held.hold(line.to_owned());
        }
    }
}

fn write_plain(line: &str) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// Runs `write`, which writes to standard output, with the progress lines out of its way.
pub(crate) fn beside_progress<T>(write: impl FnOnce() -> T) -> T {
    match &*live() {
        Live::Progress(progress) => progress.suspend(write),
        Live::Nothing | Live::Screen(_) => write(),
    }
}

/// From now on there are progress lines.
pub(crate) fn begin_progress(progress: MultiProgress) {
    *live() = Live::Progress(progress);
}

/// The progress lines are gone.
pub(crate) fn end_progress() {
    *live() = Live::Nothing;
}

/// From now on the full-screen view has the terminal.
pub(crate) fn begin_screen() {
    *live() = Live::Screen(Held::default());
}

/// The lines that came since the full-screen view asked last.
pub(crate) fn fresh_lines() -> Vec<String> {
    match &mut *live() {
        Live::Screen(held) => std::mem::take(&mut held.fresh),
        _ => Vec::new(),
    }
}

/// The full-screen view is gone: writes what had to wait for that.
pub(crate) fn end_screen() {
    let ended = std::mem::replace(&mut *live(), Live::Nothing);
    let Live::Screen(held) = ended else { return };
    if held.dropped > 0 {
        write_plain(&format!("({} earlier lines are not shown)", held.dropped));
    }
    held.lines.iter().for_each(|line| write_plain(line));
}

/// Keeps a line until the full-screen view is gone; whether there is one.
pub(crate) fn hold(line: &str) -> bool {
    match &mut *live() {
        Live::Screen(held) => {
            held.hold(line.to_owned());
            true
        }
        _ => false,
    }
}

/// Standard error for the log: what is written comes between whatever is live on the terminal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *live() {
            Live::Nothing => io::stderr().write(bytes),
            Live::Progress(progress) => progress.suspend(|| io::stderr().write(bytes)),
            Live::Screen(_) if !io::stderr().is_terminal() => io::stderr().write(bytes),
            Live::Screen(held) => {
                let text = String::from_utf8_lossy(bytes);
                text.lines().for_each(|line| held.hold(line.to_owned()));
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
