//! The same outage at either service, on the scale of a quarter: a budget of 30 s for 120 s.

use std::time::Duration;

use crate::case::all;
use crate::network::{ENDPOINT, HUB, address, expect, sender, work};
use crate::proof::prove;
use crate::stage::{COSMOS_CLIENTS, GRACE, Stage, reconcile};
use crate::support::closed_port::ClosedPort;
use crate::support::proxy::Proxy;

const SCALE: u32 = 4;
/// Fewer than may be in flight at either service, so that each one's budget begins when it is requested: within a second.
const TRANSACTIONS: u64 = 100;
const SERVICES: [&str; 2] = ["event_hubs", "cosmos_db"];

#[test]
fn the_same_outage_has_the_same_end_at_both_services() {
    let outages = [(5, None), (30, None), (90, None), (150, Some("connection"))];
    let cases = outages.into_iter().flat_map(|(seconds, kind)| {
        COSMOS_CLIENTS
            .map(|client| (format!("{seconds} seconds, {client}"), work(move || outage(seconds, kind, client))))
    });
    all(cases.collect());
}

/// Takes both services away for so many seconds, to scale; `kind` is how what was under way fails, if it does.
fn outage(seconds: u64, kind: Option<&str>, client: &'static str) -> Result<(), String> {
    let stage = Stage::with(client);
    let mut emulator = stage.emulator(&[]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let targets = SERVICES.map(|service| address(&emulator, service));
    let nowhere = ClosedPort::free();
    let proxies = targets.map(|target| runtime.block_on(Proxy::to(target)));
    let hub = sender(&emulator).replace(&format!(":{}", targets[0].port()), &format!(":{}", proxies[0].port()));
    let environment = [(HUB, hub), (ENDPOINT, format!("http://127.0.0.1:{}/", proxies[1].port()))];
    let environment = environment.each_ref().map(|(key, value)| (*key, value.as_str()));
    let (limit, retry_for) = (TRANSACTIONS.to_string(), format!("{}s", 120 / SCALE));
    let mut command =
        stage.run(&["--rate", "100", "--limit", &limit, "--retry-for", &retry_for, "--drain-timeout", "60s"]);
    let mut run = stage.start(command.envs(environment));
    run.wait_for_output("\"type\":\"start\"");
    for proxy in &proxies {
        proxy.redirect(nowhere.address());
        proxy.cut_all();
    }
    std::thread::sleep(Duration::from_secs(seconds) / SCALE);
    for (proxy, target) in proxies.iter().zip(targets) {
        proxy.redirect(target);
    }
    let ended = run.end_within(Duration::from_secs(120) + GRACE)?;
    prove(&stage, &mut emulator, &ended, &[], &environment)?;
    let (stored, _) = emulator.end();
    for service in SERVICES {
        let (succeeded, failed) = (ended.count(service, "succeeded"), ended.count(service, "failed"));
        expect(succeeded + failed == TRANSACTIONS, &format!("all ended at {service}"), &ended)?;
        match kind {
            None => expect(failed == 0, &format!("all stored at {service}"), &ended)?,
            Some(kind) => {
                let of_kind = ended.summary["services"][service]["failures"][kind].as_u64();
                expect(failed > 0 && of_kind == Some(failed), &format!("failed as {kind} at {service}"), &ended)?;
            }
        }
    }
    expect(ended.code == Some(i32::from(kind.is_some())), "the exit code of that", &ended)?;
    reconcile(&ended, "event_hubs", stored["event_hubs"]["events"].as_u64())?;
    reconcile(&ended, "cosmos_db", stored["cosmos_db"]["documents"].as_u64())
}
