// Checks of the change feed.

import { ChangeFeedStartFrom, StatusCodes } from "@azure/cosmos";

import { check, equal, that } from "./checks.mjs";
import { COUNTRIES, createAll, doc, everything, idsOf, range, within } from "./cosmos.mjs";
import { ITEMS } from "./cosmos_queries.mjs";

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
