//! `txgen run --metrics`, as a scraper sees it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::support::{shipped_data, stderr, txgen};

/// A run that goes on until it is asked to stop, and where its metrics are.
struct Running {
    child: Child,
    address: String,
    announcement: String,
}

impl Running {
    fn start(metrics: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = txgen(directory.path());
        command.args([
            "run",
            "--emulator",
            "--rate",
            "300",
            "--loop",
            "--output",
            "json",
            "--metrics",
            metrics,
            "--data",
        ]);
        let mut child = command.arg(shipped_data()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let announcement = BufReader::new(child.stderr.take().unwrap()).lines().next().unwrap().unwrap();
        let address = announcement.split("http://").nth(1).and_then(|url| url.split('/').next()).unwrap().to_owned();
        // The second line is the first batch: the run is under way.
        BufReader::new(child.stdout.as_mut().unwrap()).lines().take(2).for_each(|line| drop(line.unwrap()));
        Self { child, address, announcement }
    }

    /// The whole answer to a request.
    fn ask(&self, request: &str) -> String {
        let port = self.address.rsplit(':').next().unwrap();
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        // A request that is refused in its middle may not be taken whole.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    fn get(&self, path: &str, headers: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.address))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// The value of one series.
fn value(answer: &str, series: &str) -> f64 {
    let line = answer.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in:\n{answer}")).parse().unwrap()
}

#[test]
fn figures_of_both_services_are_served_while_the_run_goes_on() {
    let run = Running::start("127.0.0.1:0");
    assert!(run.address.starts_with("127.0.0.1:") && !run.address.ends_with(":0"), "{}", run.announcement);
    let first = run.get("/metrics", "");
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n"), "{first}");
    assert!(first.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{first}");
    for service in ["event_hubs", "cosmos_db"] {
        let succeeded =
            value(&first, &format!("txgen_transactions_total{{service=\"{service}\",outcome=\"succeeded\"}}"));
        assert!(succeeded > 0.0);
        let count = value(&first, &format!("txgen_service_time_seconds_count{{service=\"{service}\"}}"));
        let all = value(&first, &format!("txgen_service_time_seconds_bucket{{service=\"{service}\",le=\"+Inf\"}}"));
        assert_eq!((count, all), (succeeded, succeeded), "one moment, one truth");
        assert!(value(&first, &format!("txgen_service_time_seconds_sum{{service=\"{service}\"}}")) > 0.0);
    }
    assert!(value(&first, "txgen_request_units_total{service=\"cosmos_db\"}") > 1000.0);
    assert_eq!(value(&first, "txgen_provisioned_request_units_per_second{service=\"cosmos_db\"}"), 15_000.0);
    assert!(value(&first, "txgen_alive_tasks") > 1.0);
    let requested = |answer: &str| value(answer, "txgen_requested_transactions_total");
    // A counter never falls; that this one grows is seen in the end, however slow the machine is.
    let mut later = run.get("/metrics", "");
    while requested(&later) <= requested(&first) {
        later = run.get("/metrics", "");
    }
}

#[test]
fn openmetrics_is_served_to_those_who_ask() {
    let run = Running::start("127.0.0.1:0");
    let answer = run.get("/metrics", "Accept: application/openmetrics-text; version=1.0.0\r\n");
    assert!(answer.to_lowercase().contains("content-type: application/openmetrics-text; version=1.0.0"), "{answer}");
    assert!(answer.ends_with("# EOF\n"), "{answer}");
}

#[test]
fn what_is_no_scrape_is_refused_and_the_run_goes_on() {
    let run = Running::start("127.0.0.1:0");
    let status = |answer: String| answer.lines().next().unwrap_or_default().to_owned();
    assert_eq!(status(run.get("/", "")), "HTTP/1.1 200 OK");
    assert_eq!(status(run.get("/../etc/passwd", "")), "HTTP/1.1 404 Not Found");
    assert_eq!(
        status(run.ask("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")),
        "HTTP/1.1 405 Method Not Allowed"
    );
    assert_eq!(status(run.ask("no HTTP at all\r\n\r\n")), "HTTP/1.1 400 Bad Request");
    let large = run.get("/metrics", &format!("X: {}\r\n", "x".repeat(20_000)));
    assert!(large.is_empty() || status(large.clone()) == "HTTP/1.1 431 Request Header Fields Too Large", "{large}");
    let head = run.ask("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(run.get("/metrics", "").contains("txgen_build_info{version="));
}

#[test]
fn an_address_that_others_reach_is_warned_of() {
    let run = Running::start("0.0.0.0:0");
    assert!(run.announcement.contains("not only for this machine"), "{}", run.announcement);
}

#[test]
fn an_address_that_cannot_be_listened_on_is_reported_before_anything_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let arguments = ["run", "--emulator", "--metrics", &address, "--data"];
    let output = txgen(directory.path()).args(arguments).arg(shipped_data()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains(&address) && stderr(&output).contains("port 0"), "{}", stderr(&output));
    let output = txgen(directory.path()).args(["run", "--metrics", "example.org:1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("such as 127.0.0.1:9464"), "{}", stderr(&output));
}
