"""Checks of the account, of who is let in, of databases and containers."""

import asyncio
import base64
import datetime

import certifi
from azure.core.exceptions import AzureError
from azure.cosmos import CosmosClient as SyncClient, PartitionKey, SSLConfiguration
from azure.cosmos.exceptions import CosmosHttpResponseError

from checks import check, emulator, equal, refused, that
from cosmos import DATABASE, ENDPOINT, account, doc, everything, fails, place, rest, signed

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
            async with account(key=key) as client:
                await client.get_database_client(DATABASE).read()
        except CosmosHttpResponseError as error:
            equal(error.status_code, 401, "the status")
        else:
            that(False, "was let in")


@check("a signature of yesterday, of another request, and none are refused")
async def _():
    yesterday = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    for headers, allowed in [
        (signed(), {200}),
        (signed(verb="post"), {401}),
        (signed(kind="colls"), {401}),
        (signed(link="dbs/x"), {401}),
        (signed(date=yesterday), {401, 403}),
        ({**signed(), "x-ms-date": "yesterday"}, {400, 401}),
        ({"x-ms-version": "2020-07-15"}, {401}),
        ({**signed(), "authorization": "nonsense"}, {400, 401}),
    ]:
        status, body = await rest("get", "dbs", headers)
        that(status in allowed, f"{headers} was answered {status}: {body!r:.200}")
        that(status == 200 or {"code", "message"} <= set(body), f"the body should say why: {body!r:.200}")


@check("what is no request of Cosmos DB is answered with a client's error")
async def _():
    for verb, path in [("get", "nothing/here"), ("delete", ""), ("put", "dbs"), ("get", "dbs//colls"), ("get", "%ff%fe")]:
        for headers in ({}, signed(verb)):
            status, _body = await rest(verb, path, headers)
            that(400 <= status < 500, f"{verb} /{path} was answered {status}")


@check("HTTPS is spoken with the certificate that is written", needs="secure")
async def _():
    at = emulator("secure")["cosmos_db"]
    that(at["endpoint"].startswith("https://"), f"the endpoint is {at['endpoint']}")

    # On this machine the client looks at certificates only when it is given an authority, and then the asynchronous one
    # insists on a certificate of its own.
    def write_and_read(authority):
        trust = SSLConfiguration()
        trust.SSLCaCerts = authority
        with SyncClient(at["endpoint"], at["key"], ssl_config=trust, retry_total=0) as client:
            database = client.create_database_if_not_exists(DATABASE)
            container = database.create_container_if_not_exists("secure", PartitionKey("/ipCountryCode"))
            made = container.create_item(doc())
            return container.read_item(made["id"], "us")["id"] == made["id"]

    that(await asyncio.to_thread(write_and_read, at["certificate"]), "the document that was read should be the one written")
    await refused(asyncio.to_thread(write_and_read, certifi.where()), AzureError, "certificate")


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
