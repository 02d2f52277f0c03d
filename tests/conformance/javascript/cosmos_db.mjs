// Holds the Cosmos DB emulator against @azure/cosmos, Microsoft's client for JavaScript.

import { randomUUID } from "node:crypto";

import { ChangeFeedStartFrom, CosmosClient, StatusCodes } from "@azure/cosmos";

import { check, emulator, equal, eventually, main, refused, that } from "./checks.mjs";

const { endpoint, key: KEY } = emulator().cosmos_db;
const DATABASE = "conformance-javascript";
const COUNTRIES = "us gb ca au fr de br in jp unk it nl".split(" ");

/** A client that tells of its first failure instead of trying again, unless told otherwise. */
const account = (retryOptions = { maxRetryAttemptCount: 0 }, key = KEY) =>
  new CosmosClient({ endpoint, key, connectionPolicy: { retryOptions, enableBackgroundEndpointRefreshing: false } });

const client = account();
const range = (count) => Array.from({ length: count }, (_, i) => i);
const doc = (country = "us", more = {}) => ({ id: randomUUID(), ipCountryCode: country, transactionAmount: 12.5, ...more });
const createAll = (container, documents) => Promise.all(documents.map((document) => container.items.create(document)));
const everything = async (iterator) => (await iterator.fetchAll()).resources;
const idsOf = (documents) => documents.map((document) => document.id).sort();

/** A container of this name while `run` goes on, made anew. */
async function within(name, run, { throughput = 20_000, retryOptions, ...more } = {}) {
  const { database } = await account(retryOptions).databases.createIfNotExists({ id: DATABASE });
  const { container } = await database.containers.create({ id: name, partitionKey: "/ipCountryCode", throughput, ...more });
  try {
    return await run(container);
  } finally {
    await container.delete();
  }
}

/** The error, which must have this status, and these words in its message. */
async function fails(status, promise, ...words) {
  const error = await refused(promise, ...words);
  equal(error.code, status, `the status (${String(error.message).slice(0, 200)})`);
  return error;
}

// --- The account ----------------------------------------------------------------------------------------------------

check("the account names the endpoint that it was reached by", async () => {
  const { resource } = await client.getDatabaseAccount();
  equal(resource.consistencyPolicy, "Session", "the consistency");
  equal(resource.writableLocations.map((where) => where.databaseAccountEndpoint), [endpoint], "the endpoints");
});

check("a wrong key is refused", async () => {
  const wrong = account(undefined, Buffer.from("not the key of this account, at all, in any way").toString("base64"));
  await fails(401, wrong.database(DATABASE).read());
});

// --- Databases and containers ---------------------------------------------------------------------------------------

check("a database is made, read, listed, queried and deleted", async () => {
  const id = "short-lived-javascript";
  await fails(404, client.database(id).read());
  await client.databases.create({ id });
  await fails(409, client.databases.create({ id }));
  const { resource, statusCode } = await client.databases.createIfNotExists({ id });
  equal([resource.id, statusCode], [id, 200], "what is there already");
  that(idsOf(await everything(client.databases.readAll())).includes(id), "it should be listed");
  const query = { query: "SELECT * FROM r WHERE r.id = @id", parameters: [{ name: "@id", value: id }] };
  equal(idsOf(await everything(client.databases.query(query))), [id], "the databases found");
  await client.database(id).delete();
  await fails(404, client.database(id).read());
});

check("a container is made once, keeps its definition, is replaced, listed and deleted", async () => {
  const indexingPolicy = {
    indexingMode: "consistent",
    automatic: true,
    includedPaths: [{ path: "/ipCountryCode/?" }],
    excludedPaths: [{ path: "/*" }],
  };
  await within(
    "defined",
    async (container) => {
      const { resource } = await container.read();
      equal(resource.partitionKey.paths, ["/ipCountryCode"], "the partition key");
      equal(resource.defaultTtl, -1, "the default time to live");
      equal(resource.indexingPolicy.includedPaths, indexingPolicy.includedPaths, "the included paths");
      await fails(409, container.database.containers.create({ id: "defined", partitionKey: "/ipCountryCode" }));
      const again = await container.database.containers.createIfNotExists({ id: "defined", partitionKey: "/ipCountryCode" });
      equal(again.statusCode, 200, "the status");
      await container.replace({ ...resource, defaultTtl: 3600 });
      equal((await container.read()).resource.defaultTtl, 3600, "the new default time to live");
      that(idsOf(await everything(container.database.containers.readAll())).includes("defined"), "it should be listed");
    },
    { defaultTtl: -1, indexingPolicy },
  );
  await fails(404, client.database(DATABASE).container("defined").read());
});

// --- Documents ------------------------------------------------------------------------------------------------------

check("a document is made, read, replaced, upserted and deleted", () =>
  within("documents", async (container) => {
    const sent = doc("us", { text: "straße 東京 🎉", nested: { list: [1, 2.5, null, true, { deep: "x" }] }, empty: "" });
    const made = await container.items.create(sent);
    equal(made.statusCode, StatusCodes.Created, "the status");
    for (const [name, value] of Object.entries(sent)) equal(made.resource[name], value, name);
    for (const name of ["_rid", "_self", "_etag", "_ts", "_attachments"]) that(name in made.resource, `${name} is missing`);
    that(made.requestCharge > 1, `the charge is ${made.requestCharge}`);
    that(made.headers["x-ms-session-token"], "there should be a session token");
    equal(made.etag, made.resource._etag, "the etag");
    const item = container.item(sent.id, "us");
    equal((await item.read()).resource, made.resource, "the document as read");
    const replaced = await item.replace({ ...sent, n: 1 });
    equal([replaced.resource.n, replaced.resource._rid], [1, made.resource._rid], "what it was replaced with");
    that(replaced.etag !== made.etag, "the etag should change");
    equal((await container.items.upsert({ id: sent.id, ipCountryCode: "us" })).statusCode, 200, "an upsert of what is there");
    equal((await container.items.upsert(doc("us", { id: "new" }))).statusCode, 201, "an upsert of what is new");
    equal((await item.delete()).statusCode, 204, "a delete");
    equal((await item.read()).statusCode, 404, "a read of what is gone");
    await fails(404, item.delete());
    await fails(404, item.replace(sent));
    equal(idsOf(await everything(container.items.readAll())), ["new"], "what is left");
  }),
);

check("an id is taken once under a key, and free under another", () =>
  within("conflicts", async (container) => {
    const sent = doc();
    await container.items.create(sent);
    await fails(409, container.items.create(sent));
    await container.items.create({ ...sent, ipCountryCode: "gb" });
    equal((await everything(container.items.readAll())).length, 2, "the number of documents");
  }),
);

check("odd ids and keys are kept", () =>
  within("odd", async (container) => {
    for (const id of ["with space", "100%", "straße", "東京", "a+b", "a&b=c", "'quoted\"", "[x]{y}"]) {
      await container.items.create(doc("us", { id }));
      equal((await container.item(id, "us").read()).resource?.id, id, "the id");
    }
    for (const key of ["", "with space", "straße", 'quo"ted', 12, 0.5, true, false, null]) {
      await container.items.create({ id: "x", ipCountryCode: key });
      equal((await container.item("x", key).read()).resource?.ipCountryCode, key, "the key");
    }
  }),
);

check("a precondition decides over replacing, upserting and deleting", () =>
  within("preconditions", async (container) => {
    const first = await container.items.create(doc("us", { id: "x" }));
    const item = container.item("x", "us");
    const second = await item.replace(doc("us", { id: "x", n: 2 }));
    const when = (etag) => ({ accessCondition: { type: "IfMatch", condition: etag } });
    await fails(412, item.replace(doc("us", { id: "x" }), when(first.etag)));
    await fails(412, container.items.upsert(doc("us", { id: "x" }), when(first.etag)));
    await fails(412, item.delete(when(first.etag)));
    const known = { accessCondition: { type: "IfNoneMatch", condition: second.etag } };
    const unchanged = await item.read(known).then((read) => read.statusCode, (error) => error.code);
    equal(unchanged, 304, "the status of a read of what is known");
    const third = await item.replace(doc("us", { id: "x", n: 3 }), when(second.etag));
    await item.delete(when(third.etag));
  }),
);

check("no answer's body comes when none is wanted", () =>
  within("silent", async (container) => {
    const made = await container.items.create(doc(), { contentResponseOnWriteEnabled: false });
    that(!made.resource, `the answer is ${JSON.stringify(made.resource)}`);
    that(made.requestCharge > 1, `the charge is ${made.requestCharge}`);
  }),
);

check("a document that cannot be is refused", () =>
  within(
    "refused",
    async (container) => {
      const plain = { disableAutomaticIdGeneration: true };
      for (const wrong of [doc("us", { ttl: 0 }), doc("us", { ttl: "x" }), { ipCountryCode: "us" }]) {
        const error = await refused(container.items.create(wrong, plain));
        that(error.code === 400 || !error.code, `the status is ${error.code}`);
      }
      await fails(413, container.items.create(doc("us", { x: "y".repeat(2_200_000) })));
      await container.items.create(doc("us", { x: "y".repeat(2_000_000) }));
      equal((await everything(container.items.readAll())).length, 1, "the number of documents");
    },
    { defaultTtl: -1 },
  ),
);

// --- Time to live ---------------------------------------------------------------------------------------------------

check("expired documents vanish from reads, queries and counts", () =>
  within(
    "expiring",
    async (container) => {
      await createAll(container, COUNTRIES.map((country) => doc(country, { id: "short", ttl: 1 })));
      await createAll(container, COUNTRIES.map((country) => doc(country, { id: "long", ttl: 5_184_000 })));
      const count = async () => (await everything(container.items.query("SELECT VALUE COUNT(1) FROM c")))[0];
      await eventually(async () => (await count()) === COUNTRIES.length, "the short-lived are gone", 10, 100);
      equal((await container.item("short", "us").read()).statusCode, 404, "the status");
      equal([...new Set(idsOf(await everything(container.items.query("SELECT * FROM c"))))], ["long"], "what is left");
    },
    { defaultTtl: -1 },
  ),
);

// --- Throughput -----------------------------------------------------------------------------------------------------

/** An offer's throughput, replaced. */
async function reprovision(container, change) {
  const { offer, resource } = await container.readOffer();
  change(resource.content);
  return (await offer.replace(resource)).resource.content;
}

check("throughput is read and replaced, manual and autoscale, and offers are listed and queried", async () => {
  await within(
    "manual",
    async (container) => {
      const { resource } = await container.readOffer();
      equal(resource.content.offerThroughput, 400, "the throughput");
      equal((await reprovision(container, (content) => (content.offerThroughput = 700))).offerThroughput, 700, "the new one");
      equal((await container.readOffer()).resource.content.offerThroughput, 700, "the throughput read again");
      const { resource: own } = await container.read();
      const listed = await everything(client.offers.readAll());
      that(listed.some((offer) => offer.offerResourceId === own._rid), "the offer should be listed");
      const parameters = [{ name: "@rid", value: own._rid }];
      const found = await everything(client.offers.query({ query: "SELECT * FROM r WHERE r.offerResourceId = @rid", parameters }));
      equal(found.map((offer) => offer.content.offerThroughput), [700], "the offers found");
    },
    { throughput: 400 },
  );
  await within(
    "autoscale",
    async (container) => {
      const { resource } = await container.readOffer();
      equal(resource.content.offerAutopilotSettings.maxThroughput, 4000, "the maximum");
      const content = await reprovision(container, (content) => (content.offerAutopilotSettings.maxThroughput = 10_000));
      equal(content.offerAutopilotSettings.maxThroughput, 10_000, "the new maximum");
    },
    { throughput: undefined, maxThroughput: 4000 },
  );
});

check("a database's throughput is shared by the containers without their own", async () => {
  const { database } = await client.databases.create({ id: "shared-javascript", throughput: 1000 });
  try {
    equal((await database.readOffer()).resource.content.offerThroughput, 1000, "the throughput");
    const { container } = await database.containers.create({ id: "shares", partitionKey: "/k" });
    that(!(await container.readOffer().then((read) => read.resource, () => undefined)), "the container should have no offer");
  } finally {
    await database.delete();
  }
});

/** Creates at once: the failures. */
async function burst(container, count) {
  const creates = range(count).map(() => container.items.create(doc()).then(() => undefined, (error) => error));
  return (await Promise.all(creates)).filter(Boolean);
}

check("what exceeds the throughput is answered 429, and says how long to wait", () =>
  within(
    "narrow",
    async (container) => {
      const failures = await burst(container, 300);
      that(failures.length > 100, `only ${failures.length} of 300 creates at once were throttled at 400 RU/s`);
      for (const error of failures) {
        equal([error.code, error.substatus], [429, 3200], "status and substatus");
        that(error.retryAfterInMs >= 0, `how long to wait should be told: ${error.retryAfterInMs}`);
      }
    },
    { throughput: 400 },
  ),
);

check("a client that waits as it is told gets through", () =>
  within("patient", async (container) => equal(await burst(container, 100), [], "the failures"), {
    throughput: 400,
    retryOptions: { maxRetryAttemptCount: 50, maxWaitTimeInSeconds: 60 },
  }),
);

check("a replaced throughput counts from the next second on", () =>
  within(
    "changing",
    async (container) => {
      await eventually(async () => (await burst(container, 200)).length > 0, "throttling at 400 RU/s", 10);
      await reprovision(container, (content) => (content.offerThroughput = 10_000));
      await eventually(async () => (await burst(container, 200)).length === 0, "200 creates at once at 10,000 RU/s", 10, 200);
      await reprovision(container, (content) => (content.offerThroughput = 400));
      await eventually(async () => (await burst(container, 200)).length > 0, "throttling at 400 RU/s again", 10);
    },
    { throughput: 400 },
  ),
);

// --- Queries --------------------------------------------------------------------------------------------------------

const ITEMS = range(60).map((i) => ({
  id: String(i).padStart(3, "0"),
  ipCountryCode: COUNTRIES[i % COUNTRIES.length],
  n: i,
  amount: ((i * 37) % 100) / 4,
  name: `name ${i % 7}`,
  even: i % 2 === 0,
  where: { city: `city ${i % 5}` },
  ...(i % 3 === 0 ? { sometimes: i } : {}),
}));

const FILTERS = {
  "c.ipCountryCode = 'us'": (c) => c.ipCountryCode === "us",
  "c.n != 5": (c) => c.n !== 5,
  "c.n < 10": (c) => c.n < 10,
  "c.n > 50": (c) => c.n > 50,
  "c.n > 5 AND c.n < 20": (c) => c.n > 5 && c.n < 20,
  "c.n < 5 OR c.n > 55": (c) => c.n < 5 || c.n > 55,
  "(c.n < 5 OR c.n > 55) AND c.even = true": (c) => (c.n < 5 || c.n > 55) && c.even,
  "c.ipCountryCode IN ('us', 'gb')": (c) => ["us", "gb"].includes(c.ipCountryCode),
  "STARTSWITH(c.name, 'name 1')": (c) => c.name.startsWith("name 1"),
  "IS_DEFINED(c.sometimes)": (c) => "sometimes" in c,
  "c.where.city = 'city 2'": (c) => c.where.city === "city 2",
  'c["name"] = "name 3"': (c) => c.name === "name 3",
};

check("every query finds what it should, over partitions and in one", () =>
  within("queried", async (container) => {
    await createAll(container, ITEMS);
    const ask = (query, options) => everything(container.items.query(query, options));
    const inUs = { partitionKey: "us" };
    for (const [text, keep] of Object.entries(FILTERS)) {
      const query = `SELECT * FROM c WHERE ${text}`;
      equal(idsOf(await ask(query)), idsOf(ITEMS.filter(keep)), query);
      const expected = ITEMS.filter((item) => keep(item) && item.ipCountryCode === "us");
      equal(idsOf(await ask(query, inUs)), idsOf(expected), `${query} in one partition`);
    }

    equal(await ask("SELECT c.id, c.n AS number FROM c WHERE c.id = '007'"), [{ id: "007", number: 7 }], "a projection");
    equal(await ask("SELECT VALUE c.n FROM c WHERE c.id = '007'"), [7], "a value");
    const query = "SELECT VALUE c.id FROM c WHERE c.n > @least AND c.name != @name";
    const parameters = [{ name: "@least", value: 50 }, { name: "@name", value: "it's @least" }];
    equal((await ask({ query, parameters })).sort(), idsOf(ITEMS.filter((c) => c.n > 50)), "parameters");

    equal(await ask("SELECT VALUE COUNT(1) FROM c"), [60], "the count");
    equal(await ask("SELECT VALUE COUNT(1) FROM c WHERE c.n < 10"), [10], "the count of some");
    equal(await ask("SELECT VALUE COUNT(1) FROM c WHERE c.n < 0"), [0], "the count of none");
    equal(await ask("SELECT VALUE COUNT(1) FROM c", inUs), [5], "the count of one partition");
    equal(await ask("SELECT VALUE SUM(c.n) FROM c"), [1770], "the sum");

    equal(await ask("SELECT VALUE c.n FROM c ORDER BY c.n"), range(60), "in order");
    equal(await ask("SELECT VALUE c.n FROM c ORDER BY c.n DESC"), range(60).reverse(), "in reverse order");
    const names = ITEMS.filter((c) => c.n < 20).map((c) => c.name).sort();
    equal((await ask("SELECT * FROM c WHERE c.n < 20 ORDER BY c.name")).map((c) => c.name), names, "names in order");
    equal(await ask("SELECT VALUE c.n FROM c ORDER BY c.n", inUs), [0, 12, 24, 36, 48], "one partition in order");
    equal((await ask("SELECT TOP 7 * FROM c")).length, 7, "the number of the top 7");
    equal(await ask("SELECT TOP 3 VALUE c.n FROM c ORDER BY c.n DESC"), [59, 58, 57], "the top 3");

    // Groups, as the client puts them together from all partitions.
    const groups = await ask("SELECT c.even, COUNT(1) AS count, SUM(c.n) AS sum FROM c GROUP BY c.even");
    const summed = groups.map(({ even, count, sum }) => [even, count, sum]).sort();
    equal(summed, [[false, 30, 900], [true, 30, 870]], "the groups");
    const counted = await ask("SELECT c.ipCountryCode, COUNT(1) AS count FROM c WHERE c.n < 30 GROUP BY c.ipCountryCode");
    const expected = COUNTRIES.map((country) => [country, ITEMS.filter((c) => c.n < 30 && c.ipCountryCode === country).length]);
    equal(counted.map((group) => [group.ipCountryCode, group.count]).sort(), expected.sort(), "the counts by country");
    equal(await ask("SELECT c.ipCountryCode, COUNT(1) AS count FROM c GROUP BY c.ipCountryCode", inUs), [{ ipCountryCode: "us", count: 5 }], "the groups of one partition");

    // Pages.
    const pages = container.items.query("SELECT VALUE c.n FROM c WHERE c.n < 30", { maxItemCount: 4 });
    const numbers = [];
    while (pages.hasMoreResults()) {
      const { resources } = await pages.fetchNext();
      that((resources?.length ?? 0) <= 4, `a page of ${resources?.length}`);
      numbers.push(...(resources ?? []));
    }
    equal(numbers.sort((a, b) => a - b), range(30), "what the pages hold");
    const page = await container.items.query("SELECT VALUE c.n FROM c", { ...inUs, maxItemCount: 2 }).fetchNext();
    const rest = await ask("SELECT VALUE c.n FROM c", { ...inUs, maxItemCount: 2, continuationToken: page.continuationToken });
    equal([...page.resources, ...rest].sort((a, b) => a - b), [0, 12, 24, 36, 48], "what was found before and after");
    const listed = container.items.readAll({ maxItemCount: 7 });
    let count = 0;
    while (listed.hasMoreResults()) {
      const { resources } = await listed.fetchNext();
      that(resources.length <= 7, `a page of ${resources.length}`);
      count += resources.length;
    }
    equal(count, 60, "the number of documents listed");

    for (const [query, word] of [
      ["SELECT * FROM c JOIN t IN c.tags", "join"],
      ["SELECT * FROM c WHERE REGEXMATCH(c.name, 'x')", "regexmatch"],
      ["SELECT DISTINCT c.name FROM c", "distinct"],
      ["SELECT * FROM c OFFSET 1 LIMIT 2", "offset"],
    ]) {
      await fails(400, ask(query), word);
    }
    for (const nonsense of ["SELECT", "SELECT * FROM c WHERE", "DROP TABLE c"]) await fails(400, ask(nonsense));
  }),
);

check("the ranges of a container cover every document once", () =>
  within("ranges", async (container) => {
    await createAll(container, ITEMS);
    const ranges = await everything(container.readPartitionKeyRanges());
    that(ranges.length >= 2, `20,000 RU/s should be two physical partitions, not ${ranges.length}`);
    equal([ranges[0].minInclusive, ranges.at(-1).maxExclusive], ["", "FF"], "where they begin and end");
    const found = [];
    for (const feedRange of await container.getFeedRanges()) {
      const start = ChangeFeedStartFrom.Beginning(feedRange);
      found.push(...(await changes(container.items.getChangeFeedIterator({ changeFeedStartFrom: start }))).documents);
    }
    equal(idsOf(found), idsOf(ITEMS), "the documents");
  }),
);

// --- The change feed ------------------------------------------------------------------------------------------------

/** All changes there are, and where to go on. */
async function changes(iterator) {
  const documents = [];
  for (;;) {
    const page = await iterator.readNext();
    if (page.statusCode === StatusCodes.NotModified) return { documents, continuation: page.continuationToken };
    documents.push(...page.result);
  }
}

check("the change feed gives each document's latest version, in order, and goes on where it stopped", () =>
  within("feed", async (container) => {
    for (const i of range(20)) await container.items.create(doc("us", { id: String(i), n: 0 }));
    await createAll(container, COUNTRIES.slice(1).map((country) => doc(country)));
    await container.item("3", "us").replace(doc("us", { id: "3", n: 1 }));
    await container.item("4", "us").delete();
    const feed = (changeFeedStartFrom) => changes(container.items.getChangeFeedIterator({ changeFeedStartFrom, maxItemCount: 6 }));
    const { documents, continuation } = await feed(ChangeFeedStartFrom.Beginning("us"));
    const expected = [...range(20).filter((i) => i !== 3 && i !== 4).map(String), "3"];
    equal(documents.map((document) => document.id), expected, "the changes of one key");
    equal(documents.at(-1).n, 1, "the version");
    equal((await feed(ChangeFeedStartFrom.Continuation(continuation))).documents, [], "what changed since");
    await container.items.create(doc("us", { id: "later" }));
    await container.items.create(doc("gb", { id: "other key" }));
    equal(idsOf((await feed(ChangeFeedStartFrom.Continuation(continuation))).documents), ["later"], "what changed since");
    const all = await feed(ChangeFeedStartFrom.Beginning());
    equal(all.documents.length, 19 + COUNTRIES.length - 1 + 2, "the changes of the whole container");
    equal((await feed(ChangeFeedStartFrom.Now())).documents, [], "the changes from now on");
  }),
);

check("many writers at once lose and repeat nothing", () =>
  within(
    "many",
    async (container) => {
      const items = range(1000).map((i) => doc(COUNTRIES[i % COUNTRIES.length], { id: String(i) }));
      for (let start = 0; start < items.length; start += 100) await createAll(container, items.slice(start, start + 100));
      const found = await everything(container.items.query("SELECT c.id FROM c", { maxItemCount: 300 }));
      equal(idsOf(found), idsOf(items), "the ids");
    },
    { throughput: 100_000 },
  ),
);

await main("javascript cosmos db");
