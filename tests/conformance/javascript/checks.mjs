// Runs checks and prints a line for each; what the scripts of this folder share. See ../python/checks.py.

import { inspect } from "node:util";

/** Milliseconds that one check may take. Generous: it only bounds what hangs. */
const TIME_LIMIT = 120_000;

/** The exit code when a check failed; not 1, with which Node.js ends when a script cannot be run at all. */
const SOME_FAILED = 3;

const checks = [];

/** Declares a check. */
export function check(name, run) {
  checks.push({ name, run });
}

/** The `ready` line of an emulator that `run` has started. */
export function emulator(name = "main") {
  return JSON.parse(process.env[`TXGEN_${name.toUpperCase()}`]);
}

export class Failed extends Error {}

const shown = (value) => inspect(value, { depth: 6, breakLength: Infinity }).slice(0, 300);

/** The same value with the properties of its objects in order. */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object" || value instanceof Date || Buffer.isBuffer(value)) return value;
  return Object.fromEntries(Object.entries(value).sort().map(([name, inner]) => [name, sorted(inner)]));
}

/** Fails unless both are the same. */
export function equal(actual, expected, what = "it") {
  if (JSON.stringify(sorted(actual)) !== JSON.stringify(sorted(expected))) {
    throw new Failed(`${what} is ${shown(actual)}, and should be ${shown(expected)}`);
  }
}

/** Fails with `what` unless the condition holds. */
export function that(condition, what) {
  if (!condition) throw new Failed(what);
}

/** The error with which something fails; fails itself unless its text has these words. */
export async function refused(promise, ...words) {
  let got;
  try {
    got = await promise;
  } catch (error) {
    if (error instanceof Failed) throw error;
    const text = `${error.name ?? ""} ${error.code ?? ""} ${error.message ?? error}`;
    for (const word of words) {
      that(text.toLowerCase().includes(word.toLowerCase()), `the error should speak of «${word}»: ${text.slice(0, 400)}`);
    }
    return error;
  }
  throw new Failed(`was let through, and gave ${shown(got)}`);
}

/** Milliseconds that do not keep the process up. */
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What `look` gives once that is neither undefined nor false; fails after so many seconds. */
export async function eventually(look, what, seconds = 20, every = 20) {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Failed(`not within ${seconds} s: ${what}`);
    await pause(every);
  }
}

function oneLine(error) {
  const text = String(error?.message ?? error).split(/\s+/).join(" ").slice(0, 600);
  return error instanceof Failed ? text : `${error?.name ?? "Error"} ${error?.code ?? ""}: ${text}`;
}

/** Runs every check in order, or those whose name holds the first argument; the exit code says whether all held. */
export async function main(suite) {
  const only = process.argv[2];
  let failed = 0;
  for (const { name, run } of checks) {
    if (only && !name.includes(only)) continue;
    const begin = performance.now();
    let timer;
    try {
      const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Failed("it took too long")), TIME_LIMIT);
      });
      await Promise.race([run(), late]);
      console.log(`ok   ${suite}: ${name} (${((performance.now() - begin) / 1000).toFixed(2)} s)`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${suite}: ${name}: ${oneLine(error)}`);
      if (process.env.VERBOSE !== undefined) console.error(error);
    } finally {
      clearTimeout(timer);
    }
  }
  // A client that did not close what it opened must not keep the script from ending.
  process.exit(failed ? SOME_FAILED : 0);
}
