"""A pytest plugin that writes down what became of each test that sends requests, by the mark that it has.

Tests that only look at the client itself are no matter of the emulator's, and are left out.
"""

import os

import pytest
import test_config
from azure.cosmos import _global_endpoint_manager, _retry_utility
from azure.cosmos.aio import _global_endpoint_manager_async, _retry_utility_async
from azure.core.pipeline.transport import AioHttpTransport, RequestsTransport

# What the emulator is held against; a test with several of them counts for the first. The suite has more marks, for
MARKS = ("cosmosSplit", "cosmosLong", "cosmosQuery", "cosmosEmulator")
# Tests are named after these containers, which have random names. Each worker has a database of its own for them.
for kind in ("SINGLE_PARTITION", "MULTI_PARTITION", "SINGLE_PARTITION_PREFIX_PK", "MULTI_PARTITION_PREFIX_PK"):
    setattr(test_config.TestConfig, f"TEST_{kind}_CONTAINER_ID", kind)
# Some tests take `localhost` for one region, and 127.0.0.1 for another.
test_config.TestConfig.local_host = test_config.TestConfig.host
sent = 0


def counting(send):
    def counted(*arguments, **options):
        global sent
        sent += 1
        return send(*arguments, **options)

    return counted


RequestsTransport.send = counting(RequestsTransport.send)
AioHttpTransport.send = counting(AioHttpTransport.send)


# Tests that fail leave in these what they have replaced, and would take the others with them.
REPLACED = [
    _retry_utility,
    _retry_utility_async,
    _global_endpoint_manager._GlobalEndpointManager,
    _global_endpoint_manager_async._GlobalEndpointManager,
]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    item.sent_before = sent
    before = [dict(vars(place)) for place in REPLACED]
    yield
    for place, members in zip(REPLACED, before):
        for name, member in members.items():
            if vars(place).get(name) is not member:
                setattr(place, name, member)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    report.sent = sent - item.sent_before
    report.mark = next(mark for mark in MARKS if item.get_closest_marker(mark))


OUTCOMES = {}


def pytest_runtest_logreport(report):
    """With several workers this is called where they are gathered, too."""
    # A worker that crashes has no time to say the mark.
    name = f"{getattr(report, 'mark', 'crashed')}: {report.nodeid}"
    if not report.passed:
        if OUTCOMES.get(name) != "failed":
            OUTCOMES[name] = report.outcome
    elif report.when == "call" and report.sent:
        OUTCOMES.setdefault(name, "passed")


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        with open(os.environ["TXGEN_RESULTS"], "w", encoding="utf-8") as results:
            results.writelines(f"{outcome} {name}\n" for name, outcome in sorted(OUTCOMES.items()))
