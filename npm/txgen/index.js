// Local Azure Event Hubs and Azure Cosmos DB for tests. The types, and what each thing means, are in index.d.ts.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

import { binary } from "./binary.js";

/** As much of standard error as an error message may hold, in characters. */
const KEPT = 4000;

export async function startEmulator({ hubs = ["transactions"], args = [], startTimeoutMs = 30_000 } = {}) {
  const flags = ["emulator", "--output", "json", "--event-hubs-port", "0", "--cosmos-port", "0"];
  // However this process ends, it closes the pipe, and the emulator ends with it.
  flags.push("--until-stdin-closes");
  if (!args.some((arg) => arg.split("=")[0] === "--config")) {
    flags.push("--hub", ...hubs);
  }
  flags.push(...args);
  const child = spawn(binary(), flags, { stdio: ["pipe", "pipe", "pipe"] });
  const kill = () => child.kill();
  process.once("exit", kill);
  const ended = new Promise((resolve) => child.once("close", resolve)).finally(() => process.off("exit", kill));
  try {
    const ready = await readyLine(child, startTimeoutMs);
    // Neither the process nor its output keeps Node.js from ending; what it goes on to say is read and dropped.
    for (const handle of [child, child.stdin, child.stdout, child.stderr]) {
      handle.unref();
    }
    return new Emulator(JSON.parse(ready), child, ended);
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
}

class Emulator {
  #child;
  #ended;

  constructor(ready, child, ended) {
    this.#child = child;
    this.#ended = ended;
    this.hubs = ready.event_hubs.hubs;
    this.connectionStrings = ready.event_hubs.connection_strings;
    this.cosmosEndpoint = ready.cosmos_db.endpoint;
    this.cosmosKey = ready.cosmos_db.key;
  }

  get eventHubsConnectionString() {
    return this.connectionString();
  }

  connectionString(hub = this.hubs[0], policy = "RootManageSharedAccessKey") {
    const text = this.connectionStrings[policy];
    if (text === undefined) {
      throw new RangeError(`there is no policy ${policy}; there are ${Object.keys(this.connectionStrings).join(", ")}`);
    }
    if (!this.hubs.includes(hub)) {
      throw new RangeError(`there is no event hub ${hub}; served are ${this.hubs.join(", ")}`);
    }
    const parts = text.split(";").filter((part) => part !== "" && !part.startsWith("EntityPath="));
    return [...parts, `EntityPath=${hub}`].join(";");
  }

  async stop() {
    const child = this.#child;
    child.ref();
    child.kill();
    const patience = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await this.#ended;
    clearTimeout(patience);
  }

  async [Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose")]() {
    await this.stop();
  }
}

/** The first line that the emulator prints; rejects where it ends, or takes too long, before that. */
function readyLine(child, timeoutMs) {
  return new Promise((resolve, reject) => {
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text) => {
      said = (said + text).slice(-KEPT);
    });
    const lines = createInterface({ input: child.stdout });
    const timer = setTimeout(() => reject(new Error(`txgen emulator was not ready after ${timeoutMs} ms`)), timeoutMs);
    lines.once("line", (line) => {
      clearTimeout(timer);
      resolve(line);
    });
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      reject(new Error(`txgen emulator ended with exit code ${code}: ${said.trim()}`));
    });
  });
}
