"""The helper itself."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import txgen


def test_it_serves_until_the_block_ends() -> None:
    with txgen.emulator() as e:
        port = urlsplit(e.cosmos_endpoint).port
        socket.create_connection(("127.0.0.1", port)).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_two_run_side_by_side() -> None:
    with txgen.emulator() as one, txgen.emulator() as two:
        assert one.cosmos_endpoint != two.cosmos_endpoint


def test_each_hub_has_its_connection_string() -> None:
    with txgen.emulator(["orders", "payments"]) as e:
        assert e.connection_string().endswith("EntityPath=orders")
        text = e.connection_string("payments", "Listener")
        assert "SharedAccessKeyName=Listener;" in text and text.endswith("EntityPath=payments")
        with pytest.raises(ValueError, match="orders, payments"):
            e.connection_string("refunds")


def test_a_config_takes_the_place_of_the_hubs(tmp_path: Path) -> None:
    entities = [{"Name": "eh1", "PartitionCount": "2", "ConsumerGroups": [{"Name": "cg1"}]}]
    namespace = {"Type": "EventHub", "Name": "emulatorNs1", "Entities": entities}
    config = tmp_path / "Config.json"
    config.write_text(json.dumps({"UserConfig": {"NamespaceConfig": [namespace], "LoggingConfig": {"Type": "File"}}}))
    with txgen.emulator(args=["--config", str(config)]) as e:
        assert list(e.hubs) == ["eh1"]


def test_an_error_says_what_the_emulator_said() -> None:
    with pytest.raises(txgen.EmulatorError, match="exit code 2: .*--hub"):
        with txgen.emulator(["twice", "twice"]):
            pass


def test_it_ends_with_a_process_that_is_killed() -> None:
    script = "import time, txgen\nwith txgen.emulator() as e:\n    print(e.cosmos_endpoint, flush=True)\n    time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        port = urlsplit(parent.stdout.readline()).port
        socket.create_connection(("127.0.0.1", port)).close()
        parent.kill()
    deadline = time.monotonic() + 30
    with pytest.raises(ConnectionRefusedError):
        while True:
            socket.create_connection(("127.0.0.1", port)).close()
            assert time.monotonic() < deadline, "the emulator goes on"
