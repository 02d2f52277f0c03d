"""Checks of documents and of their time to live."""

import asyncio
import time
from collections import Counter

from azure.core import MatchConditions
from azure.cosmos import CosmosClient as SyncClient, PartitionKey
from azure.cosmos.exceptions import CosmosHttpResponseError

from checks import check, equal, eventually, refused, that
from cosmos import COUNTRIES, DATABASE, ENDPOINT, KEY, PATIENT, Status
from cosmos import create_all, doc, everything, fails, place, rest, signed

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
        # The client gives an empty document for a 304, so that its status is looked at without the client.
        link = f"dbs/{DATABASE}/colls/preconditions/docs/{first['id']}"
        known = {"if-none-match": third["_etag"], "x-ms-documentdb-partitionkey": '["us"]'}
        equal(await rest("get", link, {**signed("get", "docs", link), **known}), (304, None), "a read of what is known")
        known["if-none-match"] = second["_etag"]
        status, body = await rest("get", link, {**signed("get", "docs", link), **known})
        equal((status, body["n"]), (200, 3), "a read of what has changed")
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
    async with place("sizes", client=PATIENT) as container:
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


@check("many writers at once lose and repeat nothing")
async def _():
    async with place("many", throughput=100_000, client=PATIENT) as container:
        items = [doc(COUNTRIES[i % len(COUNTRIES)], id=f"{i}") for i in range(1000)]
        for start in range(0, len(items), 100):
            await create_all(container, items[start : start + 100])
        found = Counter(item["id"] for item in await everything(container.query_items("SELECT c.id FROM c", max_item_count=300)))
        equal(len(found), len(items), "the number of ids")
        equal({id: count for id, count in found.items() if count > 1}, {}, "what came twice")


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
