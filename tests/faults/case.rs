//! The table's rows, and what plays them: several at a time, for most of them wait.

use std::collections::VecDeque;
use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::Duration;

use crate::proof::prove;
use crate::secrets::Marks;
use crate::stage::{Ended, GRACE, Stage, reconcile};

/// How many cases are played at a time.
const AT_A_TIME: usize = 6;
/// How much of what a failed case said on standard error is shown.
const MOST_SHOWN: usize = 20_000;

/// What becomes of the transactions at one service.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// All of them are stored.
    Stored,
    /// Some fail, all of them in this way.
    Fail(&'static str),
    /// The service takes some or none of them before time is up; whatever is in flight then fails as abandoned.
    GivenUp,
    /// As [`Self::Fail`], and the service no longer holds what it had stored.
    Deleted(&'static str),
}

/// One row of the table.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What the emulator is started with.
    pub(crate) emulator: &'static [&'static str],
    /// What the run is started with, besides its limits.
    pub(crate) run: &'static [&'static str],
    /// Transactions.
    pub(crate) limit: u64,
    /// The time limit and the drain time-out, in seconds.
    pub(crate) seconds: (u64, u64),
    pub(crate) code: i32,
    pub(crate) event_hubs: End,
    pub(crate) cosmos_db: End,
    /// Services that cannot be read back afterwards, because what was written to is deleted.
    pub(crate) gone: &'static [&'static str],
    /// What the user sees, on standard output, standard error or in the summary, beside what can be done about each
    /// kind of failure.
    pub(crate) says: &'static [&'static str],
}

/// A case in which everything is stored in the end.
pub(crate) const HEALED: Case = Case {
    name: "",
    emulator: &[],
    run: &[],
    limit: 150,
    seconds: (30, 5),
    code: 0,
    event_hubs: End::Stored,
    cosmos_db: End::Stored,
    gone: &[],
    says: &[],
};

/// A case that only the time limit ends.
pub(crate) const GIVEN_UP: Case = Case { seconds: (10, 1), code: 1, ..HEALED };

/// Plays all cases with each of these clients for Cosmos DB, and fails with all that is wrong.
pub(crate) fn play(cases: &[Case], clients: &[&'static str]) {
    play_in(cases, clients, &[]);
}

/// Plays all cases in this environment, and fails with all that is wrong. Rows are looked at one by one where it is
/// empty, which every case is played in.
pub(crate) fn play_in(cases: &[Case], clients: &[&'static str], environment: &[(&str, &str)]) {
    let plays = cases.iter().flat_map(|case| clients.iter().map(move |client| (case, *client)));
    let work = plays.map(|(case, client)| {
        let play = move || play_one(case, client, environment);
        (format!("{}, {client}", case.name), Box::new(play) as Work<'_>)
    });
    all(work.collect());
}

pub(crate) type Work<'a> = Box<dyn FnOnce() -> Result<(), String> + Send + 'a>;
pub(crate) type Named<'a> = (&'a str, Work<'a>);

/// Does all of this, some at a time, and fails with all that is wrong.
pub(crate) fn all<N: Display + Send>(work: Vec<(N, Work<'_>)>) {
    let (waiting, wrong) = (Mutex::new(VecDeque::from(work)), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap().pop_front();
                    let Some((name, work)) = next else { return };
                    let result = std::panic::catch_unwind(AssertUnwindSafe(work))
                        .unwrap_or_else(|_| Err("panicked, see above".to_owned()));
                    if let Err(problem) = result {
                        wrong.lock().unwrap().push(format!("{name}: {problem}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
}

fn play_one(case: &Case, client: &'static str, environment: &[(&str, &str)]) -> Result<(), String> {
    let stage = Stage::with(client);
    let mut emulator = stage.emulator(case.emulator);
    let marks = Marks::of_settings(stage.path());
    let (limit, seconds, drain) = (case.limit.to_string(), case.seconds.0.to_string(), format!("{}s", case.seconds.1));
    let mut command = stage.run(&["--limit", &limit, "--seconds-to-run", &seconds, "--drain-timeout", &drain]);
    command.args(case.run).envs(environment.iter().copied());
    let running = stage.start(&mut command);
    marks.check("the process list", running.command_line().as_bytes())?;
    let ended = running.end_within(Duration::from_secs(case.seconds.0 + case.seconds.1) + GRACE)?;
    let mut judged = judge(case, &ended);
    if environment.is_empty() {
        judged = judged.and_then(|()| prove(&stage, &mut emulator, &ended, case.gone, &[]));
    }
    let (stored, said) = emulator.end();
    judged.map_err(|problem| {
        // A trace is long, and its end says most.
        let message = &ended.stderr.as_bytes()[ended.stderr.len().saturating_sub(MOST_SHOWN)..];
        let message = String::from_utf8_lossy(message);
        let (code, took) = (ended.code, ended.took.as_secs_f64());
        format!("{problem}\nexit code {code:?} after {took:.1} s\n{message}\n{}", ended.summary)
    })?;
    let (events, documents) = (stored["event_hubs"]["events"].as_u64(), stored["cosmos_db"]["documents"].as_u64());
    let faults = stored["faults"].as_array().into_iter().flatten();
    if let Some(idle) = faults.into_iter().find(|fault| fault["happened"] == 0) {
        return Err(format!("nothing was shown, for the fault never struck: {idle}"));
    }
    reconcile(&ended, "event_hubs", events)?;
    reconcile(&ended, "cosmos_db", documents.filter(|_| !matches!(case.cosmos_db, End::Deleted(_))))?;
    marks.check("what the emulator said", said.as_bytes())?;
    marks.check_directory(stage.path())
}

fn judge(case: &Case, run: &Ended) -> Result<(), String> {
    if run.code != Some(case.code) {
        return Err(format!("exit code {:?}, not {}", run.code, case.code));
    }
    for (service, end) in [("event_hubs", case.event_hubs), ("cosmos_db", case.cosmos_db)] {
        let figures = &run.summary["services"][service];
        let (failed, succeeded) = (run.count(service, "failed"), run.count(service, "succeeded"));
        let only = |kind: &str| failed > 0 && figures["failures"][kind].as_u64() == Some(failed);
        let is_so = match end {
            End::Stored => succeeded == case.limit && failed == 0,
            End::Fail(kind) | End::Deleted(kind) => only(kind),
            End::GivenUp => only("abandoned") && succeeded < case.limit,
        };
        if !is_so {
            return Err(format!("{service} is not {end:?}"));
        }
    }
    let mut remedies =
        [("event_hubs", "Event Hubs"), ("cosmos_db", "Cosmos DB")].into_iter().flat_map(|(service, name)| {
            let failures = run.summary["services"][service]["failures"].as_object().into_iter().flatten();
            failures.map(move |(kind, count)| format!("{name}: {count} failed as {kind}: "))
        });
    if let Some(remedy) = remedies.find(|remedy| !run.stderr.contains(remedy)) {
        return Err(format!("the user does not learn what to do: `{remedy}…`"));
    }
    let message = format!("{}{}{}", run.stdout, run.stderr, run.summary);
    match case.says.iter().find(|part| !message.contains(**part)) {
        Some(part) => Err(format!("the user does not see `{part}`")),
        None => Ok(()),
    }
}
