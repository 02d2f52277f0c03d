// Holds the Cosmos DB emulator against @azure/cosmos, Microsoft's client for JavaScript.

import { main } from "./checks.mjs";

// Each of these declares its checks.
import "./cosmos_documents.mjs";
import "./cosmos_throughput.mjs";
import "./cosmos_queries.mjs";
import "./cosmos_change_feed.mjs";

await main("javascript cosmos db");
