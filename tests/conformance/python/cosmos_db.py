"""Holds the Cosmos DB emulator against azure-cosmos, Microsoft's client for Python."""

import asyncio
import base64
import datetime
import hashlib
import hmac
import json
import time
import urllib.parse
import uuid
from collections import Counter

import aiohttp
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.cosmos import CosmosClient as SyncClient, PartitionKey, ThroughputProperties
from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import CosmosHttpResponseError

from checks import check, emulator, equal, eventually, main, refused, that

ENDPOINT, KEY = (emulator()["cosmos_db"][name] for name in ("endpoint", "key"))
DATABASE = "conformance-python"
COUNTRIES = "us gb ca au fr de br in jp unk it nl".split()


def account(key=KEY, **options):
    """A client that tells of its first failure instead of trying again, unless told otherwise."""
    return CosmosClient(ENDPOINT, credential=key, **{"retry_total": 0, "retry_throttle_total": 0, **options})


class Status:
    """What the service said about a request, beside the body."""

    def __call__(self, headers, _=None):
        self.headers = dict(headers)

    @property
    def charge(self):
        return float(self.headers["x-ms-request-charge"])


class place:
    """A container of this name for the time of a ``with`` block, made anew; and a client of its own."""

    def __init__(self, name, throughput=20_000, default_ttl=None, client=None, **more):
        self.name, self.options = name, {"offer_throughput": throughput, "default_ttl": default_ttl, **more}
        self.client = account(**(client or {}))

    async def __aenter__(self):
        database = await self.client.create_database_if_not_exists(DATABASE)
        return await database.create_container(self.name, PartitionKey("/ipCountryCode"), **self.options)

    async def __aexit__(self, *_):
        await self.client.get_database_client(DATABASE).delete_container(self.name)
        await self.client.close()


def doc(country="us", **more):
    return {"id": str(uuid.uuid4()), "ipCountryCode": country, "transactionAmount": 12.5, **more}


async def fails(status, awaitable, *words, substatus=None):
    """The error, which must have this status, and these words in its message."""
    error = await refused(awaitable, CosmosHttpResponseError, *words)
    equal(error.status_code, status, "the status")
    if substatus is not None:
        equal(error.sub_status, substatus, "the substatus")
    return error


async def everything(pages):
    return [item async for item in pages]


async def create_all(container, documents):
    await asyncio.gather(*(container.create_item(document) for document in documents))


# --- The account ------------------------------------------------------------------------------------------------------


@check("the account names the endpoint that it was reached by")
async def _():
    async with account() as client:
        properties = await client._get_database_account()
        equal(properties.ConsistencyPolicy["defaultConsistencyLevel"], "Session", "the consistency")
        equal([where["databaseAccountEndpoint"] for where in properties.WritableLocations], [ENDPOINT], "the endpoints")


@check("a wrong key is refused")
async def _():
    wrong = base64.b64encode(b"not the key of this account, at all, in any way").decode()
    for key in (wrong, base64.b64encode(b"x").decode()):
        try:
            async with account(key) as client:
                await client.get_database_client(DATABASE).read()
        except CosmosHttpResponseError as error:
            equal(error.status_code, 401, "the status")
        else:
            that(False, "was let in")


@check("a signature of yesterday, of another request, and none are refused")
async def _():
    def headers(verb="get", date=None, kind="dbs", link=""):
        date = date or datetime.datetime.now(datetime.timezone.utc)
        date = date.strftime("%a, %d %b %Y %H:%M:%S GMT")
        text = f"{verb}\n{kind}\n{link}\n{date.lower()}\n\n"
        signed = base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()
        token = urllib.parse.quote(f"type=master&ver=1.0&sig={signed}", safe="")
        return {"authorization": token, "x-ms-date": date, "x-ms-version": "2020-07-15"}

    yesterday = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    async with aiohttp.ClientSession() as http:
        for sent, allowed in [
            (headers(), {200}),
            (headers(verb="post"), {401}),
            (headers(kind="colls"), {401}),
            (headers(link="dbs/x"), {401}),
            (headers(date=yesterday), {401, 403}),
            ({**headers(), "x-ms-date": "yesterday"}, {400, 401}),
            ({"x-ms-version": "2020-07-15"}, {401}),
            ({**headers(), "authorization": "nonsense"}, {400, 401}),
        ]:
            async with http.get(ENDPOINT + "dbs", headers=sent) as answer:
                body = await answer.text()
                that(answer.status in allowed, f"{sent} was answered {answer.status}: {body:.200}")
                if answer.status != 200:
                    that({"code", "message"} <= set(json.loads(body)), f"the body should tell why: {body:.200}")


@check("what is no request of Cosmos DB is answered with a client's error")
async def _():
    async with aiohttp.ClientSession() as http:
        for method, path in [("GET", "nothing/here"), ("DELETE", ""), ("PUT", "dbs"), ("GET", "dbs//colls"), ("GET", "%ff%fe")]:
            async with http.request(method, ENDPOINT + path) as answer:
                that(400 <= answer.status < 500, f"{method} /{path} was answered {answer.status}")


# --- Databases and containers -----------------------------------------------------------------------------------------


@check("a database is made, read, listed, queried and deleted")
async def _():
    async with account() as client:
        await fails(404, client.get_database_client("short-lived").read())
        database = await client.create_database("short-lived")
        properties = await database.read()
        that({"_rid", "_self", "_etag", "_ts"} <= set(properties), f"system properties are missing: {properties}")
        await fails(409, client.create_database("short-lived"))
        equal((await client.create_database_if_not_exists("short-lived")).id, "short-lived", "the id")
        that("short-lived" in [found["id"] for found in await everything(client.list_databases())], "it should be listed")
        query = client.query_databases("SELECT * FROM r WHERE r.id = @id", parameters=[{"name": "@id", "value": "short-lived"}])
        equal([found["id"] for found in await everything(query)], ["short-lived"], "the databases found")
        await client.delete_database("short-lived")
        await fails(404, database.read())
        await fails(404, client.delete_database("short-lived"))


@check("a container keeps its definition as it was sent")
async def _():
    policy = {
        "indexingMode": "consistent",
        "automatic": True,
        "includedPaths": [{"path": "/ipCountryCode/?"}],
        "excludedPaths": [{"path": "/*"}],
    }
    async with place("defined", default_ttl=-1, indexing_policy=policy) as container:
        properties = await container.read()
        equal(properties["id"], "defined", "the id")
        equal(properties["partitionKey"]["paths"], ["/ipCountryCode"], "the partition key")
        equal(properties["partitionKey"]["kind"], "Hash", "the kind of partition key")
        equal(properties["defaultTtl"], -1, "the default time to live")
        kept = properties["indexingPolicy"]
        equal(kept["includedPaths"], policy["includedPaths"], "the included paths")
        that({"path": "/*"} in kept["excludedPaths"], f"the excluded paths are {kept['excludedPaths']}")
        that({"_rid", "_self", "_etag", "_ts"} <= set(properties), f"system properties are missing: {properties}")


@check("a container is made once, replaced, listed, queried and deleted")
async def _():
    async with place("twice") as container, account() as client:
        database = client.get_database_client(DATABASE)
        await fails(409, database.create_container("twice", PartitionKey("/ipCountryCode")))
        again = await database.create_container_if_not_exists("twice", PartitionKey("/ipCountryCode"))
        equal(again.id, "twice", "the id")
        that("twice" in [found["id"] for found in await everything(database.list_containers())], "it should be listed")
        query = database.query_containers("SELECT * FROM r WHERE r.id = 'twice'")
        equal([found["id"] for found in await everything(query)], ["twice"], "the containers found")
        await database.replace_container(container, PartitionKey("/ipCountryCode"), default_ttl=3600)
        equal((await container.read())["defaultTtl"], 3600, "the default time to live")
        await fails(404, database.get_container_client("none").read())
    async with account() as client:
        await fails(404, client.get_database_client(DATABASE).get_container_client("twice").read())


@check("a container of the same name begins empty")
async def _():
    async with place("reborn") as container:
        await container.create_item(doc())
    async with place("reborn") as container:
        equal(await everything(container.read_all_items()), [], "the documents")


@check("a container that cannot be is refused")
async def _():
    async with account() as client:
        database = await client.create_database_if_not_exists(DATABASE)
        for name in ("with/slash", "with#hash", "with?mark", ""):
            await refused(database.create_container(name, PartitionKey("/k")), (CosmosHttpResponseError, ValueError))
        await fails(400, database.create_container("ttl", PartitionKey("/k"), default_ttl=0))
        await fails(400, database.create_container("slow", PartitionKey("/k"), offer_throughput=399))
        await fails(400, database.create_container("odd", PartitionKey("/k"), offer_throughput=455))


# --- Documents --------------------------------------------------------------------------------------------------------


@check("a document is made, read, replaced, upserted and deleted")
async def _():
    async with place("documents") as container:
        status = Status()
        sent = doc(text="straße 東京 🎉", nested={"list": [1, 2.5, None, True, {"deep": "x"}]}, empty="", large=2**53 - 1)
        made = await container.create_item(sent, response_hook=status)
        that(sent.items() <= made.items(), f"the answer differs from what was sent: {made}")
        that({"_rid", "_self", "_etag", "_ts", "_attachments"} <= set(made), f"system properties are missing: {made}")
        that(abs(made["_ts"] - time.time()) < 60, f"_ts is {made['_ts']}")
        that(status.charge > 1, f"the charge is {status.charge}")
        for header in ("x-ms-session-token", "etag", "x-ms-activity-id"):
            that(header in status.headers, f"{header} is missing from {sorted(status.headers)}")
        read = await container.read_item(sent["id"], "us", response_hook=status)
        equal(dict(read), dict(made), "the document as read")
        equal(status.headers["etag"], made["_etag"], "the etag")
        replaced = await container.replace_item(sent["id"], {**sent, "n": 1})
        equal(replaced["n"], 1, "n")
        equal(replaced["_rid"], made["_rid"], "the _rid")
        that(replaced["_etag"] != made["_etag"], "the etag should change")
        that("text" not in await container.upsert_item({"id": sent["id"], "ipCountryCode": "us"}), "an upsert replaces it all")
        await container.upsert_item(doc(id="new"))
        await container.delete_item(sent["id"], "us")
        await fails(404, container.read_item(sent["id"], "us"))
        await fails(404, container.delete_item(sent["id"], "us"))
        await fails(404, container.replace_item(sent["id"], sent))
        equal([found["id"] for found in await everything(container.read_all_items())], ["new"], "what is left")


@check("an id is taken once under a key, and free under another")
async def _():
    async with place("conflicts") as container:
        sent = doc()
        await container.create_item(sent)
        await fails(409, container.create_item(sent))
        await container.create_item({**sent, "ipCountryCode": "gb"})
        equal(len(await everything(container.read_all_items())), 2, "the number of documents")


@check("odd ids and keys are kept")
async def _():
    async with place("odd") as container:
        ids = ["with space", "100%", "straße", "東京", "a+b", "a&b=c", "'quoted\"", "é" * 100, "a:b;c,d", "[x]{y}"]
        for id in ids:
            await container.create_item(doc(id=id))
            equal((await container.read_item(id, "us"))["id"], id, "the id")
            await container.delete_item(id, "us")
        for key in ["", "with space", "straße", 'quo"ted', 12, 0.5, True, False, None]:
            await container.create_item({"id": "x", "ipCountryCode": key})
            equal((await container.read_item("x", key))["ipCountryCode"], key, "the key")
        await fails(409, container.create_item({"id": "x", "ipCountryCode": None}))
        # No key at all is yet another key.
        await container.create_item({"id": "x"})
        for bad in ("with/slash", "with#hash", "with?mark", "back\\slash", "x" * 1024):
            await refused(container.create_item(doc(id=bad)), (CosmosHttpResponseError, ValueError))


@check("a precondition decides over replacing, upserting and deleting")
async def _():
    async with place("preconditions") as container:
        first = await container.create_item(doc())
        second = await container.replace_item(first["id"], doc(id=first["id"], n=2))
        stale = {"etag": first["_etag"], "match_condition": MatchConditions.IfNotModified}
        fresh = {"etag": second["_etag"], "match_condition": MatchConditions.IfNotModified}
        await fails(412, container.replace_item(first["id"], doc(id=first["id"]), **stale))
        await fails(412, container.upsert_item(doc(id=first["id"]), **stale))
        await fails(412, container.delete_item(first["id"], "us", **stale))
        equal((await container.read_item(first["id"], "us"))["n"], 2, "n")
        third = await container.replace_item(first["id"], doc(id=first["id"], n=3), **fresh)
        current = {"etag": third["_etag"], "match_condition": MatchConditions.IfModified}
        await fails(304, container.read_item(first["id"], "us", **current))
        last = {"etag": third["_etag"], "match_condition": MatchConditions.IfNotModified}
        await container.delete_item(first["id"], "us", **last)


@check("no answer's body comes when none is wanted")
async def _():
    async with place("silent") as container:
        status, sent = Status(), doc()
        equal(dict(await container.create_item(sent, no_response=True, response_hook=status)), {}, "the answer")
        that("etag" in status.headers and status.charge > 1, "the headers should come all the same")
        equal(dict(await container.upsert_item(sent, no_response=True)), {}, "the answer")
        equal(dict(await container.replace_item(sent["id"], sent, no_response=True)), {}, "the answer")
        equal((await container.read_item(sent["id"], "us"))["id"], sent["id"], "the id")


@check("a document that cannot be is refused")
async def _():
    async with place("refused", default_ttl=-1) as container:
        for wrong in (doc(ttl=0), doc(ttl=-2), doc(ttl="x"), doc(ttl=1.5), doc(id=7), doc(id="")):
            await refused(container.create_item(wrong), (CosmosHttpResponseError, TypeError, ValueError))
        raw = container.client_connection
        await fails(400, raw.CreateItem(f"dbs/{DATABASE}/colls/refused", {"ipCountryCode": "us"}, options={"disableAutomaticIdGeneration": True}))
        where = {"partitionKey": "us", "disableAutomaticIdGeneration": True}
        await fails(400, raw.CreateItem(f"dbs/{DATABASE}/colls/refused", doc("fr"), options=where), substatus=1001)
        equal(await everything(container.read_all_items()), [], "the documents")


@check("a document of nearly 2 MB is taken, a larger one is not")
async def _():
    async with place("sizes") as container:
        status = Status()
        await container.create_item(doc(id="large", x="y" * 2_000_000), response_hook=status)
        that(status.charge > 5_000, f"2 MB cost {status.charge} RU")
        equal(len((await container.read_item("large", "us"))["x"]), 2_000_000, "the length")
        for size in (2_200_000, 5_000_000):
            await fails(413, container.create_item(doc(x="y" * size)))
        equal(len(await everything(container.read_all_items())), 1, "the number of documents")


@check("what a document costs grows with its size")
async def _():
    async with place("costs") as container:
        charges = []
        for size in (100, 4_000, 60_000):
            status = Status()
            await container.create_item(doc(x="y" * size), response_hook=status)
            charges.append(status.charge)
        that(5 < charges[0] < charges[1] < charges[2], f"the charges are {charges}")
        made = await container.create_item(doc())
        await container.read_item(made["id"], "us", response_hook=status)
        that(0.9 <= status.charge <= 1.5, f"a read of less than 1 KB costs {status.charge} RU")


@check("the synchronous client writes, reads and queries")
async def _():
    def work():
        with SyncClient(ENDPOINT, credential=KEY, retry_total=0) as client:
            database = client.create_database_if_not_exists(DATABASE)
            container = database.create_container_if_not_exists("synchronous", PartitionKey("/ipCountryCode"))
            for country in ("us", "gb"):
                container.create_item(doc(country, id=country))
            count = list(container.query_items("SELECT VALUE COUNT(1) FROM c", enable_cross_partition_query=True))
            ids = [found["id"] for found in container.query_items("SELECT * FROM c ORDER BY c.id", enable_cross_partition_query=True)]
            database.delete_container("synchronous")
            return count, ids

    equal(await asyncio.to_thread(work), ([2], ["gb", "us"]), "count and ids")


# --- Time to live -----------------------------------------------------------------------------------------------------


@check("expired documents vanish from reads, queries, counts and the change feed")
async def _():
    async with place("expiring", default_ttl=-1) as container:
        await create_all(container, [doc(country, id=f"short {country}", ttl=1) for country in COUNTRIES])
        await create_all(container, [doc(country, id=f"long {country}", ttl=5_184_000) for country in COUNTRIES])
        await container.create_item(doc(id="for ever"))
        count = lambda: everything(container.query_items("SELECT VALUE COUNT(1) FROM c"))

        async def gone():
            return await count() == [len(COUNTRIES) + 1]

        await eventually(gone, "the short-lived are gone", seconds=10, every=0.1)
        await fails(404, container.read_item("short us", "us"))
        ids = {found["id"] for found in await everything(container.query_items("SELECT * FROM c"))}
        equal(ids, {f"long {country}" for country in COUNTRIES} | {"for ever"}, "what is left")
        equal({found["id"] for found in await everything(container.read_all_items())}, ids, "what is listed")
        changes = await everything(container.query_items_change_feed(start_time="Beginning"))
        equal({change["id"] for change in changes}, ids, "what the change feed has")
        # The id of an expired document is free again.
        await container.create_item(doc(id="short us"))


@check("a container's default time to live holds where a document has none")
async def _():
    async with place("by-default", default_ttl=1) as container:
        await container.create_item(doc(id="by default"))
        await container.create_item(doc(id="never", ttl=-1))
        await container.create_item(doc(id="own", ttl=1000))

        async def gone():
            return len(await everything(container.read_all_items())) == 2

        await eventually(gone, "one of the three is gone", seconds=10, every=0.1)
        await fails(404, container.read_item("by default", "us"))


@check("without a container's leave a document's time to live means nothing")
async def _():
    async with place("no-ttl") as container, place("with-ttl", default_ttl=-1) as other:
        await container.create_item(doc(id="x", ttl=1))
        await other.create_item(doc(id="x", ttl=1))

        async def gone():
            return await everything(other.read_all_items()) == []

        await eventually(gone, "the other one is gone", seconds=10, every=0.1)
        equal((await container.read_item("x", "us"))["ttl"], 1, "the time to live")


# --- Throughput -------------------------------------------------------------------------------------------------------


@check("a container's throughput is read and replaced, manual and autoscale")
async def _():
    async with place("manual", throughput=400) as container:
        equal((await container.get_throughput()).offer_throughput, 400, "the throughput")
        equal((await container.replace_throughput(700)).offer_throughput, 700, "the new throughput")
        equal((await container.get_throughput()).offer_throughput, 700, "the throughput read again")
        await fails(400, container.replace_throughput(10))
    autoscale = ThroughputProperties(auto_scale_max_throughput=4000, auto_scale_increment_percent=0)
    async with place("autoscale", throughput=autoscale) as container:
        equal((await container.get_throughput()).auto_scale_max_throughput, 4000, "the maximum")
        await container.replace_throughput(ThroughputProperties(auto_scale_max_throughput=10_000))
        equal((await container.get_throughput()).auto_scale_max_throughput, 10_000, "the new maximum")


@check("a database's throughput is shared by the containers without their own")
async def _():
    async with account() as client:
        database = await client.create_database("shared-python", offer_throughput=1000)
        try:
            equal((await database.get_throughput()).offer_throughput, 1000, "the throughput")
            equal((await database.replace_throughput(15_000)).offer_throughput, 15_000, "the new throughput")
            shares = await database.create_container("shares", PartitionKey("/k"))
            await fails(404, shares.get_throughput())
            own = await database.create_container("own", PartitionKey("/k"), offer_throughput=500)
            equal((await own.get_throughput()).offer_throughput, 500, "the container's own")
        finally:
            await client.delete_database("shared-python")


async def burst(container, count, country="us", **more):
    """Creates at once; how many were made, and the failures."""

    async def one():
        try:
            await container.create_item(doc(country, **more), no_response=True)
        except CosmosHttpResponseError as error:
            return error

    outcomes = await asyncio.gather(*(one() for _ in range(count)))
    failures = [outcome for outcome in outcomes if outcome]
    return count - len(failures), failures


@check("what exceeds the throughput is answered 429 and is not stored")
async def _():
    async with place("narrow", throughput=400) as container:
        stored, failures = await burst(container, 300)
        that(len(failures) > 100, f"only {len(failures)} of 300 creates at once were throttled at 400 RU/s")
        for error in failures:
            equal((error.status_code, error.sub_status), (429, 3200), "status and substatus")
            that(float(error.headers["x-ms-retry-after-ms"]) >= 0, "how long to wait should be told")

        async def count():
            try:
                return [stored] == await everything(container.query_items("SELECT VALUE COUNT(1) FROM c"))
            except CosmosHttpResponseError as error:
                equal(error.status_code, 429, "the status")

        await eventually(count, f"a count of {stored}", seconds=10, every=0.1)


@check("a client that waits as it is told gets through")
async def _():
    async with place("patient", throughput=400, client={"retry_throttle_total": 50, "retry_throttle_backoff_max": 60}) as container:
        stored, failures = await burst(container, 100)
        equal((stored, failures[:1]), (100, []), "what was stored, and what failed")


@check("a replaced throughput counts from the next second on")
async def _():
    async with place("changing", throughput=400) as container:

        async def all_pass():
            return (await burst(container, 200))[0] == 200

        async def some_fail():
            return (await burst(container, 200))[0] < 200

        await eventually(some_fail, "throttling at 400 RU/s", seconds=10)
        await container.replace_throughput(10_000)
        await eventually(all_pass, "200 creates at once at 10,000 RU/s", seconds=10, every=0.2)
        await container.replace_throughput(400)
        await eventually(some_fail, "throttling at 400 RU/s again", seconds=10)


@check("a hot key is throttled by its partition's share, others are not")
async def _():
    # 10,100 RU/s are two physical partitions of 5,050; a document of nearly 2 MB takes what one has in two seconds.
    async with place("hot", throughput=10_100) as container:
        ranges = await everything(container.read_feed_ranges())
        that(len(ranges) >= 2, f"there are {len(ranges)} feed ranges")

        async def range_of(key):
            own = await container.feed_range_from_partition_key(key)
            return [await container.is_feed_range_subset(range_, own) for range_ in ranges].index(True)

        hot = await range_of("us")
        cold = [key for key in COUNTRIES if await range_of(key) != hot]
        that(cold, "12 keys should not all be in one range")
        equal(await burst(container, 1, x="y" * 1_990_000), (1, []), "what was stored of the large document, and what failed")
        (stored, failures), others = await asyncio.gather(burst(container, 1), burst(container, 20, cold[0]))
        equal((stored, [error.status_code for error in failures]), (0, [429]), "what the hot partition stored, and what failed")
        equal(others, (20, []), "what the other partition stored, and what failed")


# --- Queries ----------------------------------------------------------------------------------------------------------

ITEMS = [
    {
        "id": f"{i:03}",
        "ipCountryCode": COUNTRIES[i % len(COUNTRIES)],
        "n": i,
        "amount": (i * 37 % 100) / 4,
        "name": f"name {i % 7}",
        "even": i % 2 == 0,
        "where": {"city": f"city {i % 5}"},
        **({"sometimes": i} if i % 3 == 0 else {}),
    }
    for i in range(60)
]
ids = lambda keep: sorted(item["id"] for item in ITEMS if keep(item))

# Each query with what it gives; where the order is not told, both sides are sorted.
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
    "c.where.city = 'city 2'": lambda c: c["where"]["city"] == "city 2",
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
        equal((await one("SELECT * FROM c WHERE c.id = '007'"))[0]["where"], {"city": "city 2"}, "SELECT *")
        equal(await one("SELECT c.id, c.n FROM c WHERE c.id = '007'"), [{"id": "007", "n": 7}], "a projection")
        equal(await one("SELECT c.n AS number FROM c WHERE c.id = '007'"), [{"number": 7}], "a name of one's own")
        equal(await one("SELECT c.where.city FROM c WHERE c.id = '007'"), [{"city": "city 2"}], "a nested projection")
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

        # The cost is told.
        status = Status()
        await everything(container.query_items("SELECT * FROM c", partition_key="us", response_hook=status))
        that(status.charge > 2, f"a query cost {status.charge} RU")


@check("what queries cannot do is refused in words, and so is nonsense")
async def _():
    async with place("unsupported") as container:
        await container.create_item(doc())
        for query, word in [
            ("SELECT * FROM c JOIN t IN c.tags", "join"),
            ("SELECT VALUE udf.tax(c.amount) FROM c", "udf"),
            ("SELECT VALUE REGEXMATCH(c.name, 'x') FROM c", "regexmatch"),
            ("SELECT * FROM c WHERE EXISTS (SELECT VALUE t FROM t IN c.tags)", "exists"),
            ("SELECT * FROM c ORDER BY c.a, c.b", "order by"),
            ("SELECT * FROM c WHERE c.name LIKE '%x'", "like"),
        ]:
            await fails(400, everything(container.query_items(query)), word)
        for nonsense in ("", "SELECT", "SELEC * FROM c", "SELECT * FROM c WHERE", "SELECT * FROM c WHERE c.n = 'x", "DROP TABLE c", "(" * 5000):
            await refused(everything(container.query_items(nonsense)), (CosmosHttpResponseError, ValueError))
        await fails(400, everything(container.query_items("SELECT * FROM c WHERE c.n = @missing")), "@missing")


@check("the rest of the service is refused in words")
async def _():
    async with place("rest") as container:
        await container.create_item(doc(id="x"))
        await fails(400, container.execute_item_batch([("create", (doc(),))], partition_key="us"), "not support")
        await fails(400, container.patch_item("x", "us", [{"op": "add", "path": "/n", "value": 1}]), "not support")
        await refused(container.scripts.create_stored_procedure({"id": "p", "body": "function () {}"}), CosmosHttpResponseError, "not support")


# --- The change feed --------------------------------------------------------------------------------------------------


@check("the change feed gives each document's latest version, in order, and goes on where it stopped")
async def _():
    async with place("feed") as container:
        for i in range(20):
            await container.create_item(doc("us", id=f"{i}", n=0))
        await create_all(container, [doc(country) for country in COUNTRIES[1:]])
        await container.replace_item("3", doc("us", id="3", n=1))
        await container.delete_item("4", "us")
        status = Status()
        changes = await everything(container.query_items_change_feed(partition_key="us", start_time="Beginning", response_hook=status))
        expected = [f"{i}" for i in range(20) if i not in (3, 4)] + ["3"]
        equal([change["id"] for change in changes], expected, "the changes of one key")
        equal(changes[-1]["n"], 1, "the version")
        continuation = status.headers["etag"]
        more = lambda: everything(container.query_items_change_feed(continuation=continuation))
        equal(await more(), [], "what changed since")
        await container.create_item(doc("us", id="later"))
        await container.create_item(doc("gb", id="other key"))
        equal([change["id"] for change in await more()], ["later"], "what changed since")


@check("the change feed of a container is read in pages, and by feed range")
async def _():
    async with place("feeds") as container:
        items = [doc(COUNTRIES[i % len(COUNTRIES)], id=f"{i}") for i in range(90)]
        await create_all(container, items)
        found = []
        async for page in container.query_items_change_feed(start_time="Beginning", max_item_count=10).by_page():
            page = await everything(page)
            that(len(page) <= 10, f"a page of {len(page)}")
            found += [change["id"] for change in page]
        equal(sorted(found), sorted(item["id"] for item in items), "the changes")
        found = []
        for range_ in await everything(container.read_feed_ranges()):
            found += [change["id"] for change in await everything(container.query_items_change_feed(feed_range=range_, start_time="Beginning"))]
        equal(sorted(found), sorted(item["id"] for item in items), "the changes of all ranges")


@check("the change feed from now on gives what comes later")
async def _():
    async with place("now") as container:
        await container.create_item(doc(id="before"))
        status = Status()
        equal(await everything(container.query_items_change_feed(start_time="Now", partition_key="us", response_hook=status)), [], "the changes")
        await container.create_item(doc(id="after"))
        later = await everything(container.query_items_change_feed(continuation=status.headers["etag"]))
        equal([change["id"] for change in later], ["after"], "the changes")


@check("many writers at once lose and repeat nothing")
async def _():
    async with place("many", throughput=100_000, client={"retry_throttle_total": 50}) as container:
        items = [doc(COUNTRIES[i % len(COUNTRIES)], id=f"{i}") for i in range(1000)]
        for start in range(0, len(items), 100):
            await create_all(container, items[start : start + 100])
        found = Counter(item["id"] for item in await everything(container.query_items("SELECT c.id FROM c", max_item_count=300)))
        equal(len(found), len(items), "the number of ids")
        equal({id: count for id, count in found.items() if count > 1}, {}, "what came twice")


if __name__ == "__main__":
    main("python cosmos db")
