#!/usr/bin/env python3
"""What the set-up of workshop.json costs by the hour, from its parameters.

    cost.py [throughputUnits=N] [requestUnits=N] [eventsPerSecond=N] [workers=N]

Without a parameter the template's own default counts; eventsPerSecond is 0 and workers, the cluster's workers beside its
driver, 0 as well: a cluster that is ended costs nothing.

List prices in US dollars of the region East US, without reservations, as published in 2025; they differ by region and
change: https://azure.microsoft.com/pricing/. Not in it, and small at this size: operations and gigabytes of the lake,
operations of Key Vault, traffic out of the region.
"""

import json
import pathlib
import sys

THROUGHPUT_UNIT_HOUR = 0.03
MILLION_EVENTS = 0.028
HUNDRED_RU_HOUR = 0.008
# A node of the cluster, Standard_D4ds_v5 (4 cores, 16 GiB): the machine, and one DBU of all-purpose compute, Premium.
NODE_HOUR = 0.226 + 1.0 * 0.55


def main():
    template = json.loads(pathlib.Path(__file__).with_name("workshop.json").read_text())["parameters"]
    values = {name: template[name]["defaultValue"] for name in ("throughputUnits", "requestUnits")}
    values |= {"eventsPerSecond": 0, "workers": 0}
    for argument in sys.argv[1:]:
        name, _, value = argument.partition("=")
        if name not in values or not value.isdigit():
            sys.exit(__doc__)
        values[name] = int(value)
    nodes = values["workers"] + 1 if values["workers"] else 0
    lines = [
        (f"Event Hubs, {values['throughputUnits']} throughput units", values["throughputUnits"] * THROUGHPUT_UNIT_HOUR),
        (f"Event Hubs, {values['eventsPerSecond']} events/s", values["eventsPerSecond"] * 3600 / 1e6 * MILLION_EVENTS),
        (f"Cosmos DB, {values['requestUnits']} RU/s", values["requestUnits"] / 100 * HUNDRED_RU_HOUR),
        (f"Databricks, {nodes} nodes of 4 cores", nodes * NODE_HOUR),
    ]
    lines.append(("together", sum(usd for _, usd in lines)))
    print("US dollars by the hour, list prices of 2025, East US")
    for name, usd in lines:
        print(f"{name:40} {usd:8.3f}")


main()
