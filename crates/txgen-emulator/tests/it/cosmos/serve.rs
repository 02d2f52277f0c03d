//! Serves the Cosmos DB emulator to clients in other processes, until standard input closes:
//! `cargo test --test emulator_cosmos_serve -- --ignored --nocapture`.
//!
//! The first line that it prints is the endpoint and the key. `COSMOS_LISTEN` names another address than a free
//! loopback port, `COSMOS_UNLIMITED=1` lifts the limit on RU/s, `COSMOS_LATENCY_MS` delays answers.

use std::time::Duration;

use txgen_emulator::cosmos::{CosmosEmulator, CosmosEmulatorOptions};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "serves until standard input closes"]
async fn serve() {
    let variable = |name| std::env::var(name).ok();
    let mut options = CosmosEmulatorOptions::default();
    if let Some(listen) = variable("COSMOS_LISTEN") {
        options.listen = listen.parse().unwrap();
    }
    options.enforce_throughput = variable("COSMOS_UNLIMITED").is_none();
    let latency = variable("COSMOS_LATENCY_MS").map_or(0, |ms| ms.parse().unwrap());
    options.latency = Duration::from_millis(latency);
    let emulator = CosmosEmulator::start(options).await.unwrap();
    println!("\n{} {}", emulator.endpoint(), emulator.key().secret());
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await.unwrap().unwrap();
    println!("{:?}", emulator.counts());
    emulator.stop().await;
}
