//! Proxies that the environment names lead to both services, are named without their credentials, and are told apart from
//! the services when they refuse.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;
use txgen_emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};
use txgen_emulator::event_hubs::{EventHubsEmulator, EventHubsEmulatorOptions};

use crate::support;
use crate::support::closed_port::ClosedPort;
use crate::support::forward::ForwardProxy;

/// Both services, Cosmos DB over HTTPS.
struct Services {
    event_hubs: EventHubsEmulator,
    cosmos_db: CosmosEmulator,
    directory: TempDir,
}

impl Services {
    async fn start() -> Self {
        let cosmos_db = CosmosEmulatorOptions { https: true, ..CosmosEmulatorOptions::default() };
        Self {
            event_hubs: EventHubsEmulator::start(EventHubsEmulatorOptions::default()).await.unwrap(),
            cosmos_db: CosmosEmulator::start(cosmos_db).await.unwrap(),
            directory: TempDir::new().unwrap(),
        }
    }

    /// `txgen` with these arguments, over WebSockets, with `proxy` in the environment.
    fn txgen(&self, arguments: &[&str], proxy: &str) -> Command {
        let hub = self.event_hubs.connection_string("Sender", "transactions").unwrap();
        let mut command = support::txgen(self.directory.path());
        command
            .args(arguments)
            .args(["--event-hub-transport", "websocket"])
            .env("EVENT_HUB_1_CONNECTION_STRING", hub.secret())
            .env("COSMOS_DB_ENDPOINT", self.cosmos_db.endpoint().to_string())
            .env("COSMOS_DB_AUTH_KEY", self.cosmos_db.key().secret())
            .env("HTTP_PROXY", proxy)
            .env("HTTPS_PROXY", proxy);
        command
    }

    /// Where both are, as a proxy is asked for them.
    fn authorities(&self) -> [String; 2] {
        let cosmos_db = self.cosmos_db.endpoint().socket_addrs(|| None).unwrap()[0];
        [self.event_hubs.local_addr().to_string(), cosmos_db.to_string()]
    }
}

/// Runs it off the threads that the services need.
async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", support::stdout(output), support::stderr(output))
}

fn run(limit: &'static str, data: &Path) -> Vec<String> {
    let flags = ["run", "--limit", limit, "--retry-for", "300ms", "--summary-file", "summary.json", "--data"];
    flags.map(str::to_owned).into_iter().chain([data.display().to_string()]).collect()
}

fn as_strs(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_and_a_check_go_through_the_proxy_with_its_credentials_and_name_it_without_them() {
    let services = Services::start().await;
    // user:hush
    let proxy = ForwardProxy::start(Some("Basic dXNlcjpodXNo")).await;
    let variable = format!("http://user:hush@{}", proxy.address());
    let run = run("20", &support::shipped_data());
    for arguments in [&as_strs(&run)[..], &["check"], &["check", "--output", "json", "-vvv"]] {
        let before = proxy.asked().len();
        let output = output(services.txgen(arguments, &variable)).await;
        let said = said(&output);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let asked = proxy.asked().split_off(before);
        for authority in services.authorities() {
            assert!(asked.contains(&authority), "{authority} not in {asked:?}: {said}");
        }
        for (key, variable) in [("EVENT_HUB_1_CONNECTION_STRING", "HTTP_PROXY"), ("COSMOS_DB_ENDPOINT", "HTTPS_PROXY")]
        {
            let message = format!("{key} is reached through the proxy http://{} ({variable})", proxy.address());
            assert!(said.contains(&message), "not `{message}` in: {said}");
        }
        assert!(!said.contains("hush") && !said.contains("dXNlcjpodXNo"), "{said}");
    }
    assert_eq!(services.event_hubs.counts().events(), 20);
    let summary = std::fs::read_to_string(services.directory.path().join("summary.json")).unwrap();
    assert!(!summary.contains("hush"), "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cosmos_db_without_tls_is_reached_through_the_proxy_of_http() {
    let emulator = CosmosEmulator::start(CosmosEmulatorOptions::default()).await.unwrap();
    let proxy = ForwardProxy::start(None).await;
    let directory = TempDir::new().unwrap();
    let mut command = support::txgen(directory.path());
    command.args(["check", "--only-cosmos"]).env("COSMOS_DB_ENDPOINT", emulator.endpoint().to_string());
    command.env("COSMOS_DB_AUTH_KEY", emulator.key().secret()).env("all_proxy", proxy.address().to_string());
    let output = output(command).await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(proxy.asked().iter().any(|asked| asked.starts_with("http://127.0.0.1:")), "{:?}", proxy.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_lets_nothing_through_is_named_with_cause_and_remedy() {
    let services = Services::start().await;
    let closed = ClosedPort::free();
    for (refusal, wanted, credentials, part) in [
        (None, Some("Basic dXNlcjpodXNo"), "", "asks for a user name and a password (407); write them into HTTP"),
        (None, Some("Basic dXNlcjpodXNo"), "user:wrong@", "refuses the user name and password in HTTP"),
        (Some("403 Filtered"), None, "", "(403 Forbidden); have that host and port allowed there"),
        (Some("502 Bad Gateway"), None, "", "(502 Bad Gateway); check that name, and that the proxy gets there"),
        (None, None, "away", "cannot be reached (Connection refused"),
    ] {
        let proxy = ForwardProxy::start(wanted).await;
        let address = if credentials == "away" { closed.address() } else { proxy.address() };
        let variable = format!("http://{}{address}", if credentials == "away" { "" } else { credentials });
        if let Some(refusal) = refusal {
            proxy.refuse(refusal);
        }
        let name = format!("the proxy http://{address} (HTTP");
        for service in ["--only-event-hubs", "--only-cosmos"] {
            for command in ["check", "run"] {
                let output = output(services.txgen(&[command, service], &variable)).await;
                let said = said(&output);
                assert_eq!(output.status.code(), Some(3), "{command} {service} {part}: {said}");
                assert!(said.contains(&name) && said.contains(part), "{command} {service}: not `{part}` in: {said}");
                for blamed in ["SharedAccessKey and", "copy PRIMARY KEY", "read-write key", "check Endpoint", "wrong@"]
                {
                    assert!(!said.contains(blamed), "{command} {service}: {said}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_begins_to_refuse_in_mid_run_is_counted_as_such_for_both_services() {
    let services = Services::start().await;
    let proxy = ForwardProxy::start(None).await;
    let mut arguments = run("100", &support::shipped_data());
    arguments.extend(["--rate".to_owned(), "50".to_owned()]);
    let command = services.txgen(&as_strs(&arguments), &format!("http://{}", proxy.address()));
    let running = tokio::spawn(output(command));
    while services.event_hubs.counts().events() < 10 || services.cosmos_db.counts().documents < 10 {
        tokio::task::yield_now().await;
    }
    proxy.refuse("502 Bad Gateway");
    let output = running.await.unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let summary = support::read_json(&services.directory.path().join("summary.json"));
    for service in ["event_hubs", "cosmos_db"] {
        let totals = &summary["services"][service];
        assert!(totals["failures"]["proxy"].as_u64().unwrap_or_default() > 50, "{service}: {totals} {said}");
    }
    assert!(said.contains("it is the proxy that let nothing through, and not the service"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_proxy_exempts_and_what_runs_in_this_process_is_reached_directly() {
    let services = Services::start().await;
    let proxy = ForwardProxy::start(None).await;
    proxy.refuse("403 Forbidden");
    let variable = format!("http://{}", proxy.address());
    let mut exempt = services.txgen(&["check"], &variable);
    exempt.env("no_proxy", "localhost, 127.0.0.0/8");
    let mut own = services.txgen(&["run", "--emulator", "--limit", "5"], &variable);
    own.env("ALL_PROXY", &variable);
    for command in [exempt, own] {
        let output = output(command).await;
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(!said(&output).contains("proxy"), "{}", said(&output));
    }
    // Azure's Cosmos DB client asks a virtual machine what it is, wherever it runs.
    let asked: Vec<_> = proxy.asked().into_iter().filter(|asked| !asked.contains("/metadata/instance")).collect();
    assert_eq!(asked, Vec::<String>::new());
}

/// What a dry run of an Azure namespace says with this environment.
fn dry_run(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let directory = TempDir::new().unwrap();
    let mut command = support::txgen(directory.path());
    command.args(["run", "--dry-run=1", "--data"]).arg(support::shipped_data()).args(arguments);
    command
        .env("EVENT_HUB_1_CONNECTION_STRING", "Endpoint=sb://ns.servicebus.windows.net/;EntityPath=transactions")
        .env("COSMOS_DB_ENDPOINT", "https://account.documents.azure.com/")
        .envs(variables.iter().copied());
    let output = command.output().unwrap();
    (output.status.code(), said(&output))
}

#[test]
fn amqp_over_tcp_says_that_it_goes_past_the_proxy_and_what_goes_through() {
    let proxy = [("https_proxy", "http://user:hush@proxy.example:3128")];
    let (code, said) = dry_run(&["--only-event-hubs"], &proxy);
    assert_eq!(code, Some(0), "{said}");
    let message = "EVENT_HUB_1_CONNECTION_STRING: AMQP over TCP goes to port 5671 directly, and not through the proxy \
                http://proxy.example:3128 (https_proxy); --event-hub-transport websocket goes through it";
    assert!(said.contains(message) && !said.contains("hush"), "{said}");
    let (_, said) = dry_run(&["--only-event-hubs", "--event-hub-client", "sdk"], &proxy);
    let message = "--event-hub-client native with --event-hub-transport websocket goes through it";
    assert!(said.contains(message), "{said}");
}

#[test]
fn a_variable_that_names_no_http_proxy_is_a_wrong_setting_whose_value_is_not_shown() {
    for (name, value, part) in [
        ("HTTPS_PROXY", "http//user:hush@proxy", "HTTPS_PROXY (environment): must be the address of a proxy"),
        ("all_proxy", "socks5://user:hush@proxy:1080", "all_proxy (environment): names a SOCKS proxy"),
    ] {
        let (code, said) = dry_run(&["--event-hub-transport", "websocket"], &[(name, value)]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(part) && !said.contains("hush"), "{said}");
    }
}

/// The proxy of Debian's package `tinyproxy`, where it is installed.
struct Tinyproxy {
    process: Child,
    port: u16,
    directory: TempDir,
}

impl Tinyproxy {
    fn start(settings: &str) -> Option<Self> {
        let directory = TempDir::new().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = directory.path().join("log");
        let configuration = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 100\nLogLevel Connect\nLogFile \"{}\"\n{settings}\n",
            log.display()
        );
        let file = directory.path().join("tinyproxy.conf");
        std::fs::write(&file, configuration).unwrap();
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().ok()?;
        let proxy = Self { process, port, directory };
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        Some(proxy)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }
}

impl Drop for Tinyproxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_proxy_leads_to_both_services_and_its_refusals_are_its_own() {
    let Some(proxy) = Tinyproxy::start("BasicAuth user hush") else {
        eprintln!("skipped: tinyproxy is not installed");
        return;
    };
    let services = Services::start().await;
    let run = run("200", &support::shipped_data());
    let good = output(services.txgen(&as_strs(&run), &format!("http://user:hush@127.0.0.1:{}", proxy.port))).await;
    assert_eq!(good.status.code(), Some(0), "{}", said(&good));
    assert_eq!(services.event_hubs.counts().events(), 200);
    for authority in services.authorities() {
        assert!(proxy.log().contains(&format!("CONNECT {authority}")), "{}", proxy.log());
    }
    let wrong = output(services.txgen(&["check"], &format!("http://user:other@127.0.0.1:{}", proxy.port))).await;
    let message = said(&wrong);
    assert_eq!(wrong.status.code(), Some(3), "{message}");
    for variable in ["HTTP_PROXY", "HTTPS_PROXY"] {
        assert!(message.contains(&format!("refuses the user name and password in {variable}")), "{message}");
    }
    drop(proxy);
    // Nothing but HTTPS's own port is let through.
    let strict = Tinyproxy::start("ConnectPort 443").unwrap();
    let refused = output(services.txgen(&["check"], &format!("http://127.0.0.1:{}", strict.port))).await;
    assert_eq!(said(&refused).matches("have that host and port allowed there").count(), 2, "{}", said(&refused));
}
