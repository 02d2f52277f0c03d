// Holds the Kafka endpoint of Event Hubs against kafkajs.

import { readFileSync } from "node:fs";

import { CompressionTypes, Kafka, logLevel } from "kafkajs";

import { check, emulator, equal, eventually, main, that } from "./checks.mjs";

const service = emulator("kafka").event_hubs;
const PARTITIONS = [0, 1, 2, 3];

const client = ({ tls = false, password = service.connection_strings.RootManageSharedAccessKey } = {}) =>
  new Kafka({
    brokers: [`127.0.0.1:${service.kafka_port}`],
    ssl: tls && { ca: [readFileSync(service.certificate, "utf8")] },
    sasl: { mechanism: "plain", username: "$ConnectionString", password },
    logLevel: logLevel.NOTHING,
    retry: { retries: 2 },
  });

/** Sends messages, and gives what the endpoint says of them. */
async function send(topic, messages, { compression = CompressionTypes.None, ...options } = {}) {
  const producer = client(options).producer();
  await producer.connect();
  try {
    return await producer.send({ topic, messages, compression, acks: -1 });
  } finally {
    await producer.disconnect();
  }
}

/** Reads in the background, as a member of a group. */
async function reading(topic, groupId, options) {
  const consumer = client(options).consumer({ groupId, sessionTimeout: 6000, heartbeatInterval: 300, rebalanceTimeout: 10_000 });
  const member = { messages: [], assigned: [], stop: () => consumer.disconnect() };
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    member.assigned = payload.memberAssignment[topic] ?? [];
  });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ partition, message }) => void member.messages.push({ partition, ...message }),
  });
  return member;
}

const text = (buffer) => buffer?.toString() ?? null;
const inOrder = (numbers) => [...numbers].sort((a, b) => a - b);

check("messages are read as they were sent, with TLS and without, compressed and not", async () => {
  const topic = "javascript-messages";
  const sent = [];
  for (const options of [{}, { tls: true }, { compression: CompressionTypes.GZIP }]) {
    const value = `value ${JSON.stringify(options)}`;
    const [acknowledged] = await send(topic, [{ key: "us", value, headers: { h: "x" }, partition: 1 }], options);
    equal([acknowledged.partition, acknowledged.errorCode, acknowledged.baseOffset], [1, 0, String(sent.length)], "what the endpoint says");
    sent.push(value);
  }
  const member = await reading(topic, "reader", { tls: true });
  await eventually(() => member.messages.length >= 3, "3 messages", 60);
  await member.stop();
  equal(member.messages.map((message) => text(message.value)), sent, "the values");
  equal(member.messages.map((message) => [text(message.key), text(message.headers.h)]), Array(3).fill(["us", "x"]), "the keys");
});

check("a group shares the partitions, and takes over those of a member that leaves", async () => {
  const topic = "javascript-groups";
  const first = await reading(topic, "sharing");
  await eventually(() => first.assigned.length === 4, "all partitions for one", 60);
  const second = await reading(topic, "sharing");
  await eventually(() => first.assigned.length === 2 && second.assigned.length === 2, "two partitions for each", 60);
  equal(inOrder([...first.assigned, ...second.assigned]), PARTITIONS, "the partitions");
  await send(topic, PARTITIONS.map((partition) => ({ value: "x", partition })));
  await eventually(() => first.messages.length + second.messages.length >= 4, "4 messages", 60);
  await first.stop();
  await eventually(() => second.assigned.length === 4, "all partitions for the one left", 60);
  await second.stop();
});

check("a group goes on where it has committed", async () => {
  const topic = "javascript-commits";
  await send(topic, [{ value: "before", partition: 0 }]);
  const first = await reading(topic, "going on");
  await eventually(() => first.messages.length >= 1, "the first message", 60);
  await first.stop();
  await send(topic, [{ value: "after", partition: 0 }]);
  const second = await reading(topic, "going on");
  await eventually(() => second.messages.length >= 1, "the second message", 60);
  await second.stop();
  equal(second.messages.map((message) => text(message.value)), ["after"], "what comes next");
});

check("a wrong key is refused", async () => {
  const password = service.connection_strings.Sender.replace("SharedAccessKey=", "SharedAccessKey=x");
  const error = await send("javascript-messages", [{ value: "x" }], { password }).then(() => null, (error) => error);
  that(error !== null && error.message.includes("not known"), `the error should say what is wrong: ${error}`);
});

main("javascript kafka");
