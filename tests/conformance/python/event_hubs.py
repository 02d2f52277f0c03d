"""Holds the Event Hubs emulator against azure-eventhub, Microsoft's client for Python."""

import asyncio
import base64
import datetime
import hashlib
import hmac
import random
import time
import urllib.parse
import uuid
from collections import defaultdict

from azure.core.credentials import AzureNamedKeyCredential
from azure.eventhub import EventData, EventHubConsumerClient as SyncConsumer, EventHubProducerClient as SyncProducer
from azure.eventhub import EventHubSharedKeyCredential, TransportType
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.amqp import AmqpAnnotatedMessage
from azure.eventhub.exceptions import AuthenticationError, ConnectError, EventHubError

from checks import Failed, check, emulator, equal, eventually, main, refused, that

HUB = "python"
COUNTRIES = "us gb ca au fr de br in jp unk it nl se mx za es ch kr tr pl".split()


def connection(policy="RootManageSharedAccessKey", hub=HUB, of="main", **changes):
    """The connection string of a policy with another hub, or with other parts changed; None takes a part out."""
    given = dict(part.split("=", 1) for part in emulator(of)["event_hubs"]["connection_strings"][policy].split(";") if part)
    given |= {"EntityPath": hub} | changes
    return ";".join(f"{name}={value}" for name, value in given.items() if value is not None)


def producer(text=None, **options):
    return EventHubProducerClient.from_connection_string(text or connection("Sender"), **{"retry_total": 0, **options})


def consumer(text=None, group="$Default", **options):
    return EventHubConsumerClient.from_connection_string(text or connection("Listener"), group, **{"retry_total": 0, **options})


async def send(bodies, text=None, **where):
    """Sends events as one batch."""
    async with producer(text) as client:
        batch = await client.create_batch(**where)
        for body in bodies:
            batch.add(body if isinstance(body, EventData) else EventData(body))
        await client.send_batch(batch)


class Reader:
    """Receives from one partition, or from all, in the background, until it is left."""

    def __init__(self, text=None, group="$Default", **options):
        self.client = consumer(text, group)
        self.options = {"max_wait_time": 0.2, "starting_position": "-1", **options}
        self.events, self.errors, self.closed = [], [], []

    async def __aenter__(self):
        async def on_events(context, events):
            self.events.extend((context.partition_id, event) for event in events)

        async def on_error(context, error):
            self.errors.append(error)

        async def on_close(context, reason):
            self.closed.append(reason)

        self.task = asyncio.create_task(
            self.client.receive_batch(on_events, on_error=on_error, on_partition_close=on_close, **self.options)
        )
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.client.close()

    async def take(self, count, seconds=20):
        """The first events, once so many have come."""

        def look():
            if self.errors:
                raise self.errors[0]
            return len(self.events) >= count

        await eventually(look, f"{count} events; {len(self.events)} came", seconds)
        return [event for _, event in self.events]

    async def error(self):
        """The error with which receiving ended."""
        return await eventually(lambda: self.errors[0] if self.errors else None, "an error for the receiver")


async def receive(count, text=None, **options):
    """The first events from a position on."""
    async with Reader(text, **options) as reader:
        return await reader.take(count)


async def end_of(partition, text=None):
    """The offset behind which events sent from now on will be found."""
    async with consumer(text) as client:
        return (await client.get_partition_properties(partition))["last_enqueued_offset"]


def signature(resource, policy, key, expiry):
    """A shared access signature."""
    resource = urllib.parse.quote_plus(resource)
    digest = hmac.new(key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
    signed = urllib.parse.quote_plus(base64.b64encode(digest))
    return f"SharedAccessSignature sr={resource}&sig={signed}&se={expiry}&skn={policy}"


def with_signature(policy, expires_in, resource=None):
    """A connection string with a signature in place of the key."""
    given = dict(part.split("=", 1) for part in connection(policy).split(";"))
    host = urllib.parse.urlparse(given["Endpoint"]).netloc
    token = signature(resource or f"sb://{host}/{HUB}", policy, given["SharedAccessKey"], int(time.time()) + expires_in)
    return connection(policy, SharedAccessKeyName=None, SharedAccessKey=None, SharedAccessSignature=token)


# --- Properties -------------------------------------------------------------------------------------------------------


@check("the properties of a hub are read by every policy")
async def _():
    for policy in ("RootManageSharedAccessKey", "Listener"):
        async with consumer(connection(policy)) as client:
            properties = await client.get_eventhub_properties()
            equal(properties["eventhub_name"], HUB, "the hub's name")
            equal(properties["partition_ids"], [str(id) for id in range(10)], "the partitions")
            age = datetime.datetime.now(datetime.timezone.utc) - properties["created_at"].replace(tzinfo=datetime.timezone.utc)
            that(0 <= age.total_seconds() < 3600, f"the hub should be new, but was made {age} ago")
    async with producer(connection("Sender")) as client:
        equal(await client.get_partition_ids(), [str(id) for id in range(10)], "the partitions for a sender")


@check("an empty partition has no last event")
async def _():
    async with consumer(connection(hub="quiet")) as client:
        properties = await client.get_partition_properties("0")
        equal(properties["is_empty"], True, "is_empty")
        equal(properties["last_enqueued_sequence_number"], -1, "the last sequence number")
        equal(properties["beginning_sequence_number"], 0, "the first sequence number")


@check("the properties of a partition follow what is sent to it")
async def _():
    async with consumer() as client:
        before = await client.get_partition_properties("9")
        await send(["one", "two", "three"], partition_id="9")
        after = await client.get_partition_properties("9")
    equal(after["id"], "9", "id")
    equal(after["eventhub_name"], HUB, "the hub's name")
    equal(after["is_empty"], False, "is_empty")
    equal(after["last_enqueued_sequence_number"], before["last_enqueued_sequence_number"] + 3, "the last sequence number")
    [*_, event] = await receive(3, partition_id="9", starting_position=before["last_enqueued_offset"])
    equal(event.sequence_number, after["last_enqueued_sequence_number"], "the last event's sequence number")
    equal(event.offset, after["last_enqueued_offset"], "the last event's offset")
    equal(event.enqueued_time, after["last_enqueued_time_utc"], "the last event's time")


# --- Sending ----------------------------------------------------------------------------------------------------------


@check("a single event arrives as it was sent")
async def _():
    offset = await end_of("0")
    async with producer() as client:
        await client.send_event(EventData(b'{"amount": 12.5}'), partition_id="0")
    [event] = await receive(1, partition_id="0", starting_position=offset)
    equal(event.body_as_str(), '{"amount": 12.5}', "the body")
    equal(event.partition_key, None, "the partition key")
    that(isinstance(event.offset, str) and event.offset.lstrip("-").isdigit(), f"the offset is {event.offset!r}")
    that(isinstance(event.sequence_number, int), f"the sequence number is {event.sequence_number!r}")
    age = datetime.datetime.now(datetime.timezone.utc) - event.enqueued_time
    that(-5 < age.total_seconds() < 60, f"the event was enqueued {age} ago")


@check("properties keep their names, types and values")
async def _():
    offset = await end_of("0")
    sent = EventData(bytes(range(256)))
    sent.properties = {"text": "straße 東京", "true": True, "small": 7, "large": 2**40, "negative": -3, "real": 0.1}
    sent.content_type, sent.correlation_id, sent.message_id = "application/json", "corr-1", "msg-1"
    await send([sent], partition_id="0")
    [event] = await receive(1, partition_id="0", starting_position=offset)
    equal(b"".join(event.body), bytes(range(256)), "the body")
    as_text = lambda value: value.decode() if isinstance(value, bytes) else value
    equal({as_text(k): as_text(v) for k, v in event.properties.items()}, sent.properties, "the properties")
    equal((event.content_type, event.correlation_id, event.message_id), ("application/json", "corr-1", "msg-1"), "the ids")


@check("bodies of several sections, sequences and values arrive")
async def _():
    offset = await end_of("0")
    async with producer() as client:
        await client.send_event(AmqpAnnotatedMessage(data_body=[b"one", b"two"]), partition_id="0")
        await client.send_event(AmqpAnnotatedMessage(value_body={"a": 1}), partition_id="0")
        await client.send_event(AmqpAnnotatedMessage(sequence_body=[[1, 2], ["x"]]), partition_id="0")
    data, value, sequence = await receive(3, partition_id="0", starting_position=offset)
    equal(list(data.body), [b"one", b"two"], "the data sections")
    equal(value.raw_amqp_message.body, {b"a": 1}, "the value")
    equal([list(s) for s in sequence.raw_amqp_message.body], [[1, 2], [b"x"]], "the sequences")


@check("a batch keeps its order and its neighbours")
async def _():
    offset = await end_of("1")
    await send([f"event {i}" for i in range(250)], partition_id="1")
    events = await receive(250, partition_id="1", starting_position=offset)
    equal([event.body_as_str() for event in events], [f"event {i}" for i in range(250)], "the batch")
    numbers = [event.sequence_number for event in events]
    equal(numbers, list(range(numbers[0], numbers[0] + 250)), "the sequence numbers")


@check("a batch of a megabyte arrives whole")
async def _():
    offset = await end_of("1")
    async with producer() as client:
        batch = await client.create_batch(partition_id="1")
        count = 0
        try:
            while True:
                batch.add(EventData(bytes(10_000)))
                count += 1
        except ValueError:
            pass  # it is full
        that(count >= 100, f"a batch should hold a megabyte, but took only {count} events of 10,000 bytes")
        await client.send_batch(batch)
    events = await receive(count, partition_id="1", starting_position=offset)
    equal({len(event.body_as_str()) for event in events}, {10_000}, "the lengths")


@check("one event of nearly a mebibyte arrives whole")
async def _():
    offset = await end_of("1")
    body = random.Random(1).randbytes(1_040_000)
    async with producer() as client:
        await client.send_event(EventData(body), partition_id="1")
    [event] = await receive(1, partition_id="1", starting_position=offset)
    that(b"".join(event.body) == body, "the body should be the same")


@check("more than a mebibyte is refused")
async def _():
    async with producer() as client:
        await refused(client.send_event(EventData(bytes(1_100_000)), partition_id="1"), (EventHubError, ValueError), "size")
        await client.send_event(EventData("the client goes on"), partition_id="1")


@check("events with one key are on one partition and carry the key")
async def _():
    async with producer() as client:
        for key in COUNTRIES:
            await client.send_event(EventData(f"single {key}"), partition_key=key)
            await client.send_batch([EventData(f"batch {key}")], partition_key=key)
            batch = await client.create_batch(partition_key=key)
            batch.add(EventData(f"made {key}"))
            await client.send_batch(batch)
    homes = defaultdict(set)
    async with Reader() as reader:
        await eventually(lambda: sum(e.partition_key is not None for _, e in reader.events) >= 3 * len(COUNTRIES), "all events")
        for partition, event in reader.events:
            if event.partition_key is not None:
                homes[event.partition_key.decode()].add(partition)
                that(event.body_as_str().split()[1] == event.partition_key.decode(), "the key should be the event's own")
    equal(sorted(homes), sorted(COUNTRIES), "the keys")
    equal({key: ids for key, ids in homes.items() if len(ids) > 1}, {}, "keys on two partitions")
    that(len(set.union(*homes.values())) > 4, "20 keys should be spread over the partitions")


@check("keys go where the client's buffered producer computes them to go")
async def _():
    keys = [f"key-{i}" for i in range(40)] + ["straße", "東京", ""]
    text = connection(hub="python-buffered")
    # The buffered producer hashes keys itself and sends to the partition; a plain one leaves that to the service.
    async with producer(text, buffered_mode=True, max_wait_time=1, on_success=on_done, on_error=on_done) as client:
        for key in keys:
            await client.send_event(EventData(f"client {key}"), partition_key=key)
        await client.flush()
    async with producer(text) as client:
        for key in keys:
            await client.send_event(EventData(f"service {key}"), partition_key=key)
    homes = defaultdict(lambda: defaultdict(set))
    async with Reader(text) as reader:
        await reader.take(2 * len(keys))
        for partition, event in reader.events:
            chosen_by, _, key = event.body_as_str().partition(" ")
            homes[key][chosen_by].add(partition)
    # Without a key any partition will do.
    differ = {key: dict(where) for key, where in homes.items() if key and where["client"] != where["service"]}
    equal(differ, {}, "keys that client and emulator hash differently")


async def on_done(events, partition_id, error=None):
    if error:
        raise error


@check("events without a key are spread over the partitions")
async def _():
    text = connection(hub="python-spread")
    async with producer(text) as client:
        for i in range(40):
            await client.send_event(EventData(f"{i}"))
    async with Reader(text) as reader:
        await reader.take(40)
        that(len({partition for partition, _ in reader.events}) >= 5, "40 events should be on more than 4 partitions")


@check("a key of 128 characters is taken, one more is refused")
async def _():
    async with producer() as client:
        await client.send_event(EventData("long"), partition_key="ü" * 128)
        error = await refused(client.send_event(EventData("too long"), partition_key="k" * 129), EventHubError, "key")
        that("argument" in str(error) or "key" in str(error), str(error))
        await client.send_event(EventData("the client goes on"), partition_key="k")


@check("many senders at once lose, repeat and swap nothing")
async def _():
    text = connection(hub="python-many")
    count, senders = 1500, 6

    async def one(number):
        async with producer(text) as client:
            for start in range(0, count // senders, 25):
                key = COUNTRIES[(number + start // 25) % len(COUNTRIES)]
                batch = await client.create_batch(partition_key=key)
                for i in range(start, start + 25):
                    batch.add(EventData(f"{number} {key} {i}"))
                await client.send_batch(batch)

    await asyncio.gather(*(one(number) for number in range(senders)))
    async with Reader(text, prefetch=500) as reader:
        await reader.take(count)
        numbers, latest, homes, bodies = defaultdict(list), {}, defaultdict(set), set()
        for partition, event in reader.events:
            body = event.body_as_str()
            sender, key, i = body.split()
            numbers[partition].append(event.sequence_number)
            homes[key].add(partition)
            bodies.add(body)
            that(latest.get((sender, key), -1) < int(i), f"«{body}» overtook {latest.get((sender, key))}")
            latest[sender, key] = int(i)
        equal(len(reader.events), count, "the number of events")
        equal(len(bodies), count, "the number of different events")
        for partition, found in numbers.items():
            equal(found, list(range(len(found))), f"the sequence numbers of partition {partition}")
        equal({key: ids for key, ids in homes.items() if len(ids) > 1}, {}, "keys on two partitions")


@check("the synchronous client sends and receives")
async def _():
    offset = await end_of("2")

    def work():
        with SyncProducer.from_connection_string(connection("Sender"), retry_total=0) as client:
            client.send_batch([EventData("one"), EventData("two")], partition_id="2")
        events = []
        client = SyncConsumer.from_connection_string(connection("Listener"), "$Default", retry_total=0)

        def on_event(context, event):
            events.append(event.body_as_str())
            if len(events) == 2:
                client.close()

        with client:
            equal(client.get_eventhub_properties()["eventhub_name"], HUB, "the hub's name")
            client.receive(on_event, partition_id="2", starting_position=offset)
        return events

    equal(await asyncio.to_thread(work), ["one", "two"], "the events")


# --- Receiving --------------------------------------------------------------------------------------------------------


@check("reading starts at the start, or after or at an offset or a sequence number")
async def _():
    text = connection(hub="python-positions")
    await send([f"{i}" for i in range(10)], text, partition_id="3")
    events = await receive(10, text, partition_id="3")
    equal([event.body_as_str() for event in events], [f"{i}" for i in range(10)], "from the start")
    fifth = events[5]
    for position, inclusive, first in [
        (fifth.offset, False, "6"),
        (fifth.offset, True, "5"),
        (fifth.sequence_number, False, "6"),
        (fifth.sequence_number, True, "5"),
        (-1, False, "0"),
    ]:
        where = {"starting_position": position, "starting_position_inclusive": inclusive}
        got = await receive(1, text, partition_id="3", **where)
        equal(got[0].body_as_str(), first, f"the first event from {position!r} on, inclusive {inclusive}")


@check("reading starts at a time")
async def _():
    text = connection(hub="python-positions")
    await send(["early"], text, partition_id="4")
    [early] = await receive(1, text, partition_id="4")
    # The next event is to have a later time, and times have milliseconds.
    await eventually(lambda: datetime.datetime.now(datetime.timezone.utc) - early.enqueued_time > datetime.timedelta(milliseconds=5), "time passes")
    await send(["late"], text, partition_id="4")
    at = early.enqueued_time
    for time_, inclusive, first in [
        (at - datetime.timedelta(hours=1), False, "early"),
        (at, True, "early"),
        (at, False, "late"),
    ]:
        [event, *_] = await receive(1, text, partition_id="4", starting_position=time_, starting_position_inclusive=inclusive)
        equal(event.body_as_str(), first, f"the first event from {time_} on, inclusive {inclusive}")


@check("reading from the end gives what comes later alone")
async def _():
    text = connection(hub="python-positions")
    await send(["old"] * 3, text, partition_id="5")
    async with Reader(text, partition_id="5", starting_position="@latest") as reader:
        number = 0

        async def probe():
            nonlocal number
            number += 1
            await send([f"new {number}"], text, partition_id="5")
            return bool(reader.events)

        await eventually(probe, "an event")
        that(all(event.body_as_str().startswith("new") for _, event in reader.events), "an event from before came")


@check("a receiver with little credit gets everything")
async def _():
    text = connection(hub="python-positions")
    await send([f"{i}" for i in range(300)], text, partition_id="6")
    events = await receive(300, text, partition_id="6", prefetch=1, max_batch_size=1)
    equal([event.body_as_str() for event in events], [f"{i}" for i in range(300)], "the events")


@check("a waiting receiver is woken by the next event")
async def _():
    text = connection(hub="python-positions")
    async with Reader(text, partition_id="7") as reader:
        for i in range(5):
            await send([f"{i}"], text, partition_id="7")
            await reader.take(i + 1, seconds=5)
    equal([event.body_as_str() for _, event in reader.events], [f"{i}" for i in range(5)], "the events")


@check("readers of two consumer groups both get everything")
async def _():
    text = connection(hub="python-positions")
    await send(["for all"], text, partition_id="8")
    for group in ("$Default", "readers"):
        [event, *_] = await receive(1, text, group=group, partition_id="8")
        equal(event.body_as_str(), "for all", f"what {group} got")


@check("events tell how far their partition has got, when asked")
async def _():
    offset = await end_of("8")
    await send(["one", "two", "three"], partition_id="8")
    async with Reader(partition_id="8", starting_position=offset, track_last_enqueued_event_properties=True) as reader:
        seen = []
        original = reader.client

        events = await reader.take(3)
        from azure.eventhub._utils import get_last_enqueued_event_properties  # a partition context is gone by now

        seen = [get_last_enqueued_event_properties(event) for event in events]
    equal({entry["sequence_number"] for entry in seen}, {events[-1].sequence_number}, "the last sequence number")
    equal({entry["offset"] for entry in seen}, {events[-1].offset}, "the last offset")


@check("a higher epoch takes the partition over")
async def _():
    text = connection(hub="python-epochs")
    await send(["one"], text, partition_id="0")
    async with Reader(text, partition_id="0", owner_level=1) as first:
        await first.take(1)
        async with Reader(text, partition_id="0", owner_level=2) as second:
            await second.take(1)
            error = await first.error()
            that("epoch" in str(error).lower() or "stolen" in str(error).lower(), f"the error should tell why: {error}")
            await send(["two"], text, partition_id="0")
            await second.take(2)
            equal(len(first.events), 1, "the number of events that the first one got")


@check("a lower epoch, or none, is refused while a higher one reads")
async def _():
    text = connection(hub="python-epochs")
    await send(["one"], text, partition_id="1")
    async with Reader(text, partition_id="1", owner_level=5) as owner:
        await owner.take(1)
        for level in (4, None):
            async with Reader(text, partition_id="1", owner_level=level) as other:
                error = await other.error()
                that("epoch" in str(error).lower() or "stolen" in str(error).lower(), f"the error should tell why: {error}")
                equal(other.events, [], f"what a receiver of epoch {level} got")
        await send(["two"], text, partition_id="1")
        await owner.take(2)


@check("a receiver without an epoch gives way to one with")
async def _():
    text = connection(hub="python-epochs")
    await send(["one"], text, partition_id="2")
    async with Reader(text, partition_id="2") as first:
        await first.take(1)
        async with Reader(text, partition_id="2", owner_level=0) as second:
            await second.take(1)
            await first.error()


@check("two readers share the partitions of a hub")
async def _():
    text = connection(hub="python-epochs")
    async with producer(text) as client:
        for partition in range(3, 10):
            await client.send_event(EventData(f"{partition}"), partition_id=f"{partition}")
    # Without a checkpoint store each reads everything; without an epoch neither steals.
    async with Reader(text) as one, Reader(text) as other:
        await one.take(7)
        await other.take(7)


# --- Who may do what --------------------------------------------------------------------------------------------------


@check("a wrong key is refused")
async def _():
    wrong = base64.b64encode(b"not the key of this policy at all").decode()
    async with producer(connection("Sender", SharedAccessKey=wrong)) as client:
        await refused(client.send_event(EventData("x")), AuthenticationError, "signature")
    async with consumer(connection("Listener", SharedAccessKey=wrong)) as client:
        await refused(client.get_eventhub_properties(), (AuthenticationError, ConnectError))


@check("an unknown policy is refused")
async def _():
    async with producer(connection("Sender", SharedAccessKeyName="Nobody")) as client:
        await refused(client.send_event(EventData("x")), AuthenticationError)


@check("a Listener may not send")
async def _():
    async with producer(connection("Listener")) as client:
        await refused(client.send_event(EventData("x")), (AuthenticationError, ConnectError), "send")
        await refused(client.send_event(EventData("x"), partition_id="0"), (AuthenticationError, ConnectError), "send")


@check("a Sender may not listen")
async def _():
    async with Reader(connection("Sender"), partition_id="0") as reader:
        error = await reader.error()
        that(isinstance(error, (AuthenticationError, ConnectError)), f"{error!r}")
        that("listen" in str(error).lower(), f"the error should name the claim: {error}")
        equal(reader.events, [], "what it got")


@check("the root policy may do both")
async def _():
    root = connection()
    offset = await end_of("2", root)
    await send(["by root"], root, partition_id="2")
    [event] = await receive(1, root, partition_id="2", starting_position=offset)
    equal(event.body_as_str(), "by root", "the event")


@check("a signature in place of the key will do, until it has expired")
async def _():
    async with producer(with_signature("Sender", 300)) as client:
        await client.send_event(EventData("signed"))
    async with producer(with_signature("Sender", -10)) as client:
        await refused(client.send_event(EventData("x")), (AuthenticationError, ConnectError))


@check("a signature for one hub does not open another")
async def _():
    given = urllib.parse.urlparse(dict(p.split("=", 1) for p in connection().split(";"))["Endpoint"]).netloc
    async with producer(with_signature("Sender", 300, f"sb://{given}/python-many")) as client:
        await refused(client.send_event(EventData("x")), (AuthenticationError, ConnectError))


@check("an unknown hub is not found")
async def _():
    nowhere = connection(hub="nowhere")
    async with producer(nowhere) as client:
        error = await refused(client.send_event(EventData("x")), EventHubError, "could not be found")
        equal(error.error, "not-found", "the condition")
    async with consumer(nowhere) as client:
        await refused(client.get_eventhub_properties(), EventHubError)


@check("an unknown partition and consumer group are refused")
async def _():
    async with producer() as client:
        await refused(client.send_event(EventData("x"), partition_id="10"), EventHubError, "partition")
    async with consumer() as client:
        await refused(client.get_partition_properties("10"), EventHubError)
    async with Reader(partition_id="10") as reader:
        that("partition" in str(await reader.error()).lower(), f"the error should name it: {reader.errors[0]}")
    async with Reader(group="nobody", partition_id="0") as reader:
        that("nobody" in str(await reader.error()).lower(), f"the error should name it: {reader.errors[0]}")


# --- Limits -----------------------------------------------------------------------------------------------------------


@check("one throughput unit takes 1,000 events a second, then is busy", needs="limited")
async def _():
    text = connection(hub=HUB, of="limited")
    accepted, busy, begin = 0, 0, time.monotonic()
    async with producer(text) as client:
        while busy == 0 or accepted < 500:
            that(time.monotonic() - begin < 20, "it should have become busy")
            try:
                await client.send_batch([EventData(f"{accepted + i}") for i in range(100)], partition_id="0")
                accepted += 100
            except EventHubError as error:
                that("server-busy" in str(error) or "throttled" in str(error), f"the error should say that it is busy: {error}")
                busy += 1
        elapsed = time.monotonic() - begin
    # A second has begun and another may have; the batch that crosses the limit still comes in.
    that(accepted <= (int(elapsed) + 2) * 1_100, f"{accepted} events were accepted in {elapsed:.1f} s")
    async with consumer(connection("Listener", of="limited")) as client:
        last = (await client.get_partition_properties("0"))["last_enqueued_sequence_number"]
        equal(last + 1, accepted, "the number of events that are there")


@check("a busy namespace is waited for by a client that retries", needs="limited")
async def _():
    text = connection(hub=HUB, of="limited")

    async def flood():
        async with producer(text) as client:
            try:
                while True:
                    await client.send_batch([EventData("x") for _ in range(200)], partition_id="1")
            except EventHubError:
                pass

    await flood()
    async with producer(text, retry_total=3) as client:
        await client.send_batch([EventData("patient")], partition_id="1")


if __name__ == "__main__":
    main("python event hubs")
