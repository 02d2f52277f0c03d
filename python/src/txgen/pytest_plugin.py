"""The fixture `txgen_emulator`, which pytest finds by itself."""

from typing import Iterator

import pytest

from . import Emulator, emulator


@pytest.fixture(scope="session")
def txgen_emulator() -> Iterator[Emulator]:
    """Local Event Hubs and Cosmos DB for the whole session."""
    with emulator() as running:
        yield running
