// Checks of the account, of databases, containers and documents, and of their time to live.

import { readFileSync } from "node:fs";

import { StatusCodes } from "@azure/cosmos";

import { check, emulator, equal, eventually, refused, that } from "./checks.mjs";
import { COUNTRIES, DATABASE, PATIENT } from "./cosmos.mjs";
import { account, client, createAll, doc, endpoint, everything, fails, idsOf, range, within } from "./cosmos.mjs";

// --- The account ----------------------------------------------------------------------------------------------------

check("the account names the endpoint that it was reached by", async () => {
  const { resource } = await client.getDatabaseAccount();
  equal(resource.consistencyPolicy, "Session", "the consistency");
  equal(resource.writableLocations.map((where) => where.databaseAccountEndpoint), [endpoint], "the endpoints");
});

check("a wrong key is refused", async () => {
  const wrong = account({ key: Buffer.from("not the key of this account, at all, in any way").toString("base64") });
  await fails(401, wrong.database(DATABASE).read());
});

check("HTTPS is spoken with the certificate that is written", async () => {
  const at = emulator("secure").cosmos_db;
  that(at.endpoint.startsWith("https://"), `the endpoint is ${at.endpoint}`);
  const trusting = account({ of: "secure", ca: readFileSync(at.certificate) });
  const { database } = await trusting.databases.createIfNotExists({ id: DATABASE });
  const { container } = await database.containers.createIfNotExists({ id: "secure", partitionKey: "/ipCountryCode" });
  const { resource } = await container.items.create(doc());
  equal((await container.item(resource.id, "us").read()).resource.id, resource.id, "the id");
  await refused(account({ of: "secure" }).getDatabaseAccount(), "certificate");
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
    { defaultTtl: -1, retryOptions: PATIENT },
  ),
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
    { throughput: 100_000, retryOptions: PATIENT },
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
