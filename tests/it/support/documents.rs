//! The documents of `txgen emulator`, changed from outside.

use serde_json::{Value, json};
use txgen_emulator::cosmos::CosmosEmulator;

use super::client::Client;

/// Documents of a run's container, as a REST client gets at them.
pub struct Documents {
    client: Client,
    path: String,
}

impl Documents {
    pub async fn of(ready: &Value) -> Self {
        let endpoint = ready["cosmos_db"]["endpoint"].as_str().unwrap();
        let address = endpoint.trim_start_matches("http://").trim_end_matches('/');
        let (host, port) = address.rsplit_once(':').unwrap();
        let key = ready["cosmos_db"]["key"].as_str().unwrap();
        let client = Client::connect_to((host, port.parse().unwrap()), key).await;
        Self { client, path: "/dbs/Woodgrove/colls/transactions/docs".to_owned() }
    }

    /// Those of an emulator in this process.
    pub async fn in_process(emulator: &CosmosEmulator) -> Self {
        let client = Client::connect(emulator).await;
        Self { client, path: "/dbs/Woodgrove/colls/transactions/docs".to_owned() }
    }

    pub async fn read(&mut self, id: &str, key: &str) -> Value {
        let path = format!("{}/{id}", self.path);
        let headers = [("x-ms-documentdb-partitionkey", &*json!([key]).to_string())];
        let reply = self.client.send("GET", &path, &headers, "").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    pub async fn replace(&mut self, document: &Value, key: &str) {
        let path = format!("{}/{}", self.path, document["id"].as_str().unwrap());
        let headers = [("x-ms-documentdb-partitionkey", &*json!([key]).to_string())];
        let reply = self.client.send("PUT", &path, &headers, &document.to_string()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    pub async fn create(&mut self, document: &Value, key: &str) {
        let headers = [("x-ms-documentdb-partitionkey", &*json!([key]).to_string())];
        let reply = self.client.send("POST", &self.path, &headers, &document.to_string()).await;
        assert_eq!(reply.status, 201, "{reply:?}");
    }

    pub async fn delete(&mut self, id: &str, key: &str) {
        let path = format!("{}/{id}", self.path);
        let headers = [("x-ms-documentdb-partitionkey", &*json!([key]).to_string())];
        let reply = self.client.send("DELETE", &path, &headers, "").await;
        assert_eq!(reply.status, 204, "{reply:?}");
    }

    /// Gives the database another throughput, which may split the container's physical partitions.
    pub async fn set_throughput(&mut self, request_units: u32) {
        let mut offer = self.client.send("GET", "/offers", &[], "").await.json()["Offers"][0].clone();
        offer["content"]["offerThroughput"] = json!(request_units);
        let path = format!("/offers/{}", offer["id"].as_str().unwrap());
        let reply = self.client.send("PUT", &path, &[], &offer.to_string()).await;
        assert!(reply.status < 300, "{reply:?}");
    }
}
