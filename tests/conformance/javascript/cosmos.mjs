// What the checks of Cosmos DB share: clients, containers while a check goes on, and documents.

import { randomUUID } from "node:crypto";
import { Agent } from "node:https";

import { CosmosClient } from "@azure/cosmos";

import { emulator, equal, refused } from "./checks.mjs";

export const DATABASE = "conformance-javascript";
export const COUNTRIES = "us gb ca au fr de br in jp unk it nl".split(" ");
export const { endpoint } = emulator().cosmos_db;

/** What makes a client wait out throttling for as long as it takes. For checks that are about something else. */
export const PATIENT = { maxRetryAttemptCount: 100, maxWaitTimeInSeconds: 60 };

/** A client that raises its first failure instead of trying again, by default. */
export function account({ of = "main", key, ca, retryOptions = { maxRetryAttemptCount: 0 } } = {}) {
  const at = emulator(of).cosmos_db;
  return new CosmosClient({
    endpoint: at.endpoint,
    key: key ?? at.key,
    agent: ca && new Agent({ ca }),
    connectionPolicy: { retryOptions, enableBackgroundEndpointRefreshing: false },
  });
}

export const client = account();
export const range = (count) => Array.from({ length: count }, (_, i) => i);
export const doc = (country = "us", more = {}) => ({ id: randomUUID(), ipCountryCode: country, transactionAmount: 12.5, ...more });
export const createAll = (container, documents) => Promise.all(documents.map((document) => container.items.create(document)));
export const everything = async (iterator) => (await iterator.fetchAll()).resources;
export const idsOf = (documents) => documents.map((document) => document.id).sort();

/** A container of this name while `run` goes on, made anew. */
export async function within(name, run, { of, retryOptions, throughput = 20_000, maxThroughput, ...more } = {}) {
  const { database } = await account({ of, retryOptions }).databases.createIfNotExists({ id: DATABASE });
  const provisioned = maxThroughput === undefined ? { throughput } : { maxThroughput };
  const definition = { id: name, partitionKey: "/ipCountryCode", ...provisioned, ...more };
  const { container } = await database.containers.create(definition);
  try {
    return await run(container);
  } finally {
    await container.delete();
  }
}

/** The error, which must have this status, and these words in its message. */
export async function fails(status, promise, ...words) {
  const error = await refused(promise, ...words);
  equal(error.code, status, `the status (${String(error.message).slice(0, 200)})`);
  return error;
}
