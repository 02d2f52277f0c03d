//! Trouble on purpose: what goes wrong, how often, and in which order, for tests and for teaching.
//!
//! A rule is written `KIND:HOW OFTEN`, such as `close:1%` or `429:5x`, with `=DURATION` behind a kind that takes time
//! (`delay=200ms:10%`), with the service in front (`cosmos_db:close:1%`) where it is not to happen at both, and with
//! `:seed=N` at the end where another course of events is wanted. A rate strikes at random, the same requests each time
//! for the same seed; a count strikes the first requests; a place (`@500`, `@500-600`, `@500+`) strikes those, counted
//! from 1, so that trouble can begin in the middle of a run. What is struck are deliveries of events and requests about
//! documents, never the handshakes and questions before them.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use txgen_azure::ServiceName;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed in the protocol's way instead of an answer.
    Close,
    /// The connection is cut without a word.
    Drop,
    /// The answer comes later by so much.
    Delay(Duration),
    /// Event Hubs rejects with `com.microsoft:server-busy`.
    ServerBusy,
    /// Cosmos DB answers 429.
    TooManyRequests,
    /// Cosmos DB answers 503.
    Unavailable,
    /// Cosmos DB answers 500.
    InternalError,
    /// Cosmos DB answers 408, having carried the request out or not.
    Timeout,
    /// The answer breaks off in the middle.
    HalfAnswer,
    /// There is never an answer.
    NeverAnswer,
    /// The credential is said to have expired.
    ExpiredToken,
    /// Event Hubs says so, and refuses the next token that is put.
    RefusedToken,
    /// Event Hubs detaches the link with an error.
    Detach,
    /// Event Hubs detaches the link and gives no reason.
    DetachQuietly,
    /// Event Hubs ends the session.
    EndSession,
    /// Event Hubs grants the link no more credit for so long.
    NoCredit(Duration),
    /// The event hub or container is deleted, and stays away.
    Gone,
    /// Event Hubs rejects the event for good, as one that it will never take.
    Reject,
}

/// Names, in the order of the help text, with what they stand for; durations are put in afterwards. Each name's place is
/// part of the random course that its rules take: new names go to the end.
const NAMES: [(&str, Fault); 18] = [
    ("close", Fault::Close),
    ("drop", Fault::Drop),
    ("delay", Fault::Delay(Duration::ZERO)),
    ("server-busy", Fault::ServerBusy),
    ("429", Fault::TooManyRequests),
    ("503", Fault::Unavailable),
    ("408", Fault::Timeout),
    ("half", Fault::HalfAnswer),
    ("never", Fault::NeverAnswer),
    ("expired-token", Fault::ExpiredToken),
    ("refused-token", Fault::RefusedToken),
    ("detach", Fault::Detach),
    ("detach-quietly", Fault::DetachQuietly),
    ("end-session", Fault::EndSession),
    ("no-credit", Fault::NoCredit(Duration::ZERO)),
    ("gone", Fault::Gone),
    ("500", Fault::InternalError),
    ("reject", Fault::Reject),
];

impl Fault {
    /// Whether it can happen at this service.
    #[must_use]
    pub fn concerns(self, service: ServiceName) -> bool {
        match self {
            Self::ServerBusy
            | Self::RefusedToken
            | Self::Detach
            | Self::DetachQuietly
            | Self::EndSession
            | Self::NoCredit(_)
            | Self::Reject => service == ServiceName::EventHubs,
            Self::TooManyRequests | Self::Unavailable | Self::InternalError | Self::Timeout => {
                service == ServiceName::CosmosDb
            }
            _ => true,
        }
    }

    /// Whether a request that it strikes may have been carried out all the same.
    #[must_use]
    pub fn may_strike_late(self) -> bool {
        matches!(
            self,
            Self::Close
                | Self::Drop
                | Self::HalfAnswer
                | Self::NeverAnswer
                | Self::Timeout
                | Self::Detach
                | Self::DetachQuietly
                | Self::EndSession
        )
    }

    fn name(self) -> &'static str {
        let is_it = |fault: &Fault| std::mem::discriminant(fault) == std::mem::discriminant(&self);
        NAMES.iter().find(|(_, fault)| is_it(fault)).map_or("", |(name, _)| name)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Delay(time) | Self::NoCredit(time) => write!(f, "={}", humantime::format_duration(*time)),
            _ => Ok(()),
        }
    }
}

/// How often a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Frequency {
    /// This share of requests, from 0 to 1.
    Rate(f64),
    /// So many requests, the first that come.
    First(u64),
    /// Those from one place to another, both counted from 1 and included; `None` is to the end.
    Place(u64, Option<u64>),
}

/// What goes wrong, how often, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultRule {
    /// The service that it is meant for; `None` is each that the fault can happen at.
    service: Option<ServiceName>,
    fault: Fault,
    frequency: Frequency,
    seed: u64,
}

impl FaultRule {
    /// Whether it is to happen at this service.
    #[must_use]
    pub fn concerns(&self, service: ServiceName) -> bool {
        self.service.is_none_or(|meant| meant == service) && self.fault.concerns(service)
    }
}

impl fmt::Display for FaultRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(service) = self.service {
            write!(f, "{}:", service.key())?;
        }
        match self.frequency {
            // 0.07 times 100 is not quite 7.
            Frequency::Rate(rate) => write!(f, "{}:{}%", self.fault, (rate * 1e8).round() / 1e6)?,
            Frequency::First(count) => write!(f, "{}:{count}x", self.fault)?,
            Frequency::Place(from, None) => write!(f, "{}:@{from}+", self.fault)?,
            Frequency::Place(from, Some(to)) if from == to => write!(f, "{}:@{from}", self.fault)?,
            Frequency::Place(from, Some(to)) => write!(f, "{}:@{from}-{to}", self.fault)?,
        }
        if self.seed != 0 {
            write!(f, ":seed={}", self.seed)?;
        }
        Ok(())
    }
}

/// A text that is not a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{rule}` is not a fault: {problem}; one looks like close:1%, 429:5x, gone:@500 or delay=200ms:10%:seed=7")]
pub struct InvalidFault {
    rule: String,
    problem: String,
}

impl FromStr for FaultRule {
    type Err = InvalidFault;

    fn from_str(rule: &str) -> Result<Self, InvalidFault> {
        let wrong = |problem: String| InvalidFault { rule: rule.to_owned(), problem };
        let (service, unscoped) = split_service(rule);
        let (what, rest) = unscoped.split_once(':').ok_or_else(|| wrong("it does not say how often".to_owned()))?;
        let (often, seed) = match rest.split_once(":seed=") {
            Some((often, seed)) => (often, seed.parse().map_err(|_| wrong(format!("{seed} is no seed")))?),
            None => (rest, 0),
        };
        let fault = parse_fault(what).map_err(wrong)?;
        if let Some(service) = service.filter(|service| !fault.concerns(*service)) {
            return Err(wrong(format!("{} does not happen at {service}", fault.name())));
        }
        Ok(Self { service, fault, frequency: parse_frequency(often).map_err(wrong)?, seed })
    }
}

/// The service in front of a rule, if there is one, and the rest.
fn split_service(rule: &str) -> (Option<ServiceName>, &str) {
    let services = [ServiceName::EventHubs, ServiceName::CosmosDb];
    let scoped = |service: ServiceName| Some((Some(service), rule.strip_prefix(service.key())?.strip_prefix(':')?));
    services.into_iter().find_map(scoped).unwrap_or((None, rule))
}

fn parse_fault(text: &str) -> Result<Fault, String> {
    let (name, duration) = text.split_once('=').map_or((text, None), |(name, duration)| (name, Some(duration)));
    let Some((_, fault)) = NAMES.iter().find(|(known, _)| *known == name) else {
        let known: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
        return Err(format!("{name} is none of {}", known.join(", ")));
    };
    let timed: fn(Duration) -> Fault = match fault {
        Fault::Delay(_) => Fault::Delay,
        Fault::NoCredit(_) => Fault::NoCredit,
        untimed => return duration.map_or(Ok(*untimed), |_| Err(format!("{name} takes no duration"))),
    };
    let duration = duration.ok_or_else(|| format!("{name} needs a duration, as in {name}=200ms"))?;
    humantime::parse_duration(duration).map(timed).map_err(|error| format!("{duration} is no duration ({error})"))
}

fn parse_frequency(text: &str) -> Result<Frequency, String> {
    if let Some(place) = text.strip_prefix('@') {
        return parse_place(place)
            .ok_or_else(|| format!("{text} is no place; one is written @500, @500-600 or @500+, counted from 1"));
    }
    let parsed = if let Some(percent) = text.strip_suffix('%') {
        percent.parse().ok().map(|percent: f64| Frequency::Rate(percent / 100.0))
    } else if let Some(count) = text.strip_suffix('x') {
        count.parse().ok().map(Frequency::First)
    } else {
        text.parse().ok().map(Frequency::Rate)
    };
    match parsed {
        Some(Frequency::Rate(rate)) if !(0.0..=1.0).contains(&rate) => {
            Err(format!("{text} is not between 0% and 100%"))
        }
        Some(frequency) => Ok(frequency),
        None => {
            Err(format!("{text} is neither a share, such as 1%, nor a count, such as 5x, nor a place, such as @500"))
        }
    }
}

fn parse_place(text: &str) -> Option<Frequency> {
    let number = |digits: &str| digits.parse::<u64>().ok().filter(|number| *number > 0);
    let (from, to) = match (text.strip_suffix('+'), text.split_once('-')) {
        (Some(from), _) => (number(from)?, None),
        (None, Some((from, to))) => (number(from)?, Some(number(to)?)),
        (None, None) => (number(text)?, Some(number(text)?)),
    };
    to.is_none_or(|to| from <= to).then_some(Frequency::Place(from, to))
}

/// A fault that strikes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// What goes wrong.
    pub fault: Fault,
    /// Whether the request is carried out before it does.
    pub late: bool,
}

/// The trouble that one service is to make, and has made.
#[derive(Debug, Default)]
pub struct FaultPlan {
    courses: Vec<Course>,
    over: AtomicBool,
}

/// One rule, on its course.
#[derive(Debug)]
struct Course {
    rule: FaultRule,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: ChaCha8Rng,
    /// Requests that came.
    seen: u64,
    happened: u64,
}

impl FaultPlan {
    /// The plan of those rules that concern this service.
    #[must_use]
    pub fn new(rules: &[FaultRule], service: ServiceName) -> Self {
        let rules: Vec<&FaultRule> = rules.iter().filter(|rule| rule.concerns(service)).collect();
        let course = |(position, rule): (usize, &&FaultRule)| {
            let before = rules.iter().take(position).filter(|other| other.fault.name() == rule.fault.name()).count();
            let mut random = ChaCha8Rng::seed_from_u64(rule.seed);
            random.set_stream(stream(rule.fault, before));
            Course { rule: (*rule).clone(), state: Mutex::new(State { random, seen: 0, happened: 0 }) }
        };
        Self { courses: rules.iter().enumerate().map(course).collect(), over: AtomicBool::new(false) }
    }

    /// Ends the trouble: nothing strikes any more. What was deleted, or waits already, stays so.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// What happens to the next request. Where several rules strike, the one that was given first does.
    pub fn strike(&self) -> Option<Strike> {
        if self.over.load(Ordering::Relaxed) {
            return None;
        }
        // Each course takes its turn whether or not another has struck: its own requests stay the same ones.
        let strikes: Vec<_> = self.courses.iter().map(Course::next).collect();
        let first = strikes.iter().position(Option::is_some)?;
        lock(&self.courses.get(first)?.state).happened += 1;
        strikes.into_iter().flatten().next()
    }

    /// What has happened: each rule, and how often it struck.
    #[must_use]
    pub fn happened(&self) -> Vec<(FaultRule, u64)> {
        self.courses.iter().map(|course| (course.rule.clone(), lock(&course.state).happened)).collect()
    }
}

/// The stream of random numbers for a rule with so many rules of its kind before it. Rules with the same seed would
/// strike the same requests otherwise, and all but the first never be seen.
fn stream(fault: Fault, before: usize) -> u64 {
    let kind = NAMES.iter().position(|(name, _)| *name == fault.name()).unwrap_or_default();
    (before * NAMES.len() + kind) as u64
}

impl Course {
    fn next(&self) -> Option<Strike> {
        let mut state = lock(&self.state);
        state.seen += 1;
        let strikes = match self.rule.frequency {
            Frequency::Rate(rate) => state.random.random_bool(rate),
            Frequency::First(count) => state.happened < count,
            Frequency::Place(from, to) => from <= state.seen && to.is_none_or(|to| state.seen <= to),
        };
        let late = state.random.random_bool(0.5) && self.rule.fault.may_strike_late();
        strikes.then_some(Strike { fault: self.rule.fault, late })
    }
}

/// A panic elsewhere leaves the numbers as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(rules: &[&str], service: ServiceName) -> FaultPlan {
        let rules: Vec<FaultRule> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        FaultPlan::new(&rules, service)
    }

    fn course(plan: &FaultPlan, requests: usize) -> Vec<Option<Strike>> {
        (0..requests).map(|_| plan.strike()).collect()
    }

    #[test]
    fn a_rule_survives_being_written_and_read() {
        for rule in [
            "close:7%",
            "429:5x",
            "delay=200ms:10%",
            "half:0.001%:seed=3",
            "cosmos_db:drop:1x",
            "event_hubs:never:100%",
            "gone:@500",
            "server-busy:@20-30",
            "no-credit=2s:@1+",
            "event_hubs:reject:2%",
        ] {
            assert_eq!(rule.parse::<FaultRule>().unwrap().to_string(), rule);
        }
        assert_eq!("never:0.25".parse::<FaultRule>().unwrap().to_string(), "never:25%");
    }

    #[test]
    fn what_is_no_rule_is_refused_with_the_reason() {
        for (rule, why) in [
            ("close", "how often"),
            ("closed:1%", "none of close, drop"),
            ("close:101%", "between"),
            ("close:x", "neither"),
            ("delay:1%", "needs a duration"),
            ("delay=soon:1%", "no duration"),
            ("close=1s:1%", "takes no duration"),
            ("close:1%:seed=x", "no seed"),
            ("close:@0", "no place"),
            ("close:@9-8", "no place"),
            ("close:@", "no place"),
            ("no-credit:1x", "no-credit needs a duration"),
            ("cosmos_db:close", "how often"),
            ("cosmos_db:server-busy:1%", "server-busy does not happen at Cosmos DB"),
            ("cosmos_db:reject:1%", "reject does not happen at Cosmos DB"),
            ("event_hubs:429:1%", "429 does not happen at Event Hubs"),
            ("cosmos:close:1%", "cosmos is none of close"),
        ] {
            let error = rule.parse::<FaultRule>().unwrap_err().to_string();
            assert!(error.contains(why), "{rule}: {error}");
        }
    }

    #[test]
    fn a_count_strikes_the_first_requests() {
        let plan = plan(&["429:3x"], ServiceName::CosmosDb);
        let struck: Vec<_> = course(&plan, 5).iter().map(Option::is_some).collect();
        assert_eq!(struck, [true, true, true, false, false]);
        assert_eq!(plan.happened()[0].1, 3);
    }

    #[test]
    fn a_place_strikes_there_alone() {
        for (rule, expected) in [
            ("drop:@3", [false, false, true, false, false]),
            ("drop:@2-3", [false, true, true, false, false]),
            ("drop:@4+", [false, false, false, true, true]),
        ] {
            let struck = course(&plan(&[rule], ServiceName::CosmosDb), 5);
            assert_eq!(struck.iter().map(Option::is_some).collect::<Vec<_>>(), expected, "{rule}");
        }
    }

    #[test]
    fn trouble_that_was_ended_strikes_no_more() {
        let plan = plan(&["drop:@2+", "503:100%"], ServiceName::CosmosDb);
        assert!(course(&plan, 3).iter().all(Option::is_some));
        plan.end();
        assert!(course(&plan, 3).iter().all(Option::is_none));
        assert_eq!(plan.happened().iter().map(|(_, count)| count).sum::<u64>(), 3);
    }

    #[test]
    fn a_rate_strikes_about_so_often_and_the_same_requests_each_time() {
        let courses = || course(&plan(&["close:10%:seed=7"], ServiceName::EventHubs), 10_000);
        let struck = courses().iter().flatten().count();
        assert!((900..1100).contains(&struck), "{struck}");
        assert_eq!(courses(), courses());
        let other = course(&plan(&["close:10%:seed=8"], ServiceName::EventHubs), 10_000);
        assert_ne!(courses(), other);
    }

    #[test]
    fn rules_with_one_seed_strike_requests_of_their_own() {
        for rules in [["close:5%", "drop:5%"], ["delay=1ms:5%", "delay=1s:5%"]] {
            let plan = plan(&rules, ServiceName::EventHubs);
            course(&plan, 10_000);
            let happened: Vec<_> = plan.happened().into_iter().map(|(_, count)| count).collect();
            assert!(happened.iter().all(|count| (350..650).contains(count)), "{rules:?}: {happened:?}");
        }
    }

    #[test]
    fn where_two_strike_at_once_the_first_does() {
        let plan = plan(&["503:100%", "429:2x"], ServiceName::CosmosDb);
        assert!(course(&plan, 10).iter().all(|strike| strike.unwrap().fault == Fault::Unavailable));
        let happened: Vec<_> = plan.happened().into_iter().map(|(_, count)| count).collect();
        assert_eq!(happened, [10, 0]);
    }

    #[test]
    fn some_requests_are_carried_out_before_their_answer_is_lost() {
        let strikes = course(&plan(&["drop:100%"], ServiceName::CosmosDb), 100);
        let late = strikes.iter().flatten().filter(|strike| strike.late).count();
        assert!((20..80).contains(&late), "{late}");
        for (rule, service) in [("429:100%", ServiceName::CosmosDb), ("reject:100%", ServiceName::EventHubs)] {
            let strikes = course(&plan(&[rule], service), 100);
            assert!(strikes.iter().flatten().all(|strike| !strike.late), "{rule}");
        }
    }

    #[test]
    fn rules_that_do_not_concern_a_service_leave_it_alone() {
        assert!(plan(&["server-busy:100%"], ServiceName::CosmosDb).strike().is_none());
        assert!(plan(&["429:100%"], ServiceName::EventHubs).strike().is_none());
        assert!(plan(&["event_hubs:close:100%"], ServiceName::CosmosDb).strike().is_none());
        assert!(plan(&["event_hubs:close:100%"], ServiceName::EventHubs).strike().is_some());
        assert!(FaultPlan::default().strike().is_none());
    }
}
