//! Ctrl-C, SIGTERM and SIGHUP: once to finish in order, twice to stop at once. SIGUSR1: the end of trouble on purpose.

use tokio::signal;
use tokio::task::JoinHandle;

use crate::run::Stop;
use crate::stats::StopReason;

/// Stops `stop` on signals, until the returned task is aborted. `notice` is called with what the user should know.
///
/// # Errors
/// When the operating system refuses the signal handlers.
pub(super) fn listen(stop: Stop, notice: impl Fn(&str) + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    let mut signals = Signals::new()?;
    Ok(tokio::spawn(async move {
        signals.next().await;
        notice("Stopping: what is in flight is being settled. Press Ctrl-C again to stop at once.");
        stop.gently(StopReason::Interrupted);
        signals.next().await;
        notice("Stopping at once.");
        stop.at_once(StopReason::Interrupted);
    }))
}

/// The signals that ask a program to end.
pub(super) struct Signals {
    #[cfg(unix)]
    interrupt: signal::unix::Signal,
    #[cfg(unix)]
    terminate: signal::unix::Signal,
    /// `None` under `nohup`, which asks that it be ignored.
    #[cfg(unix)]
    hang_up: Option<signal::unix::Signal>,
    #[cfg(windows)]
    interrupt: signal::windows::CtrlC,
    /// Ctrl-Break, which also reaches a program in a process group of its own, as a test runner's is.
    #[cfg(windows)]
    interrupt_group: signal::windows::CtrlBreak,
    /// The window is closed: Windows gives five seconds to end in.
    #[cfg(windows)]
    close: signal::windows::CtrlClose,
    #[cfg(windows)]
    shutdown: signal::windows::CtrlShutdown,
}

impl Signals {
    /// Takes the signals over from the operating system's defaults.
    #[cfg(unix)]
    pub(super) fn new() -> std::io::Result<Self> {
        use signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: if ignores_hang_up() { None } else { Some(signal(SignalKind::hangup())?) },
        })
    }

    /// Takes the signals over from the operating system's defaults.
    #[cfg(windows)]
    pub(super) fn new() -> std::io::Result<Self> {
        use signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
        Ok(Self {
            interrupt: ctrl_c()?,
            interrupt_group: ctrl_break()?,
            close: ctrl_close()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = hung_up(self.hang_up.as_mut()) => {}
        }
        #[cfg(windows)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.interrupt_group.recv() => {}
            _ = self.close.recv() => {}
            _ = self.shutdown.recv() => {}
        }
    }
}

#[cfg(unix)]
async fn hung_up(signal: Option<&mut signal::unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether this process was started with SIGHUP ignored. Linux shows it; elsewhere `nohup` shows in that standard output is no
/// terminal.
#[cfg(unix)]
fn ignores_hang_up() -> bool {
    use std::io::IsTerminal as _;
    if !cfg!(target_os = "linux") {
        return !std::io::stdout().is_terminal();
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The lowest bit is that of signal 1, which is SIGHUP.
    ignored.is_some_and(|mask| mask & 1 == 1)
}

/// The signal that ends trouble on purpose: SIGUSR1, where there is such a thing.
pub(super) struct UserSignal(#[cfg(unix)] signal::unix::Signal);

impl UserSignal {
    /// Takes the signal over from the operating system's default.
    pub(super) fn new() -> std::io::Result<Self> {
        #[cfg(unix)]
        return Ok(Self(signal::unix::signal(signal::unix::SignalKind::user_defined1())?));
        #[cfg(not(unix))]
        Ok(Self())
    }

    /// Calls `each` whenever the signal comes, for ever.
    pub(super) async fn each(mut self, each: impl Fn()) -> std::convert::Infallible {
        #[cfg(unix)]
        while self.0.recv().await.is_some() {
            each();
        }
        std::future::pending().await
    }
}
