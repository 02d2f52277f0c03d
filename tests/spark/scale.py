"""Measures the stream of notebook 03 and `txgen land` on the same event hubs, and prints one table.

    scale.py TXGEN EVENTS

Two event hubs, with EVENTS events and a third of them, in one emulator; each reader has each of them to itself, one after
the other. Start and stream are measured apart: what Spark takes to start does not grow with the events.
"""

import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

from stage import DATA, NOTEBOOKS, Stage

ROUNDS = 3


def measure_land(stage, settings, place):
    """Seconds and CPU seconds of `txgen land`, from its start to its end."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    stage.run_txgen("land", "--settings", settings, "--to", place, "--until-caught-up")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure_spark(stage, connection_string, lake):
    """Seconds until the stream begins, then those of the stream, with its CPU seconds."""
    script = pathlib.Path(__file__).with_name("scale_stream.py")
    arguments = (f"lake={lake}", f"kafka_options={stage.kafka_options()}")
    notebook = NOTEBOOKS / "03_consume_from_event_hubs.py"
    said = stage.run_script("4.2", script, notebook, *arguments, EVENT_HUB_1_LISTEN_CONNECTION_STRING=connection_string)
    return json.loads(next(line for line in said.splitlines() if line.startswith("{")))


def middle(values):
    return sorted(values)[len(values) // 2]


def processor():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "of an unknown kind")


def main(txgen, events):
    sizes = {"smaller": events // 3, "larger": events}
    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(folder).resolve()
        with Stage(txgen, directory, "--hub", *sizes, jvm_options="") as stage:
            strings = stage.ready["event_hubs"]["connection_strings"]
            rows = []
            for hub, count in sizes.items():
                of_hub = {right: strings[right].replace("EntityPath=smaller", f"EntityPath={hub}") for right in strings}
                settings = directory / f"{hub}.json"
                settings.write_text(json.dumps({
                    "EVENT_HUB_1_CONNECTION_STRING": of_hub["Sender"],
                    "EVENT_HUB_1_LISTEN_CONNECTION_STRING": of_hub["Listener"],
                }))
                run = ("run", "--settings", settings, "--data", DATA, "--loop", "--limit", count, "--seconds-to-run", 0)
                stage.run_txgen(*run, "--only-event-hubs", "--quiet")
                land, spark = [], []
                for number in range(ROUNDS):
                    land.append(measure_land(stage, settings, directory / f"land-{hub}-{number}"))
                    spark.append(measure_spark(stage, of_hub["Listener"], directory / f"spark-{hub}-{number}"))
                    assert spark[-1]["rows"] == count, spark[-1]
                seconds, cpu = (middle(values) for values in zip(*land))
                ours = count / seconds, cpu * 100_000 / count
                start, stream, cpu = (middle([one[key] for one in spark]) for key in ("start", "seconds", "cpu"))
                theirs = count / stream, cpu * 100_000 / count
                rows.append((f"txgen land, {count} events", f"{0:.1f}", f"{ours[0]:.0f}", f"{ours[1]:.2f}"))
                rows.append((f"Spark, local[2], {count} events", f"{start:.1f}", f"{theirs[0]:.0f}", f"{theirs[1]:.2f}"))
                rows.append(("  Spark ÷ txgen land", "", f"{theirs[0] / ours[0]:.2f}", f"{theirs[1] / ours[1]:.1f}"))
    print(f"{os.cpu_count()} cores, {processor()}; medians of {ROUNDS}")
    for name, start, rate, cpu in [("", "start, s", "events/s", "CPU s per 100,000"), *rows]:
        print(f"{name:36} {start:>9} {rate:>9} {cpu:>18}")


main(sys.argv[1], int(sys.argv[2]))
