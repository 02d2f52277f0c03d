//! `--tui`: the terminal under the full-screen view, and the keys.
//!
//! The terminal is given back on every way out: at the end, on errors, and in a panic, whose message would otherwise
//! vanish with the view.

use std::io::{self, IsTerminal as _};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event as TerminalEvent, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use super::console;
use crate::report::live::screen::Screen;
use crate::report::{single_line, trouble};
use crate::run::Stop;
use crate::run::monitor::Monitor;
use crate::run::recorder::Event;
use crate::stats::StopReason;

/// How often the view is drawn.
const FRAME: Duration = Duration::from_millis(250);
/// How long a key waits at most until it is looked at.
const KEYS: Duration = Duration::from_millis(50);
/// The view's own thread.
const THREAD: &str = "txgen-tui";

/// Whether the terminal is in the view's hands.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Whether there is a terminal for the view.
///
/// # Errors
/// When standard output goes elsewhere, or to a terminal that cannot move its cursor.
pub(super) fn check() -> anyhow::Result<()> {
    let remedy = "leave out --tui, or use --output table";
    anyhow::ensure!(io::stdout().is_terminal(), "--tui needs a terminal, and standard output is none; {remedy}");
    anyhow::ensure!(!console::is_dumb(), "--tui needs a terminal that can move its cursor, and TERM is dumb; {remedy}");
    Ok(())
}

/// The terminal, taken over until this is dropped.
#[derive(Debug)]
pub(super) struct Taken(());

impl Taken {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub(super) fn take() -> anyhow::Result<Self> {
        restore_in_panics();
        enable_raw_mode().context("--tui: cannot read keys from the terminal")?;
        TAKEN.store(true, Ordering::SeqCst);
        // From here on dropping it gives the terminal back.
        let taken = Self(());
        execute!(io::stdout(), EnterAlternateScreen).context("--tui: the terminal has no alternate screen")?;
        console::begin_screen();
        Ok(taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        restore();
        console::end_screen();
    }
}

/// Gives the terminal back, if the view has it.
fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // Whatever of it fails, there is nothing else to try.
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// From now on, a panic that ends the program or the view gives the terminal back before its message is written; any
/// other one (a request's task, whose transaction then counts as failed) waits for the end of the view.
fn restore_in_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !TAKEN.load(Ordering::SeqCst) {
                before(panic);
                return;
            }
            let thread = thread::current();
            // The program ends with its main thread, which the standard library calls `main`.
            let ends_the_view = matches!(thread.name(), Some(THREAD | "main"));
            if !ends_the_view && console::hold(&single_line(&panic.to_string())) {
                return;
            }
            restore();
            before(panic);
        }));
    });
}

/// Draws the run on a thread of its own until the sender of `events` is gone; gives back what went wrong, as it would
/// have been written to standard error, for after the view.
pub(super) fn follow(
    taken: Taken,
    monitor: Monitor,
    events: mpsc::Receiver<Event>,
) -> io::Result<JoinHandle<Vec<String>>> {
    thread::Builder::new().name(THREAD.to_owned()).spawn(move || {
        let mut troubles = Vec::new();
        View { monitor, events, troubles: &mut troubles }.run();
        drop(taken);
        troubles
    })
}

struct View<'a> {
    monitor: Monitor,
    events: mpsc::Receiver<Event>,
    troubles: &'a mut Vec<String>,
}

impl View<'_> {
    fn run(mut self) {
        if let Err(error) = self.show() {
            tracing::debug!(%error, "the terminal cannot be drawn on any more");
            self.monitor.stop().gently(StopReason::OutputClosed);
            // The rest goes unseen, but the run must not wait for room in the queue.
            while let Some(event) = self.events.blocking_recv() {
                self.troubles.extend(trouble(&event));
            }
        }
    }

    fn show(&mut self) -> io::Result<()> {
        let Some(moment) = self.monitor.moment() else { return Ok(()) };
        let mut terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        let mut screen = Screen::new(self.monitor.description().clone(), moment);
        let mut draw_at = Instant::now();
        loop {
            if !self.take_events(&mut screen) {
                return Ok(());
            }
            console::fresh_lines().iter().for_each(|line| screen.notice(line));
            if draw_at <= Instant::now() {
                if let Some(moment) = self.monitor.moment() {
                    screen.observe(moment);
                }
                terminal.draw(|frame| screen.draw(frame))?;
                draw_at = Instant::now() + FRAME;
            }
            if event::poll(KEYS)? {
                match event::read()? {
                    TerminalEvent::Key(key) => react(&key, self.monitor.stop(), &mut screen),
                    TerminalEvent::Resize(..) => {}
                    _ => continue,
                }
                // The answer to a key, and a new size, are shown at once.
                draw_at = Instant::now();
            }
        }
    }

    /// Takes the events that are there; whether there may be more.
    fn take_events(&mut self, screen: &mut Screen) -> bool {
        loop {
            match self.events.try_recv() {
                Ok(event) => {
                    screen.event(&event);
                    self.troubles.extend(trouble(&event));
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }
}

/// What a key does. In raw mode Ctrl-C is a key like any other.
fn react(key: &KeyEvent, stop: &Stop, screen: &mut Screen) {
    if key.kind == KeyEventKind::Release {
        return;
    }
    let ctrl_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    let quit = matches!(key.code, KeyCode::Char('q' | 'Q')) && !key.modifiers.contains(KeyModifiers::CONTROL);
    match (ctrl_c || quit, stop.is_requested()) {
        (true, false) => {
            screen.notice("Stopping: what is in flight is being settled. Press Ctrl-C to stop at once.");
            stop.gently(StopReason::Interrupted);
        }
        (true, true) if ctrl_c => {
            screen.notice("Stopping at once.");
            stop.at_once(StopReason::Interrupted);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::report::live::sample;

    fn pressed(code: KeyCode, modifiers: KeyModifiers) -> KeyEvent {
        KeyEvent::new(code, modifiers)
    }

    fn screen() -> Screen {
        Screen::new(sample::description(), sample::moment())
    }

    #[tokio::test]
    async fn q_and_ctrl_c_stop_in_order_and_only_ctrl_c_stops_at_once() {
        let (q, ctrl_c) =
            (pressed(KeyCode::Char('q'), KeyModifiers::NONE), pressed(KeyCode::Char('c'), KeyModifiers::CONTROL));
        let stop = Stop::default();
        let mut screen = screen();
        react(&pressed(KeyCode::Char('c'), KeyModifiers::NONE), &stop, &mut screen);
        assert!(!stop.is_requested(), "any other key does nothing");
        react(&q, &stop, &mut screen);
        assert!(stop.is_requested());
        let at_once = || stop.requested_at_once().now_or_never().is_some();
        react(&q, &stop, &mut screen);
        assert!(!at_once(), "a key held too long must not give up what is in flight");
        react(&ctrl_c, &stop, &mut screen);
        assert!(at_once());
        assert_eq!(stop.reason(), StopReason::Interrupted);
    }

    /// What a child process of this test does on a terminal of its own.
    const CHILD: &str = "TXGEN_TEST_PANICS_ON";

    /// The child's part: takes the terminal, and panics on the named thread.
    #[test]
    fn child_that_panics() {
        let Ok(name) = std::env::var(CHILD) else { return };
        let taken = Taken::take().unwrap();
        let thread = thread::Builder::new().name(name.clone());
        // The main thread is not there to drop anything while it panics.
        let ended = thread.spawn(|| panic!("something is\nwrong")).unwrap().join();
        assert!(ended.is_err());
        println!("after the panic: {}", TAKEN.load(Ordering::SeqCst));
        drop(taken);
    }

    fn panicking_on(thread: &str) -> crate::observers::terminal::Terminal {
        let mut command = portable_pty::CommandBuilder::new(std::env::current_exe().unwrap());
        command.args(["--exact", "observers::tui::tests::child_that_panics", "--nocapture"]);
        command.env(CHILD, thread);
        command.env("TERM", "xterm-256color");
        command.env("RUST_BACKTRACE", "0");
        let mut terminal = crate::observers::terminal::Terminal::start(command, 100, 40);
        assert!(terminal.wait().success(), "{}", terminal.text());
        assert!(terminal.had_alternate_screen && !terminal.has_alternate_screen());
        #[cfg(unix)]
        assert!(terminal.is_as_a_shell_wants_it());
        terminal
    }

    #[test]
    fn a_panic_of_the_view_or_the_program_gives_the_terminal_back_before_its_message() {
        for thread in [THREAD, "main"] {
            let text = panicking_on(thread).scrolled();
            assert!(text.contains("something is\nwrong") && text.contains("after the panic: false"), "{text}");
        }
    }

    #[test]
    fn a_panic_of_a_requests_task_waits_for_the_end_of_the_view() {
        let text = panicking_on("tokio-runtime-worker").scrolled();
        assert!(text.contains("something is\\nwrong"), "{text}");
        assert!(!text.contains("after the panic"), "that was on the second screen: {text}");
    }
}
