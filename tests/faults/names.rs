//! Names that no longer resolve in mid-run: connections break, and connecting again needs a name that nobody knows.
//!
//! The run lives in a mount namespace of its own, where `/etc/hosts` is a file of the test's and the only thing that is
//! asked for names. Where the system lets no ordinary user have such a namespace there is nothing to test with, and the
//! test says so.

use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::case::{Named, all};
use crate::network::{ENDPOINT, HUB, address, expect, sender, work};
use crate::proof::prove;
use crate::secrets::Marks;
use crate::stage::{GRACE, Running, Stage, reconcile};
use crate::support::proxy::Proxy;

/// What `/etc/hosts` holds while all is well.
const KNOWN: &str = "127.0.0.1 localhost\n";
/// Puts the first two arguments over the system's files, and becomes the rest.
const ENTER: &str = r#"mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/nsswitch.conf && shift 2 && exec "$@""#;
/// What the system says of a name that it does not know.
const UNKNOWN: &str = "failed to lookup address information";
/// Transactions, at 60 a second.
const LIMIT: u64 = 300;

/// A place where the test says which names there are.
struct Names {
    hosts: PathBuf,
    switch: PathBuf,
}

impl Names {
    fn in_directory(directory: &Path) -> Self {
        let names = Self { hosts: directory.join("hosts"), switch: directory.join("nsswitch.conf") };
        std::fs::write(&names.switch, "hosts: files\npasswd: files\ngroup: files\n").unwrap();
        names.know(KNOWN);
        names
    }

    /// Written over in place, so that it is still the file that the namespace sees.
    fn know(&self, hosts: &str) {
        std::fs::write(&self.hosts, hosts).unwrap();
    }

    /// The same command, in this place.
    fn around(&self, command: &Command) -> Command {
        let mut around = Command::new("unshare");
        around.args(["--user", "--map-root-user", "--mount", "sh", "-c", ENTER, "sh"]);
        around.args([&self.hosts, &self.switch]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => around.env(name, value),
                None => around.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            around.current_dir(directory);
        }
        around
    }

    /// Whether the name resolves in this place; `None` where there can be no such place.
    fn resolves(&self) -> Option<bool> {
        let entered = self.around(&Command::new("true")).output().is_ok_and(|output| output.status.success());
        let resolved = self.around(Command::new("getent").args(["ahosts", "localhost"])).output();
        entered.then(|| resolved.is_ok_and(|output| output.status.success()))
    }
}

/// Whether names can be made and unmade here.
fn are_names_ours() -> bool {
    let directory = tempfile::tempdir().unwrap();
    let names = Names::in_directory(directory.path());
    let known = names.resolves();
    names.know("");
    known == Some(true) && names.resolves() == Some(false)
}

#[test]
fn a_name_that_no_longer_resolves_in_mid_run_is_reported_and_nothing_is_lost() {
    if !are_names_ours() {
        eprintln!("skipped: no mount namespace for this user, or names that do not come from /etc/hosts");
        return;
    }
    let mut cases: Vec<Named<'_>> = vec![
        ("Event Hubs' name comes back", work(|| name_gone("event_hubs", true))),
        ("Event Hubs' name stays away", work(|| name_gone("event_hubs", false))),
    ];
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        cases.push(("Cosmos DB's name comes back", work(|| name_gone("cosmos_db", true))));
        cases.push(("Cosmos DB's name stays away", work(|| name_gone("cosmos_db", false))));
    } else {
        eprintln!("skipped: Cosmos DB's name, for this machine has no IPv6");
    }
    all(cases);
}

fn name_gone(service: &str, comes_back: bool) -> Result<(), String> {
    let stage = Stage::new();
    // An account that listens on IPv4 sends those who come by localhost to 127.0.0.1, which needs no name.
    let host = if service == "event_hubs" { "127.0.0.1" } else { "::1" };
    let mut emulator = stage.emulator(&["--host", host]);
    let marks = Marks::of_settings(stage.path());
    let other = if service == "event_hubs" { "cosmos_db" } else { "event_hubs" };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let target = SocketAddr::new(host.parse().unwrap(), address(&emulator, service).port());
    let proxy = runtime.block_on(Proxy::to(target));
    let named = format!("localhost:{}", proxy.port());
    let (key, through) = match service {
        "event_hubs" => (HUB, sender(&emulator).replace(&target.to_string(), &named)),
        _ => (ENDPOINT, format!("http://{named}/")),
    };
    let (seconds, drain) = if comes_back { (30, 5) } else { (8, 1) };
    let mut command = stage.run(&["--rate", "60", "--limit", &LIMIT.to_string()]);
    command.args(["--seconds-to-run", &seconds.to_string(), "--drain-timeout", &format!("{drain}s")]);
    command.env(key, &through);
    if comes_back {
        // Its log shows when names are asked for in vain.
        command.env("RUST_LOG", "txgen=debug");
    }
    let names = Names::in_directory(stage.path());
    let mut run = stage.start(&mut names.around(&command));
    run.wait_for_output("\"type\":\"start\"");
    names.know("");
    proxy.cut_all();
    if comes_back {
        let log = stage.path().join("stderr");
        let asked = |_: &Running| std::fs::read_to_string(&log).unwrap().contains(UNKNOWN);
        run.wait_until(asked, "a name that is asked for in vain");
        names.know(KNOWN);
    }
    let ended = run.end_within(Duration::from_secs(seconds + drain) + GRACE)?;
    prove(&stage, &mut emulator, &ended, &[], &[(key, &through)])?;
    let (stored, _) = emulator.end();
    expect(ended.count(other, "succeeded") == LIMIT, "all stored at the other service", &ended)?;
    if comes_back {
        expect(ended.code == Some(0), "exit code 0", &ended)?;
        expect(ended.count(service, "succeeded") == LIMIT, "all stored", &ended)?;
    } else {
        expect(ended.code == Some(1), "exit code 1", &ended)?;
        expect(ended.count(service, "succeeded") < LIMIT, "anything lost", &ended)?;
        expect(ended.stderr.contains(UNKNOWN), "the reason is shown", &ended)?;
    }
    reconcile(&ended, "event_hubs", stored["event_hubs"]["events"].as_u64())?;
    reconcile(&ended, "cosmos_db", stored["cosmos_db"]["documents"].as_u64())?;
    marks.check_directory(stage.path())
}
