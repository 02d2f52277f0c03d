//! Standard input as a sign of life: it closes when the program at its other end has ended, however that was.

use std::io;

use tokio::sync::oneshot;

/// Waits until standard input closes. What comes there is read and forgotten.
///
/// # Errors
/// When the operating system refuses a thread.
pub(super) fn closed() -> io::Result<impl Future<Output = ()>> {
    let (closed, is_closed) = oneshot::channel::<()>();
    // A thread that the end of the process does not wait for: it would for one of tokio, until the next byte comes.
    std::thread::Builder::new().name("standard input".to_owned()).spawn(move || {
        // What cannot be read any more has closed, too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        drop(closed);
    })?;
    Ok(async move {
        // It is never sent to, only dropped.
        let _ = is_closed.await;
    })
}
