//! `Config.json` of Microsoft's Event Hubs emulator: which hubs there are.
//!
//! Format: <https://github.com/Azure/azure-event-hubs-emulator-installer/blob/main/EventHub-Emulator/Schema/Config-schema.json>.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;
use txgen_emulator::event_hubs::HubOptions;

use super::args::{MAX_PARTITIONS, hub_name};
use crate::encoding::decode;

/// Only what is supported is known: anything else in the file is an error that names it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Config {
    user_config: UserConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UserConfig {
    namespace_config: Vec<Namespace>,
    /// Where Microsoft's emulator logs to; `txgen emulator` logs as its flags say.
    #[serde(rename = "LoggingConfig")]
    _logging_config: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Namespace {
    r#type: String,
    /// There is one namespace, whose host is the emulator's.
    #[serde(rename = "Name")]
    _name: Option<String>,
    entities: Vec<Entity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Entity {
    name: String,
    partition_count: PartitionCount,
    #[serde(default)]
    consumer_groups: Vec<ConsumerGroup>,
}

/// The schema says a string; people write numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum PartitionCount {
    Text(String),
    Number(u32),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ConsumerGroup {
    name: String,
}

/// The hubs of a file, of which there is at least one.
///
/// # Errors
/// When it cannot be read, or asks for what is not supported.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<HubOptions>> {
    let hubs = std::fs::read(path).map_err(anyhow::Error::from).and_then(|bytes| parse(&bytes));
    hubs.with_context(|| format!("--config: cannot use `{}`", path.display()))
}

fn parse(bytes: &[u8]) -> anyhow::Result<Vec<HubOptions>> {
    let text = decode(bytes).map_err(|problem| anyhow!("{problem}"))?;
    let config: Config = serde_json::from_str(&text).context("it is no Config.json of the Event Hubs emulator")?;
    let [namespace] = &config.user_config.namespace_config[..] else {
        bail!("NamespaceConfig must have one namespace; it has {}", config.user_config.namespace_config.len());
    };
    if !namespace.r#type.eq_ignore_ascii_case("EventHub") {
        bail!("Type of the namespace is `{}`; only EventHub is supported", namespace.r#type.escape_debug());
    }
    if namespace.entities.is_empty() {
        bail!("Entities is empty; name an event hub");
    }
    let mut seen = BTreeSet::new();
    let hubs = namespace.entities.iter().map(|entity| {
        let hub = hub(entity).with_context(|| format!("event hub `{}`", entity.name.escape_debug()))?;
        if !seen.insert(hub.name.to_ascii_lowercase()) {
            bail!("event hub `{}` is there twice; names are compared without regard to case", hub.name);
        }
        Ok(hub)
    });
    hubs.collect()
}

fn hub(entity: &Entity) -> anyhow::Result<HubOptions> {
    let count = match &entity.partition_count {
        PartitionCount::Text(text) => text.trim().parse().ok(),
        PartitionCount::Number(number) => Some(*number),
    };
    let partitions = count.filter(|count| (1..=MAX_PARTITIONS).contains(count));
    let groups = entity.consumer_groups.iter().map(|group| {
        let name = hub_name(&group.name).map_err(|problem| anyhow!("{problem}"));
        name.with_context(|| format!("consumer group `{}`", group.name.escape_debug()))
    });
    let mut groups = groups.collect::<Result<Vec<_>, _>>()?;
    // It is there in any case.
    groups.retain(|name| !name.eq_ignore_ascii_case("$Default"));
    Ok(HubOptions {
        name: hub_name(&entity.name).map_err(|problem| anyhow!("{problem}"))?,
        partitions: partitions.with_context(|| format!("PartitionCount must be from 1 to {MAX_PARTITIONS}"))?,
        consumer_groups: groups,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entities: &str) -> anyhow::Result<Vec<HubOptions>> {
        let text = r#"{"UserConfig": {"NamespaceConfig": [{"Type": "EventHub", "Name": "emulatorNs1", "Entities": ENTITIES}],
            "LoggingConfig": {"Type": "File"}}}"#;
        parse(text.replace("ENTITIES", entities).as_bytes())
    }

    #[test]
    fn each_hub_has_its_own_partitions_and_groups() {
        let hubs = of(r#"[
            {"Name": "eh1", "PartitionCount": "2", "ConsumerGroups": [{"Name": "cg1"}, {"Name": "$default"}]},
            {"Name": "eh2", "PartitionCount": 32}
        ]"#);
        let hub = |name: &str, partitions, groups: &[&str]| HubOptions {
            name: name.to_owned(),
            partitions,
            consumer_groups: groups.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert_eq!(hubs.unwrap(), [hub("eh1", 2, &["cg1"]), hub("eh2", 32, &[])]);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (entities, problem) in [
            ("[]", "Entities is empty"),
            (r#"[{"Name": "a/b", "PartitionCount": "2"}]"#, "event hub `a/b`: a name has 1 to 256"),
            (r#"[{"Name": "a", "PartitionCount": "0"}]"#, "event hub `a`: PartitionCount must be from 1 to 1024"),
            (r#"[{"Name": "a", "PartitionCount": "many"}]"#, "PartitionCount must be from 1 to 1024"),
            (r#"[{"Name": "a", "PartitionCount": 1}, {"Name": "A", "PartitionCount": 1}]"#, "`A` is there twice"),
            (r#"[{"Name": "a", "PartitionCount": 1, "ConsumerGroups": [{"Name": "x y"}]}]"#, "consumer group `x y`"),
            (r#"[{"Name": "a", "PartitionCount": 1, "Capture": {}}]"#, "unknown field `Capture`"),
            (r#"[{"Name": "a"}]"#, "missing field `PartitionCount`"),
        ] {
            let message = format!("{:#}", of(entities).unwrap_err());
            assert!(message.contains(problem), "{entities}: {message}");
        }
        let other = r#"{"UserConfig": {"NamespaceConfig": [{"Type": "ServiceBus", "Name": "n", "Entities": []}]}}"#;
        assert!(format!("{:#}", parse(other.as_bytes()).unwrap_err()).contains("`ServiceBus`; only EventHub"));
        let none = r#"{"UserConfig": {"NamespaceConfig": []}}"#;
        assert!(format!("{:#}", parse(none.as_bytes()).unwrap_err()).contains("must have one namespace; it has 0"));
        assert!(parse(b"[]").is_err());
    }
}
