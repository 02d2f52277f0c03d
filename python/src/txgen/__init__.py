"""Local Azure Event Hubs and Azure Cosmos DB for tests.

    with txgen.emulator() as e:
        EventHubProducerClient.from_connection_string(e.event_hubs_connection_string)
        CosmosClient(e.cosmos_endpoint, e.cosmos_key)
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Iterator, Literal, Mapping, Sequence

__all__ = ["Emulator", "EmulatorError", "Policy", "emulator", "find_txgen"]

Policy = Literal["RootManageSharedAccessKey", "Sender", "Listener"]


class EmulatorError(RuntimeError):
    """The emulator did not start; the message holds what it wrote to standard error."""


@dataclass(frozen=True)
class Emulator:
    """Running services, and how clients reach them."""

    hubs: Sequence[str]
    """The event hubs that are served."""
    connection_strings: Mapping[Policy, str]
    """Connection strings of the first hub, by shared access policy."""
    cosmos_endpoint: str
    """The endpoint of Cosmos DB, over HTTP."""
    cosmos_key: str
    """The account key of Cosmos DB: the same at every start, so no secret."""

    @property
    def event_hubs_connection_string(self) -> str:
        """The connection string of the first hub that may do everything."""
        return self.connection_string()

    def connection_string(self, hub: str | None = None, policy: Policy = "RootManageSharedAccessKey") -> str:
        """The connection string of a hub (the first one, unless named) for a shared access policy.

        Raises ValueError for a hub that is not served, and KeyError for an unknown policy.
        """
        text = self.connection_strings[policy]
        if hub is None:
            return text
        if hub not in self.hubs:
            raise ValueError(f"there is no event hub {hub!r}; served are {', '.join(self.hubs)}")
        parts = [part for part in text.split(";") if part and not part.startswith("EntityPath=")]
        return ";".join([*parts, f"EntityPath={hub}"])


@contextlib.contextmanager
def emulator(
    hubs: Sequence[str] = ("transactions",),
    *,
    args: Sequence[str] = (),
    start_timeout: float = 30.0,
) -> Iterator[Emulator]:
    """Starts Event Hubs and Cosmos DB on free ports of 127.0.0.1, and stops them at the end of the block.

    `args` are further flags of `txgen emulator`, of which `--config` takes the place of `hubs`; `start_timeout` is in seconds.
    Raises EmulatorError when the services are not ready in time.
    """
    command = [find_txgen(), "emulator", "--output", "json", "--event-hubs-port", "0", "--cosmos-port", "0"]
    # However this process ends, it closes the pipe, and the emulator ends with it.
    command += ["--until-stdin-closes"]
    if not any(arg.split("=")[0] == "--config" for arg in args):
        command += ["--hub", *hubs]
    command += args
    # A file cannot fill up and block the process, as an unread pipe does.
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        try:
            yield _ready(process, errors, start_timeout)
        finally:
            _stop(process)


def find_txgen() -> str:
    """The path of the txgen binary: TXGEN_BINARY, the one installed with this module, or the first one on PATH.

    Raises EmulatorError where there is none.
    """
    if named := os.environ.get("TXGEN_BINARY"):
        return named
    name = "txgen.exe" if sys.platform == "win32" else "txgen"
    schemes = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", f"{os.name}_user")]
    for folder in schemes:
        if folder and (found := Path(folder, name)).is_file():
            return str(found)
    if on_path := shutil.which("txgen"):
        return on_path
    raise EmulatorError("there is no txgen binary beside this module or on PATH; reinstall it with pip install txgen")


def _ready(process: subprocess.Popen[bytes], errors: IO[bytes], timeout: float) -> Emulator:
    assert process.stdout is not None, "stdout is a pipe"
    lines: queue.Queue[bytes] = queue.Queue()
    # Reads on to the end, so that the emulator's totals never meet a closed or full pipe.
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    try:
        line = lines.get(timeout=timeout)
    except queue.Empty:
        raise EmulatorError(f"txgen emulator was not ready after {timeout} seconds") from None
    if not line:
        code = process.wait()
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip()
        raise EmulatorError(f"txgen emulator ended with exit code {code}: {said}")
    ready = json.loads(line)
    event_hubs, cosmos_db = ready["event_hubs"], ready["cosmos_db"]
    return Emulator(
        hubs=tuple(event_hubs["hubs"]),
        connection_strings=event_hubs["connection_strings"],
        cosmos_endpoint=cosmos_db["endpoint"],
        cosmos_key=cosmos_db["key"],
    )


def _read(stdout: IO[bytes], lines: queue.Queue[bytes]) -> None:
    with stdout:
        for line in stdout:
            lines.put(line)
    lines.put(b"")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
