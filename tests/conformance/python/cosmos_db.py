"""Holds the Cosmos DB emulator against azure-cosmos, Microsoft's client for Python."""

from checks import main

# Each of these declares its checks.
import cosmos_containers, cosmos_documents, cosmos_throughput, cosmos_queries, cosmos_change_feed  # noqa: E401, F401 isort: skip

if __name__ == "__main__":
    main("python cosmos db")
