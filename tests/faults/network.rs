//! Networks that go bad, names that do not resolve, certificates that nobody vouches for, and services that go away for
//! good.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::case::{Work, all};
use crate::proof::prove;
use crate::secrets::Marks;
use crate::stage::{COSMOS_CLIENTS, Ended, GRACE, Stage, reconcile};
use crate::support::bridge;
use crate::support::closed_port::ClosedPort;
use crate::support::emulator::Emulator;
use crate::support::proxy::Proxy;

pub(crate) const HUB: &str = "EVENT_HUB_1_CONNECTION_STRING";
pub(crate) const ENDPOINT: &str = "COSMOS_DB_ENDPOINT";
const KEY: &str = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0";
/// A short run: its limits in seconds are 8 and 1.
const SHORT: [&str; 6] = ["--limit", "300", "--seconds-to-run", "8", "--drain-timeout", "1s"];
const SHORT_LIMIT: Duration = Duration::from_secs(9);

pub(crate) fn work(case: impl FnOnce() -> Result<(), String> + Send + 'static) -> Work<'static> {
    Box::new(case)
}

pub(crate) fn expect(is_so: bool, what: &str, ended: &Ended) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(format!("not {what}: {:?} {}{}", ended.code, ended.stderr, ended.summary)) }
}

#[test]
fn a_service_that_cannot_be_reached_at_the_start_is_reported_with_what_is_wrong() {
    let hub = |host: &str| {
        format!("Endpoint=sb://{host};SharedAccessKeyName=Sender;SharedAccessKey={KEY};EntityPath=transactions")
    };
    let (refusing, _) = refuser();
    let refusing_port = refusing.port();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let distrusted = runtime.block_on(bridge::to(SocketAddr::from(([127, 0, 0, 1], 9)), Some(nobodys_tls()), false));
    let start_up = |flag: &'static str, key: &'static str, value: String, says: &'static [&'static str]| {
        move || {
            let stage = Stage::new();
            let mut command = stage.run(&[flag]);
            command.env(key, value).env("COSMOS_DB_AUTH_KEY", KEY);
            // The time for connecting, 15 seconds, has a bound of its own.
            let ended = stage.start(&mut command).end_within(Duration::from_secs(20) + GRACE)?;
            expect(ended.code == Some(3), "refused with exit code 3", &ended)?;
            for part in says {
                expect(ended.stderr.contains(part), part, &ended)?;
            }
            Marks::of_keys([KEY].into_iter()).check_directory(stage.path())
        }
    };
    all(vec![
        (
            "no such name, Event Hubs",
            work(start_up("--only-event-hubs", HUB, hub("nowhere.invalid"), &["Event Hubs", "nowhere.invalid"])),
        ),
        (
            "no such name, Cosmos DB",
            work(start_up(
                "--only-cosmos",
                ENDPOINT,
                "https://nowhere.invalid:443/".to_owned(),
                &["Cosmos DB", "nowhere.invalid"],
            )),
        ),
        (
            "TLS handshake refused, Event Hubs",
            work(start_up(
                "--only-event-hubs",
                HUB,
                hub(&format!("127.0.0.1:{refusing_port}")),
                &["Event Hubs", "no TLS with 127.0.0.1"],
            )),
        ),
        (
            "TLS handshake refused, Cosmos DB",
            work(start_up(
                "--only-cosmos",
                ENDPOINT,
                format!("https://127.0.0.1:{refusing_port}/"),
                &["Cosmos DB", "127.0.0.1"],
            )),
        ),
        (
            "a certificate that nobody vouches for, Event Hubs",
            work(start_up(
                "--only-event-hubs",
                HUB,
                hub(&format!("localhost:{distrusted}")),
                &["Event Hubs", "no TLS with localhost", "ertificate"],
            )),
        ),
    ]);
}

/// Somebody who hangs up in the middle of every handshake, and how many times that was.
fn refuser() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, refused) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = refused.clone();
    std::thread::spawn(move || {
        while let Ok((mut connection, _)) = listener.accept() {
            // Its greeting is heard, and answered with the end.
            let _ = connection.read(&mut [0; 64]);
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (address, refused)
}

/// TLS for `localhost` with a certificate that signs itself.
fn nobodys_tls() -> Arc<rustls::ServerConfig> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap())
}

#[test]
fn a_service_that_goes_away_in_mid_run_takes_nothing_with_it() {
    let cases = vec![
        ("Event Hubs is black-holed".to_owned(), work(|| black_hole("event_hubs", COSMOS_CLIENTS[0]))),
        ("Event Hubs is down for good".to_owned(), work(|| down_for_good("event_hubs", COSMOS_CLIENTS[0]))),
        ("the second of three hubs is down for good".to_owned(), work(second_of_three)),
    ];
    let of_cosmos_db = COSMOS_CLIENTS.into_iter().flat_map(|client| {
        [
            (format!("Cosmos DB is black-holed, {client}"), work(move || black_hole("cosmos_db", client))),
            (format!("Cosmos DB is down for good, {client}"), work(move || down_for_good("cosmos_db", client))),
            (
                format!("TLS handshakes are refused for a while, {client}"),
                work(move || tls_refused_for_a_while(client)),
            ),
        ]
    });
    all(cases.into_iter().chain(of_cosmos_db).collect());
}

pub(crate) fn address(emulator: &Emulator, service: &str) -> SocketAddr {
    let port = match service {
        "event_hubs" => u16::try_from(emulator.ready["event_hubs"]["port"].as_u64().unwrap()).unwrap(),
        _ => {
            let endpoint = emulator.ready["cosmos_db"]["endpoint"].as_str().unwrap();
            endpoint.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap()
        }
    };
    ([127, 0, 0, 1], port).into()
}

pub(crate) fn sender(emulator: &Emulator) -> &str {
    emulator.ready["event_hubs"]["connection_strings"]["Sender"].as_str().unwrap()
}

/// Kills an emulator; its port for Event Hubs and that for Cosmos DB refuse connections for as long as what is given lives.
fn killed(emulator: &mut Emulator) -> [ClosedPort; 2] {
    emulator.kill();
    ["event_hubs", "cosmos_db"].map(|service| ClosedPort::at(address(emulator, service)))
}

/// Packets are dropped from some moment on, with the connections open; those that are opened afterwards hang, too.
fn black_hole(service: &str, client: &'static str) -> Result<(), String> {
    let stage = Stage::with(client);
    let mut emulator = stage.emulator(&[]);
    let other = if service == "event_hubs" { "cosmos_db" } else { "event_hubs" };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let target = address(&emulator, service);
    let proxy = runtime.block_on(Proxy::to(target));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = stage.run(&["--rate", "60"]);
    command.args(SHORT);
    let port = proxy.port();
    let (key, through) = match service {
        "event_hubs" => (HUB, sender(&emulator).replace(&format!(":{}", target.port()), &format!(":{port}"))),
        _ => (ENDPOINT, format!("http://127.0.0.1:{port}/")),
    };
    command.env(key, &through);
    let mut run = stage.start(&mut command);
    run.wait_for_output("\"type\":\"start\"");
    proxy.redirect(silent.local_addr().unwrap());
    proxy.swallow();
    let ended = run.end_within(SHORT_LIMIT + GRACE)?;
    proxy.redirect(target);
    prove(&stage, &mut emulator, &ended, &[], &[(key, &through)])?;
    let (stored, _) = emulator.end();
    expect(ended.code == Some(1), "exit code 1", &ended)?;
    expect(ended.count(other, "succeeded") == 300, "all stored at the other service", &ended)?;
    expect(ended.count(service, "succeeded") < 300, "anything lost", &ended)?;
    reconcile(&ended, "event_hubs", stored["event_hubs"]["events"].as_u64())?;
    reconcile(&ended, "cosmos_db", stored["cosmos_db"]["documents"].as_u64())
}

/// One emulator for each service; one of them is killed, and the other must go on at full speed.
fn down_for_good(service: &str, client: &'static str) -> Result<(), String> {
    let (stage, elsewhere) = (Stage::with(client), Stage::new());
    let mut good = stage.emulator(&[]);
    let mut bad = elsewhere.emulator(&[]);
    let mut command = stage.run(&SHORT);
    let other = if service == "event_hubs" {
        command.env(HUB, sender(&bad));
        "cosmos_db"
    } else {
        command.env(ENDPOINT, bad.ready["cosmos_db"]["endpoint"].as_str().unwrap());
        "event_hubs"
    };
    let mut run = stage.start(&mut command);
    run.wait_for_output("\"type\":\"start\"");
    let _closed = killed(&mut bad);
    let ended = run.end_within(SHORT_LIMIT + GRACE)?;
    prove(&stage, &mut good, &ended, &[service], &[])?;
    let (stored, _) = good.end();
    expect(ended.code == Some(1) || ended.count(service, "succeeded") == 300, "exit code 1", &ended)?;
    expect(ended.count(other, "succeeded") == 300, "all stored at the other service", &ended)?;
    let elapsed = ended.summary["services"][other]["elapsed_seconds"].as_f64().unwrap_or(f64::MAX);
    expect(elapsed < 6.0, "done long before the time is up at the other service", &ended)?;
    let there = match other {
        "event_hubs" => &stored["event_hubs"]["events"],
        _ => &stored["cosmos_db"]["documents"],
    };
    reconcile(&ended, other, there.as_u64())?;
    // What the killed one held, nobody can ask any more; the sum must be right all the same.
    reconcile(&ended, service, None)
}

/// Connections end, and those that are to take their place do not get past the handshake, until they do again.
fn tls_refused_for_a_while(client: &'static str) -> Result<(), String> {
    let stage = Stage::with(client);
    let mut emulator = stage.emulator(&["--https"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let target = address(&emulator, "cosmos_db");
    let proxy = runtime.block_on(Proxy::to(target));
    let (refusing, refused) = refuser();
    let through = format!("https://127.0.0.1:{}/", proxy.port());
    let mut command =
        stage.run(&["--rate", "100", "--limit", "300", "--seconds-to-run", "30", "--drain-timeout", "5s"]);
    let mut run = stage.start(command.env(ENDPOINT, &through));
    run.wait_for_output("\"type\":\"start\"");
    proxy.redirect(refusing);
    proxy.cut_all();
    run.wait_until(|_| refused.load(Ordering::Relaxed) > 2, "handshakes that are refused");
    proxy.redirect(target);
    let ended = run.end_within(Duration::from_secs(35) + GRACE)?;
    prove(&stage, &mut emulator, &ended, &[], &[(ENDPOINT, &through)])?;
    let (stored, _) = emulator.end();
    expect(ended.code == Some(0), "exit code 0", &ended)?;
    expect(ended.count("cosmos_db", "succeeded") == 300, "all stored", &ended)?;
    reconcile(&ended, "event_hubs", stored["event_hubs"]["events"].as_u64())?;
    reconcile(&ended, "cosmos_db", stored["cosmos_db"]["documents"].as_u64())
}

fn second_of_three() -> Result<(), String> {
    let (stage, elsewhere) = (Stage::new(), Stage::new());
    let mut good = stage.emulator(&["--hub", "first", "third"]);
    let mut bad = elsewhere.emulator(&[]);
    let hub = |name: &str| sender(&good).replace("EntityPath=first", &format!("EntityPath={name}"));
    let mut command = stage.run(&["--rate", "100"]);
    command
        .args(SHORT)
        .env(HUB, hub("first"))
        .env("EVENT_HUB_2_CONNECTION_STRING", sender(&bad))
        .env("EVENT_HUB_3_CONNECTION_STRING", hub("third"));
    let mut run = stage.start(&mut command);
    run.wait_for_output("\"type\":\"start\"");
    let _closed = killed(&mut bad);
    let ended = run.end_within(SHORT_LIMIT + GRACE)?;
    prove(&stage, &mut good, &ended, &["event_hubs"], &[])?;
    let (stored, _) = good.end();
    expect(ended.code == Some(1), "exit code 1", &ended)?;
    expect(ended.count("cosmos_db", "succeeded") == 300, "all stored in Cosmos DB", &ended)?;
    expect(ended.count("event_hubs", "failed") > 0, "failed where a hub is missing", &ended)?;
    let events = |name: &str| {
        let hubs = stored["event_hubs"]["hubs"].as_array().into_iter().flatten();
        hubs.filter(|hub| hub["name"] == name).find_map(|hub: &Value| hub["events"].as_u64())
    };
    let requested = ended.count("event_hubs", "requested") - ended.count("event_hubs", "not_sent");
    for name in ["first", "third"] {
        let there = events(name);
        expect(there.is_some_and(|there| there >= requested), &format!("all sent are in {name} ({there:?})"), &ended)?;
    }
    reconcile(&ended, "event_hubs", None)?;
    reconcile(&ended, "cosmos_db", stored["cosmos_db"]["documents"].as_u64())
}
