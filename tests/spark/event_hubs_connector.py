"""Reads an event hub with azure-eventhubs-spark, statically and as a stream, and prints what it has read."""

import json
import pathlib
import sys
from urllib.parse import urlparse

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "notebooks"))
from local import Secrets, start_spark  # noqa: E402
from pyspark.sql import functions as F  # noqa: E402

host, folder = sys.argv[1:3]
spark = start_spark("event-hubs-connector")
connection_string = Secrets().get("", "event-hub-1-listen-connection-string")
# The connector always takes port 5671, so the host alone decides where it goes.
endpoint = next(part.split("=", 1)[1] for part in connection_string.split(";") if part.startswith("Endpoint="))
connection_string = connection_string.replace(urlparse(endpoint).netloc, host).replace(";UseDevelopmentEmulator=true", "")
options = {
    "eventhubs.connectionString": spark._jvm.org.apache.spark.eventhubs.EventHubsUtils.encrypt(connection_string),
    "eventhubs.startingPosition": json.dumps({"offset": "-1", "seqNo": -1, "enqueuedTime": None, "isInclusive": True}),
    "eventhubs.consumerGroup": "$Default",
}


def found(frame):
    return frame.select(F.get_json_object(F.col("body").cast("string"), "$.id").alias("id"), "partition", "sequenceNumber").agg(
        F.count("*").alias("events"), F.countDistinct("id").alias("ids"), F.countDistinct("partition").alias("partitions"),
        F.countDistinct("partition", "sequenceNumber").alias("positions"),
    )


static = spark.read.format("eventhubs").options(**options).load()
print("static:", found(static).toJSON().first(), flush=True)
stream = spark.readStream.format("eventhubs").options(**options).option("maxEventsPerTrigger", "1000000").load()
query = (
    stream.writeStream.format("parquet")
    .option("path", f"{folder}/events").option("checkpointLocation", f"{folder}/checkpoint")
    .trigger(availableNow=True).start()
)
query.awaitTermination()
print("stream:", found(spark.read.parquet(f"{folder}/events")).toJSON().first(), flush=True)
spark.stop()
