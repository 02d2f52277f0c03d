"""Checks of rights and of limits: who may do what, and how much."""

import base64
import time

from azure.eventhub import EventData
from azure.eventhub.exceptions import AuthenticationError, ConnectError, EventHubError

from checks import check, equal, refused, that
from hubs import Hub, parts_of, texts

# --- Who may do what --------------------------------------------------------------------------------------------------


@check("connection strings for a development emulator lead to it")
async def _():
    hub = Hub()
    for policy in ("Sender", "Listener", "RootManageSharedAccessKey"):
        parts = parts_of(hub.connection(policy))
        equal(parts["UseDevelopmentEmulator"], "true", "UseDevelopmentEmulator")
        equal(parts["SharedAccessKeyName"], policy, "the policy's name")
    async with hub.producer(hub.connection("Sender")) as client:
        await client.send_event(EventData("x"), partition_id="0")
    equal(texts(await hub.receive(1, partition_id="0")), ["x"], "what is there")


@check("a wrong key is refused")
async def _():
    hub = Hub()
    wrong = base64.b64encode(b"not the key of this policy at all").decode()
    async with hub.producer(hub.connection("Sender", SharedAccessKey=wrong)) as client:
        await refused(client.send_event(EventData("x")), AuthenticationError, "signature")
    async with hub.consumer(hub.connection("Listener", SharedAccessKey=wrong)) as client:
        await refused(client.get_eventhub_properties(), (AuthenticationError, ConnectError))


@check("an unknown policy is refused")
async def _():
    hub = Hub()
    async with hub.producer(hub.connection("Sender", SharedAccessKeyName="Nobody")) as client:
        await refused(client.send_event(EventData("x")), AuthenticationError)


@check("a Listener may not send")
async def _():
    hub = Hub()
    async with hub.producer(hub.connection("Listener")) as client:
        # This client takes a refused link for a lost connection; the condition in its text is the service's.
        words = ("amqp:unauthorized-access", "'Send' claim")
        await refused(client.send_event(EventData("x")), EventHubError, *words)
        await refused(client.send_event(EventData("x"), partition_id="0"), EventHubError, *words)
    await hub.send(["by Sender"], partition_id="0")
    equal(texts(await hub.receive(1, partition_id="0")), ["by Sender"], "what is there")


@check("a Sender may not listen")
async def _():
    hub = Hub()
    await hub.send(["secret"], partition_id="0")
    # This client does not report a receiver that is refused: it opens another one, and another one. What can be seen is
    # that it gets nothing where a Listener, who comes later, does. The scripts in JavaScript see the refusal itself.
    async with hub.reader(text=hub.connection("Sender"), partition_id="0") as reader:
        equal(texts(await hub.receive(1, partition_id="0")), ["secret"], "what a Listener got")
        equal(reader.events, [], "what a Sender got")


@check("the root policy may do both")
async def _():
    hub = Hub()
    async with hub.producer(hub.connection()) as client:
        await client.send_event(EventData("by root"), partition_id="2")
    equal(texts(await hub.receive(1, text=hub.connection(), partition_id="2")), ["by root"], "the events")


@check("a signature in place of the key will do, until it has expired")
async def _():
    hub = Hub()
    async with hub.producer(hub.with_signature("Sender", 300)) as client:
        await client.send_event(EventData("signed"))
    async with hub.producer(hub.with_signature("Sender", -10)) as client:
        await refused(client.send_event(EventData("x")), (AuthenticationError, ConnectError))


@check("a signature for one hub does not open another")
async def _():
    hub = Hub()
    async with hub.producer(hub.with_signature("Sender", 300, hub="transactions")) as client:
        await refused(client.send_event(EventData("x")), (AuthenticationError, ConnectError))


@check("an unknown hub is not found")
async def _():
    nowhere = Hub("nowhere")
    async with nowhere.producer() as client:
        # The token for it is refused already, which this client has no condition for.
        await refused(client.send_event(EventData("x")), EventHubError, "could not be found")
    async with nowhere.consumer() as client:
        await refused(client.get_eventhub_properties(), EventHubError)


@check("an unknown partition is refused")
async def _():
    # A receiver never gets this far: this client looks its partition up first.
    hub = Hub()
    async with hub.producer() as client:
        await refused(client.send_event(EventData("x"), partition_id="10"), EventHubError, "partition")
    async with hub.consumer() as client:
        await refused(client.get_partition_properties("10"), EventHubError)


# --- Limits -----------------------------------------------------------------------------------------------------------


async def flood(hub, events, until):
    """Sends such batches to partition 0 for as long as `until` says not to stop; how many were taken, and the errors."""
    accepted, errors = 0, []
    async with hub.producer() as client:
        while not until(accepted, errors):
            try:
                await client.send_batch(events(), partition_id="0")
                accepted += 1
            except EventHubError as error:
                errors.append(error)
    return accepted, errors


async def stored(hub):
    async with hub.consumer() as client:
        return (await client.get_partition_properties("0"))["last_enqueued_sequence_number"] + 1


@check("a throughput unit is busy beyond 1,000 events a second", needs="limited_python")
async def _():
    hub = Hub("python-events", of="limited_python")
    begin = time.monotonic()
    accepted, errors = await flood(
        hub, lambda: [EventData("x") for _ in range(100)], lambda accepted, errors: errors and accepted >= 5
    )
    seconds = int(time.monotonic() - begin) + 2
    for error in errors:
        that("server-busy" in str(error) or "throttled" in str(error), f"the error should say that it is busy: {error}")
    # A second had begun and another may have; the batch that crosses the limit still comes in.
    that(accepted * 100 <= seconds * 1_100, f"{accepted * 100} events were accepted in {seconds} s")
    equal(await stored(hub), accepted * 100, "the number of events that are there")


@check("a throughput unit is busy beyond a megabyte a second", needs="limited_python")
async def _():
    hub = Hub("python-bytes", of="limited_python")
    begin = time.monotonic()
    accepted, errors = await flood(hub, lambda: [EventData(bytes(250_000))], lambda accepted, errors: errors and accepted >= 2)
    seconds = int(time.monotonic() - begin) + 2
    for error in errors:
        that("server-busy" in str(error) or "throttled" in str(error), f"the error should say that it is busy: {error}")
    that(accepted * 250_000 <= seconds * 1_250_000, f"{accepted} times 250,000 bytes were accepted in {seconds} s")
    equal(await stored(hub), accepted, "the number of events that are there")


@check("a busy namespace is waited for by a client that retries", needs="limited_python")
async def _():
    hub = Hub("python-patient", of="limited_python")
    await flood(hub, lambda: [EventData("x") for _ in range(200)], lambda accepted, errors: errors)
    async with hub.producer(retry_total=10) as client:
        await client.send_batch([EventData("patient")], partition_id="1")
    equal(texts(await hub.receive(1, partition_id="1")), ["patient"], "what is there")


@check("beyond the memory limit events are refused, and what is there can be read", needs="full_python")
async def _():
    hub = Hub("python", of="full_python")
    accepted, [error] = await flood(hub, lambda: [EventData(bytes(200_000))], lambda accepted, errors: errors)
    that("ResourceLimitExceeded" in str(error), f"the condition should be amqp:resource-limit-exceeded: {error}")
    that("memory" in str(error), f"the error should say why: {error}")
    that(10 <= accepted < 20, f"of 4 MB, {accepted} times 200,000 bytes were taken")
    equal(len(await hub.receive(accepted, partition_id="0")), accepted, "the number of events that are there")
