//! Sending until it is settled: which setback is waited out, for how long, and what is told on the way.
//!
//! Both clients bring one attempt; this is the loop around it.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::backoff::Backoff;
use super::condition::Retry;
use super::patience::Patience;
use super::setback::Setback;
use crate::service::{Attempts, Failure, FailureKind};

/// Makes attempts until one succeeds, one cannot be repeated, or patience is at its end.
///
/// `attempt` tells `attempts` when a request leaves and how it ends; throttling and resends are told here.
pub(super) async fn persist<F>(
    patience: &Patience,
    attempts: &Attempts<'_>,
    mut attempt: impl FnMut() -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Setback>>,
{
    let mut trouble = Trouble::default();
    loop {
        // The only await of an attempt: a second one would double the size of every transaction's future.
        match attempt().await {
            Ok(()) => return Ok(()),
            Err(setback) => trouble.wait_out(setback, patience, attempts).await?,
        }
    }
}

/// What one transaction has been through.
#[derive(Default)]
struct Trouble(Option<Box<Setbacks>>);

/// Boxed, because nearly no transaction has any.
struct Setbacks {
    since: Instant,
    busy: Backoff,
    lost: Backoff,
    ambiguous: bool,
    tries: u32,
}

impl Trouble {
    /// Waits until it is time for another attempt, or gives up.
    async fn wait_out(
        &mut self,
        setback: Setback,
        patience: &Patience,
        attempts: &Attempts<'_>,
    ) -> Result<(), Failure> {
        let so_far = self.0.get_or_insert_with(|| {
            Box::new(Setbacks {
                since: Instant::now(),
                busy: Backoff::when_busy(),
                lost: Backoff::when_lost(),
                ambiguous: false,
                tries: 0,
            })
        });
        so_far.ambiguous |= setback.ambiguous;
        so_far.tries += 1;
        let (backoff, bound) = match setback.retry {
            Retry::Never => return Err(setback.into_failure(so_far.ambiguous)),
            Retry::WhenLessBusy => {
                attempts.throttled();
                (&mut so_far.busy, patience.throttle)
            }
            Retry::Resend => (&mut so_far.lost, patience.recovery),
        };
        let wait = backoff.next(&mut rand::rng());
        let elapsed = so_far.since.elapsed();
        if elapsed + wait > bound {
            return Err(at_the_end(setback, so_far.tries, elapsed).into_failure(so_far.ambiguous));
        }
        attempts.setback(&setback);
        Box::pin(sleep(wait)).await;
        if setback.retry == Retry::Resend && setback.left {
            attempts.resent();
        }
        Ok(())
    }
}

fn at_the_end(mut setback: Setback, tries: u32, after: Duration) -> Setback {
    let still = if setback.kind == FailureKind::Throttled { "still throttled" } else { "given up" };
    let plural = if tries == 1 { "attempt" } else { "attempts" };
    setback.message = format!("{} ({still} after {:.0} s and {tries} {plural})", setback.message, after.as_secs_f64());
    setback
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::service::Turbulence;

    /// Answers in turn with these setbacks, then stores.
    async fn send(setbacks: Vec<Setback>) -> (Result<(), Failure>, Turbulence, Duration) {
        let turbulence = Turbulence::default();
        let script = RefCell::new(setbacks.into_iter());
        let start = Instant::now();
        let result = persist(&Patience::default(), &Attempts::new(&turbulence), || async {
            script.borrow_mut().next().map_or(Ok(()), Err)
        })
        .await;
        (result, turbulence, start.elapsed())
    }

    fn busy() -> Setback {
        Setback::answered("com.microsoft:server-busy", None)
    }

    fn lost() -> Setback {
        Setback::unanswered(FailureKind::Connection, "the connection was lost")
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_service_is_waited_out_and_counted() {
        let (result, turbulence, took) = send(vec![busy(), busy(), busy()]).await;
        assert_eq!(result, Ok(()));
        assert_eq!((turbulence.throttled(), turbulence.resent()), (3, 0));
        assert!(took >= Duration::from_millis(875), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_stays_busy_ends_in_a_throttled_failure() {
        let (result, turbulence, took) = send(vec![busy(); 1_000]).await;
        let failure = result.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Throttled);
        assert!(!failure.ambiguous);
        assert!(failure.message.contains("still throttled after"), "{failure}");
        assert!(turbulence.throttled() > 8 && took <= Patience::default().throttle);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_answer_is_sent_again() {
        let (result, turbulence, _) = send(vec![lost(), lost()]).await;
        assert_eq!(result, Ok(()));
        assert_eq!((turbulence.throttled(), turbulence.resent()), (0, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_never_left_is_tried_again_but_is_no_resend() {
        let (result, turbulence, _) = send(vec![Setback::not_sent(FailureKind::Connection, "no link")]).await;
        assert_eq!(result, Ok(()));
        assert_eq!(turbulence.resent(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_final() {
        for condition in ["amqp:unauthorized-access", "amqp:not-found", "amqp:link:message-size-exceeded"] {
            let (result, turbulence, took) = send(vec![Setback::answered(condition, Some("no"))]).await;
            assert_eq!(result.unwrap_err().status.as_deref(), Some(condition));
            assert_eq!((turbulence.resent(), took), (0, Duration::ZERO));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_stays_ambiguous_whatever_the_last_answer_says() {
        let (result, ..) = send(vec![lost(), Setback::answered("amqp:not-found", None)]).await;
        assert!(result.unwrap_err().ambiguous);
    }
}
