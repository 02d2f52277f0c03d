# Databricks notebook source
# MAGIC %md
# MAGIC # 1. Explore historical transactions
# MAGIC
# MAGIC Before transactions stream in, a look at those of the past: what is in the file, what can be trusted, and what has to be
# MAGIC done before anything can be computed. Reads `Untagged_Transactions.csv` in either of its layouts, the raw one with 40
# MAGIC columns or the cleaned one with 28, and writes the table `historical`.

# COMMAND ----------

# MAGIC %run ./common

# COMMAND ----------

dbutils.widgets.text("data", f"{lake}/raw/Untagged_Transactions.csv", "CSV of transactions")
data = dbutils.widgets.get("data")

# COMMAND ----------

# MAGIC %md
# MAGIC ## What is in the file?
# MAGIC
# MAGIC Everything as text first: nothing is lost by a wrong guess.

# COMMAND ----------

raw = spark.read.csv(data, header=True)
raw.createOrReplaceTempView("raw")
rows = raw.count()
print(f"{rows} rows, {len(raw.columns)} columns")
display(raw.select("transactionID", "accountID", "transactionAmount", "transactionCurrencyCode", "ipCountryCode").limit(5))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Which types does Spark see, and which are wrong?
# MAGIC
# MAGIC The first two numbers of an IP address look like a decimal number, and a postal code may be digits alone: inferred as
# MAGIC numbers, `60.80` becomes `60.8` and `02134` becomes `2134`. Such columns have to stay text.

# COMMAND ----------

inferred = spark.read.csv(data, header=True, inferSchema=True)
wrong = {"transactionIPaddress", "ipPostcode", "paymentBillingPostalCode", "accountPostalCode", "accountID"}
for column, kind in inferred.dtypes:
    if kind != "string":
        print(f"{column:32} {kind}{'   <- has to stay text' if column in wrong else ''}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Which columns tell nothing?
# MAGIC
# MAGIC A column that is empty, or has the same value in every row, distinguishes nothing. In the raw layout that is `browserType`,
# MAGIC which is always empty, and `transactionScenario` and `transactionType`, which have one value each.

# COMMAND ----------

counts = raw.agg(
    *[F.approx_count_distinct(column).alias(f"{column} values") for column in raw.columns],
    *[F.count(column).alias(f"{column} filled") for column in raw.columns],
).first()
profile = [(column, counts[f"{column} values"], rows - counts[f"{column} filled"]) for column in raw.columns]
useless = [column for column, values, empty in profile if values == 0 or (values == 1 and empty == 0)]
print("tell nothing:", ", ".join(useless) or "none")
display(spark.createDataFrame(profile, "column STRING, about_values BIGINT, empty BIGINT").orderBy("about_values"))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Was the card's code verified?
# MAGIC
# MAGIC An empty code means that the verification was not completed.

# COMMAND ----------

# MAGIC %sql
# MAGIC SELECT coalesce(cvvVerifyResult, '') AS code, meaning, count(*) AS transactions,
# MAGIC        round(100 * count(*) / sum(count(*)) OVER (), 2) AS percent
# MAGIC FROM raw
# MAGIC LEFT JOIN VALUES ('M', 'match'), ('Y', 'match'), ('N', 'no match'), ('P', 'not processed'), ('S', 'should be on the card'),
# MAGIC                  ('U', 'issuer does not take part'), ('X', 'no answer from the card network'), ('', 'not completed')
# MAGIC     AS codes (code, meaning) ON codes.code = coalesce(cvvVerifyResult, '')
# MAGIC GROUP BY ALL ORDER BY transactions DESC

# COMMAND ----------

# MAGIC %md
# MAGIC ## Where do transactions come from?
# MAGIC
# MAGIC `ipCountryCode` is the partition key of both services. Half of the transactions have the same one, so one partition gets
# MAGIC half of the load.

# COMMAND ----------

# MAGIC %sql
# MAGIC SELECT coalesce(ipCountryCode, 'unk') AS country, count(*) AS transactions,
# MAGIC        round(100 * count(*) / sum(count(*)) OVER (), 1) AS percent
# MAGIC FROM raw GROUP BY ALL ORDER BY transactions DESC LIMIT 10

# COMMAND ----------

# MAGIC %md
# MAGIC ## What has to be done?
# MAGIC
# MAGIC The same that txgen does when it sends the file: text, numbers and flags by their types; empty numbers 0, empty flags false,
# MAGIC an empty country `unk`; in the raw layout one date from `transactionDate` and `transactionTime` (`20130409` and `95040` are
# MAGIC 2013-04-09 09:50:40); the columns that tell nothing are left out.

# COMMAND ----------

PREPARED = {
    "double": lambda column: F.expr(f"coalesce(try_cast({column} AS DOUBLE), 0D)"),
    "bigint": lambda column: F.expr(f"coalesce(CAST(try_cast({column} AS DOUBLE) AS BIGINT), 0L)"),
    "boolean": lambda column: F.expr(f"coalesce(upper(trim({column})) IN ('TRUE', '1'), false)"),
    "string": lambda column: F.expr(f"coalesce({column}, '{'unk' if column == 'ipCountryCode' else ''}')"),
    "timestamp": moment,
}
if "transactionDateTime" in raw.columns:
    dated = raw
else:
    dated = raw.withColumn(
        "transactionDateTime",
        F.expr("""date_format(
            try_cast(concat(substr(transactionDate, 1, 4), '-', substr(transactionDate, 5, 2), '-', substr(transactionDate, 7, 2),
                ' ', substr(lpad(transactionTime, 6, '0'), 1, 2), ':', substr(lpad(transactionTime, 6, '0'), 3, 2),
                ':', substr(lpad(transactionTime, 6, '0'), 5, 2)) AS TIMESTAMP), "yyyy-MM-dd'T'HH:mm:ss")"""),
    )
# What only events have is left out.
historical_columns = [column.strip() for column in TRANSACTION.split(",")][1:-2]
prepared = dated.select(
    *[
        (PREPARED[kind.lower()](column) if column in dated.columns else F.lit(None).cast(kind)).alias(column)
        for column, kind in (line.split() for line in historical_columns)
    ]
)
historical = make_table("historical", ", ".join(historical_columns))
prepared.write.format("delta").mode("overwrite").save(historical)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Is it all there?

# COMMAND ----------

# MAGIC %sql
# MAGIC SELECT count(*) AS transactions, count_if(transactionDateTime IS NULL) AS without_date,
# MAGIC        count(DISTINCT accountID) AS accounts, count(DISTINCT ipCountryCode) AS countries,
# MAGIC        min(transactionDateTime) AS first, max(transactionDateTime) AS last,
# MAGIC        round(sum(transactionAmountUSD)) AS usd
# MAGIC FROM historical

# COMMAND ----------

assert spark.table("historical").count() == rows, "rows were lost on the way"
