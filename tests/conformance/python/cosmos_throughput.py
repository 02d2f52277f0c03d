"""Checks of throughput: what is provisioned, and what exceeds it."""

import asyncio

from azure.cosmos import PartitionKey, ThroughputProperties
from azure.cosmos.exceptions import CosmosHttpResponseError

from checks import check, equal, eventually, that
from cosmos import COUNTRIES, PATIENT, account, doc, everything, fails, place, rest, signed

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
            # This client stumbles over a container without an offer of its own, so that it is asked for without the client.
            properties = await shares.read()
            query = {
                "query": "SELECT * FROM root r WHERE r.resource = @link",
                "parameters": [{"name": "@link", "value": properties["_self"]}],
            }
            as_query = {"content-type": "application/query+json", "x-ms-documentdb-isquery": "True"}
            status, found = await rest("post", "offers", {**signed("post", "offers"), **as_query}, query)
            equal((status, found["Offers"]), (200, []), "the container's offers")
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


async def overdraw(container, key="us"):
    """Takes what hundreds of small documents would: at 400 RU/s this container has nothing to give for 14 seconds."""
    _, failures = await burst(container, 1, key, x="y" * 1_000_000)
    equal(failures, [], "the failures")


@check("what exceeds the throughput is answered 429 and is not stored")
async def _():
    async with place("narrow", throughput=400) as container:
        await overdraw(container)
        stored, failures = await burst(container, 30)
        equal(stored, 0, "the number of creates that were let through")
        for error in failures:
            equal((error.status_code, error.sub_status), (429, 3200), "status and substatus")
            that(float(error.headers["x-ms-retry-after-ms"]) > 0, "the answer should say how long to wait")
        await container.replace_throughput(10_000)

        async def count():
            try:
                return await everything(container.query_items("SELECT VALUE COUNT(1) FROM c"))
            except CosmosHttpResponseError as error:
                equal(error.status_code, 429, "the status")

        equal(await eventually(count, "a count", every=0.1), [1], "the count")


@check("a burst is let through as far as the throughput goes")
async def _():
    async with place("burst", throughput=400) as container:
        stored, failures = await burst(container, 400)
        # A document costs about 7 RU, so that these take 7 seconds; only a machine that needs as long lets them all through.
        that(stored >= 400 / 8, f"{stored} of 400 creates were let through at 400 RU/s")
        equal({error.status_code for error in failures} | {429}, {429}, "the statuses of those that failed")


@check("a client that waits as long as it is asked to gets through")
async def _():
    async with place("patient", throughput=400, client=PATIENT) as container:
        stored, failures = await burst(container, 100)
        equal((stored, failures[:1]), (100, []), "what was stored, and what failed")


@check("a replaced throughput counts from the next second on")
async def _():
    async with place("changing", throughput=400) as container:

        async def all_pass():
            return (await burst(container, 200))[0] == 200

        await overdraw(container)
        that((await burst(container, 1))[1], "there should be throttling at 400 RU/s")
        await container.replace_throughput(10_000)
        await eventually(all_pass, "200 creates at once at 10,000 RU/s", every=0.2)
        await container.replace_throughput(400)
        # The rest of the second still has what 10,000 RU/s had left.
        await eventually(lambda: overdrawn(container), "throttling at 400 RU/s again")


async def overdrawn(container):
    _, failures = await burst(container, 2, x="y" * 1_000_000)
    return bool(failures)


@check("a hot key is throttled by its partition's share, others are not")
async def _():
    # 10,100 RU/s are two physical partitions, which stay when the throughput falls: 600 RU/s for each.
    async with place("hot", throughput=10_100) as container:
        ranges = await everything(container.read_feed_ranges())
        that(len(ranges) >= 2, f"there are {len(ranges)} feed ranges")

        async def range_of(key):
            own = await container.feed_range_from_partition_key(key)
            return [await container.is_feed_range_subset(range_, own) for range_ in ranges].index(True)

        hot = await range_of("us")
        cold = [key for key in COUNTRIES if await range_of(key) != hot]
        that(cold, "12 keys should not all be in one range")
        await container.replace_throughput(1_200)
        await overdraw(container)
        (stored, failures), others = await asyncio.gather(burst(container, 1), burst(container, 20, cold[0]))
        equal((stored, [error.status_code for error in failures]), (0, [429]), "what the hot partition stored, and what failed")
        equal(others, (20, []), "what the other partition stored, and what failed")


# --- Memory -----------------------------------------------------------------------------------------------------------


@check("beyond the memory limit documents are refused with 507, until some are deleted", needs="full_python")
async def _():
    async with place("full", of="full_python") as container:
        stored = []
        for i in range(30):
            try:
                stored.append(await container.create_item(doc(id=f"{i}", x="y" * 200_000)))
            except CosmosHttpResponseError as error:
                equal(error.status_code, 507, "the status")
                that("memory" in str(error), f"the error should say why: {error}")
                break
        that(10 <= len(stored) < 20, f"of 4 MB, {len(stored)} times 200,000 bytes were taken")
        for document in stored:
            equal((await container.read_item(document["id"], "us"))["_etag"], document["_etag"], "the etag")
        await fails(507, container.upsert_item(doc(x="y" * 200_000)))
        await container.delete_item("0", "us")
        await container.create_item(doc(id="again", x="y" * 200_000))
