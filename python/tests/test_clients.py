"""The examples of the documentation, against Microsoft's clients."""

from azure.cosmos import CosmosClient, PartitionKey
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient

import txgen


def test_azure_eventhub(txgen_emulator: txgen.Emulator) -> None:
    connection_string = txgen_emulator.event_hubs_connection_string
    with EventHubProducerClient.from_connection_string(connection_string) as producer:
        producer.send_event(EventData("hello"), partition_id="0")
    with EventHubConsumerClient.from_connection_string(connection_string, "$Default") as consumer:
        assert consumer.get_partition_properties("0")["last_enqueued_sequence_number"] == 0


def test_azure_cosmos(txgen_emulator: txgen.Emulator) -> None:
    with CosmosClient(txgen_emulator.cosmos_endpoint, txgen_emulator.cosmos_key) as client:
        database = client.create_database_if_not_exists("shop")
        orders = database.create_container_if_not_exists("orders", PartitionKey("/country"))
        orders.upsert_item({"id": "1", "country": "us", "total": 12})
        assert orders.read_item("1", partition_key="us")["total"] == 12
