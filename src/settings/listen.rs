//! How to read the event hubs back: a run's connection strings may only send, as a rule.

use super::layers::Layers;
use super::load::connection_string;
use super::secrets::Incomplete;
use super::sources::Sources;
use super::{ConnectionString, Key};

/// How to read one event hub.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The connection string: that for listening, or, where there is none, that for sending.
    pub hub: ConnectionString,
    /// The key that holds it, or would hold one for listening.
    pub key: Key,
}

impl Sources<'_> {
    /// For each event hub that a run writes to, in the order of the settings, how to read it.
    ///
    /// # Errors
    /// Everything that is wrong with the connection strings, or else the secrets that have to be read first.
    pub fn listeners(&self) -> Result<Vec<Listener>, Incomplete> {
        let mut layers = Layers::new(self, None);
        let mut listeners = Vec::new();
        for (sender_key, key) in Key::EVENT_HUBS.into_iter().zip(Key::LISTENERS) {
            let Some(sender) = layers.set(sender_key, None, connection_string, ConnectionString::to_string) else {
                if layers.text(sender_key).is_some() {
                    // Both may be secrets of a vault, which are read together.
                    layers.set(key, None, connection_string, ConnectionString::to_string);
                }
                continue;
            };
            let listener = layers.set(key, None, connection_string, ConnectionString::to_string);
            let hub = match listener {
                // The policy of a whole namespace has no EntityPath.
                Some(hub) if hub.hub_is_default => ConnectionString { hub: sender.hub, ..hub },
                Some(hub) if !hub.hub.eq_ignore_ascii_case(&sender.hub) => {
                    layers.problems.push(format!(
                        "{key}: EntityPath is `{}`, but the run writes to `{}`; take the connection string of that hub",
                        hub.hub, sender.hub
                    ));
                    continue;
                }
                Some(hub) => hub,
                None => sender,
            };
            listeners.push(Listener { hub, key });
        }
        match layers.incomplete() {
            Some(incomplete) => Err(incomplete),
            None => Ok(listeners),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::file::AppSettings;
    use crate::settings::secrets::Secrets;

    fn read(variables: &[(&str, &str)]) -> Result<Vec<Listener>, Incomplete> {
        let env = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let file = AppSettings::parse("none.json".as_ref(), b"{}").unwrap_or_else(|problems| panic!("{problems:?}"));
        Sources { file: &file, env: &env, secrets: &Secrets::default() }.listeners()
    }

    const SENDER: &str = "Endpoint=sb://ns.example/;SharedAccessKeyName=Sender;SharedAccessKey=a2V5;EntityPath=one";

    #[test]
    fn the_listener_goes_before_the_sender_and_takes_its_hub() {
        let listener = "Endpoint=sb://ns.example/;SharedAccessKeyName=Listener;SharedAccessKey=a2V5";
        let read = read(&[
            ("EVENT_HUB_1_CONNECTION_STRING", SENDER),
            ("EVENT_HUB_1_LISTEN_CONNECTION_STRING", listener),
            ("EVENT_HUB_3_CONNECTION_STRING", SENDER),
        ])
        .unwrap();
        let shown: Vec<_> = read.iter().map(|listener| (listener.hub.to_string(), listener.key.name())).collect();
        assert!(shown[0].0.contains("SharedAccessKeyName=Listener") && shown[0].0.ends_with("EntityPath=one"));
        assert!(shown[1].0.contains("SharedAccessKeyName=Sender"));
        assert_eq!(
            [shown[0].1, shown[1].1],
            ["EVENT_HUB_1_LISTEN_CONNECTION_STRING", "EVENT_HUB_3_LISTEN_CONNECTION_STRING"]
        );
    }

    #[test]
    fn the_listener_of_another_hub_is_a_mistake() {
        let read = read(&[
            ("EVENT_HUB_1_CONNECTION_STRING", SENDER),
            ("EVENT_HUB_1_LISTEN_CONNECTION_STRING", &SENDER.replace("=one", "=two")),
        ]);
        let Err(Incomplete::Wrong(error)) = read else { panic!("{read:?}") };
        assert_eq!(
            error.to_string(),
            "EVENT_HUB_1_LISTEN_CONNECTION_STRING: EntityPath is `two`, but the run writes to `one`; take the connection string of that hub"
        );
    }
}
