use std::time::Duration;

use clap::{Args as _, Command, FromArgMatches as _};

use super::*;

pub(in crate::cli::emulator) fn parse(flags: &[&str]) -> Result<EmulatorArgs, clap::Error> {
    let command = EmulatorArgs::augment_args(Command::new("emulator").no_binary_name(true));
    EmulatorArgs::from_arg_matches(&command.try_get_matches_from(flags)?)
}

#[test]
fn without_flags_it_is_what_the_workshop_provisions() {
    let args = parse(&[]).unwrap();
    args.check().unwrap();
    let event_hubs = args.event_hubs();
    assert_eq!(event_hubs.listen.to_string(), "127.0.0.1:5672");
    assert_eq!(event_hubs.hubs, ["transactions"]);
    assert_eq!(event_hubs.partitions, 10);
    assert_eq!(event_hubs.throughput_units, None);
    assert_eq!(event_hubs.retention, Some(Duration::from_secs(24 * 60 * 60)));
    let cosmos_db = args.cosmos_db();
    assert_eq!(cosmos_db.listen.to_string(), "127.0.0.1:8081");
    assert!(cosmos_db.enforce_throughput && !cosmos_db.https);
    assert_eq!((event_hubs.latency.as_millis(), cosmos_db.latency.as_millis()), (5, 10));
}

#[test]
fn each_policy_has_its_own_rights_and_a_key_that_stays() {
    let rights: Vec<_> =
        policies().into_iter().map(|policy| (policy.name, policy.send, policy.listen, policy.manage)).collect();
    assert_eq!(
        rights,
        [
            ("Sender".to_owned(), true, false, false),
            ("Listener".to_owned(), false, true, false),
            ("RootManageSharedAccessKey".to_owned(), false, false, true),
        ]
    );
    assert_eq!(key_of("Sender").secret(), key_of("Sender").secret());
    assert_ne!(key_of("Sender").secret(), key_of("Listener").secret());
}

#[test]
fn several_hubs_and_groups_are_taken_in_either_way() {
    for flags in [&["--hub", "one", "two"][..], &["--hub", "one", "--hub", "two"][..]] {
        assert_eq!(parse(flags).unwrap().event_hubs().hubs, ["one", "two"]);
    }
    assert_eq!(parse(&["--consumer-group", "a", "b"]).unwrap().event_hubs().consumer_groups, ["a", "b"]);
}

#[test]
fn ports_for_tls_and_kafka_are_the_services_unless_others_are_named() {
    let ports = |flags: &[&str]| {
        let options = parse(flags).unwrap().event_hubs();
        let tls: Vec<_> = options.listen_tls.iter().map(SocketAddr::port).collect();
        (tls, options.listen_kafka.map(|address| address.port()))
    };
    assert_eq!(ports(&[]), (vec![], None));
    assert_eq!(ports(&["--event-hubs-tls-port", "--kafka-port"]), (vec![5671], Some(9093)));
    let flags = ["--event-hubs-tls-port", "8443", "--event-hubs-tls-port", "--kafka-port", "0"];
    assert_eq!(ports(&flags), (vec![8443, 5671], Some(0)));
    assert!(parse(&[]).unwrap().certificate_out().is_none());
    assert!(parse(&["--kafka-port"]).unwrap().certificate_out().is_some());
}

#[test]
fn flags_that_contradict_each_other_are_reported() {
    let message = |flags: &[&str]| parse(flags).unwrap().check().unwrap_err().to_string();
    assert!(message(&["--hub", "one", "ONE"]).contains("twice"));
    assert!(message(&["--cosmos-port", "5672"]).contains("already"));
    assert!(message(&["--kafka-port", "5671", "--event-hubs-tls-port"]).contains("--event-hubs-tls-port already"));
    assert!(parse(&["--cosmos-port", "0", "--event-hubs-port", "0"]).unwrap().check().is_ok());
}

#[test]
fn values_that_cannot_be_are_refused() {
    for flags in [
        ["--partitions", "0"],
        ["--throughput-units", "0"],
        ["--hub", "a/b"],
        ["--hub", ""],
        ["--host", "example.org"],
        ["--memory-limit", "much"],
        ["--memory-limit", "0"],
        ["--memory-limit", "99999999999GB"],
        ["--retention", "soon"],
        ["--fault", "close"],
    ] {
        assert!(parse(&flags).is_err(), "{flags:?}");
    }
}

#[test]
fn secrets_are_typed_or_in_a_file_and_what_is_none_is_reported_without_its_value() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let read = |text: &str| parse(&["--secret", text]).unwrap().secrets();
    let good = file("good", b"hush\r\n");
    for text in ["hub=hush".to_owned(), format!("hub=@{good}"), "hub=a=b==".to_owned()] {
        assert!(read(&text).is_ok(), "{text}");
    }
    let (large, binary) = (file("large", &[b'x'; 25_001]), file("binary", &[0xff, 0xfe]));
    for (text, problem) in [
        ("hush".to_owned(), "--secret: has no `=`"),
        ("my_hub=hush".to_owned(), "--secret: the name before the first `=`"),
        ("hub=".to_owned(), "--secret hub: the value is empty"),
        ("hub=@none/hub.txt".to_owned(), "--secret hub: cannot use `none/hub.txt`: No such file"),
        (format!("hub=@{large}"), "a secret has at most 25000 bytes"),
        (format!("hub=@{binary}"), "it is not UTF-8"),
    ] {
        let message = format!("{:#}", read(&text).unwrap_err());
        assert!(message.contains(problem) && !message.contains("hush"), "{text}: {message}");
    }
}

#[test]
fn there_is_a_key_vault_where_it_has_something_to_do() {
    let port = |flags: &[&str]| parse(flags).unwrap().key_vault(Vec::new()).map(|options| options.listen.port());
    assert_eq!(port(&[]), None);
    assert_eq!(port(&["--secret", "a=1", "b=2"]), Some(0));
    assert_eq!(port(&["--key-vault-port", "8443"]), Some(8443));
    assert_eq!(port(&["--settings-out", "s.json", "--settings-as-references"]), Some(0));
    assert!(parse(&["--settings-as-references"]).is_err(), "there are no settings to refer from");
    assert!(parse(&["--secret", "a=1"]).unwrap().certificate_out().is_some());
}
