// Holds the Event Hubs emulator against AMQP 1.0 itself, with rhea, the library below @azure/event-hubs: what Microsoft's
// clients never do, because they check first or because they cannot be made to.

import { createRequire } from "node:module";
import { connect } from "node:net";

import { check, emulator, equal, eventually, main, that } from "./checks.mjs";

const rhea = createRequire(import.meta.url)("rhea");

const HUB = "amqp";
const { connection_strings: strings, port } = emulator().event_hubs;
const policy = (name) =>
  Object.fromEntries(strings[name].split(";").filter(Boolean).map((part) => part.split(/=(.*)/s).slice(0, 2)));

/** Connects, with the name and key of a policy (SASL PLAIN) by default, while `run` goes on. */
async function connected(run, options = {}, name = "RootManageSharedAccessKey") {
  const { SharedAccessKeyName: username, SharedAccessKey: password } = policy(name);
  const container = rhea.create_container();
  const connection = container.connect({ host: "127.0.0.1", port, username, password, reconnect: false, ...options });
  const seen = { closed: false, error: undefined };
  connection.on("connection_error", () => (seen.error = connection.error));
  connection.on("connection_close", () => (seen.closed = true));
  connection.on("disconnected", (context) => {
    seen.closed = true;
    seen.error ??= context.error;
  });
  connection.on("protocol_error", (error) => (seen.error = error));
  container.on("error", (error) => (seen.error = error));
  try {
    return await run(connection, seen);
  } finally {
    connection.removeAllListeners("disconnected");
    connection.close();
  }
}

/** Attaches a link, and gives the condition with which it is refused. */
async function refusal(connection, role, address, options = {}) {
  const { state } = (role === "sender" ? sender : receiver)(connection, address, options);
  const { condition } = await eventually(() => state.error, "the refusal", 10);
  if (role === "receiver") equal(state.messages, [], "what it got");
  return condition;
}

/** A sender and what became of it and of what it sent. */
function sender(connection, target, options = {}) {
  const state = { credit: 0, accepted: 0, rejected: [], error: undefined, open: false };
  const link = connection.open_sender({ target, ...options });
  link.on("sender_open", () => (state.open = true));
  link.on("sendable", () => (state.credit = link.credit));
  link.on("accepted", () => (state.accepted += 1));
  link.on("rejected", (context) => state.rejected.push(context.delivery.remote_state.error));
  link.on("sender_error", () => (state.error = link.error));
  return { link, state };
}

/** A receiver and what came. */
function receiver(connection, source, options = {}) {
  const state = { messages: [], error: undefined, open: false };
  const link = connection.open_receiver({ source, ...options });
  link.on("receiver_open", () => (state.open = link.source?.address !== undefined));
  link.on("message", (context) => state.messages.push(context.message));
  link.on("receiver_error", () => (state.error = link.error));
  return { link, state };
}

check("a policy's name and key open a connection as SASL PLAIN", () =>
  connected(async (connection) => {
    const { link, state } = sender(connection, `${HUB}/Partitions/0`);
    await eventually(() => link.sendable(), "credit");
    link.send({ body: "plain" });
    await eventually(() => state.accepted === 1, "the acceptance");
  }),
);

check("a wrong password is refused", () =>
  connected(
    async (connection, seen) => {
      await eventually(() => seen.closed || seen.error !== undefined, "the refusal");
      that(!connection.is_open(), "the connection should not be open");
    },
    { password: "wrong" },
  ),
);

check("ANONYMOUS, PLAIN, MSSBCBS and EXTERNAL are offered", async () => {
  const socket = connect(port, "127.0.0.1");
  let got = Buffer.alloc(0);
  socket.on("data", (data) => (got = Buffer.concat([got, data])));
  socket.write(Buffer.from([0x41, 0x4d, 0x51, 0x50, 3, 1, 0, 0]));
  try {
    await eventually(() => ["ANONYMOUS", "PLAIN", "MSSBCBS", "EXTERNAL"].every((name) => got.includes(name)), "the four names", 5);
  } finally {
    socket.destroy();
  }
});

check("without a token nothing may be attached but $cbs", () =>
  connected(
    async (connection) => {
      const { state } = sender(connection, HUB);
      await eventually(() => state.error, "the refusal");
      equal(state.error.condition, "amqp:unauthorized-access", "the condition");
    },
    { username: "anonymous", password: undefined },
  ),
);

check("a policy opens the links that it has a right to, and no others", async () => {
  const from = `${HUB}/ConsumerGroups/$Default/Partitions/0`;
  await connected(
    async (connection) => {
      for (const to of [HUB, `${HUB}/Partitions/0`]) {
        equal(await refusal(connection, "sender", to), "amqp:unauthorized-access", `the condition for a Listener that sends to ${to}`);
      }
      const { state } = receiver(connection, from);
      await eventually(() => state.open, "a receiver for the Listener, on the same connection");
    },
    {},
    "Listener",
  );
  await connected(
    async (connection) => {
      equal(await refusal(connection, "receiver", from), "amqp:unauthorized-access", "the condition for a Sender that listens");
      const { state } = sender(connection, HUB);
      await eventually(() => state.open, "a sender for the Sender, on the same connection");
    },
    {},
    "Sender",
  );
});

check("what is not there is refused by its own condition", () =>
  connected(async (connection) => {
    for (const [role, address, condition] of [
      ["sender", "nowhere", "amqp:not-found"],
      ["sender", "nowhere/Partitions/0", "amqp:not-found"],
      ["sender", `${HUB}/Partitions/10`, "com.microsoft:argument-out-of-range"],
      ["receiver", "nowhere/ConsumerGroups/$Default/Partitions/0", "amqp:not-found"],
      ["receiver", `${HUB}/ConsumerGroups/nobody/Partitions/0`, "amqp:not-found"],
      ["receiver", `${HUB}/ConsumerGroups/$Default/Partitions/10`, "com.microsoft:argument-out-of-range"],
      ["receiver", `${HUB}/ConsumerGroups/$Default/Partitions/x`, "com.microsoft:argument-out-of-range"],
    ]) {
      equal(await refusal(connection, role, address), condition, `the condition for a ${role} of ${address}`);
    }
  }),
);

check("a link says that it takes a mebibyte, and a message of more is refused", () =>
  connected(async (connection) => {
    const { link, state } = sender(connection, HUB);
    await eventually(() => link.sendable(), "credit");
    equal(Number(link.remote.attach.max_message_size), 1_048_576, "max-message-size");
    link.send({ body: rhea.message.data_section(Buffer.alloc(1_100_000)) });
    await eventually(() => state.error ?? state.rejected[0], "the refusal");
    const condition = (state.error ?? state.rejected[0]).condition;
    equal(condition, "amqp:link:message-size-exceeded", "the condition");
    equal(state.accepted, 0, "the number of accepted messages");
    const next = sender(connection, HUB);
    await eventually(() => next.link.sendable(), "credit of another link on the same connection");
  }),
);

check("a key of more than 128 characters is refused, and the link goes on", () =>
  connected(async (connection) => {
    const { link, state } = sender(connection, HUB);
    await eventually(() => link.sendable(), "credit");
    link.send({ body: "x", message_annotations: { "x-opt-partition-key": "k".repeat(129) } });
    link.send({ body: "x", message_annotations: { "x-opt-partition-key": "k".repeat(128) } });
    await eventually(() => state.rejected.length === 1 && state.accepted === 1, "one refusal and one acceptance");
    that(/argument/.test(state.rejected[0].condition), `the condition is ${state.rejected[0].condition}`);
  }),
);

check("credit is given, taken up and renewed", () =>
  connected(async (connection) => {
    const { link, state } = sender(connection, `${HUB}/Partitions/1`);
    const count = 2_000;
    let sent = 0;
    const pump = () => {
      while (link.sendable() && sent < count) link.send({ body: `${(sent += 1)}` });
    };
    link.on("sendable", pump);
    await eventually(() => state.accepted === count, `${count} acceptances; there were ${state.accepted}`);
    equal(state.rejected, [], "what was rejected");
  }),
);

check("a receiver gets no more than it gave credit for, and then the rest in order", () =>
  connected(async (connection) => {
    const source = `${HUB}/ConsumerGroups/$Default/Partitions/1`;
    const { link, state } = receiver(connection, source, { credit_window: 0 });
    link.add_credit(10);
    await eventually(() => state.messages.length === 10, "10 messages");
    // What is answered to on the same link later would have come after an eleventh message.
    link.drain = true;
    link.add_credit(5);
    await eventually(() => state.messages.length === 15, "15 messages");
    const numbers = state.messages.map((message) => message.message_annotations["x-opt-sequence-number"]);
    equal(numbers, Array.from(numbers, (_, i) => numbers[0] + i), "the sequence numbers");
  }),
);

check("a filter starts at or after an offset, a sequence number or a time", () =>
  connected(async (connection) => {
    const source = "amqp-filters/ConsumerGroups/$Default/Partitions/3";
    // rhea's own `filter.selector` goes by another name.
    const selector = (text) => ({ "apache.org:selector-filter:string": rhea.types.wrap_described(text, 0x468c00000004) });
    const first = async (text) => {
      const { link, state } = receiver(connection, { address: source, filter: text && selector(text) });
      await eventually(() => state.messages[0], `an event for ${text}`);
      link.close();
      return state.messages[0];
    };
    // An event each millisecond or later, so that each has a time of its own.
    const { link, state } = sender(connection, "amqp-filters/Partitions/3");
    for (let i = 0; i < 3; i += 1) {
      await eventually(() => link.sendable() && state.accepted === i, "acceptance");
      const after = Date.now() + 2;
      await eventually(() => Date.now() > after, "time passes", 5, 1);
      link.send({ body: `${i}` });
    }
    await eventually(() => state.accepted === 3, "acceptance");
    equal((await first()).body, "0", "the first event without a filter");
    const annotations = (await first("amqp.annotation.x-opt-sequence-number > '0'")).message_annotations;
    for (const name of ["x-opt-offset", "x-opt-sequence-number", "x-opt-enqueued-time"]) {
      const at = `${annotations[name] instanceof Date ? annotations[name].getTime() : annotations[name]}`;
      equal((await first(`amqp.annotation.${name} >= '${at}'`)).body, "1", `the first event at ${name}`);
      equal((await first(`amqp.annotation.${name} > '${at}'`)).body, "2", `the first event after ${name}`);
    }
    const refused = { address: source, filter: selector("colour = 'green'") };
    that(/argument/.test(await refusal(connection, "receiver", refused)), "another filter should be refused");
  }),
);

check("a higher epoch steals the link, a lower one and none are refused", () =>
  connected(async (connection) => {
    const source = `${HUB}/ConsumerGroups/$Default/Partitions/4`;
    const epoch = (level) => ({ properties: { "com.microsoft:epoch": rhea.types.wrap_long(level) } });
    const first = receiver(connection, source, epoch(1));
    await eventually(() => first.state.open, "the first receiver");
    const second = receiver(connection, source, epoch(3));
    await eventually(() => first.state.error && second.state.open, "the second receiver in place of the first");
    equal(first.state.error.condition, "amqp:link:stolen", "the condition");
    equal(await refusal(connection, "receiver", source, epoch(2)), "amqp:link:stolen", "the condition for a lower epoch");
    equal(await refusal(connection, "receiver", source), "amqp:link:stolen", "the condition for none");
    const { link, state } = sender(connection, `${HUB}/Partitions/4`);
    await eventually(() => link.sendable(), "credit");
    link.send({ body: "for the owner" });
    await eventually(() => state.accepted === 1 && second.state.messages.length === 1, "the event");
    equal(first.state.messages, [], "what the first one got");
  }),
);

check("five receivers without an epoch share a partition, a sixth is refused", () =>
  connected(async (connection) => {
    const source = `${HUB}/ConsumerGroups/$Default/Partitions/5`;
    const receivers = Array.from({ length: 5 }, () => receiver(connection, source));
    await eventually(() => receivers.every(({ state }) => state.open), "five receivers");
    equal(await refusal(connection, "receiver", source), "amqp:resource-limit-exceeded", "the condition for a sixth");
    receivers[0].link.close();
    await eventually(() => receivers[0].link.is_closed(), "the first one is gone");
    const next = receiver(connection, source);
    await eventually(() => next.state.open, "another in its place");
  }),
);

check("heartbeats keep an idle connection open", () =>
  connected(
    async (connection, seen) => {
      await eventually(() => connection.is_open(), "an open connection");
      // rhea closes a connection on which it hears nothing for twice its own time-out.
      const until = performance.now() + 1_800;
      await eventually(() => performance.now() > until, "nothing but time");
      that(!seen.closed && connection.is_open(), `it was closed: ${seen.error}`);
    },
    { idle_time_out: 500 },
  ),
);

check("many sessions and links live on one connection", () =>
  connected(async (connection) => {
    const links = [];
    for (let session = 0; session < 5; session += 1) {
      const opened = connection.create_session();
      opened.begin();
      for (let link = 0; link < 10; link += 1) links.push(sender(opened, `${HUB}/Partitions/${link}`));
    }
    await eventually(() => links.every(({ link }) => link.sendable()), "credit for all");
    for (const { link } of links) link.send({ body: "x" });
    await eventually(() => links.every(({ state }) => state.accepted === 1), "acceptance of all");
  }),
);

check("settled messages are stored without an answer", () =>
  connected(async (connection) => {
    const { link, state } = sender(connection, `${HUB}/Partitions/2`, { snd_settle_mode: 1 });
    await eventually(() => link.sendable(), "credit");
    link.send({ body: "settled" });
    const reader = receiver(connection, `${HUB}/ConsumerGroups/$Default/Partitions/2`);
    await eventually(() => reader.state.messages.some((message) => message.body === "settled"), "the message");
    equal(state.accepted, 0, "the number of answers");
  }),
);

check("what is no AMQP is answered and closed", async () => {
  for (const bytes of [
    Buffer.from("EHLO example.org\r\n"),
    Buffer.from([0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1]),
    Buffer.concat([Buffer.from([0x41, 0x4d, 0x51, 0x50, 3, 1, 0, 0]), Buffer.alloc(64, 0xff)]),
    Buffer.concat([Buffer.from([0x41, 0x4d, 0x51, 0x50, 0, 1, 0, 0]), Buffer.from([0, 0, 0, 3, 2, 0, 0, 0])]),
  ]) {
    const socket = connect(port, "127.0.0.1");
    let closed = false;
    socket.on("close", () => (closed = true));
    socket.on("error", () => (closed = true));
    socket.resume();
    socket.write(bytes);
    await eventually(() => closed, "the close", 10);
  }
});

await main("javascript amqp");
