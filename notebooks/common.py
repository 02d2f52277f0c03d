# Databricks notebook source
# MAGIC %md
# MAGIC # What all notebooks share
# MAGIC
# MAGIC The notebooks begin with `%run ./common`: where the tables are, how the lake is entered, what a transaction looks like.

# COMMAND ----------

import json

from pyspark.sql import functions as F
from pyspark.sql.utils import AnalysisException

dbutils.widgets.text("lake", "abfss://lake@ACCOUNT.dfs.core.windows.net", "Folder of the tables")
dbutils.widgets.text("scope", "txgen", "Secret scope, backed by the Key Vault")
lake = dbutils.widgets.get("lake").rstrip("/")


def secret(name):
    return dbutils.secrets.get(scope=dbutils.widgets.get("scope"), key=name)


# Dates in the data have no zone; in the tables they are UTC, and written as every reader knows them (Spark's default is INT96).
spark.conf.set("spark.sql.session.timeZone", "UTC")
spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")

# COMMAND ----------

# MAGIC %md
# MAGIC ## How the lake is entered
# MAGIC
# MAGIC With Unity Catalog, make an external location for the folder and leave the tenant empty: nothing else is needed.
# MAGIC Without it, the service principal of `deploy/azure` enters; its id, its secret and the tenant are in the Key Vault.

# COMMAND ----------

dbutils.widgets.text("tenant", "", "Tenant, where a service principal enters the lake")
if dbutils.widgets.get("tenant"):
    account = lake.split("@")[1].split("/")[0]
    for name, value in {
        "auth.type": "OAuth",
        "oauth.provider.type": "org.apache.hadoop.fs.azurebfs.oauth2.ClientCredsTokenProvider",
        "oauth2.client.id": secret("lake-client-id"),
        "oauth2.client.secret": secret("lake-client-secret"),
        "oauth2.client.endpoint": f"https://login.microsoftonline.com/{dbutils.widgets.get('tenant')}/oauth2/token",
    }.items():
        spark.conf.set(f"fs.azure.account.{name}.{account}", value)

# COMMAND ----------

# MAGIC %md
# MAGIC ## The record
# MAGIC
# MAGIC One transaction, as txgen sends it, with the types of the table of `txgen land`. A date is text in the event.

# COMMAND ----------

TRANSACTION = """
    id STRING, transactionID STRING, accountID STRING, transactionAmountUSD DOUBLE, transactionAmount DOUBLE,
    transactionCurrencyCode STRING, localHour BIGINT, transactionIPaddress STRING, ipState STRING, ipPostcode STRING,
    ipCountryCode STRING, isProxyIP BOOLEAN, browserLanguage STRING, paymentInstrumentType STRING, cardType STRING,
    paymentBillingPostalCode STRING, paymentBillingState STRING, paymentBillingCountryCode STRING, cvvVerifyResult STRING,
    digitalItemCount BIGINT, physicalItemCount BIGINT, accountPostalCode STRING, accountState STRING,
    accountCountry STRING, accountAge BIGINT, isUserRegistered BOOLEAN, paymentInstrumentAgeInAccount DOUBLE,
    numPaymentRejects1dPerUser BIGINT, transactionDateTime TIMESTAMP, ttl BIGINT, collectionType STRING
"""
TRANSACTION_JSON = TRANSACTION.replace("TIMESTAMP", "STRING")
COLUMNS = [column.split()[0] for column in TRANSACTION.split(",")]


def moment(column):
    """The date of a transaction, or null where its data had none."""
    return F.expr(f"try_cast({column} AS TIMESTAMP)")


# COMMAND ----------

# MAGIC %md
# MAGIC ## Tables
# MAGIC
# MAGIC A table is a folder of the lake with a name in the schema `woodgrove`. Deletion vectors, which Databricks switches on for
# MAGIC new tables, stay off: with them Synapse serverless SQL and other readers of Delta 1.0 are locked out, and so is `txgen land`.

# COMMAND ----------


def is_there(place):
    try:
        return bool(spark.read.format("delta").load(place).columns)
    except AnalysisException:
        return False


def make_table(name, columns, partitioned_by=None):
    place = f"{lake}/{name}"
    if is_there(place):
        # As it is: `txgen land` may have made it.
        spark.sql(f"CREATE TABLE IF NOT EXISTS {name} USING DELTA LOCATION '{place}'")
    else:
        partitioned = f"PARTITIONED BY ({partitioned_by})" if partitioned_by else ""
        spark.sql(f"""
            CREATE TABLE {name} ({columns}) USING DELTA {partitioned} LOCATION '{place}'
            TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')
        """)
    return place


spark.sql("CREATE SCHEMA IF NOT EXISTS woodgrove")
spark.sql("USE woodgrove")
