// Holds the Event Hubs emulator against @azure/event-hubs, Microsoft's client for JavaScript.

import { createHmac } from "node:crypto";

import {
  EventHubBufferedProducerClient,
  EventHubConsumerClient,
  EventHubProducerClient,
  earliestEventPosition,
  latestEventPosition,
} from "@azure/event-hubs";

import { check, emulator, equal, eventually, main, refused, that } from "./checks.mjs";

const HUB = "javascript";
const COUNTRIES = "us gb ca au fr de br in jp unk it nl se mx za es ch kr tr pl".split(" ");
const ONCE = { retryOptions: { maxRetries: 0, timeoutInMs: 15_000 } };

/** The connection string of a policy with another hub, or with other parts changed; null takes a part out. */
function connection(policy = "RootManageSharedAccessKey", { hub = HUB, of = "main", ...changes } = {}) {
  const text = emulator(of).event_hubs.connection_strings[policy];
  const parts = Object.fromEntries(text.split(";").filter(Boolean).map((part) => part.split(/=(.*)/s).slice(0, 2)));
  return Object.entries({ ...parts, EntityPath: hub, ...changes })
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}=${value}`)
    .join(";");
}

/** Runs with a client, and closes it. */
async function using(client, run) {
  try {
    return await run(client);
  } finally {
    await client.close();
  }
}

const producing = (run, text = connection("Sender"), options = ONCE) => using(new EventHubProducerClient(text, options), run);
const consuming = (run, text = connection("Listener"), group = "$Default") =>
  using(new EventHubConsumerClient(group, text, ONCE), run);

/** Sends bodies, or whole events, as one batch. */
const send = (bodies, where = {}, text = undefined) =>
  producing(async (client) => {
    const batch = await client.createBatch(where);
    for (const body of bodies) {
      that(batch.tryAdd(body?.body === undefined ? { body } : body), "the batch should not be full");
    }
    await client.sendBatch(batch);
  }, text);

/** Receives from one partition, or from all, while `run` goes on. */
function reading(run, { text = connection("Listener"), group, partition, ...options } = {}) {
  return consuming(
    async (client) => {
      const got = [];
      const errors = [];
      const handlers = {
        processEvents: async (events, context) => {
          for (const event of events) got.push({ ...event, partition: context.partitionId, last: context.lastEnqueuedEventProperties });
        },
        processError: async (error) => void errors.push(error),
      };
      const settings = { startPosition: earliestEventPosition, maxBatchSize: 300, maxWaitTimeInSeconds: 0.2, ...options };
      const subscription =
        partition === undefined ? client.subscribe(handlers, settings) : client.subscribe(partition, handlers, settings);
      const reader = {
        got,
        errors,
        take: async (count, seconds = 40) => {
          await eventually(() => {
            if (errors.length) throw errors[0];
            return got.length >= count;
          }, `${count} events; ${got.length} came`, seconds);
          return got;
        },
        error: () => eventually(() => errors[0], "an error for the receiver"),
      };
      try {
        return await run(reader);
      } finally {
        await subscription.close();
      }
    },
    text,
    group,
  );
}

const receive = (count, options) => reading((reader) => reader.take(count), options);
const propertiesOf = (partition, text) => consuming((client) => client.getPartitionProperties(partition), text);
/** Where events that are sent from now on will be found. */
const endOf = async (partition) => ({ offset: (await propertiesOf(partition)).lastEnqueuedOffset });
const bodies = (events) => events.map((event) => event.body);
const range = (count, from = 0) => Array.from({ length: count }, (_, i) => from + i);

/** A connection string with a signature in place of the key. */
function withSignature(policy, expiresIn, hub = HUB) {
  const parts = Object.fromEntries(connection(policy).split(";").map((part) => part.split(/=(.*)/s).slice(0, 2)));
  const resource = encodeURIComponent(parts.Endpoint.replace(/\/?$/, "/") + hub);
  const expiry = Math.floor(Date.now() / 1000) + expiresIn;
  const signed = createHmac("sha256", parts.SharedAccessKey).update(`${resource}\n${expiry}`).digest("base64");
  const token = `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(signed)}&se=${expiry}&skn=${policy}`;
  return connection(policy, { SharedAccessKeyName: null, SharedAccessKey: null, SharedAccessSignature: token });
}

// --- Properties -----------------------------------------------------------------------------------------------------

check("the properties of a hub are read by every policy", async () => {
  for (const policy of ["RootManageSharedAccessKey", "Listener"]) {
    const properties = await consuming((client) => client.getEventHubProperties(), connection(policy));
    equal(properties.name, HUB, "the hub's name");
    equal(properties.partitionIds, range(10).map(String), "the partitions");
    const age = Date.now() - properties.createdOn.getTime();
    that(age > -5_000 && age < 3_600_000, `the hub should be new, but was made ${age} ms ago`);
  }
  equal(await producing((client) => client.getPartitionIds()), range(10).map(String), "the partitions for a sender");
});

check("an empty partition has no last event", async () => {
  const properties = await propertiesOf("1", connection("Listener", { hub: "quiet" }));
  equal(properties.isEmpty, true, "isEmpty");
  equal(properties.lastEnqueuedSequenceNumber, -1, "the last sequence number");
  equal(properties.beginningSequenceNumber, 0, "the first sequence number");
});

check("the properties of a partition follow what is sent to it", async () => {
  const before = await propertiesOf("9");
  await send(["one", "two", "three"], { partitionId: "9" });
  const after = await propertiesOf("9");
  equal([after.partitionId, after.eventHubName, after.isEmpty], ["9", HUB, false], "the properties");
  equal(after.lastEnqueuedSequenceNumber, before.lastEnqueuedSequenceNumber + 3, "the last sequence number");
  const event = (await receive(3, { partition: "9", startPosition: { offset: before.lastEnqueuedOffset } })).at(-1);
  equal(event.sequenceNumber, after.lastEnqueuedSequenceNumber, "the last event's sequence number");
  equal(event.offset, after.lastEnqueuedOffset, "the last event's offset");
  equal(event.enqueuedTimeUtc, after.lastEnqueuedOnUtc, "the last event's time");
});

// --- Sending --------------------------------------------------------------------------------------------------------

check("an event arrives as it was sent", async () => {
  const startPosition = await endOf("0");
  const sent = {
    body: { amount: 12.5, text: "straße 東京", list: [1, null, true] },
    properties: { text: "東京", flag: true, number: 7, negative: -3, real: 0.5, large: 2 ** 40 },
    contentType: "application/json",
    correlationId: "corr-1",
    messageId: "msg-1",
  };
  await send([sent, { body: Buffer.from(range(256)) }], { partitionId: "0" });
  const [first, second] = await receive(2, { partition: "0", startPosition });
  equal(first.body, sent.body, "the body");
  equal(first.properties, sent.properties, "the properties");
  equal([first.contentType, first.correlationId, first.messageId], ["application/json", "corr-1", "msg-1"], "the ids");
  equal(first.partitionKey ?? null, null, "the partition key");
  that(/^-?\d+$/.test(first.offset), `the offset is ${first.offset}`);
  equal(second.sequenceNumber, first.sequenceNumber + 1, "the sequence number");
  that(Math.abs(Date.now() - first.enqueuedTimeUtc.getTime()) < 60_000, `it was enqueued at ${first.enqueuedTimeUtc}`);
  that(Buffer.compare(Buffer.from(second.body), Buffer.from(range(256))) === 0, "the bytes should be the same");
});

check("a batch keeps its order and its neighbours", async () => {
  const startPosition = await endOf("1");
  await send(range(250).map((i) => `event ${i}`), { partitionId: "1" });
  const events = await receive(250, { partition: "1", startPosition });
  equal(bodies(events), range(250).map((i) => `event ${i}`), "the batch");
  equal(events.map((event) => event.sequenceNumber), range(250, events[0].sequenceNumber), "the sequence numbers");
});

check("a batch of a megabyte arrives whole, and what is larger is refused", async () => {
  const startPosition = await endOf("1");
  await producing(async (client) => {
    const batch = await client.createBatch({ partitionId: "1" });
    while (batch.tryAdd({ body: Buffer.alloc(10_000, 1) }));
    that(batch.count >= 100, `a batch should hold a megabyte, but took only ${batch.count} events of 10,000 bytes`);
    that(batch.maxSizeInBytes === 1_048_576, `a batch may be of ${batch.maxSizeInBytes} bytes`);
    await client.sendBatch(batch);
    const events = await receive(batch.count, { partition: "1", startPosition });
    that(events.every((event) => event.body.length === 10_000), "every event should have its length");
    await refused(client.sendBatch([{ body: Buffer.alloc(1_100_000) }], { partitionId: "1" }), "size");
    await client.sendBatch([{ body: "the client goes on" }], { partitionId: "1" });
  });
});

check("events with one key are on one partition and carry the key", async () => {
  const text = connection("RootManageSharedAccessKey", { hub: "javascript-keys" });
  await producing(async (client) => {
    for (const key of COUNTRIES) {
      await client.sendBatch([{ body: key }, { body: key }], { partitionKey: key });
      const batch = await client.createBatch({ partitionKey: key });
      batch.tryAdd({ body: key });
      await client.sendBatch(batch);
    }
  }, text);
  const events = await receive(3 * COUNTRIES.length, { text });
  const homes = {};
  for (const event of events) {
    equal(event.partitionKey, event.body, "the key");
    (homes[event.partitionKey] ??= new Set()).add(event.partition);
  }
  equal(Object.keys(homes).sort(), [...COUNTRIES].sort(), "the keys");
  equal(Object.entries(homes).filter(([, ids]) => ids.size > 1), [], "keys on two partitions");
});

check("keys go where the client's buffered producer computes them to go", async () => {
  const keys = [...range(40).map((i) => `key-${i}`), "straße", "東京"];
  const text = connection("RootManageSharedAccessKey", { hub: "javascript-buffered" });
  const failures = [];
  // The buffered producer hashes keys itself and sends to the partition; a plain one leaves that to the service.
  const buffered = new EventHubBufferedProducerClient(text, {
    ...ONCE,
    maxWaitTimeInMs: 50,
    onSendEventsErrorHandler: async ({ error }) => void failures.push(error),
  });
  for (const key of keys) await buffered.enqueueEvent({ body: `client ${key}` }, { partitionKey: key });
  await buffered.close({ flush: true });
  equal(failures, [], "the failures");
  await producing(async (client) => {
    for (const key of keys) await client.sendBatch([{ body: `service ${key}` }], { partitionKey: key });
  }, text);
  const homes = {};
  for (const event of await receive(2 * keys.length, { text })) {
    const [chosenBy, key] = event.body.split(" ");
    (homes[key] ??= {})[chosenBy] = event.partition;
  }
  equal(Object.entries(homes).filter(([, where]) => where.client !== where.service), [], "keys that client and emulator hash differently");
});

check("events without a key are spread over the partitions", async () => {
  const text = connection("RootManageSharedAccessKey", { hub: "javascript-spread" });
  await producing(async (client) => {
    for (const i of range(40)) await client.sendBatch([{ body: i }]);
  }, text);
  const events = await receive(40, { text });
  that(new Set(events.map((event) => event.partition)).size >= 5, "40 events should be on more than 4 partitions");
});

check("a key of 128 characters is taken, one more is refused", () =>
  producing(async (client) => {
    await client.sendBatch([{ body: "long" }], { partitionKey: "ü".repeat(128) });
    await refused(client.sendBatch([{ body: "too long" }], { partitionKey: "k".repeat(129) }), "key");
    await client.sendBatch([{ body: "the client goes on" }], { partitionKey: "k" });
  }),
);

check("many senders at once lose, repeat and swap nothing", async () => {
  const text = connection("RootManageSharedAccessKey", { hub: "javascript-many" });
  const [senders, batches, size] = [6, 10, 25];
  const one = (sender) =>
    producing(async (client) => {
      for (const number of range(batches)) {
        const key = COUNTRIES[(sender + number) % COUNTRIES.length];
        await client.sendBatch(range(size).map((i) => ({ body: [sender, key, number * size + i] })), { partitionKey: key });
      }
    }, text);
  await Promise.all(range(senders).map(one));
  const events = await receive(senders * batches * size, { text });
  equal(new Set(events.map((event) => String(event.body))).size, senders * batches * size, "the number of different events");
  const [numbers, latest, homes] = [{}, {}, {}];
  for (const event of events) {
    const [sender, key, i] = event.body;
    (numbers[event.partition] ??= []).push(event.sequenceNumber);
    (homes[key] ??= new Set()).add(event.partition);
    that((latest[`${sender} ${key}`] ?? -1) < i, `«${event.body}» overtook ${latest[`${sender} ${key}`]}`);
    latest[`${sender} ${key}`] = i;
  }
  for (const [partition, found] of Object.entries(numbers)) {
    equal(found, range(found.length), `the sequence numbers of partition ${partition}`);
  }
  equal(Object.entries(homes).filter(([, ids]) => ids.size > 1), [], "keys on two partitions");
});

// --- Receiving ------------------------------------------------------------------------------------------------------

check("reading starts at the start, or after or at an offset, a sequence number or a time", async () => {
  const text = connection("RootManageSharedAccessKey", { hub: "javascript-positions" });
  await send(range(10), { partitionId: "3" }, text);
  const events = await receive(10, { text, partition: "3" });
  equal(bodies(events), range(10), "from the start");
  // The next event is to have a later time, and times have milliseconds.
  await eventually(() => Date.now() - events[9].enqueuedTimeUtc.getTime() > 5, "time passes");
  await send(["late"], { partitionId: "3" }, text);
  for (const [startPosition, first] of [
    [{ offset: events[5].offset }, 6],
    [{ offset: events[5].offset, isInclusive: true }, 5],
    [{ sequenceNumber: events[5].sequenceNumber }, 6],
    [{ sequenceNumber: events[5].sequenceNumber, isInclusive: true }, 5],
    [{ enqueuedOn: events[9].enqueuedTimeUtc }, "late"],
    [{ enqueuedOn: new Date(events[0].enqueuedTimeUtc.getTime() - 3_600_000) }, 0],
  ]) {
    const [event] = await receive(1, { text, partition: "3", startPosition });
    equal(event.body, first, `the first event from ${JSON.stringify(startPosition)} on`);
  }
});

check("reading from the end gives what comes later alone", async () => {
  const text = connection("RootManageSharedAccessKey", { hub: "javascript-positions" });
  await send(["old", "old"], { partitionId: "5" }, text);
  await reading(
    async (reader) => {
      let number = 0;
      await eventually(async () => {
        await send([`new ${(number += 1)}`], { partitionId: "5" }, text);
        return reader.got.length > 0;
      }, "an event");
      that(reader.got.every((event) => event.body.startsWith("new")), "an event from before came");
    },
    { text, partition: "5", startPosition: latestEventPosition },
  );
});

check("a receiver with little credit gets everything", async () => {
  const text = connection("RootManageSharedAccessKey", { hub: "javascript-positions" });
  await send(range(100), { partitionId: "6" }, text);
  equal(bodies(await receive(100, { text, partition: "6", maxBatchSize: 3 })), range(100), "the events");
});

check("readers of two consumer groups both get everything", async () => {
  const text = connection("RootManageSharedAccessKey", { hub: "javascript-positions" });
  await send(["for all"], { partitionId: "8" }, text);
  for (const group of ["$Default", "readers"]) {
    equal(bodies(await receive(1, { text, group, partition: "8" })), ["for all"], `what ${group} got`);
  }
});

check("events say how far their partition has got, when asked", async () => {
  const startPosition = await endOf("8");
  await send(["one", "two", "three"], { partitionId: "8" });
  const events = await receive(3, { partition: "8", startPosition, trackLastEnqueuedEventProperties: true });
  equal(events[0].last.sequenceNumber, events[2].sequenceNumber, "the last sequence number");
  equal(events[0].last.offset, events[2].offset, "the last offset");
});

check("a higher epoch takes the partition over", async () => {
  const where = { text: connection("RootManageSharedAccessKey", { hub: "javascript-epochs" }), partition: "0" };
  await send(["one"], { partitionId: "0" }, where.text);
  await reading(
    async (first) => {
      await first.take(1);
      await reading(
        async (second) => {
          await second.take(1);
          equal((await first.error()).code, "ReceiverDisconnectedError", "the error");
          await send(["two"], { partitionId: "0" }, where.text);
          await second.take(2);
        },
        { ...where, ownerLevel: 2 },
      );
    },
    { ...where, ownerLevel: 1 },
  );
});

check("a lower epoch, or none, is refused while a higher one reads", async () => {
  const where = { text: connection("RootManageSharedAccessKey", { hub: "javascript-epochs" }), partition: "1" };
  await send(["one"], { partitionId: "1" }, where.text);
  await reading(
    async (owner) => {
      await owner.take(1);
      for (const level of [{ ownerLevel: 4 }, {}]) {
        await reading(
          async (other) => {
            equal((await other.error()).code, "ReceiverDisconnectedError", "the error");
            equal(other.got.length, 0, "the number of events that it got");
          },
          { ...where, ...level },
        );
      }
      await send(["two"], { partitionId: "1" }, where.text);
      await owner.take(2);
    },
    { ...where, ownerLevel: 5 },
  );
});

// --- Who may do what ------------------------------------------------------------------------------------------------

check("connection strings for a development emulator lead to it", async () => {
  for (const policy of ["Sender", "Listener", "RootManageSharedAccessKey"]) {
    that(connection(policy).includes(";UseDevelopmentEmulator=true;"), `it should be one: ${connection(policy).replace(/Key=[^;]*/, "Key=…")}`);
  }
  const startPosition = await endOf("7");
  await producing((client) => client.sendBatch([{ body: "x" }], { partitionId: "7" }), connection("Sender"));
  equal(bodies(await receive(1, { partition: "7", startPosition })), ["x"], "what is there");
});

check("a wrong key and an unknown policy are refused", async () => {
  const wrong = Buffer.from("not the key of this policy at all").toString("base64");
  for (const text of [connection("Sender", { SharedAccessKey: wrong }), connection("Sender", { SharedAccessKeyName: "Nobody" })]) {
    const error = await producing((client) => refused(client.sendBatch([{ body: "x" }])), text);
    equal(error.code, "UnauthorizedError", "the error");
  }
  await consuming((client) => refused(client.getEventHubProperties()), connection("Listener", { SharedAccessKey: wrong }));
});

check("a Listener may not send, and a Sender may not listen", async () => {
  const error = await producing((client) => refused(client.sendBatch([{ body: "x" }]), "send"), connection("Listener"));
  equal(error.code, "UnauthorizedError", "the error");
  await reading(
    async (reader) => {
      const error = await reader.error();
      equal(error.code, "UnauthorizedError", "the error");
      that(/listen/i.test(error.message), `the error should name the claim: ${error.message}`);
      equal(reader.got.length, 0, "the number of events that it got");
    },
    { text: connection("Sender"), partition: "0" },
  );
});

check("a signature in place of the key will do, until it has expired, for its hub", async () => {
  await producing((client) => client.sendBatch([{ body: "signed" }]), withSignature("Sender", 300));
  await producing((client) => refused(client.sendBatch([{ body: "x" }])), withSignature("Sender", -10));
  await producing((client) => refused(client.sendBatch([{ body: "x" }])), withSignature("Sender", 300, "javascript-many"));
});

check("an unknown hub, partition and consumer group are refused", async () => {
  const nowhere = connection("RootManageSharedAccessKey", { hub: "nowhere" });
  const error = await producing((client) => refused(client.sendBatch([{ body: "x" }]), "could not be found"), nowhere);
  equal(error.code, "MessagingEntityNotFoundError", "the error");
  await consuming((client) => refused(client.getEventHubProperties()), nowhere);
  await producing((client) => refused(client.sendBatch([{ body: "x" }], { partitionId: "10" }), "partition"));
  await refused(propertiesOf("10"));
  await reading(async (reader) => that(/partition/i.test((await reader.error()).message), reader.errors[0].message), { partition: "10" });
  await reading(async (reader) => that(/nobody/i.test((await reader.error()).message), reader.errors[0].message), {
    partition: "0",
    group: "nobody",
  });
});

// --- Limits ---------------------------------------------------------------------------------------------------------

/** Sends batches of these events to partition 0 for as long as `until` says not to stop: how many, the errors, the seconds. */
async function flood(text, events, until) {
  const begin = performance.now();
  const errors = [];
  let accepted = 0;
  await producing(async (client) => {
    while (!until(accepted, errors)) {
      try {
        await client.sendBatch(events, { partitionId: "0" });
        accepted += 1;
      } catch (error) {
        errors.push(error);
      }
    }
  }, text);
  return { accepted, errors, seconds: Math.floor((performance.now() - begin) / 1000) + 2 };
}

/** The number of events in partition 0. */
const stored = async (text) => (await propertiesOf("0", text)).lastEnqueuedSequenceNumber + 1;

check("a throughput unit is busy beyond 1,000 events a second", async () => {
  const text = connection("RootManageSharedAccessKey", { of: "limited_javascript", hub: "javascript-events" });
  const events = range(100).map((i) => ({ body: i }));
  const { accepted, errors, seconds } = await flood(text, events, (accepted, errors) => errors.length > 0 && accepted >= 5);
  for (const error of errors) equal(error.code, "ServerBusyError", "the error");
  // A second had begun and another may have; the batch that crosses the limit still comes in.
  that(accepted * 100 <= seconds * 1_100, `${accepted * 100} events were accepted in ${seconds} s`);
  equal(await stored(text), accepted * 100, "the number of events that are there");
});

check("a throughput unit is busy beyond a megabyte a second", async () => {
  const text = connection("RootManageSharedAccessKey", { of: "limited_javascript", hub: "javascript-bytes" });
  const events = [{ body: Buffer.alloc(250_000) }];
  const { accepted, errors, seconds } = await flood(text, events, (accepted, errors) => errors.length > 0 && accepted >= 2);
  for (const error of errors) equal(error.code, "ServerBusyError", "the error");
  that(accepted * 250_000 <= seconds * 1_250_000, `${accepted} times 250,000 bytes were accepted in ${seconds} s`);
  equal(await stored(text), accepted, "the number of events that are there");
});

check("beyond the memory limit events are refused, and what is there can be read", async () => {
  const text = connection("RootManageSharedAccessKey", { of: "full_javascript" });
  const { accepted, errors } = await flood(text, [{ body: Buffer.alloc(200_000) }], (accepted, errors) => errors.length > 0);
  equal(errors[0].code, "QuotaExceededError", "the error");
  that(/memory/.test(errors[0].message), `the error should say why: ${errors[0].message}`);
  that(accepted >= 10 && accepted < 20, `of 4 MB, ${accepted} times 200,000 bytes were taken`);
  equal((await receive(accepted, { text, partition: "0" })).length, accepted, "the number of events that are there");
});

await main("javascript event hubs");
