// The examples of the documentation, against Microsoft's clients.

import assert from "node:assert/strict";
import test from "node:test";

import { CosmosClient } from "@azure/cosmos";
import { EventHubConsumerClient, EventHubProducerClient } from "@azure/event-hubs";
import { startEmulator } from "txgen";

test("@azure/event-hubs", async () => {
  const emulator = await startEmulator();
  const producer = new EventHubProducerClient(emulator.eventHubsConnectionString);
  await producer.sendBatch([{ body: "hello" }], { partitionId: "0" });
  await producer.close();
  const consumer = new EventHubConsumerClient("$Default", emulator.eventHubsConnectionString);
  assert.equal((await consumer.getPartitionProperties("0")).lastEnqueuedSequenceNumber, 0);
  await consumer.close();
  await emulator.stop();
});

test("@azure/cosmos", async () => {
  const emulator = await startEmulator();
  const client = new CosmosClient({ endpoint: emulator.cosmosEndpoint, key: emulator.cosmosKey });
  const { database } = await client.databases.createIfNotExists({ id: "shop" });
  const { container } = await database.containers.createIfNotExists({ id: "orders", partitionKey: "/country" });
  await container.items.upsert({ id: "1", country: "us", total: 12 });
  assert.equal((await container.item("1", "us").read()).resource?.total, 12);
  client.dispose();
  await emulator.stop();
});
