"""What the checks of Cosmos DB share: clients, containers for the time of a check, documents, and requests without a client."""

import asyncio
import base64
import datetime
import hashlib
import hmac
import json
import urllib.parse
import uuid

import aiohttp
from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import CosmosHttpResponseError

from checks import emulator, equal, refused

ENDPOINT, KEY = (emulator()["cosmos_db"][name] for name in ("endpoint", "key"))
DATABASE = "conformance-python"
COUNTRIES = "us gb ca au fr de br in jp unk it nl".split()

#: What makes a client wait out throttling for as long as it takes. For checks that are about something else.
PATIENT = {"retry_throttle_total": 100, "retry_throttle_backoff_max": 60}


def account(of="main", key=None, **options):
    """A client that raises its first failure instead of trying again, by default.

    0 would mean the client's default of 9 retries when throttled; -1 means none.
    """
    at = emulator(of)["cosmos_db"]
    return CosmosClient(at["endpoint"], credential=key or at["key"], **{"retry_total": 0, "retry_throttle_total": -1, **options})


class Status:
    """What the service said about a request, beside the body."""

    def __call__(self, headers, _=None):
        # Not as a `dict`: the names of headers match whatever their case.
        self.headers = headers.copy()

    @property
    def charge(self):
        return float(self.headers["x-ms-request-charge"])


class place:
    """A container of this name for the time of a ``with`` block, made anew; and a client of its own."""

    def __init__(self, name, throughput=20_000, default_ttl=None, client=None, of="main", **more):
        self.name, self.options = name, {"offer_throughput": throughput, "default_ttl": default_ttl, **more}
        self.client = account(of, **(client or {}))

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


def signed(verb="get", kind="dbs", link="", date=None):
    """The headers of a request that say who sends it."""
    date = (date or datetime.datetime.now(datetime.timezone.utc)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    text = f"{verb}\n{kind}\n{link}\n{date.lower()}\n\n"
    digest = base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()
    token = urllib.parse.quote(f"type=master&ver=1.0&sig={digest}", safe="")
    return {"authorization": token, "x-ms-date": date, "x-ms-version": "2020-07-15"}


async def rest(verb, path, headers, body=None):
    """Status and body of a request without a client, for what the client keeps to itself; an empty body is None."""
    async with aiohttp.ClientSession() as http, http.request(verb, ENDPOINT + path, headers=headers, json=body) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if text else None
