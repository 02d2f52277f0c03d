"""What the checks of Event Hubs share: a hub of one's own, clients for it, and a reader that receives in the background."""

import asyncio
import base64
import hashlib
import hmac
import itertools
import time
import urllib.parse

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient

from checks import Failed, emulator, eventually

_numbers = itertools.count(1)


def parts_of(connection_string):
    """The parts of a connection string by name."""
    return dict(part.split("=", 1) for part in connection_string.split(";") if part)


class Hub:
    """A hub that no other check uses, unless it is named; all its partitions are empty at first."""

    def __init__(self, name=None, of="main"):
        self.of = of
        self.name = name or f"python-{next(_numbers)}"
        if name is None and self.name not in emulator(of)["event_hubs"]["hubs"]:
            raise Failed(f"there is no hub «{self.name}»: `run` is to start the emulator with more of them")

    def connection(self, policy="RootManageSharedAccessKey", **changes):
        """The connection string of a policy, with parts of it changed; None takes a part out."""
        given = parts_of(emulator(self.of)["event_hubs"]["connection_strings"][policy])
        given |= {"EntityPath": self.name} | changes
        return ";".join(f"{name}={value}" for name, value in given.items() if value is not None)

    def with_signature(self, policy, expires_in, hub=None):
        """A connection string with a signature, for this hub or another one, in place of the key."""
        given = parts_of(self.connection(policy))
        resource = f"sb://{urllib.parse.urlparse(given['Endpoint']).netloc}/{hub or self.name}"
        token = signature(resource, policy, given["SharedAccessKey"], int(time.time()) + expires_in)
        return self.connection(policy, SharedAccessKeyName=None, SharedAccessKey=None, SharedAccessSignature=token)

    def producer(self, text=None, **options):
        """A client that sends, and raises its first failure by default."""
        options = {"retry_total": 0, **options}
        return EventHubProducerClient.from_connection_string(text or self.connection("Sender"), **options)

    def consumer(self, text=None, group="$Default", **options):
        """A client that receives, and raises its first failure by default."""
        options = {"retry_total": 0, **options}
        return EventHubConsumerClient.from_connection_string(text or self.connection("Listener"), group, **options)

    async def send(self, bodies, **where):
        """Sends events as one batch."""
        async with self.producer() as client:
            batch = await client.create_batch(**where)
            for body in bodies:
                batch.add(body if isinstance(body, EventData) else EventData(body))
            await client.send_batch(batch)

    def reader(self, **options):
        return Reader(self, **options)

    async def receive(self, count, **options):
        """The first events from a position on."""
        async with self.reader(**options) as reader:
            return await reader.take(count)


class Reader:
    """Receives from one partition, or from all, in the background, until it is left."""

    def __init__(self, hub, text=None, group="$Default", **options):
        self.client = hub.consumer(text, group)
        self.options = {"max_wait_time": 0.2, "starting_position": "-1", **options}
        self.events, self.errors = [], []

    async def __aenter__(self):
        async def on_events(context, events):
            self.events.extend((context.partition_id, event) for event in events)

        async def on_error(context, error):
            self.errors.append(error)

        self.task = asyncio.create_task(self.client.receive_batch(on_events, on_error=on_error, **self.options))
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.client.close()

    async def take(self, count, seconds=40):
        """The first events, once so many have come."""

        def look():
            if self.errors:
                raise self.errors[0]
            return len(self.events) >= count

        await eventually(look, lambda: f"{count} events; {len(self.events)} came", seconds)
        return [event for _, event in self.events]

    async def error(self):
        """The error with which receiving ended."""
        return await eventually(lambda: self.errors[0] if self.errors else None, "an error for the receiver", 40)


def signature(resource, policy, key, expiry):
    """A shared access signature."""
    resource = urllib.parse.quote_plus(resource)
    digest = hmac.new(key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
    signed = urllib.parse.quote_plus(base64.b64encode(digest))
    return f"SharedAccessSignature sr={resource}&sig={signed}&se={expiry}&skn={policy}"


def texts(events):
    """The bodies of events, as text."""
    return [event.body_as_str() for event in events]
