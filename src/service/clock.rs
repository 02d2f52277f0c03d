//! How far this machine's clock is off, by the time in a service's answer. Signatures and tokens are only good for a while,
//! so that a clock that is off looks like a wrong key.

use std::fmt;
use std::time::{Duration, SystemTime};

use azure_core::http::headers::HeaderName;
use azure_core::http::{Method, Request, Url, new_http_client};
use azure_core::time::parse_rfc7231;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};
use tokio::time::timeout;

/// For asking a service for its time.
const LIMIT: Duration = Duration::from_secs(3);
/// What is less than this is no reason for a refusal: services allow for minutes.
const NOTICEABLE: Duration = Duration::from_secs(60);

/// A clock that is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Skew {
    seconds: u64,
    is_fast: bool,
}

impl Skew {
    /// Between a service's time and this machine's; `None` where it is too little to matter.
    fn between(service: OffsetDateTime, here: SystemTime) -> Option<Self> {
        let off = OffsetDateTime::from(here) - service;
        let seconds = off.unsigned_abs().as_secs();
        (seconds >= NOTICEABLE.as_secs()).then_some(Self { seconds, is_fast: off.is_positive() })
    }

    /// By the `Date` of any answer from there; `None` when none comes, or the clock is right.
    pub(super) async fn by(url: Url) -> Option<Self> {
        let request = Request::new(url, Method::Get);
        let answer =
            timeout(LIMIT, async { new_http_client(None).execute_request(&request).await }).await.ok()?.ok()?;
        let date = answer.headers().get_optional_string(&HeaderName::from_static("date"))?;
        Self::between(parse_rfc7231(&date).ok()?, SystemTime::now())
    }

    /// By the time that Event Hubs puts behind its messages, as in `Timestamp:2026-11-27T18:00:00`.
    pub(super) fn by_timestamp(message: &str) -> Option<Self> {
        const FORMAT: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
        let (_, rest) = message.rsplit_once("Timestamp:")?;
        let time = PrimitiveDateTime::parse(rest.get(.."2026-11-27T18:00:00".len())?, FORMAT).ok()?;
        Self::between(time.assume_utc(), SystemTime::now())
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.is_fast { "fast" } else { "slow" };
        write!(f, "this machine's clock is {} s {direction}", self.seconds)?;
        if self.seconds >= 120 {
            let shown = humantime::format_duration(Duration::from_secs(self.seconds)).to_string();
            write!(f, " ({shown})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skew(seconds_fast: i64) -> Option<String> {
        let service = OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000);
        let here = service + time::Duration::seconds(seconds_fast);
        Skew::between(service, here.into()).map(|skew| skew.to_string())
    }

    #[test]
    fn a_skew_is_reported_in_seconds_and_with_its_direction() {
        assert_eq!(skew(-3_600).as_deref(), Some("this machine's clock is 3600 s slow (1h)"));
        assert_eq!(skew(1_230).as_deref(), Some("this machine's clock is 1230 s fast (20m 30s)"));
        assert_eq!(skew(90).as_deref(), Some("this machine's clock is 90 s fast"));
    }

    #[test]
    fn what_no_service_minds_is_no_skew() {
        assert_eq!((skew(59), skew(-59), skew(0)), (None, None, None));
    }

    #[test]
    fn the_time_in_a_message_of_event_hubs_is_read() {
        let message = "ExpiredToken: The token is expired. TrackingId:1_G4, Timestamp:2020-01-01T00:00:00";
        assert!(Skew::by_timestamp(message).unwrap().to_string().contains(" s fast ("));
        for message in ["no time", "Timestamp:", "Timestamp:2020-01-01", "Timestamp:2020-13-01T00:00:00"] {
            assert_eq!(Skew::by_timestamp(message), None, "{message}");
        }
    }
}
