"""Tables of `txgen land` as other programs read them, in a folder and in Azure's storage emulator."""

import contextlib
import csv
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import traceback

import deltalake
import duckdb
import duckdb_extension_delta
import polars
from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

TXGEN, ONLY, *AZURITE = sys.argv[1:]
HERE = pathlib.Path(__file__).parent
DATA = HERE.parents[2] / "data" / "Untagged_Transactions.csv"
ACCOUNT = "devstoreaccount1"
# The well-known key of Azure's storage emulator.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
# An empty cell is sent as 0 or false, and a date that is none as an empty string, which is null in the table.
TYPES = {
    "double": lambda cell: float(cell or 0),
    "long": lambda cell: int(float(cell or 0)),
    "boolean": lambda cell: cell.strip().upper() in ("TRUE", "1"),
    "timestamp": lambda cell: datetime.datetime.fromisoformat(cell).replace(tzinfo=datetime.timezone.utc) if cell else None,
}


def txgen(directory, *arguments, code=0, **environment):
    """Runs txgen; gives back what it wrote."""
    ended = subprocess.run(
        [TXGEN, *arguments], cwd=directory, env=os.environ | environment, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == code, f"{arguments}: {ended.returncode}\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}"
    return ended.stdout + ended.stderr


class Process:
    """A server, until the block ends."""

    def __init__(self, command, line, directory, **environment):
        self.log = open(directory / f"server-{time.monotonic_ns()}.log", "w+")
        self.process = subprocess.Popen(
            command, cwd=directory, env=os.environ | environment, stdout=self.log, stderr=subprocess.STDOUT
        )
        self.found = self.wait_for(line)

    def wait_for(self, pattern):
        for _ in range(1200):
            self.log.seek(0)
            if found := re.search(pattern, self.log.read()):
                return found
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.said()}"
            time.sleep(0.05)
        raise AssertionError(f"no line like {pattern}: {self.said()}")

    def said(self):
        self.log.seek(0)
        return self.log.read()[-2000:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def emulator(directory, *flags):
    """`txgen emulator` without limits, whose appsettings.json is in the directory."""
    command = [TXGEN, "emulator", "--event-hubs-port", "0", "--cosmos-port", "0", "--no-throughput-limit"]
    command += ["--output", "json", "--settings-out", "appsettings.json", *flags]
    return Process(command, '"type":"ready"', directory)


def azurite(directory):
    return Process(AZURITE, r"successfully listens on (http://127\.0\.0\.1:\d+)", directory)


def expected_rows(types):
    """The shipped data by transactionID, as the table must have it."""
    with open(DATA, newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            yield {
                name: TYPES[types[name]](cell) if types[name] in TYPES else cell for name, cell in row.items()
            }


def assert_equal(rows, types, partitions=range(10)):
    rows = sorted(rows, key=lambda row: row["id"])
    wanted = list(expected_rows(types))
    assert len(rows) == len(wanted) == 20_000, (len(rows), len(wanted))
    # An id ends with the number of its row.
    for row, of_data in zip(rows, wanted):
        for name, value in of_data.items():
            assert row[name] == value, (row["id"], name, row[name], value)
        assert row["collectionType"] == "Transaction" and row["ttl"] == 5184000, row
        assert row["_extra"] is None and row["_partition"] in partitions, row
        assert row["_enqueuedTime"].tzinfo is not None, row


def types_of(table):
    return {field.name: field.type.type for field in table.schema().fields}


def connect_duckdb():
    connection = duckdb.connect(config={"allow_unsigned_extensions": "false"})
    connection.execute("SET TimeZone = 'UTC'")
    file = next(pathlib.Path(duckdb_extension_delta.__file__).parent.rglob("*.duckdb_extension"))
    connection.execute(f"LOAD '{file}'")
    return connection


def duckdb_rows(connection, place):
    relation = connection.execute(f"SELECT * FROM delta_scan('{place}')")
    names = [column[0] for column in relation.description]
    return [dict(zip(names, row)) for row in relation.fetchall()]


CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


@check
def all_20000_rows_are_there_for_deltalake_and_duckdb(directory):
    with emulator(directory):
        run = ("run", "--data", str(DATA), "--only-event-hubs", "--summary-file", "s.json", "--quiet")
        txgen(directory, *run)
        said = txgen(directory, "land", "--to", "lake/transactions", "--until-caught-up")
    assert "delta_scan('lake/transactions')" in said, said
    table = deltalake.DeltaTable(str(directory / "lake/transactions"))
    protocol = table.protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2), protocol
    types = types_of(table)
    assert_equal(table.to_pyarrow_table().to_pylist(), types)
    assert_equal(duckdb_rows(connect_duckdb(), directory / "lake/transactions"), types)
    verified = json.loads(txgen(directory, "verify", "--summary", "s.json", "--table", "lake/transactions", "--output", "json").split("\n")[0])
    assert verified["ok"] and verified["services"]["event_hubs"][0]["intact"] == 20_000, verified


@check
def the_whole_workshop_in_one_process(directory):
    said = txgen(directory, "run", "--emulator", "--data", str(DATA), "--land", "lake", "--summary-file", "s.json", "--quiet")
    assert "Caught up: 20000 transactions" in said and "delta_scan('lake/transactions')" in said, said
    place = directory / "lake/transactions"
    table = deltalake.DeltaTable(str(place))
    assert_equal(table.to_pyarrow_table().to_pylist(), types_of(table))
    # As the guide says.
    counts = duckdb_rows(connect_duckdb(), place)
    assert table.to_pandas().shape == (20_000, 36)
    frame = polars.read_delta(str(place))
    assert frame.height == len(counts) == 20_000, (frame.height, len(counts))
    assert '"ok":true' in txgen(directory, "verify", "--summary", "s.json", "--table", "lake/transactions", "--output", "json")


@check
def the_change_feed_of_a_container(directory):
    with emulator(directory):
        txgen(directory, "run", "--data", str(DATA), "--only-cosmos", "--summary-file", "s.json", "--quiet")
        land = ("land", "--from", "cosmos-db", "--to", "lake/documents", "--until-caught-up", "--output", "json")
        assert '"transactions":20000' in txgen(directory, *land)
        assert '"transactions":0' in txgen(directory, *land)
    table = deltalake.DeltaTable(str(directory / "lake/documents"))
    assert_equal(table.to_pyarrow_table().to_pylist(), types_of(table), partitions=range(100))
    verify = ("verify", "--summary", "s.json", "--table", "lake/documents", "--only", "cosmos-db", "--output", "json")
    assert '"ok":true' in txgen(directory, *verify)


@check
def what_others_write_to_the_table_is_respected(directory):
    with emulator(directory):
        txgen(directory, "run", "--data", str(DATA), "--limit", "500", "--only-event-hubs", "--quiet")
        land = ("land", "--to", "lake/t", "--until-caught-up", "--commit-bytes", "20KB")
        txgen(directory, *land)
        table = deltalake.DeltaTable(str(directory / "lake/t"))
        table.optimize.compact()
        table.create_checkpoint()
        table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
        txgen(directory, "run", "--data", str(DATA), "--limit", "500", "--only-event-hubs", "--quiet")
        txgen(directory, *land)
        rows = deltalake.DeltaTable(str(directory / "lake/t")).to_pyarrow_table().to_pylist()
        positions = {(row["_partition"], row["_sequenceNumber"]) for row in rows}
        assert len(rows) == len(positions) == 1000, (len(rows), len(positions))


@check
def a_partitioned_table_is_read_by_its_column(directory):
    with emulator(directory):
        run = ["run", "--data", str(DATA), "--limit", "2000", "--only-event-hubs", "--quiet"]
        txgen(directory, *run, "--summary-file", "summary.json")
        txgen(directory, "land", "--to", "lake/t", "--until-caught-up", "--partition-by", "ipCountryCode")
    txgen(directory, "verify", "--summary", "summary.json", "--table", "lake/t")
    place = directory / "lake/t"
    assert (place / "ipCountryCode=us").is_dir()
    of_duckdb = connect_duckdb().execute(
        f"SELECT ipCountryCode, count(*) FROM delta_scan('{place}') GROUP BY 1 ORDER BY 1"
    ).fetchall()
    of_deltalake = deltalake.DeltaTable(str(place)).to_pyarrow_table(columns=["ipCountryCode"]).group_by("ipCountryCode")
    counted = of_deltalake.aggregate([([], "count_all")]).sort_by("ipCountryCode").to_pylist()
    assert of_duckdb == [(row["ipCountryCode"], row["count_all"]) for row in counted], of_duckdb
    assert sum(count for _, count in of_duckdb) == 2000


def in_azure(directory, environment, storage_options):
    """The same in a storage account: landed twice, verified, read, and fenced."""
    place = f"abfss://lake@{ACCOUNT}.dfs.core.windows.net/{directory.name}/t"
    with emulator(directory, "--partitions", "4"):
        run = ("run", "--data", str(DATA), "--limit", "3000", "--only-event-hubs", "--quiet", "--summary-file", "s.json")
        txgen(directory, *run)
        land = ("land", "--to", place, "--until-caught-up", "--output", "json")
        assert '"transactions":3000' in txgen(directory, *land, **environment)
        verified = txgen(directory, "verify", "--summary", "s.json", "--table", place, "--output", "json", **environment)
        assert '"ok":true' in verified, verified
        table = deltalake.DeltaTable(place, storage_options=storage_options)
        assert table.to_pyarrow_table().num_rows == 3000
        # Of two landers the one that comes second takes the partitions over. The first may still commit what it has read;
        # then it is the second that finds the table moved. Never do both go on, and never is an event there twice.
        at_work = [TXGEN, "land", "--to", place, "--commit-every", "100ms"]
        landers = [Process(at_work, "The table has version", directory, **environment)]
        txgen(directory, *run)
        landers.append(Process(at_work, "The table has version", directory, **environment))
        for _ in range(1200):
            ended = [lander for lander in landers if lander.process.poll() is not None]
            if ended:
                break
            time.sleep(0.05)
        assert ended, "both landers go on"
        for lander in ended:
            assert lander.process.returncode == 1, lander.said()
            assert "taken over" in lander.said(), lander.said()
        for lander in landers:
            lander.__exit__()
        txgen(directory, *land, **environment)
        rows = deltalake.DeltaTable(place, storage_options=storage_options).to_pyarrow_table(
            columns=["_partition", "_sequenceNumber"]
        ).to_pylist()
        assert len(rows) == len({tuple(row.values()) for row in rows}) == 6000, len(rows)
    return place


@contextlib.contextmanager
def blobs(directory):
    """Azurite with a container `lake`: what leads there, for txgen and for deltalake."""
    with azurite(directory) as server:
        blob = f"{server.found[1]}/{ACCOUNT}"
        BlobServiceClient(blob, credential=KEY).create_container("lake")
        environment = {"AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT, "AZURE_STORAGE_ENDPOINT": blob}
        options = {"account_name": ACCOUNT, "endpoint": blob, "allow_http": "true"}
        yield environment, options


@check
def azurite_with_an_account_key(directory):
    with blobs(directory) as (environment, options):
        in_azure(directory, environment | {"AZURE_STORAGE_ACCOUNT_KEY": KEY}, options | {"account_key": KEY})


@check
def azurite_with_a_shared_access_signature(directory):
    with blobs(directory) as (environment, options):
        token = generate_container_sas(
            ACCOUNT,
            "lake",
            account_key=KEY,
            permission=ContainerSasPermissions(read=True, write=True, list=True, create=True, delete=True, add=True),
            expiry=datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1),
        )
        environment["AZURE_STORAGE_SAS_TOKEN"] = token
        in_azure(directory, environment, options | {"sas_token": token})
        wrong = environment | {"AZURE_STORAGE_SAS_TOKEN": token.replace("sig=", "sig=x")}
        place = f"az://lake/{directory.name}/other"
        with emulator(directory):
            said = txgen(directory, "land", "--to", place, "--until-caught-up", "--retry-for", "1s", code=1, **wrong)
        assert "sig=" not in said.replace("sig=…", ""), said


def main():
    failed = passed = 0
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        if ONLY not in name:
            continue
        with tempfile.TemporaryDirectory() as directory:
            try:
                function(pathlib.Path(directory).resolve())
            except Exception:
                failed += 1
                print(f"FAIL lake: {name}")
                traceback.print_exc()
            else:
                passed += 1
                print(f"ok   lake: {name}", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(0 if passed and not failed else 3)


main()
