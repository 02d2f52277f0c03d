// Where the binary is: npm has installed the package of this platform beside this one.

import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

/** The path of the txgen binary: TXGEN_BINARY, or the one of this platform's package. */
export function binary() {
  if (process.env.TXGEN_BINARY) {
    return process.env.TXGEN_BINARY;
  }
  const name = `@txgen/${process.platform}-${process.arch}`;
  try {
    return require.resolve(`${name}/bin/txgen${process.platform === "win32" ? ".exe" : ""}`);
  } catch (cause) {
    throw new Error(
      `the package ${name} with the txgen binary is not installed; ` +
        "install without --omit=optional, or set TXGEN_BINARY to a binary where there is no package for this platform",
      { cause },
    );
  }
}
