"""Checks of receiving: where it starts, credit, consumer groups and epochs."""

import datetime

from azure.eventhub import EventData
from azure.eventhub._utils import get_last_enqueued_event_properties

from checks import check, equal, eventually, that
from hubs import Hub, texts

# --- Where it starts --------------------------------------------------------------------------------------------------


@check("reading starts at the start, or after or at an offset or a sequence number")
async def _():
    hub = Hub()
    await hub.send([f"{i}" for i in range(10)], partition_id="3")
    events = await hub.receive(10, partition_id="3")
    equal(texts(events), [f"{i}" for i in range(10)], "the events from the start")
    fifth = events[5]
    for position, inclusive, first in [
        (fifth.offset, False, 6),
        (fifth.offset, True, 5),
        (fifth.sequence_number, False, 6),
        (fifth.sequence_number, True, 5),
        (-1, False, 0),
    ]:
        where = {"starting_position": position, "starting_position_inclusive": inclusive}
        got = await hub.receive(10 - first, partition_id="3", **where)
        equal(texts(got), [f"{i}" for i in range(first, 10)], f"the events from {position!r} on, inclusive {inclusive}")


@check("reading starts at a time")
async def _():
    hub = Hub()
    await hub.send(["early"], partition_id="4")
    [early] = await hub.receive(1, partition_id="4")
    # The next event is to have a later time, and times have milliseconds.
    now = lambda: datetime.datetime.now(datetime.timezone.utc)
    await eventually(lambda: now() - early.enqueued_time > datetime.timedelta(milliseconds=5), "time passes")
    await hub.send(["late"], partition_id="4")
    at = early.enqueued_time
    for time_, inclusive, first in [
        (at - datetime.timedelta(hours=1), False, "early"),
        (at, True, "early"),
        (at, False, "late"),
    ]:
        where = {"starting_position": time_, "starting_position_inclusive": inclusive}
        [event, *_] = await hub.receive(1, partition_id="4", **where)
        equal(event.body_as_str(), first, f"the first event from {time_} on, inclusive {inclusive}")


@check("reading from the end gives what comes later alone")
async def _():
    hub = Hub()
    await hub.send(["old"] * 3, partition_id="5")
    async with hub.reader(partition_id="5", starting_position="@latest") as reader:
        number = 0

        # Nothing shows when the receiver has been attached, so events are sent until one comes.
        async def probe():
            nonlocal number
            number += 1
            await hub.send([f"new {number}"], partition_id="5")
            return bool(reader.events)

        await eventually(probe, "an event", 40)
    that(all(event.body_as_str().startswith("new") for _, event in reader.events), "an event from before came")


# --- How it goes on ---------------------------------------------------------------------------------------------------


@check("a receiver with little credit gets everything")
async def _():
    hub = Hub()
    await hub.send([f"{i}" for i in range(60)], partition_id="6")
    events = await hub.receive(60, partition_id="6", prefetch=1, max_batch_size=1)
    equal(texts(events), [f"{i}" for i in range(60)], "the events")


@check("a waiting receiver is woken by the next event")
async def _():
    hub = Hub()
    async with hub.reader(partition_id="7") as reader, hub.producer() as client:
        for i in range(5):
            await client.send_event(EventData(f"{i}"), partition_id="7")
            await reader.take(i + 1)
    equal([event.body_as_str() for _, event in reader.events], [f"{i}" for i in range(5)], "the events")


@check("readers of two consumer groups both get everything")
async def _():
    hub = Hub()
    await hub.send(["for all"], partition_id="8")
    for group in ("$Default", "readers"):
        equal(texts(await hub.receive(1, group=group, partition_id="8")), ["for all"], f"what {group} got")


@check("events say how far their partition has got, when asked")
async def _():
    hub = Hub()
    await hub.send(["one", "two", "three"], partition_id="8")
    events = await hub.receive(3, partition_id="8", track_last_enqueued_event_properties=True)
    seen = [get_last_enqueued_event_properties(event) for event in events]
    equal({entry["sequence_number"] for entry in seen}, {events[-1].sequence_number}, "the last sequence number")
    equal({entry["offset"] for entry in seen}, {events[-1].offset}, "the last offset")


# --- Epochs -----------------------------------------------------------------------------------------------------------


def tells_of_the_epoch(error):
    that("amqp:link:stolen" in str(error), f"the condition should be amqp:link:stolen: {error}")
    that("epoch" in str(error), f"the error should say why: {error}")


@check("a higher epoch takes the partition over")
async def _():
    hub = Hub()
    await hub.send(["one"], partition_id="0")
    async with hub.reader(partition_id="0", owner_level=1) as first:
        await first.take(1)
        async with hub.reader(partition_id="0", owner_level=2) as second:
            await second.take(1)
            tells_of_the_epoch(await first.error())
            await hub.send(["two"], partition_id="0")
            await second.take(2)
            equal(len(first.events), 1, "the number of events that the first one got")


@check("a lower epoch, or none, is refused while a higher one reads")
async def _():
    hub = Hub()
    await hub.send(["one"], partition_id="1")
    async with hub.reader(partition_id="1", owner_level=5) as owner:
        await owner.take(1)
        for level in (4, None):
            async with hub.reader(partition_id="1", owner_level=level) as other:
                tells_of_the_epoch(await other.error())
                equal(other.events, [], f"what a receiver of epoch {level} got")
        await hub.send(["two"], partition_id="1")
        await owner.take(2)


@check("a receiver without an epoch gives way to one with")
async def _():
    hub = Hub()
    await hub.send(["one"], partition_id="2")
    async with hub.reader(partition_id="2") as first:
        await first.take(1)
        async with hub.reader(partition_id="2", owner_level=0) as second:
            await second.take(1)
            tells_of_the_epoch(await first.error())


@check("readers without an epoch do not disturb each other")
async def _():
    hub = Hub()
    async with hub.producer() as client:
        for partition in range(10):
            await client.send_event(EventData(f"{partition}"), partition_id=f"{partition}")
    # Without a checkpoint store each reads all partitions; without an epoch neither steals.
    async with hub.reader() as one, hub.reader() as other:
        await one.take(10)
        await other.take(10)
