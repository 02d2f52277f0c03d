use hyper::Response;

use super::*;

fn answered(status: u16, headers: &[(&'static str, &str)], body: &'static str) -> Answered {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    let (head, ()) = response.body(()).unwrap().into_parts();
    Answered { head, body: Ok(body.into()) }
}

fn exchange(result: Result<Answered, Unanswered>, resent: bool) -> Exchange {
    Exchange { result, resent }
}

fn not_sent() -> Unanswered {
    Unanswered::NotSent(AttemptError::not_sent(FailureKind::Connection, "refused"))
}

/// Requests lost before the last one, those that were certainly not stored, and whether the last one was.
fn counts(result: Result<Answered, Unanswered>, resent: bool) -> (usize, usize, bool) {
    let created = taken(exchange(result, resent), Duration::ZERO, None);
    (created.lost_on_the_way, created.resent_unread, created.result.is_ok())
}

#[test]
fn the_charge_the_servers_time_and_the_success_are_read_from_the_answer() {
    let headers = [("x-ms-request-charge", "14.5"), ("x-ms-request-duration-ms", "1.25")];
    let created = taken(exchange(Ok(answered(201, &headers, "")), false), Duration::ZERO, None);
    assert_eq!((created.request_units, created.server_time), (14.5, Some(Duration::from_micros(1_250))));
    assert_eq!(created.result, Ok(()));
}

#[test]
fn a_refusal_keeps_what_the_service_says_of_it() {
    let headers = [
        ("x-ms-substatus", "3200"),
        ("x-ms-retry-after-ms", "37"),
        ("x-ms-activity-id", "1f2e-77"),
        ("x-ms-request-charge", "0.38"),
    ];
    let body = r#"{"code":"429","message":"Request rate is large.\r\nActivityId: 1f2e-77, more"}"#;
    let created = taken(exchange(Ok(answered(429, &headers, body)), false), Duration::ZERO, None);
    assert_eq!(created.request_units, 0.38);
    let error = created.result.unwrap_err();
    assert_eq!((error.kind, error.verdict), (FailureKind::Throttled, Verdict::Throttled));
    assert_eq!((error.status.as_deref(), error.retry_after), (Some("429/3200"), Some(Duration::from_millis(37))));
    assert_eq!((error.activity_id.as_deref(), error.message.as_str()), (Some("1f2e-77"), "Request rate is large."));
}

#[test]
fn figures_that_make_no_sense_are_no_figures() {
    for nonsense in ["", "NaN", "inf", "-1", "soon"] {
        let headers = [("x-ms-request-duration-ms", nonsense), ("x-ms-retry-after-ms", nonsense)];
        let created = taken(exchange(Ok(answered(429, &headers, "")), false), Duration::ZERO, None);
        assert_eq!((created.server_time, created.result.unwrap_err().retry_after), (None, None), "{nonsense}");
    }
}

#[test]
fn what_has_left_without_an_answer_is_ambiguous_and_what_has_not_is_not() {
    let verdict = |unanswered| {
        let error = taken(exchange(Err(unanswered), false), Duration::ZERO, None).result.unwrap_err();
        (error.kind, error.verdict, error.left)
    };
    assert_eq!(verdict(not_sent()), (FailureKind::Connection, Verdict::Retry, false));
    assert_eq!(verdict(Unanswered::Lost("x".into())), (FailureKind::Connection, Verdict::Ambiguous, true));
    assert_eq!(verdict(Unanswered::TimedOut), (FailureKind::Timeout, Verdict::Ambiguous, true));
}

#[test]
fn a_request_that_met_a_closing_connection_was_not_stored_if_the_next_one_is_and_may_have_been_otherwise() {
    assert_eq!(counts(Ok(answered(201, &[], "")), true), (0, 1, true));
    assert_eq!(counts(Ok(answered(409, &[], "")), true), (1, 0, false));
    assert_eq!(counts(Ok(answered(429, &[], "")), true), (1, 0, false));
    assert_eq!(counts(Err(Unanswered::TimedOut), true), (1, 0, false));
    assert_eq!(counts(Ok(answered(201, &[], "")), false), (0, 0, true));
}

#[test]
fn another_region_is_looked_for_when_this_one_says_so_or_cannot_be_reached() {
    let refusal = |status, substatus| Ok(answered(status, &[("x-ms-substatus", substatus)], ""));
    for (result, expected) in [
        (refusal(403, "3"), true),
        (refusal(403, "1008"), true),
        (refusal(404, "1002"), true),
        (refusal(403, "5300"), false),
        (refusal(404, "0"), false),
        (refusal(503, "3"), false),
        (Err(not_sent()), true),
        (Err(Unanswered::Lost(String::new())), false),
        (Err(Unanswered::TimedOut), false),
    ] {
        let exchange = exchange(result, false);
        assert_eq!(may_be_taken_elsewhere(&exchange), expected, "{:?}", exchange.result);
    }
}

#[test]
fn a_partition_key_is_in_its_header_as_ascii_json() {
    for key in ["us", "", "a\"b\\c", "tab\there", "é€", "😀", "\u{7f}"] {
        let header = key_header(key);
        assert!(header.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{header}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&header).unwrap(), [key]);
    }
    assert_eq!(key_header("é"), r#"["\u00e9"]"#);
}
