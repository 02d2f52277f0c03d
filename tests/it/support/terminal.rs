//! A terminal of the test's own: a program runs on it, the test reads its screen and presses keys.

use std::io::{Read as _, Write};
use std::num::NonZeroU16;
use std::process::Command;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

/// How long a test waits for what must come.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// The same command, for a terminal that knows colours.
pub fn on_a_terminal(command: &Command) -> CommandBuilder {
    let mut builder = CommandBuilder::new(command.get_program());
    builder.args(command.get_args());
    builder.cwd(command.get_current_dir().unwrap());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => builder.env(key, value),
            None => builder.env_remove(key),
        }
    }
    builder.env("TERM", "xterm-256color");
    builder.env_remove("NO_COLOR");
    builder
}

/// A program on a terminal.
pub struct Terminal {
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    /// Everything that the program wrote.
    bytes: Vec<u8>,
    /// Whether the program ever had the alternate screen.
    pub had_alternate_screen: bool,
}

impl Terminal {
    /// Starts a program on a new terminal of this size.
    pub fn start(command: CommandBuilder, columns: u16, rows: u16) -> Self {
        let pty = native_pty_system().openpty(size(columns, rows)).unwrap();
        let mut reader = pty.master.try_clone_reader().unwrap();
        let keys = pty.master.take_writer().unwrap();
        let child = pty.slave.spawn_command(command).unwrap();
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The end of the program is an error on some systems, and the end of the stream on others.
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        // The test must not hold the terminal open itself.
        drop(pty.slave);
        let screen = vt100::Parser::new(cells(rows), cells(columns), 10_000);
        Self { master: pty.master, keys, child, output, screen, bytes: Vec::new(), had_alternate_screen: false }
    }

    /// What the screen shows.
    pub fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// Everything that the program wrote, escapes and all.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Everything that was shown on the primary screen and has scrolled off it, and what is on it.
    pub fn scrolled(&mut self) -> String {
        let mut lines = Vec::new();
        let rows = usize::from(self.screen.screen().size().0.get());
        self.screen.screen_mut().set_scrollback(usize::MAX);
        let above = self.screen.screen().scrollback();
        for offset in (0..=above).rev() {
            self.screen.screen_mut().set_scrollback(offset);
            let (_, columns) = self.screen.screen().size();
            let visible: Vec<String> = self.screen.screen().rows(0, columns.get()).collect();
            let take = if offset == 0 { rows } else { 1 };
            lines.extend(visible.into_iter().take(take));
        }
        self.screen.screen_mut().set_scrollback(0);
        lines.join("\n")
    }

    pub fn has_alternate_screen(&self) -> bool {
        self.screen.screen().alternate_screen()
    }

    /// Waits until the screen shows this.
    pub fn wait_for(&mut self, what: &str) {
        self.wait_until(&format!("`{what}`"), |text| text.contains(what));
    }

    /// Waits until the screen is as wanted.
    pub fn wait_until(&mut self, what: &str, wanted: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + TIME_LIMIT;
        while !wanted(&self.text()) {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Timeout) => panic!("no {what} in time on:\n{}", self.text()),
                Err(RecvTimeoutError::Disconnected) => panic!("the program ended without {what}:\n{}", self.text()),
            }
        }
    }

    /// Waits for the program's end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + TIME_LIMIT;
        loop {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap(),
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.child.kill();
                    panic!("the program did not end in time:\n{}", self.text());
                }
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        // In pieces shorter than an escape, so that a screen that is soon gone is seen.
        for piece in bytes.chunks(4) {
            self.screen.process(piece);
            self.had_alternate_screen |= self.has_alternate_screen();
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.screen.screen_mut().set_size(cells(rows), cells(columns));
        self.master.resize(size(columns, rows)).unwrap();
    }

    /// Whether keys are echoed and lines are edited, as a shell expects of its terminal.
    #[cfg(unix)]
    pub fn is_as_a_shell_wants_it(&self) -> bool {
        let state = format!("{:?}", self.master.get_termios().unwrap().local_flags);
        state.contains("ECHO") && state.contains("ICANON") && state.contains("ISIG")
    }

    pub fn process_id(&self) -> u32 {
        self.child.process_id().unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { cols: columns, rows, pixel_width: 0, pixel_height: 0 }
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}
