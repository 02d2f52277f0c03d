# Databricks notebook source
# MAGIC %md
# MAGIC # 3. Consume from Event Hubs
# MAGIC
# MAGIC The event hub that `txgen run` writes to, read as a stream by Spark's own Kafka connector, as Databricks recommends: Event Hubs
# MAGIC speaks Kafka on port 9093 from the Standard tier on, and nothing has to be installed on the cluster. Writes the tables
# MAGIC `transactions` (each transaction once), `transactions_rejected` (events that are none) and `transactions_by_day`.

# COMMAND ----------

# MAGIC %run ./common

# COMMAND ----------

import os
from urllib.parse import urlparse

dbutils.widgets.text("trigger", "available now", "available now, or an interval such as 1 minute")
dbutils.widgets.text("starting", "earliest", "earliest, latest, or table: after what the table has")
dbutils.widgets.text("partitions", "", "Partitions to read, such as 0,1 (all)")
dbutils.widgets.text("events_per_batch", "1000000", "Most events of one batch")
dbutils.widgets.text("table", "transactions", "The table that is written")
dbutils.widgets.text("kafka_options", "{}", "Further options of the connector, as JSON")
name = dbutils.widgets.get("table")

# COMMAND ----------

# MAGIC %md
# MAGIC ## How does Kafka's client enter Event Hubs?
# MAGIC
# MAGIC With the connection string of a policy that has the Listen right as the password, and `$ConnectionString` as the user. The
# MAGIC event hub is the topic.

# COMMAND ----------

connection_string = secret("event-hub-1-listen-connection-string")
parts = dict(part.split("=", 1) for part in connection_string.rstrip(";").split(";"))
hub = parts.get("EntityPath", "transactions")
# Databricks has Kafka's client under another name.
shaded = "kafkashaded." if "DATABRICKS_RUNTIME_VERSION" in os.environ else ""
kafka = {
    "kafka.bootstrap.servers": f"{urlparse(parts['Endpoint']).hostname}:9093",
    "kafka.security.protocol": "SASL_SSL",
    "kafka.sasl.mechanism": "PLAIN",
    "kafka.sasl.jaas.config": f"{shaded}org.apache.kafka.common.security.plain.PlainLoginModule required"
    f' username="$ConnectionString" password="{connection_string}";',
    # Event Hubs closes idle connections after four minutes; Kafka's client expects ten.
    "kafka.connections.max.idle.ms": "180000",
    "kafka.metadata.max.age.ms": "180000",
    "failOnDataLoss": "true",
} | json.loads(dbutils.widgets.get("kafka_options"))
partitions = [int(number) for number in dbutils.widgets.get("partitions").split(",") if number]
kafka |= {"assign": json.dumps({hub: partitions})} if partitions else {"subscribe": hub}

# COMMAND ----------

# MAGIC %md
# MAGIC ## What does an event look like?
# MAGIC
# MAGIC A static read. Kafka's offset is the event's sequence number, its key the partition key, its timestamp the moment at which
# MAGIC Event Hubs took the event.

# COMMAND ----------

display(
    spark.read.format("kafka")
    .options(**kafka)
    .load()
    .select("partition", "offset", "timestamp", F.col("key").cast("string"), F.col("value").cast("string").alias("body"))
    .limit(3)
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Where does the stream begin?
# MAGIC
# MAGIC With its checkpoint, once it has one. Before that `starting` decides: `table` begins after the last event that the table has of
# MAGIC each partition, which takes over from `txgen land`, or from a stream whose checkpoint was deleted. The partitions have to be
# MAGIC named then.

# COMMAND ----------

place = make_table(
    name,
    f"{TRANSACTION}, _partition INT, _sequenceNumber BIGINT, _offset STRING, _enqueuedTime TIMESTAMP, _extra STRING",
)
place_of_rejected = make_table(
    f"{name}_rejected",
    "_partition INT, _sequenceNumber BIGINT, _offset STRING, _enqueuedTime TIMESTAMP,"
    " partitionKey STRING, properties STRING, body BINARY, reason STRING",
)
starting = dbutils.widgets.get("starting")
if starting == "table":
    assert partitions, "starting with the table: name the partitions, such as 0,1"
    last = spark.table(name).groupBy("_partition").agg(F.max("_sequenceNumber").alias("last")).collect()
    behind = {row["_partition"]: row["last"] + 1 for row in last}
    # -2 is the earliest event.
    starting = json.dumps({hub: {str(number): behind.get(number, -2) for number in partitions}})

# COMMAND ----------

# MAGIC %md
# MAGIC ## Which events are transactions?
# MAGIC
# MAGIC An event that is no JSON object, has a property of another type, lacks what every transaction has, or is of another kind is
# MAGIC kept apart with the reason. Nothing is dropped. Properties without a column go to `_extra`.

# COMMAND ----------

events = (
    spark.readStream.format("kafka")
    .options(**kafka)
    .option("startingOffsets", starting)
    .option("maxOffsetsPerTrigger", dbutils.widgets.get("events_per_batch"))
    .load()
)
required = ["id", "transactionID", "accountID", "ipCountryCode"]
parsed = (
    events.withColumn("text", F.col("value").cast("string"))
    .withColumn("json", F.from_json("text", f"{TRANSACTION_JSON}, _corrupt STRING", {"columnNameOfCorruptRecord": "_corrupt"}))
    .withColumn("properties", F.from_json("text", "MAP<STRING, STRING>"))
    .withColumn("extra", F.map_filter("properties", lambda key, value: ~key.isin(COLUMNS)))
    .withColumn(
        "reason",
        F.when(F.col("json").isNull() | F.col("json._corrupt").isNotNull(), "the body is not the JSON of a transaction")
        .when(
            F.expr(" OR ".join(f"json.{column} IS NULL" for column in required)),
            f"one of the properties {', '.join(required)} is missing",
        )
        .when(F.expr("json.collectionType <> 'Transaction'"), "the property collectionType is not `Transaction`"),
    )
    .select(
        *[F.col(f"json.{column}") for column in COLUMNS],
        F.col("partition").alias("_partition"),
        F.col("offset").alias("_sequenceNumber"),
        # Kafka does not show it.
        F.lit(None).cast("string").alias("_offset"),
        F.col("timestamp").alias("_enqueuedTime"),
        F.when(F.size("extra") > 0, F.to_json("extra")).alias("_extra"),
        F.col("key").cast("string").alias("partitionKey"),
        F.col("value").alias("body"),
        "reason",
    )
    .withColumn("transactionDateTime", moment("transactionDateTime"))
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## How does at least once become exactly once?
# MAGIC
# MAGIC In two places an event can come twice:
# MAGIC
# MAGIC - **From the sender.** When the answer to a send is lost, txgen sends the transaction again under the same `id`. Both events are in
# MAGIC   the hub. Ids are remembered for ten minutes, which is longer than txgen goes on trying (`--retry-for`, two minutes).
# MAGIC - **From the stream.** When Spark dies after the table's commit and before the checkpoint's, it does the batch again. Delta
# MAGIC   remembers the number of the last batch (`txnVersion`) of this stream (`txnAppId`) and passes over what it has. The stream's id
# MAGIC   is that of its checkpoint: a stream with a new one begins with batch 0, which a fixed name would have swallowed.

# COMMAND ----------

once = (
    parsed.withColumn("_key", F.expr("if(reason IS NULL, id, concat(_partition, '/', _sequenceNumber))"))
    .withWatermark("_enqueuedTime", "10 minutes")
    .dropDuplicatesWithinWatermark(["_key"])
)
checkpoint = f"{lake}/checkpoints/{name}"
kept = spark.table(name).columns
kept_of_rejected = spark.table(f"{name}_rejected").columns


def append(batch, batch_id):
    stream = batch.sparkSession.read.json(f"{checkpoint}/metadata").first()["id"]
    # Two tables are written, but the event hub is read once.
    batch = batch.persist()
    good = batch.where("reason IS NULL").select(kept)
    bad = batch.where("reason IS NOT NULL").withColumn("properties", F.lit(None).cast("string")).select(kept_of_rejected)
    for frame, path in ((good, place), (bad, place_of_rejected)):
        writer = frame.write.format("delta").mode("append").option("txnAppId", stream).option("txnVersion", batch_id)
        writer.save(path)
    batch.unpersist()


trigger = dbutils.widgets.get("trigger")
finite = trigger == "available now"
when = {"availableNow": True} if finite else {"processingTime": trigger}
arriving = once.writeStream.foreachBatch(append).option("checkpointLocation", checkpoint).trigger(**when).start()
if finite:
    arriving.awaitTermination()

# COMMAND ----------

# MAGIC %md
# MAGIC ## How much comes from where, day by day?
# MAGIC
# MAGIC A second stream reads the table, not the event hub, and adds up by country and day of the transaction. It writes only what has
# MAGIC changed, by `MERGE`, so doing a batch again changes nothing. A replay runs through days in seconds, and partitions are not read
# MAGIC at the same pace: the watermark of seven days leaves room for that. What comes later still is counted, and shown below.

# COMMAND ----------

by_day = make_table(f"{name}_by_day", "day DATE, ipCountryCode STRING, transactions BIGINT, amountUSD DOUBLE, proxies BIGINT")


def merge(batch, batch_id):
    batch.createOrReplaceTempView("changed")
    batch.sparkSession.sql(f"""
        MERGE INTO delta.`{by_day}` AS known USING changed
        ON known.day = changed.day AND known.ipCountryCode = changed.ipCountryCode
        WHEN MATCHED THEN UPDATE SET *
        WHEN NOT MATCHED THEN INSERT *
    """)


days = (
    spark.readStream.format("delta")
    .load(place)
    .withWatermark("transactionDateTime", "7 days")
    .groupBy(F.window("transactionDateTime", "1 day"), "ipCountryCode")
    .agg(
        F.count("*").alias("transactions"),
        F.sum("transactionAmountUSD").alias("amountUSD"),
        F.count_if("isProxyIP").alias("proxies"),
    )
    .select(F.to_date("window.start").alias("day"), "ipCountryCode", "transactions", "amountUSD", "proxies")
)
adding = (
    days.writeStream.outputMode("update")
    .foreachBatch(merge)
    .option("checkpointLocation", f"{lake}/checkpoints/{name}_by_day")
    .trigger(**when)
    .start()
)
if finite:
    adding.awaitTermination()

# COMMAND ----------

# MAGIC %md
# MAGIC ## What did the streams do?

# COMMAND ----------

for title, query in (("events", arriving), ("days", adding)):
    batches = query.recentProgress
    states = [operator for batch in batches for operator in batch["stateOperators"]]
    print(
        f"{title}: {sum(batch['numInputRows'] for batch in batches)} rows in {len(batches)} batches,"
        f" {sum(state['customMetrics'].get('numDroppedDuplicateRows', 0) for state in states)} duplicates,"
        f" {sum(state['numRowsDroppedByWatermark'] for state in states)} too late"
    )
spark.table(name).createOrReplaceTempView("arrived")
spark.table(f"{name}_by_day").createOrReplaceTempView("days")

# COMMAND ----------

# MAGIC %sql
# MAGIC SELECT count(*) AS transactions, count(DISTINCT id) AS ids, count(DISTINCT _partition) AS partitions,
# MAGIC        round(sum(transactionAmountUSD)) AS usd, min(_enqueuedTime) AS first, max(_enqueuedTime) AS last
# MAGIC FROM arrived

# COMMAND ----------

# MAGIC %sql
# MAGIC SELECT day, sum(transactions) AS transactions, round(sum(amountUSD)) AS usd,
# MAGIC        round(100 * sum(proxies) / sum(transactions), 1) AS proxy_percent
# MAGIC FROM days GROUP BY day ORDER BY day

# COMMAND ----------

# MAGIC %md
# MAGIC ## Stop
# MAGIC
# MAGIC Only an interval goes on, until this cell is cancelled or the streams are stopped. Started again, they go on after their
# MAGIC checkpoints.

# COMMAND ----------

if not finite:
    spark.streams.awaitAnyTermination()
