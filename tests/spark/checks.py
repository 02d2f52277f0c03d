"""The notebooks, run to their end on Spark against `txgen emulator`, and Spark's connectors held against the emulators.

    checks.py TXGEN [CHECK]

The tables are read back by PyPI's deltalake and held against the CSV that the run has sent.
"""

import collections
import contextlib
import csv
import json
import math
import pathlib
import re
import signal
import sys
import tempfile
import time
import traceback

import deltalake

from stage import DATA, NOTEBOOKS, PATIENCE, Stage, kill

TXGEN, ONLY = sys.argv[1:3]
ROWS = 20_000
# An address of this machine that has port 5671 to itself, the only one that azure-eventhubs-spark takes.
HOST_OF_CONNECTOR = "127.56.71.1"
# What the raw layout has besides, and what it lacks of the cleaned one.
RAW_ONLY = {"transactionScenario": "A", "transactionType": "P", "browserType": "", "transactionMethod": "", "responseCode": ""}
CLEANED_ONLY = {
    "accountPostalCode", "accountState", "accountCountry", "accountAge", "isUserRegistered", "paymentInstrumentAgeInAccount",
    "numPaymentRejects1dPerUser", "transactionDateTime",
}


# --- What is expected, and what is there -------------------------------------------------------------------------------


def csv_rows():
    with open(DATA, newline="", encoding="utf-8-sig") as file:
        yield from csv.DictReader(file)


def by_day_of_csv(name=lambda country: country):
    """Transactions, their amount in USD and how many came by proxy, by day and country."""
    counted = collections.defaultdict(lambda: [0, 0.0, 0])
    for row in csv_rows():
        cell = counted[row["transactionDateTime"][:10], name(row["ipCountryCode"] or "unk")]
        cell[0] += 1
        cell[1] += float(row["transactionAmountUSD"] or 0)
        cell[2] += row["isProxyIP"].upper() in ("TRUE", "1")
    return counted


def rows_of(place, *columns):
    return deltalake.DeltaTable(str(place)).to_pyarrow_table(columns=list(columns) or None).to_pylist()


def by_day_of(place, moment="transactionDateTime", country="ipCountryCode"):
    counted = collections.defaultdict(lambda: [0, 0.0, 0])
    for row in rows_of(place, moment, country, "transactionAmountUSD", "isProxyIP"):
        cell = counted[row[moment].strftime("%Y-%m-%d"), row[country]]
        cell[0] += 1
        cell[1] += row["transactionAmountUSD"]
        cell[2] += row["isProxyIP"]
    return counted


def assert_same(found, wanted):
    assert found.keys() == wanted.keys(), (len(found), len(wanted), sorted(found.keys() ^ wanted.keys())[:5])
    for key, (transactions, usd, proxies) in wanted.items():
        assert found[key][0] == transactions and found[key][2] == proxies, (key, found[key], wanted[key])
        assert math.isclose(found[key][1], usd, rel_tol=1e-9), (key, found[key], wanted[key])


# --- The workshop ------------------------------------------------------------------------------------------------------


class Workshop(Stage):
    """What the notebooks read: a run of all 20,000 transactions, some of which were sent twice."""

    def __init__(self, directory):
        super().__init__(TXGEN, directory, "--fault", "event_hubs:drop:0.3%:seed=3")
        self.run_txgen("run", "--data", DATA, "--summary-file", "summary.json", "--quiet")
        self.summary = json.loads((directory / "summary.json").read_text())
        for service in ("event_hubs", "cosmos_db"):
            assert self.summary["services"][service]["succeeded"] == ROWS, self.summary["services"][service]
        resent = self.summary["services"]["event_hubs"]["ambiguous_rows"]
        assert resent["ranges"], "no send has lost its answer: there is nothing to prove"

    def arrive(self, **widgets):
        return self.run_notebook("03_consume_from_event_hubs", kafka_options=self.kafka_options(), **widgets)


CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


@check
def notebook_01_prepares_the_cleaned_and_the_raw_layout(workshop):
    raw = workshop.directory / "raw.csv"
    with open(raw, "w", newline="") as file:
        rows = list(csv_rows())
        names = [name for name in rows[0] if name not in CLEANED_ONLY] + ["transactionDate", "transactionTime", *RAW_ONLY]
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            date, clock = row["transactionDateTime"].split("T")
            # As in the original: a number, without the zeros that lead it.
            of_raw = {"transactionDate": date.replace("-", ""), "transactionTime": int(clock.replace(":", ""))}
            writer.writerow(row | RAW_ONLY | of_raw)
    for name, data in (("01_raw_layout", raw), ("01_explore_historical_transactions", DATA)):
        said = workshop.run_notebook("01_explore_historical_transactions", name=name, data=data)
        assert ("tell nothing: transactionScenario, transactionType, browserType" in said) == (data == raw), said[:2000]
        assert_same(by_day_of(workshop.lake / "historical"), by_day_of_csv())


@check
def notebook_03_killed_in_mid_stream_has_every_row_once(workshop):
    workshop.send(
        "no JSON at all",
        '{"id": "1", "transactionID": "1", "accountID": "1"}',
        '{"id": "2", "transactionID": "2", "accountID": "2", "ipCountryCode": "us", "transactionAmount": "much"}',
        '{"id": "3", "transactionID": "3", "accountID": "3", "ipCountryCode": "us", "collectionType": "Other"}',
    )
    place = workshop.lake / "transactions"
    widgets = {"kafka_options": workshop.kafka_options(), "events_per_batch": 2000}
    arguments = workshop.notebook_arguments("03_consume_from_event_hubs", **widgets)
    with open(workshop.directory / "killed.txt", "w") as output:
        process = workshop.start_script("4.2", NOTEBOOKS / "local.py", *arguments, output=output)
        try:
            deadline = time.monotonic() + PATIENCE
            # Version 0 made the table: three batches are in it.
            while len(list((place / "_delta_log").glob("*.json"))) < 4:
                assert process.poll() is None and time.monotonic() < deadline, (workshop.directory / "killed.txt").read_text()[-6000:]
                time.sleep(0.05)
        finally:
            kill(process)
    landed = len(rows_of(place, "id"))
    assert 0 < landed < ROWS, landed
    forget_last_mark(workshop.lake / "checkpoints" / "transactions", place)
    said = workshop.arrive()
    ids = [row["id"] for row in rows_of(place, "id")]
    assert len(ids) == len(set(ids)) == ROWS == workshop.summary["services"]["event_hubs"]["succeeded"], (len(ids), len(set(ids)))
    assert_same(by_day_of(place), by_day_of_csv())
    days = {
        (str(row["day"]), row["ipCountryCode"]): [row["transactions"], row["amountUSD"], row["proxies"]]
        for row in rows_of(workshop.lake / "transactions_by_day")
    }
    assert_same(days, by_day_of_csv())
    reasons = collections.Counter(row["reason"].split(" ")[0] for row in rows_of(workshop.lake / "transactions_rejected"))
    assert reasons == {"the": 3, "one": 1}, reasons
    assert all(" 0 too late" in line for line in said.splitlines() if line.startswith(("events:", "days:"))), said
    verified = workshop.verified("summary.json", place)
    assert verified["ok"] and verified["services"]["event_hubs"][0]["intact"] == ROWS, verified
    duplicates = sum(int(number) for number in re.findall(r"^events: .* (\d+) duplicates", said, re.MULTILINE))
    print(f"     killed with {landed} rows in the table; {duplicates} duplicates were left out after that")


def forget_last_mark(checkpoint, place):
    """Leaves the checkpoint as a kill between the table's commit and the mark of the batch leaves it."""
    marks = sorted(int(mark.name) for mark in (checkpoint / "commits").iterdir() if mark.name.isdigit())
    stream = json.loads((checkpoint / "metadata").read_text())["id"]
    in_table = deltalake.DeltaTable(str(place)).transaction_version(stream)
    assert in_table is not None and marks, (in_table, marks)
    if in_table > marks[-1]:
        return
    for folder, number in (("commits", marks[-1]), ("offsets", marks[-1] + 1)):
        for name in (str(number), f".{number}.crc"):
            (checkpoint / folder / name).unlink(missing_ok=True)


@check
def notebook_02_has_every_document_once(workshop):
    options = json.dumps({"spark.cosmos.useGatewayMode": "true"})
    widgets = {"endpoint": workshop.ready["cosmos_db"]["endpoint"], "cosmos_options": options}
    said = workshop.run_notebook("02_consume_from_cosmos_db", version="3.4", **widgets)
    assert f"{ROWS} documents" in said, said
    place = workshop.lake / "documents"
    assert deltalake.DeltaTable(str(place)).metadata().partition_columns == ["ipCountryCode"]
    ids = [row["id"] for row in rows_of(place, "id")]
    assert len(ids) == len(set(ids)) == ROWS == workshop.summary["services"]["cosmos_db"]["succeeded"], (len(ids), len(set(ids)))
    assert_same(by_day_of(place), by_day_of_csv())
    # It goes on after its checkpoint, with what has come since.
    workshop.run_txgen("run", "--data", DATA, "--only-cosmos", "--limit", "500", "--summary-file", "more.json", "--quiet")
    workshop.run_notebook("02_consume_from_cosmos_db", version="3.4", name="02_again", **widgets)
    ids = [row["id"] for row in rows_of(place, "id")]
    assert len(ids) == len(set(ids)) == ROWS + 500, (len(ids), len(set(ids)))


@check
def notebook_04_builds_a_star_that_adds_up(workshop):
    if not (workshop.lake / "transactions").exists():
        workshop.arrive()
    said = workshop.run_notebook("04_warehouse_and_report")
    assert "every key leads to one row" in said, said
    facts = rows_of(workshop.lake / "fact_transactions", "id", "dateKey", "amountUSD", "ipCountryKey", "isProxyIP")
    assert len({row["id"] for row in facts}) == len(facts) == ROWS, len(facts)
    countries = {row["countryKey"]: row["countryCode"] for row in rows_of(workshop.lake / "dim_country")}
    dates = {row["dateKey"]: str(row["day"]) for row in rows_of(workshop.lake / "dim_date")}
    counted = collections.defaultdict(lambda: [0, 0.0, 0])
    for row in facts:
        cell = counted[dates[row["dateKey"]], countries[row["ipCountryKey"]]]
        cell[0] += 1
        cell[1] += row["amountUSD"]
        cell[2] += row["isProxyIP"]
    # The dimension has every code in upper case; the data has `na` and `NA`.
    assert_same(counted, by_day_of_csv(lambda country: country.upper()))
    protocol = deltalake.DeltaTable(str(workshop.lake / "fact_transactions")).protocol()
    assert protocol.min_reader_version == 1, protocol


# --- Others ------------------------------------------------------------------------------------------------------------


@check
def the_connector_of_the_workshop_reads_every_event(_):
    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(folder).resolve()
        with Stage(TXGEN, directory, "--host", HOST_OF_CONNECTOR, "--event-hubs-tls-port", "5671") as stage:
            stage.run_txgen("run", "--data", DATA, "--only-event-hubs", "--quiet")
            script = pathlib.Path(__file__).with_name("event_hubs_connector.py")
            said = stage.run_script("3.5", script, HOST_OF_CONNECTOR, directory / "read")
    found = [json.loads(line.split(": ", 1)[1]) for line in said.splitlines() if line.startswith(("static: ", "stream: "))]
    whole = {"events": ROWS, "ids": ROWS, "partitions": len({row["partitions"] for row in found}) and found[0]["partitions"]}
    for way in found:
        assert way == whole | {"positions": ROWS}, found
    assert len(found) == 2, said


@check
def txgen_land_and_spark_share_a_table(_):
    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(folder).resolve()
        with Stage(TXGEN, directory, "--partitions", "4") as stage:
            share(stage)


def share(stage):
    runs = []

    def send():
        runs.append(f"run-{len(runs)}.json")
        run = ("run", "--data", DATA, "--only-event-hubs", "--limit", 2000, "--quiet")
        stage.run_txgen(*run, "--summary-file", runs[-1])

    def land(place, *arguments):
        stage.run_txgen("land", "--to", place, "--until-caught-up", "--commit-bytes", "20KB", *arguments)

    def spark(name, **widgets):
        widgets |= {"table": name, "kafka_options": stage.kafka_options()}
        stage.run_notebook("03_consume_from_event_hubs", name=f"03_{name}", **widgets)

    def whole(place):
        for run in runs:
            verified = stage.verified(run, place)
            assert verified["ok"] and verified["services"]["event_hubs"][0]["intact"] == 2000, verified
        positions = [(row["_partition"], row["_sequenceNumber"]) for row in rows_of(place, "_partition", "_sequenceNumber")]
        assert len(positions) == len(set(positions)) == 2000 * len(runs), len(positions)

    # txgen writes, Spark reads and optimises, txgen goes on, Spark takes over where the table ends.
    place = stage.lake / "landed"
    for _ in range(2):
        send()
        land(place)
    counted, optimized = stage.sql(f"SELECT count(*) AS n FROM delta.`{place}`", f"OPTIMIZE delta.`{place}`")
    assert counted == [{"n": 4000}] and optimized[0]["metrics"]["numFilesRemoved"] > 1, (counted, optimized)
    send()
    land(place)
    whole(place)
    send()
    spark("landed", starting="table", partitions="0,1,2,3")
    whole(place)
    # The other way round: Spark makes the table of two partitions, txgen appends the other two, Spark optimises, both go on.
    place = stage.lake / "streamed"
    spark("streamed", partitions="0,1")
    land(place, "--partitions", "2,3")
    whole(place)
    stage.sql(f"OPTIMIZE delta.`{place}`")
    send()
    land(place, "--partitions", "2,3")
    spark("streamed", partitions="0,1")
    whole(place)


# --- All of them -------------------------------------------------------------------------------------------------------


def main():
    # So that what was started is ended when this is.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    passed = failed = 0
    chosen = [function for function in CHECKS if ONLY in function.__name__.replace("_", " ")]
    with contextlib.ExitStack() as stack:
        workshop = None
        for function in chosen:
            name, began = function.__name__.replace("_", " "), time.monotonic()
            try:
                if workshop is None and "workshop" in function.__code__.co_varnames[:1]:
                    directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))).resolve()
                    workshop = stack.enter_context(Workshop(directory))
                function(workshop)
            except Exception:
                failed += 1
                print(f"FAIL spark: {name}")
                traceback.print_exc()
            else:
                passed += 1
                print(f"ok   spark: {name} ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(0 if passed and not failed else 3)


main()
