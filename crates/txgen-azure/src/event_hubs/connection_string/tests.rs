use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> ConnectionString {
    ConnectionString::parse(text).unwrap()
}

fn problem(text: &str) -> String {
    ConnectionString::parse(text).unwrap_err().problem
}

#[test]
fn the_portals_connection_string_names_namespace_hub_policy_and_key() {
    let parsed = parse(
        "Endpoint=sb://Woodgrove.servicebus.windows.net/;SharedAccessKeyName=Sender;SharedAccessKey=a+b/c=d==;EntityPath=payments",
    );
    assert_eq!(parsed.fully_qualified_namespace(), "woodgrove.servicebus.windows.net");
    assert_eq!(parsed.address(), "woodgrove.servicebus.windows.net:5671");
    assert_eq!(parsed.resource(), "sb://woodgrove.servicebus.windows.net/payments");
    assert!(parsed.uses_tls() && !parsed.hub_is_default);
    let HubCredential::SharedAccessKey { policy, key } = &parsed.credential else { panic!("a key was given") };
    assert_eq!((policy.as_str(), key.secret()), ("Sender", "a+b/c=d=="));
}

#[test]
fn hosts_are_read_as_people_write_them() {
    for (endpoint, host, port) in [
        ("sb://NS.ServiceBus.Windows.NET/", "ns.servicebus.windows.net", None),
        ("sb://ns.servicebus.windows.net./", "ns.servicebus.windows.net", None),
        ("sb://ns.servicebus.windows.net:5671", "ns.servicebus.windows.net", Some(5671)),
        ("sb://ns.servicebus.chinacloudapi.cn/", "ns.servicebus.chinacloudapi.cn", None),
        ("sb://ns.servicebus.usgovcloudapi.net/", "ns.servicebus.usgovcloudapi.net", None),
        ("sb://localhost.:1/", "localhost", Some(1)),
        ("sb://[::1]/", "[::1]", None),
        ("sb://[0:0:0:0:0:0:0:1]:5672/", "[::1]", Some(5672)),
        ("sb://[FD00::A]:5672", "[fd00::a]", Some(5672)),
    ] {
        let parsed = parse(&format!("Endpoint={endpoint};EntityPath=h"));
        assert_eq!((parsed.host.as_str(), parsed.port), (host, port), "{endpoint}");
    }
}

#[test]
fn without_entity_path_it_means_the_hub_transactions() {
    let parsed = parse("Endpoint=sb://ns.servicebus.windows.net/");
    assert_eq!(parsed.hub, "transactions");
    assert!(parsed.hub_is_default);
}

#[test]
fn without_a_key_it_means_entra_id() {
    let parsed = parse("Endpoint=sb://ns.servicebus.windows.net/;EntityPath=transactions");
    assert!(matches!(parsed.credential, HubCredential::EntraId));
}

#[test]
fn a_development_emulator_is_plain_amqp_on_5672_or_the_endpoints_own_port() {
    let plain = parse("Endpoint=sb://localhost;SharedAccessKeyName=R;SharedAccessKey=k;UseDevelopmentEmulator=true;");
    assert_eq!((plain.address().as_str(), plain.uses_tls()), ("localhost:5672", false));
    let port = parse("endpoint=SB://127.0.0.1:5999/;usedevelopmentemulator=TRUE;entitypath=h");
    assert_eq!((port.address().as_str(), port.resource().as_str()), ("127.0.0.1:5999", "sb://127.0.0.1:5999/h"));
    assert_eq!(parse("Endpoint=sb://[::1]:5999/;UseDevelopmentEmulator=true").address(), "[::1]:5999");
}

#[test]
fn a_signature_is_taken_as_it_is() {
    let signature = "SharedAccessSignature sr=sb%3A%2F%2Fns%2Fh&sig=YWJj&se=1700000000&skn=Sender";
    let parsed = parse(&format!("Endpoint=sb://ns/;SharedAccessSignature={signature}"));
    let HubCredential::SharedAccessSignature(secret) = &parsed.credential else { panic!("a signature was given") };
    assert_eq!(secret.secret(), signature);
}

#[test]
fn what_is_shown_of_it_has_no_secrets() {
    let parsed = parse("Endpoint=sb://ns:9093/;SharedAccessKeyName=Sender;SharedAccessKey=c2VjcmV0;EntityPath=h");
    assert_eq!(
        parsed.to_string(),
        "Endpoint=sb://ns:9093/;SharedAccessKeyName=Sender;SharedAccessKey=(hidden);EntityPath=h"
    );
    assert!(!format!("{parsed:?}").contains("c2VjcmV0"));
}

#[test]
fn errors_point_at_the_wrong_part_and_never_show_a_value() {
    let host = "Endpoint must be sb://HOST/ or sb://HOST:PORT/, as in Endpoint=sb://NAMESPACE.servicebus.windows.net/";
    let user = "Endpoint has a user name in it, which Event Hubs does not take; write sb://HOST/, and the key into SharedAccessKey";
    let known = "SharedAccessKeyName, SharedAccessKey, SharedAccessSignature, EntityPath, UseDevelopmentEmulator";
    let hub = "EntityPath must be the name of an event hub: 1 to 256 letters, digits, `.`, `-` and `_`, of which the first and the last are letters or digits";
    let expected = expected();
    for (text, message) in [
        ("SharedAccessKeyName=S;SharedAccessKey=c2VjcmV0;", format!("Endpoint is missing; {expected}")),
        (
            "Endpoint=https://ns/;SharedAccessKeyName=S;SharedAccessKey=c2VjcmV0",
            "Endpoint must begin with sb://, as in Endpoint=sb://NAMESPACE.servicebus.windows.net/".to_owned(),
        ),
        ("Endpoint=sb:///;EntityPath=h", host.to_owned()),
        ("Endpoint=sb://n s/;EntityPath=h", host.to_owned()),
        ("Endpoint=sb://ns:70000/;EntityPath=h", host.to_owned()),
        ("Endpoint=sb://c2VjcmV0@ns/;EntityPath=h", user.to_owned()),
        ("Endpoint=sb://user:c2VjcmV0@ns/;EntityPath=h", user.to_owned()),
        (
            "Endpoint=sb://::1:5672/;UseDevelopmentEmulator=true",
            "Endpoint has an IPv6 address without its brackets; write sb://[ADDRESS]:PORT/".to_owned(),
        ),
        ("Endpoint=sb://ns../;EntityPath=h", host.to_owned()),
        (
            "Endpoint=sb://ns/SharedAccessKeyName=S;SharedAccessKey=c2VjcmV0",
            "Endpoint goes on behind the host name; is a `;` missing there?".to_owned(),
        ),
        (
            "Endpoint=sb://ns/;SharedAccessKeyName=S",
            "SharedAccessKeyName is there without SharedAccessKey".to_owned(),
        ),
        (
            "Endpoint=sb://ns/;SharedAccessKey=c2VjcmV0",
            "SharedAccessKey is there without SharedAccessKeyName".to_owned(),
        ),
        ("Endpoint=sb://ns/;SharedAccessKeyName=S;SharedAccessKey=", "SharedAccessKey is empty".to_owned()),
        (
            "Endpoint=sb://ns/;SharedAccessKeyName=S;SharedAccessKey=c2VjcmV0%3D",
            "SharedAccessKey is percent-encoded; write = for %3D, + for %2B and / for %2F".to_owned(),
        ),
        (
            "Endpoint=sb://ns/;SharedAccessKeyName=S;SharedAccessKey=c2VjcmV0\\u003D",
            "SharedAccessKey has the escapes of JSON in it; write = for \\u003d, + for \\u002b and / for \\u002f".to_owned(),
        ),
        ("Endpoint=sb://ns/;EntityPath=a;entitypath=b", "EntityPath is there twice".to_owned()),
        ("Endpoint=sb://ns/;EntityPath=a/b", hub.to_owned()),
        ("Endpoint=sb://ns/;EntityPath=.a", hub.to_owned()),
        (
            "Endpoint=sb://ns/;SharedAccessSignature=c2VjcmV0",
            "SharedAccessSignature must be `SharedAccessSignature sr=…&sig=…&se=…&skn=…`".to_owned(),
        ),
        (
            "Endpoint=sb://ns/;SharedAccessKeyName=S;SharedAccessKey=c2VjcmV0;SharedAccessSignature=c2VjcmV0",
            "SharedAccessSignature and a shared access key exclude each other".to_owned(),
        ),
        (
            "Endpoint=sb://ns.servicebus.windows.net/;UseDevelopmentEmulator=true",
            "UseDevelopmentEmulator=true means no TLS, which is for emulators on this machine alone: leave it out, or \
             let Endpoint be localhost or 127.0.0.1, with a port that is forwarded to the emulator"
                .to_owned(),
        ),
        (
            "Endpoint=sb://ns/;UseDevelopmentEmulator=yes",
            "UseDevelopmentEmulator must be true or false".to_owned(),
        ),
        (
            "Endpoint=sb://ns/;SharedAccesKeyName=S;SharedAccessKey=c2VjcmV0",
            "part 2 has an unknown name; did you mean SharedAccessKeyName?".to_owned(),
        ),
        (
            "Endpoint=sb://ns/;c2VjcmV0==",
            format!("part 2 has an unknown name; known are Endpoint, {known}"),
        ),
        ("Endpoint=sb://ns/;c2VjcmV0", format!("part 2 has no `=`; {expected}")),
        ("c2VjcmV0==", format!("is not a connection string (a key alone?); {expected}")),
        ("sb://ns.servicebus.windows.net/", format!("is an address alone; {expected}")),
        (
            "AccountEndpoint=https://a/;AccountKey=c2VjcmV0",
            "is a connection string of Cosmos DB; its AccountEndpoint goes to COSMOS_DB_ENDPOINT, its AccountKey to COSMOS_DB_AUTH_KEY"
                .to_owned(),
        ),
        (
            "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=c2VjcmV0",
            format!("is a connection string of a storage account; {expected}"),
        ),
        (
            "HostName=a;SharedAccessKeyName=S;SharedAccessKey=c2VjcmV0",
            format!("is a connection string of an IoT hub; {expected}"),
        ),
        (
            "\"Endpoint=sb://ns/\"",
            "begins with a quotation mark; write the connection string without quotation marks around it".to_owned(),
        ),
    ] {
        assert_eq!(problem(text), message, "for {text}");
        assert!(!problem(text).contains("c2VjcmV0"), "the key is shown for {text}");
    }
}

#[test]
fn parts_that_older_tools_write_are_passed_over() {
    assert_eq!(parse("Endpoint=sb://ns/;TransportType=Amqp;OperationTimeout=00:01:00;EntityPath=h").hub, "h");
}

proptest! {
    #[test]
    fn no_text_panics(text in ".*") {
        let _ = ConnectionString::parse(&text);
    }

    #[test]
    fn no_text_of_known_parts_panics(
        parts in prop::collection::vec(("(?i)(endpoint|sharedaccesskeyname|sharedaccesskey|entitypath|x)", "(sb://)?.{0,12}"), 0..5)
    ) {
        let text: Vec<_> = parts.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let _ = ConnectionString::parse(&text.join(";"));
    }

    #[test]
    fn what_is_shown_of_one_parses_to_the_same_place(
        host in "[a-z][a-z0-9.-]{0,20}[a-z]", port in prop::option::of(1_u16..), hub in "[a-zA-Z0-9]([a-zA-Z0-9._-]{0,20}[a-z0-9])?",
    ) {
        let port_text = port.map(|port| format!(":{port}")).unwrap_or_default();
        let first = parse(&format!("Endpoint=sb://{host}{port_text};SharedAccessKeyName=P;SharedAccessKey=k;EntityPath={hub}"));
        let second = parse(&first.to_string());
        prop_assert_eq!((&first.host, first.port, &first.hub), (&second.host, second.port, &second.hub));
        prop_assert_eq!((first.host, first.port, first.hub), (host, port, hub));
    }
}
