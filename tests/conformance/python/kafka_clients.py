"""Holds the Kafka endpoint of Event Hubs against confluent-kafka (librdkafka) and kafka-python."""

import asyncio
import itertools
import threading
import time

import confluent_kafka
import kafka
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from confluent_kafka.admin import AdminClient, NewTopic
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from checks import Failed, check, emulator, equal, main, that

PARTITIONS = 4
#: Seconds until something that should come is missing.
PATIENCE = 60

_numbers = itertools.count(1)


def service():
    return emulator("kafka")["event_hubs"]


def connection(policy="RootManageSharedAccessKey"):
    return service()["connection_strings"][policy]


def server():
    return f"127.0.0.1:{service()['kafka_port']}"


def hub():
    """A hub that no other check uses."""
    name = f"kafka-{next(_numbers)}"
    that(name in service()["hubs"], f"there is no hub «{name}»: `run` is to start the emulator with more of them")
    return name


def amqp(name, policy="RootManageSharedAccessKey"):
    parts = dict(part.split("=", 1) for part in connection(policy).split(";"))
    return ";".join(f"{key}={value}" for key, value in (parts | {"EntityPath": name}).items())


class Confluent:
    """confluent-kafka in the words of the checks."""

    def __init__(self, tls=False, password=None):
        self.config = {
            "bootstrap.servers": server(),
            "security.protocol": "SASL_SSL" if tls else "SASL_PLAINTEXT",
            "sasl.mechanisms": "PLAIN",
            "sasl.username": "$ConnectionString",
            "sasl.password": password or connection(),
        } | ({"ssl.ca.location": service()["certificate"]} if tls else {})

    def send(self, topic, records, **options):
        """Sends (key, value, headers, partition), and gives partition and offset of each."""
        producer = confluent_kafka.Producer(self.config | {"message.timeout.ms": PATIENCE * 1000} | options)
        sent, errors = [], []

        def delivered(error, message):
            errors.append(error) if error else sent.append((message.partition(), message.offset()))

        for key, value, headers, partition in records:
            where = {} if partition is None else {"partition": partition}
            producer.produce(topic, value=value, key=key, headers=headers, on_delivery=delivered, **where)
        producer.flush(PATIENCE)
        if errors:
            raise Failed(str(errors[0]))
        return sent

    def consumer(self, topic, group):
        return ConfluentConsumer(self.config, topic, group)


class ConfluentConsumer:
    def __init__(self, config, topic, group):
        options = {"group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
        self.client = confluent_kafka.Consumer(config | options | {"session.timeout.ms": 6000})
        self.client.subscribe([topic])

    def poll(self):
        message = self.client.poll(0.2)
        if message is None:
            return []
        if message.error():
            raise Failed(str(message.error()))
        return [(message.key(), message.value(), message.headers() or [], message.partition())]

    def assigned(self):
        return sorted(partition.partition for partition in self.client.assignment())

    def commit(self):
        self.client.commit(asynchronous=False)

    def close(self):
        self.client.close()


class Python:
    """kafka-python in the words of the checks."""

    def __init__(self, tls=False, password=None):
        self.config = {
            "bootstrap_servers": server(),
            "security_protocol": "SASL_SSL" if tls else "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": "$ConnectionString",
            "sasl_plain_password": password or connection(),
        } | ({"ssl_cafile": service()["certificate"]} if tls else {})

    def send(self, topic, records, **options):
        producer = kafka.KafkaProducer(**self.config, **options)
        try:
            futures = [
                producer.send(topic, value=value, key=key, headers=headers, partition=partition)
                for key, value, headers, partition in records
            ]
            found = [future.get(PATIENCE) for future in futures]
            return [(one.partition, one.offset) for one in found]
        finally:
            producer.close()

    def consumer(self, topic, group):
        return PythonConsumer(self.config, topic, group)


class PythonConsumer:
    def __init__(self, config, topic, group):
        self.client = kafka.KafkaConsumer(
            topic,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=6000,
            heartbeat_interval_ms=500,
            **config,
        )

    def poll(self):
        # It forgets that it is joining when a poll ends before the group has answered: never so soon.
        found = itertools.chain(*self.client.poll(2000).values())
        return [(one.key, one.value, list(one.headers), one.partition) for one in found]

    def assigned(self):
        return sorted(partition.partition for partition in self.client.assignment())

    def commit(self):
        self.client.commit()

    def close(self):
        self.client.close()


def take(consumer, count):
    """So many records."""
    records, until = [], time.monotonic() + PATIENCE
    while len(records) < count:
        if time.monotonic() > until:
            raise Failed(f"{count} records; {len(records)} came")
        records += consumer.poll()
    return records


def read(client, topic, count):
    """The first records of a topic, by a group of its own."""
    consumer = client.consumer(topic, f"reader-{next(_numbers)}-of-{topic}")
    try:
        return take(consumer, count)
    finally:
        consumer.close()


class Reading:
    """Reads in the background, as a member of a group."""

    def __init__(self, client, topic, group):
        self.consumer, self.records, self.assigned, self.error = client.consumer(topic, group), [], [], None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while not self.ended.is_set():
                self.records += self.consumer.poll()
                self.assigned = self.consumer.assigned()
            self.consumer.close()
        except Exception as error:  # reported by the check that looks
            self.error = error

    def close(self):
        self.ended.set()
        self.thread.join(PATIENCE)


def until(look, what):
    end = time.monotonic() + PATIENCE
    while not look():
        if time.monotonic() > end:
            raise Failed(f"not within {PATIENCE} s: {what()}")
        time.sleep(0.05)


def both(name):
    """Declares a check for each client."""

    def declare(function):
        for title, client in (("confluent-kafka", Confluent), ("kafka-python", Python)):

            @check(f"{title}: {name}", needs="kafka")
            async def _(client=client):
                await asyncio.to_thread(function, client)

        return function

    return declare


@both("records are read as they were sent, with TLS and without, compressed and not")
def _(client):
    topic, of = hub(), "compression.type" if client is Confluent else "compression_type"
    total = 0
    for tls in (False, True):
        for options in ({}, {of: "gzip"}):
            records = [(f"k{n}".encode(), f"{n} {tls} {options}".encode() * 20, [("h", b"\x00\xff")], None) for n in range(50)]
            equal(len(client(tls).send(topic, records, **options)), 50, "what was taken")
            total += 50
            got = read(client(tls), topic, total)[-50:] if total == 50 else read(client(tls), topic, total)
            values = {(key, value) for key, value, headers, _ in got if headers == [("h", b"\x00\xff")]}
            that(values >= {(key, value) for key, value, _, _ in records}, "records are missing or changed")


@both("a key stays on its partition, and offsets go up by one")
def _(client):
    topic = hub()
    sent = client().send(topic, [(b"us", b"x", [], None)] * 20)
    equal(len({partition for partition, _ in sent}), 1, "partitions of one key")
    equal([offset for _, offset in sent], list(range(20)), "offsets")
    equal(client().send(topic, [(None, b"y", [], 3)])[0][0], 3, "the partition that was named")


@both("a group shares the partitions, and takes over those of a member that leaves")
def _(client):
    topic = hub()
    everything = list(range(PARTITIONS))
    first = Reading(client(), topic, f"sharing {topic}")
    until(lambda: first.assigned == everything, lambda: f"all partitions for one: {first.assigned} {first.error}")
    second = Reading(client(), topic, f"sharing {topic}")
    until(
        lambda: len(first.assigned) == len(second.assigned) == 2 and sorted(first.assigned + second.assigned) == everything,
        lambda: f"two partitions for each: {first.assigned} {second.assigned} {first.error} {second.error}",
    )
    client().send(topic, [(None, str(n).encode(), [], n % PARTITIONS) for n in range(40)])
    until(lambda: len(first.records) + len(second.records) >= 40, lambda: "40 records")
    first.close()
    until(lambda: second.assigned == everything, lambda: f"all partitions for the one left: {second.assigned} {second.error}")
    second.close()


@both("a group goes on where it has committed")
def _(client):
    topic = hub()
    client().send(topic, [(None, b"before", [], 0)] * 5)
    consumer = client().consumer(topic, f"going on {topic}")
    take(consumer, 5)
    consumer.commit()
    consumer.close()
    client().send(topic, [(None, b"after", [], 0)])
    consumer = client().consumer(topic, f"going on {topic}")
    equal([value for _, value, _, _ in take(consumer, 1)], [b"after"], "what comes next")
    consumer.close()


@both("what AMQP sends Kafka reads")
def _(client):
    topic = hub()
    with EventHubProducerClient.from_connection_string(amqp(topic)) as producer:
        event = EventData(b"body")
        event.properties = {"bytes": b"raw", "text": "abc"}
        batch = producer.create_batch(partition_key="us")
        batch.add(event)
        producer.send_batch(batch)
    key, value, headers, _ = read(client(), topic, 1)[0]
    equal((key, value), (b"us", b"body"), "key and value")
    # What is not bytes comes in AMQP's encoding: here a string of three.
    equal(dict(headers), {"bytes": b"raw", "text": b"\xa1\x03abc"}, "headers")


@both("what Kafka sends AMQP reads")
def _(client):
    topic = hub()
    client().send(topic, [(b"us", b"body", [("h", b"value")], 2)])
    got = []
    with EventHubConsumerClient.from_connection_string(amqp(topic), "$Default") as consumer:

        def on_event(_, event):
            got.append(event)
            consumer.close()

        consumer.receive(on_event, partition_id="2", starting_position="-1", max_wait_time=PATIENCE)
    that(got and got[0] is not None, "the event did not come")
    equal((got[0].partition_key, got[0].body_as_str()), (b"us", "body"), "key and body")
    equal(got[0].properties, {b"h": b"value"}, "properties")


@both("a policy without the right is refused")
def _(client):
    try:
        client(password=connection("Listener")).send(hub(), [(None, b"x", [], 0)])
    except (Failed, KafkaError) as error:
        that("authoriz" in str(error).lower() or "29" in str(error), f"the error should speak of rights: {error}")
    else:
        raise Failed("a Listener has sent")


@check("confluent-kafka: a wrong key is refused", needs="kafka")
async def _():
    def look():
        errors = []
        config = Confluent(password=connection().replace("SharedAccessKey=", "SharedAccessKey=x")).config
        client = confluent_kafka.Producer(config | {"error_cb": errors.append, "reconnect.backoff.ms": 1000})
        until(lambda: client.poll(0.1) or errors, lambda: "an error")
        that("not known" in str(errors[0]), f"the error should say what is wrong: {errors[0]}")

    await asyncio.to_thread(look)


@check("confluent-kafka: idempotent producers send each record once", needs="kafka")
async def _():
    def look():
        topic = hub()
        sent = Confluent().send(topic, [(None, b"x", [], 0)] * 500, **{"enable.idempotence": True})
        equal(sorted(offset for _, offset in sent), list(range(500)), "offsets")

    await asyncio.to_thread(look)


@check("confluent-kafka: a topic is not created, and offsets are found by time", needs="kafka")
async def _():
    def look():
        topic, client = hub(), Confluent()
        admin = AdminClient(client.config)
        error = admin.create_topics([NewTopic("new", 1)])["new"].exception(PATIENCE)
        that("POLICY_VIOLATION" in str(error), f"the error should speak of a policy: {error}")
        client.send(topic, [(None, b"x", [], 0)] * 3)
        consumer = confluent_kafka.Consumer(client.config | {"group.id": "times"})
        found = consumer.offsets_for_times([confluent_kafka.TopicPartition(topic, 0, 0)], PATIENCE)
        equal(found[0].offset, 0, "the offset at the beginning of time")
        equal(consumer.get_watermark_offsets(found[0], PATIENCE), (0, 3), "the first and the last offset")
        consumer.close()

    await asyncio.to_thread(look)


@check("kafka-python: an administrator sees the hubs", needs="kafka")
async def _():
    def look():
        client = KafkaAdminClient(**Python().config)
        that(set(client.list_topics()) >= set(service()["hubs"]), "hubs are missing")
        client.close()

    await asyncio.to_thread(look)


if __name__ == "__main__":
    main("python kafka", at_once=4)
