// The helper itself, and the launcher.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { startEmulator } from "txgen";

/** Resolves when something listens there, and rejects when nothing does. @param {string} endpoint */
async function reach(endpoint) {
  const socket = connect(Number(new URL(endpoint).port), "127.0.0.1");
  await once(socket, "connect");
  socket.destroy();
}

test("it serves until it is stopped", async () => {
  const emulator = await startEmulator();
  await reach(emulator.cosmosEndpoint);
  await emulator.stop();
  await assert.rejects(reach(emulator.cosmosEndpoint), { code: "ECONNREFUSED" });
});

test("each hub has its connection string", async () => {
  const emulator = await startEmulator({ hubs: ["orders", "payments"] });
  assert.match(emulator.eventHubsConnectionString, /EntityPath=orders$/);
  assert.match(emulator.connectionString("payments", "Listener"), /SharedAccessKeyName=Listener;.*EntityPath=payments$/);
  assert.throws(() => emulator.connectionString("refunds"), /orders, payments/);
  await emulator.stop();
});

test("a config takes the place of the hubs", async () => {
  const entities = [{ Name: "eh1", PartitionCount: "2", ConsumerGroups: [{ Name: "cg1" }] }];
  const namespace = { Type: "EventHub", Name: "emulatorNs1", Entities: entities };
  const folder = await mkdtemp(join(tmpdir(), "txgen-"));
  const config = join(folder, "Config.json");
  await writeFile(config, JSON.stringify({ UserConfig: { NamespaceConfig: [namespace], LoggingConfig: { Type: "File" } } }));
  const emulator = await startEmulator({ args: ["--config", config] });
  assert.deepEqual(emulator.hubs, ["eh1"]);
  await emulator.stop();
  await rm(folder, { recursive: true });
});

test("an error says what the emulator said", async () => {
  await assert.rejects(startEmulator({ hubs: ["twice", "twice"] }), /exit code 2: .*--hub/s);
});

test("it ends with the process that started it, and does not keep that from ending", async () => {
  const script = 'import { startEmulator } from "txgen"; console.log((await startEmulator()).cosmosEndpoint);';
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script]);
  const deadline = Date.now() + 30_000;
  while (await reach(stdout.trim()).then(() => true, () => false)) {
    assert.ok(Date.now() < deadline, "the emulator goes on");
  }
});

test("it ends with a process that is killed", async () => {
  const script =
    'import { startEmulator } from "txgen"; console.log((await startEmulator()).cosmosEndpoint); setInterval(() => {}, 1000);';
  const parent = spawn(process.execPath, ["--input-type=module", "-e", script]);
  const [endpoint] = await once(createInterface({ input: parent.stdout }), "line");
  await reach(endpoint);
  parent.kill("SIGKILL");
  const deadline = Date.now() + 30_000;
  while (await reach(endpoint).then(() => true, () => false)) {
    assert.ok(Date.now() < deadline, "the emulator goes on");
  }
});

test("the command hands signals on and gives back the exit code", async () => {
  const launcher = fileURLToPath(new URL("bin/txgen.js", import.meta.resolve("txgen")));
  const failed = await promisify(execFile)(process.execPath, [launcher, "run", "--data", "missing.csv"]).catch((error) => error);
  assert.equal(failed.code, 2);
  const child = spawn(process.execPath, [launcher, "emulator", "--event-hubs-port", "0", "--cosmos-port", "0"]);
  await once(createInterface({ input: child.stdout }), "line");
  child.kill("SIGTERM");
  assert.deepEqual(await once(child, "exit"), [0, null]);
});
