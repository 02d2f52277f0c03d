"""A pytest plugin in place of what the suite has for Azure alone: its helpers' package, and Azure Resource Manager.

Event hubs are not made but taken, one after the other, from those that the emulator was started with.
"""

import importlib
import itertools
import json
import os
import sys
import time
import types

import certifi
import websocket

os.environ.setdefault("PYTEST_XDIST_WORKER", "gw0")
AUTHORITIES = os.environ["TXGEN_AUTHORITIES"]
certifi.where = lambda: AUTHORITIES

with open(os.environ["TXGEN_READY"], encoding="utf-8") as ready:
    SERVICE = json.loads(ready.readline())["event_hubs"]
# The client has the service's ports; the emulator's is another one at each start.
importlib.import_module("azure.eventhub.aio")
for name, loaded in list(sys.modules.items()):
    if name.startswith("azure.eventhub._pyamqp"):
        for port in ("SECURE_PORT", "WEBSOCKET_PORT"):
            if hasattr(loaded, port):
                setattr(loaded, port, SERVICE["tls_ports"][0])
# Over WebSockets it names no port at all.
connect = websocket.create_connection
websocket.create_connection = lambda url, *rest, **options: connect(
    url.replace("wss://localhost/", f"wss://localhost:{SERVICE['tls_ports'][0]}/"), *rest, **options
)
PARTS = dict(part.split("=", 1) for part in SERVICE["connection_strings"]["RootManageSharedAccessKey"].split(";"))
NAMESPACE = os.environ["EVENT_HUB_NAMESPACE"] + os.environ["EVENT_HUB_ENDPOINT_SUFFIX"]


class Credential:
    """Any token is one of Microsoft Entra ID to the emulator."""

    def get_token(self, *_scopes, **_options):
        from azure.core.credentials import AccessToken

        return AccessToken("e30.e30.c2ln", int(time.time()) + 3600)

    def close(self):
        pass


class AsyncCredential:
    """The same, awaited."""

    async def get_token(self, *scopes, **options):
        return Credential().get_token(*scopes, **options)

    async def close(self):
        pass

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass


class Keys:
    key_name = PARTS["SharedAccessKeyName"]
    primary_key = PARTS["SharedAccessKey"]
    primary_connection_string = f"Endpoint=sb://{NAMESPACE}/;SharedAccessKeyName={key_name};SharedAccessKey={primary_key}"


class Hub:
    def __init__(self, name):
        self.name = name


class EventHubs:
    numbers = itertools.count()

    def create_or_update(self, _group, _namespace, name, _properties, **_options):
        if name.startswith("suite-"):
            raise NotImplementedError("an event hub is not changed here")
        return Hub(f"suite-{os.environ['PYTEST_XDIST_WORKER']}-{next(self.numbers)}")

    def delete(self, *_):
        pass


class EventHubManagementClient:
    def __init__(self, *_arguments, **_options):
        self.namespaces = types.SimpleNamespace(list_keys=lambda *_: Keys)
        self.event_hubs = EventHubs()


def module(name, **members):
    made = types.ModuleType(name)
    vars(made).update(members)
    sys.modules[name] = made


module(
    "devtools_testutils",
    get_region_override=lambda default: default,
    get_credential=lambda is_async=False, **_: AsyncCredential() if is_async else Credential(),
)
module("azure.mgmt.eventhub", EventHubManagementClient=EventHubManagementClient)

OUTCOMES = {}


def pytest_runtest_logreport(report):
    """With several workers this is called where they are gathered."""
    before = OUTCOMES.get(report.nodeid, "passed")
    OUTCOMES[report.nodeid] = before if report.passed else report.outcome if before != "failed" else before


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        with open(os.environ["TXGEN_RESULTS"], "w", encoding="utf-8") as results:
            results.writelines(f"{outcome} {name}\n" for name, outcome in sorted(OUTCOMES.items()))
