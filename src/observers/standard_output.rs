//! Standard output, written whole or not at all.

use std::io::{self, Write as _};

use anstream::{AutoStream, ColorChoice};

/// Where colours may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colours {
    /// To a terminal.
    Auto,
    /// Nowhere: another program reads it.
    Never,
}

/// Writes a text, whole.
///
/// # Errors
/// That of the operating system, a reader that is gone among them.
pub(crate) fn write(text: &str, colours: Colours) -> io::Result<()> {
    check_writable()?;
    let mut stdout = match colours {
        Colours::Auto => AutoStream::auto(io::stdout()),
        Colours::Never => AutoStream::new(io::stdout(), ColorChoice::Never),
    };
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Rust's standard output takes writes to a stream that is open for reading alone, and loses them.
pub(crate) fn check_writable() -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;
        // Nothing is written, but asked whether that may be.
        let mut stdout = std::fs::File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let asked = stdout.write(&[]);
        asked.map(|_| ())
    }
    #[cfg(not(unix))]
    Ok(())
}
