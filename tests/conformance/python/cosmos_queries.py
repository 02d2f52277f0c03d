"""Checks of queries."""

from azure.cosmos.exceptions import CosmosHttpResponseError

from checks import check, equal, refused, that
from cosmos import COUNTRIES, DATABASE, Status, account, create_all, doc, everything, fails, place

# --- Queries ----------------------------------------------------------------------------------------------------------

ITEMS = [
    {
        "id": f"{i:03}",
        "ipCountryCode": COUNTRIES[i % len(COUNTRIES)],
        "n": i,
        "amount": (i * 37 % 100) / 4,
        "name": f"name {i % 7}",
        "even": i % 2 == 0,
        "place": {"city": f"city {i % 5}"},
        **({"sometimes": i} if i % 3 == 0 else {}),
    }
    for i in range(60)
]
ids = lambda keep: sorted(item["id"] for item in ITEMS if keep(item))

# Each query with what it gives; where the order is not defined, both sides are sorted.
FILTERS = {
    "c.ipCountryCode = 'us'": lambda c: c["ipCountryCode"] == "us",
    "c.n != 5": lambda c: c["n"] != 5,
    "c.n <> 5": lambda c: c["n"] != 5,
    "c.n < 10": lambda c: c["n"] < 10,
    "c.n > 50": lambda c: c["n"] > 50,
    "c.n <= 10": lambda c: c["n"] <= 10,
    "c.n >= 50": lambda c: c["n"] >= 50,
    "c.n > 5 AND c.n < 20": lambda c: 5 < c["n"] < 20,
    "c.n < 5 OR c.n > 55": lambda c: c["n"] < 5 or c["n"] > 55,
    "(c.n < 5 OR c.n > 55) AND c.even = true": lambda c: (c["n"] < 5 or c["n"] > 55) and c["even"],
    "c.n < 5 OR c.n > 50 AND c.even = true": lambda c: c["n"] < 5 or (c["n"] > 50 and c["even"]),
    "c.ipCountryCode IN ('us', 'gb')": lambda c: c["ipCountryCode"] in ("us", "gb"),
    "c.n IN (1, 2, 1000)": lambda c: c["n"] in (1, 2),
    "STARTSWITH(c.name, 'name 1')": lambda c: c["name"] == "name 1",
    "startswith(c.id, '01')": lambda c: c["id"].startswith("01"),
    "IS_DEFINED(c.sometimes)": lambda c: "sometimes" in c,
    "IS_DEFINED(c.sometimes) AND c.sometimes > 30": lambda c: c.get("sometimes", 0) > 30,
    "c.sometimes > 30": lambda c: c.get("sometimes", 0) > 30,
    "c.place.city = 'city 2'": lambda c: c["place"]["city"] == "city 2",
    'c["name"] = "name 3"': lambda c: c["name"] == "name 3",
    "c.even = false": lambda c: not c["even"],
    "c.amount = 12.5": lambda c: c["amount"] == 12.5,
    "c.name > 'name 4'": lambda c: c["name"] > "name 4",
    "c.n = '5'": lambda c: False,
    "c.nothing = 1": lambda c: False,
}


@check("every filter finds its documents, over partitions and in one")
async def _():
    async with place("queried") as container:
        await create_all(container, ITEMS)
        for text, keep in FILTERS.items():
            query = f"SELECT * FROM c WHERE {text}"
            found = await everything(container.query_items(query))
            equal(sorted(item["id"] for item in found), ids(keep), query)
            found = await everything(container.query_items(query, partition_key="us"))
            equal(sorted(item["id"] for item in found), ids(lambda c: keep(c) and c["ipCountryCode"] == "us"), f"{query} in one partition")

        # What is selected.
        one = lambda query, **options: everything(container.query_items(query, **options))
        equal((await one("SELECT * FROM c WHERE c.id = '007'"))[0]["place"], {"city": "city 2"}, "SELECT *")
        equal(await one("SELECT c.id, c.n FROM c WHERE c.id = '007'"), [{"id": "007", "n": 7}], "a projection")
        equal(await one("SELECT c.n AS number FROM c WHERE c.id = '007'"), [{"number": 7}], "a name of one's own")
        equal(await one("SELECT c.place.city FROM c WHERE c.id = '007'"), [{"city": "city 2"}], "a nested projection")
        equal(await one("SELECT c.id, c.sometimes FROM c WHERE c.id = '007'"), [{"id": "007"}], "an undefined projection")
        equal(await one("SELECT VALUE c.n FROM c WHERE c.id = '007'"), [7], "a value")
        equal(await one("SELECT r.id FROM root r WHERE r.id = '007'"), [{"id": "007"}], "an alias")
        equal(sorted(await one("SELECT VALUE c.n FROM c")), list(range(60)), "all values")

        # Parameters.
        parameters = [{"name": "@least", "value": 50}, {"name": "@key", "value": "us"}, {"name": "@odd", "value": "it's @least"}]
        query = "SELECT VALUE c.id FROM c WHERE c.n > @least AND c.ipCountryCode != @key AND c.name != @odd"
        equal(sorted(await one(query, parameters=parameters)), ids(lambda c: c["n"] > 50 and c["ipCountryCode"] != "us"), query)
        query = "SELECT VALUE c.id FROM c WHERE c.even = @yes AND c.n IN (@a, @b)"
        parameters = [{"name": "@yes", "value": True}, {"name": "@a", "value": 4}, {"name": "@b", "value": 5}]
        equal(await one(query, parameters=parameters), ["004"], query)

        # Counts and sums.
        equal(await one("SELECT VALUE COUNT(1) FROM c"), [60], "the count")
        equal(await one("SELECT VALUE COUNT(1) FROM c WHERE c.n < 10"), [10], "the count of some")
        equal(await one("SELECT VALUE COUNT(1) FROM c WHERE c.n < 0"), [0], "the count of none")
        equal(await one("SELECT VALUE COUNT(1) FROM c", partition_key="us"), [5], "the count of one partition")
        equal(await one("SELECT VALUE SUM(c.n) FROM c"), [sum(range(60))], "the sum")

        # Order and top.
        equal(await one("SELECT VALUE c.n FROM c ORDER BY c.n"), list(range(60)), "in order")
        equal(await one("SELECT VALUE c.n FROM c ORDER BY c.n ASC"), list(range(60)), "in order")
        equal(await one("SELECT VALUE c.n FROM c ORDER BY c.n DESC"), list(range(59, -1, -1)), "in reverse order")
        amounts = [item["amount"] for item in await one("SELECT * FROM c ORDER BY c.amount")]
        equal(amounts, sorted(item["amount"] for item in ITEMS), "amounts in order")
        names = await one("SELECT VALUE c.name FROM c WHERE c.n < 20 ORDER BY c.name DESC")
        equal(names, sorted((item["name"] for item in ITEMS if item["n"] < 20), reverse=True), "names in reverse order")
        equal(await one("SELECT VALUE c.n FROM c WHERE c.ipCountryCode = 'us' ORDER BY c.n", partition_key="us"), [0, 12, 24, 36, 48], "one partition in order")
        equal(len(await one("SELECT TOP 7 * FROM c")), 7, "the number of the top 7")
        equal(await one("SELECT TOP 3 VALUE c.n FROM c ORDER BY c.n DESC"), [59, 58, 57], "the top 3")
        equal(await one("SELECT TOP 2 VALUE c.n FROM c ORDER BY c.n", partition_key="gb"), [1, 13], "the top 2 of one partition")

        # Groups. This client cannot group over partitions; @azure/cosmos can.
        query = "SELECT c.even, COUNT(1) AS count, SUM(c.n) AS sum FROM c GROUP BY c.even"
        found = {group["even"]: (group["count"], group["sum"]) for group in await one(query, partition_key="gb")}
        equal(found, {False: (5, 1 + 13 + 25 + 37 + 49)}, query)

        # Pages.
        by_page = container.query_items("SELECT VALUE c.n FROM c WHERE c.n < 30", max_item_count=4).by_page()
        sizes, numbers = [], []
        async for page in by_page:
            page = await everything(page)
            sizes.append(len(page))
            numbers += page
        equal(sorted(numbers), list(range(30)), "what the pages hold")
        that(max(sizes) <= 4, f"the pages hold {sizes}")

        # Continuation within one partition: another client goes on where the first one stopped.
        pager = container.query_items("SELECT VALUE c.n FROM c", partition_key="us", max_item_count=2).by_page()
        first = await everything(await anext(pager))
        async with account() as other:
            again = other.get_database_client(DATABASE).get_container_client("queried")
            rest = again.query_items("SELECT VALUE c.n FROM c", partition_key="us", max_item_count=2).by_page(pager.continuation_token)
            rest = [number async for page in rest async for number in page]
        equal(sorted(first + rest), [0, 12, 24, 36, 48], "what was found before and after")
        equal(len(first), 2, "the size of the first page")

        # Pages of a list.
        sizes = [len(await everything(page)) async for page in container.read_all_items(max_item_count=7).by_page()]
        equal(sum(sizes), 60, "the number of documents listed")
        that(max(sizes) <= 7, f"the pages hold {sizes}")

        # The cost is reported.
        status = Status()
        await everything(container.query_items("SELECT * FROM c", partition_key="us", response_hook=status))
        that(status.charge > 2, f"a query cost {status.charge} RU")


@check("what queries cannot do is refused in words, and so is nonsense")
async def _():
    async with place("unsupported") as container:
        await container.create_item(doc())
        for query, word in [
            ("SELECT * FROM c JOIN t IN c.tags", "more than one input"),
            ("SELECT VALUE udf.tax(c.amount) FROM c", "udf"),
            ("SELECT * FROM c WHERE ST_DISTANCE(c.a, c.b) < 1", "st_distance"),
            ("SELECT TOP 5 * FROM c ORDER BY RANK FullTextScore(c.name, 'x')", "rank"),
        ]:
            await fails(400, everything(container.query_items(query)), word)
        for nonsense in ("", "SELECT", "SELEC * FROM c", "SELECT * FROM c WHERE", "SELECT * FROM c WHERE c.n = 'x", "DROP TABLE c", "(" * 5000):
            await refused(everything(container.query_items(nonsense)), (CosmosHttpResponseError, ValueError))
        await fails(400, everything(container.query_items("SELECT * FROM c WHERE c.n = @missing")), "@missing")


@check("the rest of the service is refused in words")
async def _():
    async with place("rest") as container:
        await refused(container.scripts.create_stored_procedure({"id": "p", "body": "function () {}"}), CosmosHttpResponseError, "not support")
