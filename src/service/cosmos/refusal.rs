//! Why connecting failed, in words that say what to do. Pure: error in, one line out.

use std::net::IpAddr;
use std::time::Duration;

use super::answer::RequestError;
use super::provision::PARTITION_KEY;
use crate::service::clock::Skew;
use crate::service::{FailureKind, ServiceName, entra, remedy};
use crate::settings::CosmosDbSettings;

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Connect,
    ReadDatabase,
    CreateDatabase,
    ReadContainer,
    CreateContainer,
    ReadThroughput,
}

impl Step {
    fn doing(self, settings: &CosmosDbSettings) -> String {
        let CosmosDbSettings { database, container, throughput, .. } = settings;
        match self {
            Self::Connect => "connecting".to_owned(),
            Self::ReadDatabase => format!("reading database {database}"),
            Self::CreateDatabase => format!("creating database {database} with {throughput} RU/s"),
            Self::ReadContainer => format!("reading container {container} of database {database}"),
            Self::CreateContainer => format!("creating container {container} in database {database}"),
            Self::ReadThroughput => "reading the throughput".to_owned(),
        }
    }
}

/// Why no answer came.
pub(super) fn too_late(step: Step, limit: Duration, settings: &CosmosDbSettings) -> String {
    format!(
        "{}: no answer within {} while {}; check COSMOS_DB_ENDPOINT, the account's firewall and the network",
        settings.endpoint,
        humantime::format_duration(limit),
        step.doing(settings),
    )
}

/// Whether a clock that is off may be why: the service's time is worth asking for.
pub(super) fn may_be_the_clock(error: &RequestError) -> bool {
    error.answered && matches!(error.verdict().kind, FailureKind::ClockSkew | FailureKind::Unauthorized)
}

/// Why a step failed. `skew` is this machine's, where it was measured.
pub(super) fn explain(step: Step, error: &RequestError, skew: Option<Skew>, settings: &CosmosDbSettings) -> String {
    if let Some(skew) = skew.filter(|_| may_be_the_clock(error)) {
        let remedy = remedy(ServiceName::CosmosDb, FailureKind::ClockSkew);
        return format!(
            "{}: {skew}, and the account refused the request for it ({}); {remedy}",
            settings.endpoint,
            error.code()
        );
    }
    let reason = match error {
        RequestError { substatus: own::UNREADABLE_ANSWER, .. } => {
            "does not answer like Cosmos DB; check COSMOS_DB_ENDPOINT".to_owned()
        }
        RequestError { of_proxy: Some(_), answered: true, .. } => format!(
            "is answered by a web page ({}), and not by Cosmos DB: by a proxy or a sign-in page of the network, or because \
             COSMOS_DB_ENDPOINT leads elsewhere",
            error.code()
        ),
        RequestError { answered: true, .. } => answered(step, error, settings),
        RequestError { answered: false, .. } => unanswered(step, error, settings),
    };
    format!("{}: {reason}", settings.endpoint)
}

/// Substatus codes that Azure's client gives to its own failures, and txgen's to the same.
pub(super) mod own {
    pub(in super::super) const NO_SUCH_HOST: u32 = 20012;
    pub(in super::super) const UNREADABLE_ANSWER: u32 = 20020;
    pub(in super::super) const SIGNING_FAILED: u32 = 20401;
    pub(in super::super) const NO_TOKEN: u32 = 20402;
}

fn unanswered(step: Step, error: &RequestError, settings: &CosmosDbSettings) -> String {
    let detail = &error.detail;
    match (error.status, error.substatus) {
        (_, own::SIGNING_FAILED | own::NO_TOKEN) if settings.auth_key.is_some() => {
            "requests cannot be signed with COSMOS_DB_AUTH_KEY; copy PRIMARY KEY of the account again".to_owned()
        }
        (_, own::SIGNING_FAILED | own::NO_TOKEN) => {
            let sign_in = entra::sign_in(settings.endpoint.host_str().unwrap_or_default());
            format!("no Microsoft Entra ID token ({detail}); sign in with {sign_in}, or set COSMOS_DB_AUTH_KEY")
        }
        (_, own::NO_SUCH_HOST) => "there is no such host; check COSMOS_DB_ENDPOINT".to_owned(),
        (408 | 503, _) if looks_like_dns(detail) => "there is no such host; check COSMOS_DB_ENDPOINT".to_owned(),
        (408 | 503, _) => {
            format!("cannot be reached ({detail}); check COSMOS_DB_ENDPOINT, the account's firewall and the network",)
        }
        _ => format!("{} failed ({detail})", step.doing(settings)),
    }
}

fn looks_like_dns(detail: &str) -> bool {
    detail.contains("dns error") || detail.contains("lookup address information")
}

/// What the answer means, by the same table as in mid-run, and what to do about it at this step.
fn answered(step: Step, error: &RequestError, settings: &CosmosDbSettings) -> String {
    let (row, code, detail) = (error.verdict(), error.code(), &error.detail);
    let has_key = settings.auth_key.is_some();
    let doing = step.doing(settings);
    let remedy = row.remedy.unwrap_or_else(|| remedy(ServiceName::CosmosDb, row.kind));
    match row.kind {
        FailureKind::ClockSkew => format!("refused the time of the request ({code}, {detail}); {remedy}"),
        FailureKind::KeysDisabled => format!("refused COSMOS_DB_AUTH_KEY ({code}): {remedy}"),
        FailureKind::NetworkBlocked => {
            let address = blocked_address(detail).map(|address| format!(" ({address})")).unwrap_or_default();
            format!(
                "the account's firewall or private network keeps this machine{address} out ({code}, {detail}); {remedy}"
            )
        }
        FailureKind::Unauthorized if error.status == 401 && has_key => format!(
            "refused COSMOS_DB_AUTH_KEY ({code}); copy PRIMARY KEY of this account (Keys > Read-write Keys) again"
        ),
        FailureKind::Unauthorized if error.status == 401 => {
            let remedy = row.remedy.unwrap_or("sign in to the account's own tenant");
            format!("refused the Microsoft Entra ID token ({code}, {detail}); {remedy}")
        }
        FailureKind::Unauthorized if has_key => {
            format!("{doing} is forbidden ({code}, {detail}); it takes a read-write key")
        }
        FailureKind::Unauthorized => {
            format!("{doing} is forbidden to this Microsoft Entra ID identity ({code}); {}", command(step, settings))
        }
        FailureKind::Throttled => format!("{doing} is throttled ({code}); try again in a minute"),
        FailureKind::QuotaExceeded | FailureKind::ReadOnlyRegion | FailureKind::PartitionFull => {
            format!("{doing} was refused ({code}, {detail}); {remedy}")
        }
        _ if row.remedy.is_some() => format!("{doing} was refused ({code}, {detail}); {remedy}"),
        FailureKind::BadRequest | FailureKind::NotFound if step == Step::Connect => {
            format!("does not answer like Cosmos DB ({code}); check COSMOS_DB_ENDPOINT")
        }
        FailureKind::BadRequest if step == Step::CreateDatabase => {
            format!("{doing} was refused ({code}, {detail}); try fewer RU/s with --throughput")
        }
        _ => format!("{doing} failed ({code}, {detail})"),
    }
}

/// The address that the account sees this machine under, where its answer says so: "Request originated from IP 203.0.113.7
/// through public internet".
fn blocked_address(detail: &str) -> Option<IpAddr> {
    detail.split(|c: char| c.is_whitespace() || c == ',').find_map(|word| word.trim_end_matches('.').parse().ok())
}

/// Entra ID's roles for data cannot create databases and containers: the Azure command that does it with the user's
/// own rights. <https://learn.microsoft.com/azure/cosmos-db/nosql/reference-data-plane-security>
fn command(step: Step, settings: &CosmosDbSettings) -> String {
    let CosmosDbSettings { database, container, throughput, .. } = settings;
    let host = settings.endpoint.host_str().unwrap_or_default();
    let account = format!("--account-name {} --resource-group GROUP", host.split('.').next().unwrap_or("ACCOUNT"));
    match step {
        Step::CreateDatabase => format!(
            "create it with `az cosmosdb sql database create {account} --name {database} --throughput {throughput}`"
        ),
        Step::CreateContainer => format!(
            "create it with `az cosmosdb sql container create {account} --database-name {database} --name {container} \
             --partition-key-path {PARTITION_KEY} --ttl -1`"
        ),
        _ => format!(
            "give it the data role with `az cosmosdb sql role assignment create {account} --scope / --principal-id ID \
             --role-definition-id 00000000-0000-0000-0000-000000000002`"
        ),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use azure_core::credentials::Secret;

    use super::*;
    use crate::settings::{CosmosDbClient, DEFAULT_RETRY_FOR, Proxies};

    pub(crate) fn settings(key: bool) -> CosmosDbSettings {
        CosmosDbSettings {
            endpoint: "https://woodgrove.documents.azure.com/".parse().unwrap(),
            auth_key: key.then(|| Secret::new("c2VjcmV0")),
            database: "Woodgrove".to_owned(),
            container: "transactions".to_owned(),
            throughput: 15_000,
            client: CosmosDbClient::default(),
            preferred_regions: Vec::new(),
            max_in_flight: CosmosDbSettings::DEFAULT_MAX_IN_FLIGHT,
            retry_for: DEFAULT_RETRY_FOR,
            proxies: Proxies::default(),
        }
    }

    fn error(answered: bool, status: u16, substatus: u32, detail: &str) -> RequestError {
        RequestError {
            status,
            substatus,
            answered,
            may_have_left: answered,
            of_proxy: None,
            retry_after: None,
            activity_id: None,
            detail: detail.to_owned(),
        }
    }

    #[test]
    fn refusals_name_the_endpoint_and_the_remedy() {
        let firewall = "Request originated from IP 1.2.3.4 through public internet. This is blocked by your Cosmos DB account firewall settings.";
        for (key, step, error, reason) in [
            (
                true,
                Step::Connect,
                error(true, 401, 0, "The input authorization token can't serve the request."),
                "refused COSMOS_DB_AUTH_KEY (401); copy PRIMARY KEY of this account (Keys > Read-write Keys) again",
            ),
            (
                true,
                Step::Connect,
                error(true, 401, 5202, "Local Authorization is disabled. Use an AAD token to authorize all requests."),
                "refused COSMOS_DB_AUTH_KEY (401/5202): account keys are switched off for this account; leave COSMOS_DB_AUTH_KEY empty, so that Microsoft Entra ID is used",
            ),
            (
                true,
                Step::Connect,
                error(true, 403, 0, "The authorization token is not valid at the current time."),
                "refused the time of the request (403, The authorization token is not valid at the current time.); set this machine's clock, best from a time server (NTP)",
            ),
            (
                true,
                Step::Connect,
                error(true, 403, 0, firewall),
                &format!(
                    "the account's firewall or private network keeps this machine (1.2.3.4) out (403, {firewall}); allow \
                     this machine's address under Networking of the account, or run from a network that it lets in"
                ),
            ),
            (
                true,
                Step::CreateDatabase,
                error(true, 403, 0, "denied"),
                "creating database Woodgrove with 15000 RU/s is forbidden (403, denied); it takes a read-write key",
            ),
            (
                true,
                Step::CreateDatabase,
                error(true, 400, 0, "total throughput limit of 1000 RU/s"),
                "creating database Woodgrove with 15000 RU/s was refused (400, total throughput limit of 1000 RU/s); the account's total throughput is capped; ask for fewer RU/s with --throughput, or raise the cap",
            ),
            (
                true,
                Step::Connect,
                error(true, 404, 0, ""),
                "does not answer like Cosmos DB (404); check COSMOS_DB_ENDPOINT",
            ),
            (
                true,
                Step::ReadContainer,
                error(true, 500, 0, "oops"),
                "reading container transactions of database Woodgrove failed (500, oops)",
            ),
            (true, Step::Connect, error(false, 503, 20012, "dns"), "there is no such host; check COSMOS_DB_ENDPOINT"),
            (
                true,
                Step::Connect,
                error(false, 503, 20010, "Connection refused (os error 111)"),
                "cannot be reached (Connection refused (os error 111)); check COSMOS_DB_ENDPOINT, the account's firewall and the network",
            ),
            (
                false,
                Step::Connect,
                error(false, 401, 20402, "az is not installed"),
                "no Microsoft Entra ID token (az is not installed); sign in with `az login`, or set COSMOS_DB_AUTH_KEY",
            ),
            (
                false,
                Step::Connect,
                error(true, 401, 0, "wrong issuer"),
                "refused the Microsoft Entra ID token (401, wrong issuer); sign in to the account's own tenant (`az login --tenant TENANT`, or AZURE_TENANT_ID)",
            ),
        ] {
            let expected = format!("https://woodgrove.documents.azure.com/: {reason}");
            assert_eq!(explain(step, &error, None, &settings(key)), expected);
        }
    }

    #[test]
    fn what_entra_id_may_not_create_comes_with_the_command_that_may() {
        let forbidden = error(true, 403, 5300, "no permission");
        let explained = |step| explain(step, &forbidden, None, &settings(false));
        assert!(
            explained(Step::CreateDatabase).ends_with("creating database Woodgrove with 15000 RU/s is forbidden to this Microsoft Entra ID identity (403/5300); create it with `az cosmosdb sql database create --account-name woodgrove --resource-group GROUP --name Woodgrove --throughput 15000`"),
        );
        assert!(
            explained(Step::CreateContainer).ends_with("create it with `az cosmosdb sql container create --account-name woodgrove --resource-group GROUP --database-name Woodgrove --name transactions --partition-key-path /ipCountryCode --ttl -1`"),
        );
        assert!(
            explained(Step::ReadDatabase).contains("reading database Woodgrove is forbidden to this Microsoft Entra ID identity (403/5300); give it the data role with `az cosmosdb sql role assignment create --account-name woodgrove "),
        );
    }

    #[test]
    fn no_answer_says_how_long_it_was_waited_for() {
        assert_eq!(
            too_late(Step::Connect, Duration::from_secs(15), &settings(true)),
            "https://woodgrove.documents.azure.com/: no answer within 15s while connecting; check COSMOS_DB_ENDPOINT, the account's firewall and the network"
        );
    }
}
