/** A shared access policy of the local Event Hubs. */
export type Policy = "RootManageSharedAccessKey" | "Sender" | "Listener";

export interface EmulatorOptions {
  /** The event hubs to serve; `transactions` unless named. */
  hubs?: readonly string[];
  /** Further flags of `txgen emulator`, of which `--config` takes the place of `hubs`. */
  args?: readonly string[];
  /** How long to wait until both services are ready, in milliseconds; 30,000 unless given. */
  startTimeoutMs?: number;
}

/** Running services, and how clients reach them. */
export interface Emulator extends AsyncDisposable {
  /** The event hubs that are served. */
  readonly hubs: readonly string[];
  /** Connection strings of the first hub, by shared access policy. */
  readonly connectionStrings: Readonly<Record<Policy, string>>;
  /** The connection string of the first hub that may do everything. */
  readonly eventHubsConnectionString: string;
  /** The endpoint of Cosmos DB, over HTTP. */
  readonly cosmosEndpoint: string;
  /** The account key of Cosmos DB: the same at every start, so no secret. */
  readonly cosmosKey: string;
  /** The connection string of a hub (the first one, unless named) for a policy. Throws a RangeError for an unknown one. */
  connectionString(hub?: string, policy?: Policy): string;
  /** Ends both services, and resolves when they have ended. */
  stop(): Promise<void>;
}

/**
 * Starts Event Hubs and Cosmos DB on free ports of 127.0.0.1. They end with `stop()`, or with this process.
 * Rejects when they are not ready in time; the error says what the emulator said.
 */
export function startEmulator(options?: EmulatorOptions): Promise<Emulator>;
