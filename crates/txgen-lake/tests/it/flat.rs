//! Memory and the time of a commit, over many commits in one process.

use std::time::Instant;

use txgen_lake::{Appender, Location, Options};

use crate::support::{event, is_transaction, options, source};

/// Resident memory in megabytes, where the operating system shows it.
fn megabytes() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or_default() * 4096.0 / 1e6
}

/// `cargo test --release -p txgen-lake --test it flat -- --ignored --nocapture`; COMMITS says how many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn many_commits_leave_memory_and_time_flat() {
    let commits: i64 = std::env::var("COMMITS").ok().and_then(|count| count.parse().ok()).unwrap_or(10_000);
    let folder = tempfile::tempdir().unwrap();
    let location = Location::parse(folder.path().join("t").to_str().unwrap()).unwrap();
    let (table, rejected) = (location.store([]).unwrap(), location.beside("_rejected").store([]).unwrap());
    let options = Options { table: location.to_string(), ..options("lander") };
    let mut appender = Appender::open(source(), [0], table, rejected, options).await.unwrap();
    let (mut began, mut times) = (Instant::now(), Vec::new());
    let mut numbers = (0..).filter(|number| is_transaction(*number));
    for commit in 1..=commits {
        for number in numbers.by_ref().take(100) {
            appender.take(event(0, number)).await.unwrap();
        }
        let at = Instant::now();
        appender.commit().await.unwrap();
        times.push(at.elapsed());
        if commit % (commits / 10).max(1) == 0 {
            times.sort_unstable();
            println!(
                "{commit} commits: median {:?}, longest {:?}, {:.1} s, {:.0} MB",
                times[times.len() / 2],
                times[times.len() - 1],
                began.elapsed().as_secs_f64(),
                megabytes()
            );
            (began, times) = (Instant::now(), Vec::new());
        }
    }
}
