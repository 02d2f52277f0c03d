// Checks of queries.

import { check, equal, that } from "./checks.mjs";
import { COUNTRIES, createAll, everything, fails, idsOf, range, within } from "./cosmos.mjs";

// --- Queries --------------------------------------------------------------------------------------------------------

export const ITEMS = range(60).map((i) => ({
  id: String(i).padStart(3, "0"),
  ipCountryCode: COUNTRIES[i % COUNTRIES.length],
  n: i,
  amount: ((i * 37) % 100) / 4,
  name: `name ${i % 7}`,
  even: i % 2 === 0,
  place: { city: `city ${i % 5}` },
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
  "c.place.city = 'city 2'": (c) => c.place.city === "city 2",
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
    equal(await ask("SELECT VALUE c.n FROM c ORDER BY c.n OFFSET 10 LIMIT 3"), [10, 11, 12], "what an offset and a limit leave");

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
      ["SELECT * FROM c JOIN t IN c.tags", "more than one input"],
      ["SELECT * FROM c WHERE ST_DISTANCE(c.a, c.b) < 1", "st_distance"],
      ["SELECT VALUE udf.tax(c.amount) FROM c", "udf"],
    ]) {
      await fails(400, ask(query), word);
    }
    for (const nonsense of ["SELECT", "SELECT * FROM c WHERE", "DROP TABLE c"]) await fails(400, ask(nonsense));
  }),
);
