#!/usr/bin/env node
// Runs the binary in this process's place, as far as Node.js can: same input and output, same signals, same exit code.

import { spawn } from "node:child_process";
import { constants } from "node:os";

import { binary } from "../binary.js";

let path;
try {
  path = binary();
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exit(2);
}
const child = spawn(path, process.argv.slice(2), { stdio: "inherit" });
// The terminal sends Ctrl-C to both, and the binary decides when it has ended; other signals come to this process alone.
process.on("SIGINT", () => {});
for (const signal of process.platform === "win32" ? ["SIGTERM"] : ["SIGTERM", "SIGHUP", "SIGUSR1"]) {
  process.on(signal, () => child.kill(signal));
}
child.on("error", (error) => {
  console.error(`error: cannot start ${path}: ${error.message}`);
  process.exit(2);
});
child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
