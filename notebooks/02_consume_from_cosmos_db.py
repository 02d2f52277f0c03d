# Databricks notebook source
# MAGIC %md
# MAGIC # 2. Consume from Cosmos DB
# MAGIC
# MAGIC The container that `txgen run` writes to, read twice: as it is now, with a query, and as a stream of its changes that keeps the
# MAGIC table `documents` up to date, partitioned by `ipCountryCode`.
# MAGIC
# MAGIC The cluster needs the connector of its version of Spark:
# MAGIC `com.azure.cosmos.spark:azure-cosmos-spark_4-0_2-13` on Databricks 17, `azure-cosmos-spark_4-1_2-13` on Databricks 18.

# COMMAND ----------

# MAGIC %run ./common

# COMMAND ----------

dbutils.widgets.text("endpoint", "https://ACCOUNT.documents.azure.com:443/", "Cosmos DB account")
dbutils.widgets.text("database", "Woodgrove", "Database")
dbutils.widgets.text("container", "transactions", "Container")
dbutils.widgets.text("trigger", "available now", "available now, or an interval such as 5 minutes")
dbutils.widgets.text("cosmos_options", "{}", "Further options of the connector, as JSON")
cosmos = {
    "spark.cosmos.accountEndpoint": dbutils.widgets.get("endpoint"),
    "spark.cosmos.accountKey": secret("cosmos-db-auth-key"),
    "spark.cosmos.database": dbutils.widgets.get("database"),
    "spark.cosmos.container": dbutils.widgets.get("container"),
} | json.loads(dbutils.widgets.get("cosmos_options"))

# COMMAND ----------

# MAGIC %md
# MAGIC ## What is in the container?
# MAGIC
# MAGIC Each physical partition is asked the query for itself, so `TOP 1000` gives up to 1,000 documents of each. The system columns
# MAGIC (`_rid`, `_self`, `_etag`, `_attachments`, `_ts`) are Cosmos DB's own.

# COMMAND ----------

sample = (
    spark.read.format("cosmos.oltp")
    .options(**cosmos)
    .option("spark.cosmos.read.inferSchema.enabled", "true")
    .option("spark.cosmos.read.customQuery", "SELECT TOP 1000 * FROM c WHERE c.collectionType = 'Transaction'")
    .load()
    # Again, because the connector for Spark 3.1 fails on a later Spark 3 where there is no filter.
    .where("collectionType = 'Transaction'")
    .limit(1000)
)
sample = sample.drop(*[column for column in sample.columns if column.startswith("_")]).cache()
sample.printSchema()
display(sample.groupBy("ipCountryCode").agg(F.count("*").alias("documents")).orderBy(F.desc("documents")).limit(10))

# COMMAND ----------

# MAGIC %md
# MAGIC ## How many documents are there?
# MAGIC
# MAGIC With a schema there is nothing to infer, and only the columns that are asked for are read.

# COMMAND ----------

documents_now = spark.read.format("cosmos.oltp").options(**cosmos).schema(TRANSACTION_JSON).load().where("collectionType = 'Transaction'")
print(f"{documents_now.select('id').count()} documents")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The change feed, as a stream
# MAGIC
# MAGIC The change feed has each document that is there in its latest version, and from then on each document that is created or
# MAGIC replaced. What the table has already is replaced (`MERGE`), so a document that comes again, after a restart or because it
# MAGIC has changed, is there once. Deleted documents, and those that expire, stay in the table.

# COMMAND ----------

documents = make_table("documents", f"{TRANSACTION}, _ts BIGINT", partitioned_by="ipCountryCode")


def upsert(batch, batch_id):
    # Of several versions in one batch, the last.
    newest = batch.groupBy("ipCountryCode", "id").agg(F.max_by(F.struct(*batch.columns), "_ts").alias("document"))
    newest.select("document.*").createOrReplaceTempView("newest")
    batch.sparkSession.sql(f"""
        MERGE INTO delta.`{documents}` AS known USING newest
        ON known.ipCountryCode = newest.ipCountryCode AND known.id = newest.id
        WHEN MATCHED AND newest._ts >= known._ts THEN UPDATE SET *
        WHEN NOT MATCHED THEN INSERT *
    """)


trigger = dbutils.widgets.get("trigger")
finite = trigger == "available now"
changes = (
    spark.readStream.format("cosmos.oltp.changeFeed")
    .options(**cosmos)
    .option("spark.cosmos.changeFeed.startFrom", "Beginning")
    .option("spark.cosmos.changeFeed.mode", "Incremental")
    .schema(f"{TRANSACTION_JSON}, _ts BIGINT")
    .load()
    .where("collectionType = 'Transaction'")
    .withColumn("transactionDateTime", moment("transactionDateTime"))
)
query = (
    changes.writeStream.foreachBatch(upsert)
    .option("checkpointLocation", f"{lake}/checkpoints/documents")
    .trigger(**({"availableNow": True} if finite else {"processingTime": trigger}))
    .start()
)
if finite:
    query.awaitTermination()

# COMMAND ----------

# MAGIC %md
# MAGIC ## What does the table look like?
# MAGIC
# MAGIC With an interval as the trigger, run the next cells again while the generator runs: the count grows.

# COMMAND ----------

# MAGIC %sql
# MAGIC DESCRIBE DETAIL documents

# COMMAND ----------

# MAGIC %sql
# MAGIC SELECT count(*) AS documents, count(DISTINCT id) AS ids, count(DISTINCT ipCountryCode) AS countries,
# MAGIC        round(sum(transactionAmountUSD)) AS usd
# MAGIC FROM documents

# COMMAND ----------

# MAGIC %md
# MAGIC ## What comes with each country?
# MAGIC
# MAGIC The table is partitioned by the country, so this reads the files of one country only.

# COMMAND ----------

# MAGIC %sql
# MAGIC SELECT transactionDateTime, accountID, transactionAmountUSD, paymentBillingCountryCode, isProxyIP
# MAGIC FROM documents WHERE ipCountryCode = 'de' ORDER BY transactionAmountUSD DESC LIMIT 5

# COMMAND ----------

# MAGIC %md
# MAGIC ## Stop
# MAGIC
# MAGIC Only an interval goes on: `query.stop()` ends it. Started again, it goes on after its checkpoint.
