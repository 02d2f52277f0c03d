"""Checks of properties and of sending."""

import asyncio
import datetime
import random
from collections import defaultdict

from azure.eventhub import EventData, EventHubConsumerClient as SyncConsumer, EventHubProducerClient as SyncProducer
from azure.eventhub._buffered_producer._partition_resolver import generate_hash_code
from azure.eventhub.amqp import AmqpAnnotatedMessage
from azure.eventhub.exceptions import EventHubError

from checks import check, equal, refused, that
from hubs import Hub, texts

COUNTRIES = "us gb ca au fr de br in jp unk it nl se mx za es ch kr tr pl".split()


def age_of(time_):
    """Seconds since then."""
    return (datetime.datetime.now(datetime.timezone.utc) - time_.replace(tzinfo=datetime.timezone.utc)).total_seconds()


# --- Properties -------------------------------------------------------------------------------------------------------


@check("the properties of a hub are read by every policy")
async def _():
    hub = Hub()
    partitions = [str(id) for id in range(10)]
    for policy in ("RootManageSharedAccessKey", "Listener"):
        async with hub.consumer(hub.connection(policy)) as client:
            properties = await client.get_eventhub_properties()
            equal(properties["eventhub_name"], hub.name, "the hub's name")
            equal(properties["partition_ids"], partitions, "the partitions")
            age = age_of(properties["created_at"])
            that(0 <= age < 3600, f"the hub should be new, but was made {age} s ago")
    async with hub.producer() as client:
        equal(await client.get_partition_ids(), partitions, "the partitions for a sender")


@check("an empty partition has no last event")
async def _():
    async with Hub().consumer() as client:
        properties = await client.get_partition_properties("0")
    equal(properties["is_empty"], True, "is_empty")
    equal(properties["last_enqueued_sequence_number"], -1, "the last sequence number")
    equal(properties["beginning_sequence_number"], 0, "the first sequence number")


@check("the properties of a partition follow what is sent to it")
async def _():
    hub = Hub()
    async with hub.consumer() as client:
        await hub.send(["one", "two", "three"], partition_id="9")
        properties = await client.get_partition_properties("9")
        others = await client.get_partition_properties("8")
    [*_, last] = await hub.receive(3, partition_id="9")
    equal((properties["id"], properties["eventhub_name"], properties["is_empty"]), ("9", hub.name, False), "the properties")
    equal(properties["last_enqueued_sequence_number"], 2, "the last sequence number")
    equal(last.sequence_number, 2, "the last event's sequence number")
    equal(last.offset, properties["last_enqueued_offset"], "the last event's offset")
    equal(last.enqueued_time, properties["last_enqueued_time_utc"], "the last event's time")
    equal(others["is_empty"], True, "is_empty of another partition")


# --- Events -----------------------------------------------------------------------------------------------------------


@check("a single event arrives as it was sent")
async def _():
    hub = Hub()
    async with hub.producer() as client:
        await client.send_event(EventData(b'{"amount": 12.5}'), partition_id="0")
    [event] = await hub.receive(1, partition_id="0")
    equal(event.body_as_str(), '{"amount": 12.5}', "the body")
    equal(event.partition_key, None, "the partition key")
    that(isinstance(event.offset, str) and event.offset.isdigit(), f"the offset is {event.offset!r}")
    equal(event.sequence_number, 0, "the sequence number")
    that(-5 < age_of(event.enqueued_time) < 120, f"the event was enqueued {age_of(event.enqueued_time)} s ago")


@check("properties keep their names, types and values")
async def _():
    hub = Hub()
    sent = EventData(bytes(range(256)))
    # No integer of more than 32 bits: this client sends every one as an AMQP int. @azure/event-hubs sends longs.
    sent.properties = {"text": "straße 東京", "true": True, "small": 7, "negative": -3, "real": 0.1}
    sent.content_type, sent.correlation_id, sent.message_id = "application/json", "corr-1", "msg-1"
    await hub.send([sent], partition_id="0")
    [event] = await hub.receive(1, partition_id="0")
    equal(b"".join(event.body), bytes(range(256)), "the body")
    as_text = lambda value: value.decode() if isinstance(value, bytes) else value
    equal({as_text(k): as_text(v) for k, v in event.properties.items()}, sent.properties, "the properties")
    equal((event.content_type, event.correlation_id, event.message_id), ("application/json", "corr-1", "msg-1"), "the ids")


@check("bodies of several sections, sequences and values arrive")
async def _():
    hub = Hub()
    async with hub.producer() as client:
        await client.send_event(AmqpAnnotatedMessage(data_body=[b"one", b"two"]), partition_id="0")
        await client.send_event(AmqpAnnotatedMessage(value_body={"a": 1}), partition_id="0")
        await client.send_event(AmqpAnnotatedMessage(sequence_body=[[1, 2], ["x"]]), partition_id="0")
    data, value, sequence = await hub.receive(3, partition_id="0")
    equal(list(data.body), [b"one", b"two"], "the data sections")
    equal(value.raw_amqp_message.body, {b"a": 1}, "the value")
    equal([list(s) for s in sequence.raw_amqp_message.body], [[1, 2], [b"x"]], "the sequences")


@check("a batch keeps its order and its neighbours")
async def _():
    hub = Hub()
    await hub.send(["before"], partition_id="1")
    await hub.send([f"event {i}" for i in range(250)], partition_id="1")
    await hub.send(["after"], partition_id="1")
    events = await hub.receive(252, partition_id="1")
    equal(texts(events), ["before", *(f"event {i}" for i in range(250)), "after"], "the events")
    equal([event.sequence_number for event in events], list(range(252)), "the sequence numbers")


@check("a batch of a megabyte arrives whole")
async def _():
    hub = Hub()
    async with hub.producer() as client:
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
    events = await hub.receive(count, partition_id="1")
    equal({len(text) for text in texts(events)}, {10_000}, "the lengths")


@check("one event of nearly a mebibyte arrives whole")
async def _():
    hub = Hub()
    body = random.Random(1).randbytes(1_040_000)
    async with hub.producer() as client:
        await client.send_event(EventData(body), partition_id="1")
    [event] = await hub.receive(1, partition_id="1")
    that(b"".join(event.body) == body, "the body should be the same")


@check("more than a mebibyte is refused")
async def _():
    hub = Hub()
    async with hub.producer() as client:
        too_large = client.send_event(EventData(bytes(1_100_000)), partition_id="1")
        await refused(too_large, (EventHubError, ValueError), "size")
        await client.send_event(EventData("the client goes on"), partition_id="1")
    equal(texts(await hub.receive(1, partition_id="1")), ["the client goes on"], "what is there")


@check("the synchronous client sends and receives")
async def _():
    hub = Hub()

    def work():
        with SyncProducer.from_connection_string(hub.connection("Sender"), retry_total=0) as client:
            client.send_batch([EventData("one"), EventData("two")], partition_id="2")
        events = []
        client = SyncConsumer.from_connection_string(hub.connection("Listener"), "$Default", retry_total=0)

        def on_event(context, event):
            events.append(event.body_as_str())
            if len(events) == 2:
                client.close()

        with client:
            equal(client.get_eventhub_properties()["eventhub_name"], hub.name, "the hub's name")
            client.receive(on_event, partition_id="2", starting_position="-1")
        return events

    equal(await asyncio.to_thread(work), ["one", "two"], "the events")


# --- Partitions and keys ----------------------------------------------------------------------------------------------


@check("events with one key are on one partition and carry the key")
async def _():
    hub = Hub()
    async with hub.producer() as client:
        for key in COUNTRIES:
            await client.send_event(EventData(f"single {key}"), partition_key=key)
            await client.send_batch([EventData(f"batch {key}")], partition_key=key)
            batch = await client.create_batch(partition_key=key)
            batch.add(EventData(f"made {key}"))
            await client.send_batch(batch)
    homes = defaultdict(set)
    async with hub.reader() as reader:
        await reader.take(3 * len(COUNTRIES))
        for partition, event in reader.events:
            homes[event.partition_key.decode()].add(partition)
            equal(event.body_as_str().split()[1], event.partition_key.decode(), "the key")
    equal(sorted(homes), sorted(COUNTRIES), "the keys")
    equal({key: ids for key, ids in homes.items() if len(ids) > 1}, {}, "keys on two partitions")
    that(len(set.union(*homes.values())) > 4, "20 keys should be spread over the partitions")


@check("a key's partition is the one of its hash")
async def _():
    hub = Hub()
    keys = [f"key-{i}" for i in range(40)] + ["straße", "東京"]
    async with hub.producer() as client:
        for key in keys:
            await client.send_event(EventData(key), partition_key=key)
    async with hub.reader() as reader:
        await reader.take(len(keys))
        found = {event.body_as_str(): partition for partition, event in reader.events}
    # The hash of the key's UTF-8 bytes, as this client computes it; but not its remainder, which is never negative in
    # Python, so that this client's buffered producer puts half of the keys where the service and the other clients do not.
    remainder = lambda hash, count: abs(hash) % count
    expected = {key: str(remainder(generate_hash_code(key.encode().decode("latin-1")), 10)) for key in keys}
    equal(found, expected, "the partitions")


@check("the buffered producer gets everything through")
async def _():
    hub = Hub()
    failures = []

    async def on_error(events, partition_id, error):
        failures.append(error)

    async def on_success(events, partition_id):
        pass

    async with hub.producer(buffered_mode=True, max_wait_time=1, on_success=on_success, on_error=on_error) as client:
        for i in range(60):
            await client.send_event(EventData(f"{i}"), partition_key=f"key-{i % 7}")
        await client.flush()
    equal(failures, [], "the failures")
    equal(sorted(texts(await hub.receive(60)), key=int), [f"{i}" for i in range(60)], "the events")


@check("events without a key are spread over the partitions")
async def _():
    hub = Hub()
    async with hub.producer() as client:
        for i in range(40):
            await client.send_event(EventData(f"{i}"))
    async with hub.reader() as reader:
        await reader.take(40)
        that(len({partition for partition, _ in reader.events}) >= 5, "40 events should be on more than 4 partitions")


@check("a key of 128 characters is taken, one more is refused")
async def _():
    hub = Hub()
    async with hub.producer() as client:
        await client.send_event(EventData("long"), partition_key="ü" * 128)
        # The condition is com.microsoft:argument-error, which this client shows without its first half.
        error = await refused(client.send_event(EventData("too long"), partition_key="k" * 129), EventHubError, "128")
        that("argument-error" in str(error.error), f"the condition is {error.error}")
        await client.send_event(EventData("after"), partition_key="k")
    equal(sorted(texts(await hub.receive(2))), ["after", "long"], "what is there")


@check("many senders at once lose, repeat and swap nothing")
async def _():
    hub = Hub()
    count, senders = 1500, 6

    async def one(number):
        async with hub.producer() as client:
            for start in range(0, count // senders, 25):
                key = COUNTRIES[(number + start // 25) % len(COUNTRIES)]
                batch = await client.create_batch(partition_key=key)
                for i in range(start, start + 25):
                    batch.add(EventData(f"{number} {key} {i}"))
                await client.send_batch(batch)

    await asyncio.gather(*(one(number) for number in range(senders)))
    async with hub.reader(prefetch=500) as reader:
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
