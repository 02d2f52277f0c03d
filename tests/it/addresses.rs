//! Addresses as people and programs write them lead to the services: IPv6, upper case, a dot at the end.

use std::net::{Ipv6Addr, TcpListener};
use std::path::Path;
use std::process::{Output, Stdio};

use tempfile::TempDir;

use crate::support::emulator::Emulator;
use crate::support::forward::ForwardProxy;
use crate::support::{self, stderr, stdout};

fn txgen(directory: &Path, arguments: &[&str]) -> Output {
    support::txgen(directory).args(arguments).output().unwrap()
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// Sends ten rows by each client and transport to the services of the settings in `directory`, and reads them back.
fn writes_and_reads_back(directory: &Path) {
    std::fs::write(directory.join("rows.csv"), {
        let row = |number: u32| format!("T{number},A{number},us\n");
        format!("transactionID,accountID,ipCountryCode\n{}", (1..=10).map(row).collect::<String>())
    })
    .unwrap();
    for ways in
        [&["--event-hub-transport", "tcp"][..], &["--event-hub-transport", "websocket"], &["--event-hub-client", "sdk"]]
    {
        let check = txgen(directory, &[&["check"], ways].concat());
        assert_eq!(check.status.code(), Some(0), "{ways:?}: {}{}", stdout(&check), stderr(&check));
        let run = ["run", "--data", "rows.csv", "--quiet", "--summary-file", "summary.json"];
        let run = txgen(directory, &[&run, ways].concat());
        assert_eq!(run.status.code(), Some(0), "{ways:?}: {}", stderr(&run));
        let transport = if ways.contains(&"websocket") { "websocket" } else { "tcp" };
        let verify = ["verify", "--summary", "summary.json", "--data", "rows.csv", "--event-hub-transport", transport];
        let verify = txgen(directory, &verify);
        assert_eq!(verify.status.code(), Some(0), "{ways:?}: {}{}", stdout(&verify), stderr(&verify));
    }
}

#[test]
fn every_client_and_transport_reaches_services_at_an_ipv6_address() {
    if !has_ipv6() {
        eprintln!("skipped: this machine has no ::1");
        return;
    }
    for flags in [&["--host", "::1"][..], &["--host", "::1", "--https"]] {
        let directory = TempDir::new().unwrap();
        let _emulator = Emulator::start(directory.path(), flags);
        let settings = std::fs::read_to_string(directory.path().join("appsettings.json")).unwrap();
        assert!(settings.contains("sb://[::1]:") && settings.contains("//[::1]:"), "{settings}");
        writes_and_reads_back(directory.path());
    }
}

#[test]
fn a_host_may_be_in_upper_case_and_end_with_a_dot() {
    let directory = TempDir::new().unwrap();
    let _emulator = Emulator::start(directory.path(), &["--host", "127.0.0.1"]);
    let path = directory.path().join("appsettings.json");
    let settings = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, settings.replace("127.0.0.1", "LocalHost.")).unwrap();
    writes_and_reads_back(directory.path());
}

#[test]
fn a_user_name_in_an_address_is_refused_with_the_reason_and_not_shown() {
    let directory = TempDir::new().unwrap();
    let output = support::txgen(directory.path())
        .arg("check")
        .env("EVENT_HUB_1_CONNECTION_STRING", "Endpoint=sb://user:c2VjcmV0@ns.servicebus.windows.net/;EntityPath=h")
        .env("COSMOS_DB_ENDPOINT", "https://user:c2VjcmV0@account.documents.azure.com/")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(
        said.contains("Endpoint has a user name in it") && said.contains("has a user name in it, which Cosmos DB"),
        "{said}"
    );
    assert!(!said.contains("c2VjcmV0"), "{said}");
}

/// What a dry run says of services at these addresses.
fn dry_run(hub: &str, endpoint: &str) -> String {
    let directory = TempDir::new().unwrap();
    let output = support::txgen(directory.path())
        .args(["run", "--dry-run=1", "--data"])
        .arg(support::shipped_data())
        .env("EVENT_HUB_1_CONNECTION_STRING", format!("Endpoint=sb://{hub}/;EntityPath=transactions"))
        .env("COSMOS_DB_ENDPOINT", endpoint)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stdout(&output)
}

#[test]
fn services_of_national_clouds_are_taken_like_all_others() {
    for (hub, endpoint) in [
        ("ns.servicebus.chinacloudapi.cn", "https://account.documents.azure.cn:443/"),
        ("ns.servicebus.usgovcloudapi.net", "https://account.documents.azure.us:443/"),
    ] {
        let said = dry_run(hub, endpoint);
        assert!(said.contains(hub) && said.contains(endpoint.trim_end_matches(":443/")), "{said}");
    }
}

/// The proxy of the test hears which host is asked for a token.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_principal_signs_in_at_the_cloud_of_the_address() {
    for (endpoint, authority) in [
        ("https://account.documents.azure.cn/", "login.chinacloudapi.cn:443"),
        ("https://account.documents.azure.us/", "login.microsoftonline.us:443"),
        ("https://account.documents.azure.com/", "login.microsoftonline.com:443"),
    ] {
        let proxy = ForwardProxy::start(None).await;
        proxy.refuse("403 Forbidden");
        let directory = TempDir::new().unwrap();
        let mut check = support::txgen(directory.path())
            .args(["check", "--only-cosmos", "--cosmos-endpoint", endpoint])
            .env("AZURE_TENANT_ID", "72f988bf-0000-0000-0000-2d7cd011db47")
            .env("AZURE_CLIENT_ID", "72f988bf-0000-0000-0000-2d7cd011db48")
            .env("AZURE_CLIENT_SECRET", "hush")
            .env("HTTPS_PROXY", format!("http://{}", proxy.address()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let asked = loop {
            if let Some(asked) = proxy.asked().into_iter().find(|asked| asked.starts_with("login.")) {
                break asked;
            }
            assert!(check.try_wait().unwrap().is_none(), "{:?}", proxy.asked());
            tokio::task::yield_now().await;
        };
        check.kill().unwrap();
        check.wait().unwrap();
        assert_eq!(asked, authority);
    }
}
