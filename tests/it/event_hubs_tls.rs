//! Event Hubs over TLS: the way to Azure, with a certificate authority made here.
//!
//! The publisher trusts what the operating system trusts, and nothing else can be set. On Linux that is read from
//! a file that SSL_CERT_FILE names; so the tests run themselves once more, as another process with that variable.
#![cfg(target_os = "linux")]

use std::num::NonZeroUsize;
use std::process::Stdio;
use std::sync::Arc;

use azure_core::credentials::Secret;
use bytes::Bytes;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;
use txgen::identity::RunId;
use txgen::service::event_hubs::EventHubs;
use txgen::service::{Attempts, ConnectError, Counters, Service as _};
use txgen::settings::{
    ConnectionString, DEFAULT_RETRY_FOR, EventHubClient, EventHubTransport, EventHubsSettings, HubCredential, Proxies,
};
use txgen::transaction::Transaction;
use txgen_emulator::event_hubs::{EventHubsEmulator, EventHubsEmulatorOptions};

const PORT: &str = "TXGEN_TEST_PORT";
const KEY: &str = "TXGEN_TEST_KEY";
const TRANSPORT: &str = "TXGEN_TEST_TRANSPORT";
const EVENTS: u64 = 20;

fn key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

/// Signed by the issuer, or by itself.
fn certificate(name: &str, key: &PKey<Private>, issuer: Option<(&X509, &PKey<Private>)>) -> X509 {
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    let subject = subject.build();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(rand::random::<u32>() | 1).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(issuer.map_or(&subject, |(issuer, _)| issuer.subject_name())).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    builder.set_pubkey(key).unwrap();
    if issuer.is_none() {
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().build().unwrap()).unwrap();
    } else {
        let names = SubjectAlternativeName::new().dns(name).build(&builder.x509v3_context(None, None)).unwrap();
        builder.append_extension(names).unwrap();
        builder.append_extension(ExtendedKeyUsage::new().server_auth().build().unwrap()).unwrap();
    }
    builder.sign(issuer.map_or(key, |(_, key)| key), MessageDigest::sha256()).unwrap();
    builder.build()
}

/// A server's TLS for `localhost`, and the authority that vouches for it.
fn server() -> (Arc<rustls::ServerConfig>, X509) {
    let (authority_key, server_key) = (key(), key());
    let authority = certificate("txgen test authority", &authority_key, None);
    let server = certificate("localhost", &server_key, Some((&authority, &authority_key)));
    let chain = vec![CertificateDer::from(server.to_der().unwrap())];
    let key = PrivateKeyDer::try_from(server_key.private_key_to_pkcs8().unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    (Arc::new(config), authority)
}

async fn connect(port: u16, key: Secret, transport: EventHubTransport) -> Result<EventHubs, ConnectError> {
    let hub = ConnectionString {
        host: "localhost".into(),
        port: Some(port),
        hub: "transactions".into(),
        hub_is_default: false,
        development_emulator: false,
        credential: HubCredential::SharedAccessKey { policy: "Sender".into(), key },
    };
    let settings = EventHubsSettings {
        hubs: vec![hub],
        client: EventHubClient::Native,
        transport,
        connections: NonZeroUsize::MIN,
        max_in_flight: NonZeroUsize::new(100).unwrap(),
        retry_for: DEFAULT_RETRY_FOR,
        proxies: Proxies::default(),
    };
    EventHubs::connect(&settings, CancellationToken::new()).await
}

fn sender_key(emulator: &EventHubsEmulator) -> Secret {
    let text = emulator.connection_string("Sender", "transactions").unwrap();
    let hub = ConnectionString::parse(text.secret()).unwrap();
    let HubCredential::SharedAccessKey { key, .. } = hub.credential else { panic!("a key") };
    key
}

/// Runs [`as_another_process`] where the authority is trusted.
async fn send_over(transport: &str) {
    let emulator = EventHubsEmulator::start(EventHubsEmulatorOptions::default()).await.unwrap();
    let (tls, authority) = server();
    let port = crate::support::bridge::to(emulator.local_addr(), Some(tls), transport == "websocket").await;
    let trusted = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(trusted.path(), authority.to_pem().unwrap()).unwrap();
    let child = tokio::task::spawn_blocking({
        let (path, key, transport) = (trusted.path().to_owned(), sender_key(&emulator), transport.to_owned());
        move || {
            std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--ignored", "--exact", "event_hubs_tls::as_another_process", "--nocapture"])
                .env("SSL_CERT_FILE", path)
                .env(PORT, port.to_string())
                .env(KEY, key.secret())
                .env(TRANSPORT, transport)
                .stdin(Stdio::null())
                .output()
                .unwrap()
        }
    });
    let output = child.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(emulator.counts().events(), EVENTS);
}

#[tokio::test]
#[ignore = "the other tests run it as another process"]
async fn as_another_process() {
    let var = |name| std::env::var(name).unwrap();
    let transport = match var(TRANSPORT).as_str() {
        "websocket" => EventHubTransport::Websocket,
        _ => EventHubTransport::Tcp,
    };
    let service = connect(var(PORT).parse().unwrap(), Secret::new(var(KEY)), transport).await.unwrap();
    assert!(service.hubs()[0].tls);
    let (run, counters) = (RunId::random(), Counters::default());
    for row in 1..=EVENTS {
        let body = Bytes::from(format!("{{\"row\":{row}}}"));
        let transaction = Transaction::new(row, run.transaction_id(row), "us".into(), body);
        service.send(&transaction, &Attempts::new(&counters)).await.unwrap();
    }
    service.close().await;
}

#[tokio::test]
async fn events_go_over_tls_to_a_host_that_the_operating_system_trusts() {
    send_over("tcp").await;
}

#[tokio::test]
async fn events_go_over_websockets_and_tls() {
    send_over("websocket").await;
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let emulator = EventHubsEmulator::start(EventHubsEmulatorOptions::default()).await.unwrap();
    let (tls, _) = server();
    let port = crate::support::bridge::to(emulator.local_addr(), Some(tls), false).await;
    let error = connect(port, sender_key(&emulator), EventHubTransport::Tcp).await.unwrap_err();
    assert!(error.message.contains("no TLS with localhost") && error.message.contains("certificate"), "{error}");
    assert_eq!(emulator.counts().connections, 0);
}
