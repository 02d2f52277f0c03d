use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::*;
use crate::service::Counters;

const POLICY: RetryPolicy = RetryPolicy { budget: Duration::from_secs(120), attempt: ATTEMPT_TIMEOUT };

/// Sends with `attempt`, which is given the time since the first attempt and the deadline.
async fn send<F>(policy: RetryPolicy, counters: &Counters, mut attempt: impl FnMut(Duration, Instant) -> F) -> Sent
where
    F: Future<Output = Result<(), AttemptError>>,
{
    let attempts = Attempts::new(counters);
    let (start, mut retries) = (Instant::now(), Retries::new(policy, &attempts));
    let result = loop {
        let guard = attempts.send();
        let result = attempt(start.elapsed(), retries.deadline()).await;
        conclude(guard, &result);
        match result {
            Ok(()) => break Ok(()),
            Err(error) => {
                if let Err(failure) = retries.wait(error).await {
                    break Err(failure);
                }
            }
        }
    };
    Sent { result, took: start.elapsed() }
}

struct Sent {
    result: Result<(), Failure>,
    took: Duration,
}

/// Fails in turn with these, then succeeds.
async fn send_through(errors: Vec<AttemptError>) -> (Sent, Counters) {
    let (counters, mut errors) = (Counters::default(), errors.into_iter());
    let sent = send(POLICY, &counters, |_, _| std::future::ready(errors.next().map_or(Ok(()), Err))).await;
    (sent, counters)
}

fn answered(kind: FailureKind, verdict: Verdict) -> AttemptError {
    AttemptError::answered(kind, verdict, "code".into(), "because")
}

fn throttled(retry_after_ms: u64) -> AttemptError {
    let retry_after = Some(Duration::from_millis(retry_after_ms));
    AttemptError { retry_after, ..answered(FailureKind::Throttled, Verdict::Throttled) }
}

fn lost() -> AttemptError {
    AttemptError::lost(FailureKind::Connection, "the connection was lost")
}

fn refused_token() -> AttemptError {
    answered(FailureKind::Unauthorized, Verdict::RetryRefusal)
}

/// How the attempts at a service look while it is away.
#[derive(Clone, Copy, Debug)]
enum Outage {
    /// Connections are refused: each attempt fails at once.
    Refuses,
    /// Nothing comes back: each attempt lasts until its deadline.
    Swallows,
    /// Each attempt waits for a connection, which comes when the outage ends.
    HasNoConnection,
}

impl Outage {
    async fn attempt(self, over_in: Duration, deadline: Instant) -> Result<(), AttemptError> {
        let over = Instant::now() + over_in;
        match self {
            _ if over_in.is_zero() => Ok(()),
            Self::Refuses => Err(lost()),
            Self::Swallows => {
                tokio::time::sleep_until(deadline).await;
                Err(lost())
            }
            Self::HasNoConnection => {
                tokio::time::sleep_until(deadline.min(over)).await;
                if over <= deadline { Ok(()) } else { Err(AttemptError::not_sent(FailureKind::Connection, "none")) }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_outage_has_the_same_end_however_its_attempts_fail() {
    for outage in [Outage::Refuses, Outage::Swallows, Outage::HasNoConnection] {
        for (seconds, is_stored) in [(5, true), (30, true), (90, true), (150, false)] {
            for _ in 0..20 {
                let (counters, outage_lasts) = (Counters::default(), Duration::from_secs(seconds));
                let sent = send(POLICY, &counters, |elapsed, deadline| {
                    outage.attempt(outage_lasts.saturating_sub(elapsed), deadline)
                })
                .await;
                let kind = sent.result.as_ref().err().map(|failure| failure.kind);
                let expected = if is_stored { None } else { Some(FailureKind::Connection) };
                assert_eq!(kind, expected, "{outage:?} for {seconds} s");
                let took = sent.took.as_secs_f64();
                let bounds = if is_stored { seconds as f64..=120.0 } else { 110.0..=120.0 };
                assert!(bounds.contains(&took), "{outage:?} for {seconds} s took {took} s");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn throttling_is_waited_out_as_the_service_says_and_counted() {
    let (sent, counters) = send_through(vec![throttled(37), throttled(0)]).await;
    assert_eq!(sent.result, Ok(()));
    assert_eq!(sent.took, Duration::from_millis(38));
    assert_eq!((counters.throttled(), counters.ambiguous(), counters.resent()), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stays_busy_fails_the_transaction_at_the_end_of_its_budget() {
    let (sent, counters) = send_through(vec![answered(FailureKind::Throttled, Verdict::Throttled); 1_000]).await;
    let failure = sent.result.unwrap_err();
    assert_eq!((failure.kind, failure.ambiguous), (FailureKind::Throttled, false));
    assert!(failure.message.contains("still throttled after"), "{failure}");
    assert!(counters.throttled() > 8 && sent.took <= POLICY.budget);
}

#[tokio::test(start_paused = true)]
async fn throttling_and_losses_share_one_budget() {
    let errors = (0..1_000).map(|nth| if nth % 2 == 0 { lost() } else { throttled(5_000) }).collect();
    let (sent, _) = send_through(errors).await;
    assert!(sent.result.unwrap_err().ambiguous);
    assert!(sent.took <= POLICY.budget && sent.took > POLICY.budget * 11 / PART_OF_BUDGET, "{:?}", sent.took);
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_or_asked_for_again_is_resent_and_what_never_left_is_not() {
    let never_left = AttemptError::not_sent(FailureKind::Connection, "no link");
    let again = answered(FailureKind::Unavailable, Verdict::Retry);
    let (sent, counters) = send_through(vec![lost(), again, never_left, throttled(1)]).await;
    assert_eq!(sent.result, Ok(()));
    assert_eq!((counters.throttled(), counters.ambiguous(), counters.resent()), (1, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_final_and_leaves_nothing_open() {
    let (sent, counters) = send_through(vec![answered(FailureKind::NotFound, Verdict::GiveUp)]).await;
    let expected = Failure::new(FailureKind::NotFound, "because").with_status("code");
    assert_eq!((sent.result, sent.took), (Err(expected), Duration::ZERO));
    assert_eq!((counters.ambiguous(), counters.resent()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failure_stays_ambiguous_whatever_the_last_answer_says() {
    let (sent, _) = send_through(vec![lost(), answered(FailureKind::NotFound, Verdict::GiveUp)]).await;
    assert!(sent.result.unwrap_err().ambiguous);
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_refused_once_or_twice_fails_nothing_and_a_third_time_it_is_believed() {
    let (sent, _) = send_through(vec![refused_token(), refused_token()]).await;
    assert_eq!(sent.result, Ok(()));
    let (sent, counters) = send_through(vec![refused_token(); 9]).await;
    let failure = sent.result.unwrap_err();
    assert_eq!((failure.kind, failure.ambiguous, counters.resent()), (FailureKind::Unauthorized, false, 2));
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_there_is_one_attempt_with_its_full_time() {
    let (counters, policy) = (Counters::default(), RetryPolicy { budget: Duration::ZERO, ..POLICY });
    let sent = send(policy, &counters, |_, deadline| async move {
        assert_eq!(deadline.duration_since(Instant::now()), ATTEMPT_TIMEOUT);
        Err(lost())
    })
    .await;
    assert!(sent.result.is_err());
    assert_eq!((counters.ambiguous(), counters.resent()), (1, 0));
}

#[test]
fn one_answer_that_never_comes_leaves_a_short_budget_time_for_others() {
    let attempt_timeout = |budget| RetryPolicy { budget: Duration::from_secs(budget), ..POLICY }.attempt_timeout();
    let of_budgets = [600, 120, 60, 20, 5].map(|budget| attempt_timeout(budget).as_millis());
    assert_eq!(of_budgets, [20_000, 20_000, 10_000, 5_000, 5_000]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_the_end_of_the_budget_cuts_short_fails_as_the_one_before_it() {
    let counters = Counters::default();
    let sent = send(POLICY, &counters, |elapsed, deadline| async move {
        if elapsed < Duration::from_secs(105) {
            return Err(lost());
        }
        tokio::time::sleep_until(deadline).await;
        Err(AttemptError::timed_out(ATTEMPT_TIMEOUT))
    })
    .await;
    let failure = sent.result.unwrap_err();
    assert_eq!((failure.kind, failure.ambiguous), (FailureKind::Connection, true));
}

#[test]
fn waits_fill_a_span_that_doubles_up_to_its_cap() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut longest = [Duration::ZERO; 10];
    for _ in 0..1_000 {
        let mut backoff = POLICY.backoff();
        longest.iter_mut().for_each(|longest| *longest = backoff.next(&mut rng).max(*longest));
    }
    for (nth, span) in [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000].into_iter().enumerate() {
        let span = Duration::from_millis(span);
        assert!(longest[nth] <= span && longest[nth] > span * 9 / 10, "{:?} of {span:?}", longest[nth]);
    }
}

#[test]
fn a_short_budget_has_short_waits() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut backoff = RetryPolicy { budget: Duration::from_secs(6), ..POLICY }.backoff();
    assert!((0..100).all(|_| backoff.next(&mut rng) <= Duration::from_millis(500)));
}

#[test]
fn a_text_of_several_lines_becomes_one() {
    assert_eq!(one_line(" No such\r\n hub.\tTrackingId:1\n"), "No such hub. TrackingId:1");
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let cut = one_line(&"é".repeat(1_000));
    assert!(cut.len() <= LONGEST_LINE + '…'.len_utf8() && cut.ends_with("é…"));
}
