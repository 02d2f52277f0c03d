"""Holds the Event Hubs emulator against azure-eventhub, Microsoft's client for Python."""

from checks import main

# Each of these declares its checks.
import event_hubs_sending, event_hubs_receiving, event_hubs_access  # noqa: E401, F401 isort: skip

if __name__ == "__main__":
    # This client spends most of its time in waits of its own, 50 ms each, so that its checks may well go on side by side.
    main("python event hubs", at_once=8)
