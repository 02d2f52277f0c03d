# Databricks notebook source
# MAGIC %md
# MAGIC # 4. Warehouse and report
# MAGIC
# MAGIC From the table of the stream to what analysts and Power BI want: a star of one fact and four dimensions, the questions that a
# MAGIC fraud analyst asks, and the way to Synapse, Fabric and Power BI.

# COMMAND ----------

# MAGIC %run ./common

# COMMAND ----------

dbutils.widgets.text("table", "transactions", "The table of the stream, or of txgen land")
transactions = spark.read.format("delta").load(f"{lake}/{dbutils.widgets.get('table')}").dropDuplicates(["id"])
transactions.createOrReplaceTempView("source")

# COMMAND ----------

# MAGIC %md
# MAGIC ## How is the star built?
# MAGIC
# MAGIC Keys are hashes of what they stand for, so that every table can be built anew by itself and the keys stay. Each table is replaced
# MAGIC as a whole; at this size that takes seconds, and running the notebook again changes nothing.

# COMMAND ----------


def build(name, query):
    spark.sql(f"""
        CREATE OR REPLACE TABLE {name} USING DELTA LOCATION '{lake}/{name}'
        TBLPROPERTIES ('delta.enableDeletionVectors' = 'false') AS {query}
    """)
    print(f"{name}: {spark.table(name).count()} rows")


# Countries come in lower case from the address and in upper case from the card: one dimension for all of them.
build("dim_country", """
    SELECT DISTINCT xxhash64(country) AS countryKey, country AS countryCode, country = 'UNK' AS isUnknown
    FROM (SELECT explode(array(upper(ipCountryCode), upper(paymentBillingCountryCode), upper(accountCountry))) AS country FROM source)
    WHERE country IS NOT NULL
""")
# As the account was at its last transaction.
build("dim_account", """
    SELECT xxhash64(accountID) AS accountKey, accountID,
           max_by(accountPostalCode, at) AS postalCode, max_by(accountState, at) AS state, max_by(accountCountry, at) AS country,
           max_by(accountAge, at) AS ageInDays, max_by(isUserRegistered, at) AS isRegistered,
           min(transactionDateTime) AS firstSeen, max(transactionDateTime) AS lastSeen
    FROM (SELECT *, struct(transactionDateTime, id) AS at FROM source) GROUP BY accountID
""")
build("dim_card", """
    SELECT DISTINCT xxhash64(paymentInstrumentType, cardType, paymentBillingCountryCode) AS cardKey,
           paymentInstrumentType AS instrument, cardType AS network, upper(paymentBillingCountryCode) AS billingCountryCode
    FROM source
""")
build("dim_date", """
    SELECT CAST(date_format(day, 'yyyyMMdd') AS INT) AS dateKey, day, year(day) AS year, quarter(day) AS quarter,
           month(day) AS month, weekofyear(day) AS week, dayofweek(day) AS weekday, dayofweek(day) IN (1, 7) AS isWeekend
    FROM (SELECT explode(sequence(min(to_date(transactionDateTime)), max(to_date(transactionDateTime)))) AS day FROM source)
""")
build("fact_transactions", """
    SELECT id, transactionID, CAST(date_format(transactionDateTime, 'yyyyMMdd') AS INT) AS dateKey, transactionDateTime,
           xxhash64(accountID) AS accountKey, xxhash64(upper(ipCountryCode)) AS ipCountryKey,
           xxhash64(upper(paymentBillingCountryCode)) AS billingCountryKey,
           xxhash64(paymentInstrumentType, cardType, paymentBillingCountryCode) AS cardKey,
           transactionAmountUSD AS amountUSD, transactionAmount AS amount, transactionCurrencyCode AS currency,
           localHour, isProxyIP, cvvVerifyResult AS cvv, accountAge, paymentInstrumentAgeInAccount AS cardAge,
           numPaymentRejects1dPerUser AS rejectsOfTheDay, digitalItemCount AS digitalItems, physicalItemCount AS physicalItems
    FROM source
""")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Does every fact have its dimensions?

# COMMAND ----------

for dimension, key, of_fact in (
    ("dim_country", "countryKey", "ipCountryKey"),
    ("dim_country", "countryKey", "billingCountryKey"),
    ("dim_account", "accountKey", "accountKey"),
    ("dim_card", "cardKey", "cardKey"),
    ("dim_date", "dateKey", "dateKey"),
):
    lonely = spark.sql(f"""
        SELECT count(*) AS n FROM fact_transactions AS f LEFT ANTI JOIN {dimension} AS d ON f.{of_fact} = d.{key}
        WHERE f.{of_fact} IS NOT NULL
    """).first()["n"]
    twice = spark.sql(f"SELECT count(*) - count(DISTINCT {key}) AS n FROM {dimension}").first()["n"]
    assert lonely == 0 and twice == 0, f"{dimension}: {lonely} facts without {of_fact}, {twice} keys that are there twice"
print("every key leads to one row")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Where does the money come from?

# COMMAND ----------

# MAGIC %sql
# MAGIC SELECT c.countryCode AS country, count(*) AS transactions, round(sum(f.amountUSD)) AS usd, round(avg(f.amountUSD), 2) AS average,
# MAGIC        round(100 * count_if(f.isProxyIP) / count(*), 1) AS proxy_percent
# MAGIC FROM fact_transactions f JOIN dim_country c ON c.countryKey = f.ipCountryKey
# MAGIC GROUP BY ALL ORDER BY usd DESC LIMIT 10

# COMMAND ----------

# MAGIC %md
# MAGIC ## Who buys from another country than that of the card?
# MAGIC
# MAGIC The pairs with the most money, where neither country is unknown.

# COMMAND ----------

# MAGIC %sql
# MAGIC SELECT ip.countryCode AS from_country, billing.countryCode AS card_of, count(*) AS transactions, round(sum(f.amountUSD)) AS usd,
# MAGIC        count_if(f.isProxyIP) AS by_proxy
# MAGIC FROM fact_transactions f
# MAGIC JOIN dim_country ip ON ip.countryKey = f.ipCountryKey
# MAGIC JOIN dim_country billing ON billing.countryKey = f.billingCountryKey
# MAGIC WHERE ip.countryCode <> billing.countryCode AND NOT ip.isUnknown AND billing.countryCode <> ''
# MAGIC GROUP BY ALL ORDER BY usd DESC LIMIT 10

# COMMAND ----------

# MAGIC %md
# MAGIC ## Which accounts are in a hurry?
# MAGIC
# MAGIC Three transactions or more of one account within an hour, and from how many countries.

# COMMAND ----------

# MAGIC %sql
# MAGIC WITH within_an_hour AS (
# MAGIC   SELECT accountKey, transactionDateTime, count(*) OVER last_hour AS transactions, sum(amountUSD) OVER last_hour AS usd,
# MAGIC          size(collect_set(ipCountryKey) OVER last_hour) AS countries
# MAGIC   FROM fact_transactions
# MAGIC   WINDOW last_hour AS (PARTITION BY accountKey ORDER BY transactionDateTime RANGE BETWEEN INTERVAL 1 HOUR PRECEDING AND CURRENT ROW)
# MAGIC )
# MAGIC SELECT a.accountID, max(w.transactions) AS in_an_hour, round(max(w.usd), 2) AS usd, max(w.countries) AS countries
# MAGIC FROM within_an_hour w JOIN dim_account a USING (accountKey)
# MAGIC WHERE w.transactions >= 3 GROUP BY ALL ORDER BY in_an_hour DESC, usd DESC, accountID LIMIT 10

# COMMAND ----------

# MAGIC %md
# MAGIC ## Which amounts are out of the ordinary for their country?
# MAGIC
# MAGIC More than ten times the median of the country, in countries with at least 50 transactions.

# COMMAND ----------

# MAGIC %sql
# MAGIC WITH usual AS (
# MAGIC   SELECT ipCountryKey, percentile_approx(amountUSD, 0.5) AS median FROM fact_transactions
# MAGIC   GROUP BY ipCountryKey HAVING count(*) >= 50
# MAGIC )
# MAGIC SELECT f.transactionID, c.countryCode AS country, round(f.amountUSD, 2) AS usd, round(u.median, 2) AS median,
# MAGIC        round(f.amountUSD / u.median) AS times, f.cvv
# MAGIC FROM fact_transactions f JOIN usual u USING (ipCountryKey) JOIN dim_country c ON c.countryKey = f.ipCountryKey
# MAGIC WHERE f.amountUSD > 10 * u.median ORDER BY times DESC, usd DESC LIMIT 10

# COMMAND ----------

# MAGIC %md
# MAGIC ## What deserves a second look?
# MAGIC
# MAGIC A score of simple signs: a proxy, a card of another country, a code that did not match, a new account, a new card, payments that were
# MAGIC refused today.

# COMMAND ----------

# MAGIC %sql
# MAGIC WITH signs AS (
# MAGIC   SELECT f.transactionID, f.amountUSD,
# MAGIC          array_compact(array(
# MAGIC              if(f.isProxyIP, 'proxy', NULL), if(f.ipCountryKey <> f.billingCountryKey, 'other country', NULL),
# MAGIC              if(f.cvv = 'N', 'wrong code', NULL), if(f.accountAge <= 1, 'new account', NULL),
# MAGIC              if(f.cardAge = 0, 'new card', NULL), if(f.rejectsOfTheDay > 0, 'refused today', NULL))) AS signs
# MAGIC   FROM fact_transactions f
# MAGIC )
# MAGIC SELECT transactionID, round(amountUSD, 2) AS usd, size(signs) AS score, array_join(signs, ', ') AS signs
# MAGIC FROM signs WHERE size(signs) >= 3 ORDER BY score DESC, usd DESC, transactionID LIMIT 10

# COMMAND ----------

# MAGIC %md
# MAGIC ## When?

# COMMAND ----------

# MAGIC %sql
# MAGIC SELECT d.day, d.isWeekend, count(*) AS transactions, round(sum(f.amountUSD)) AS usd,
# MAGIC        count_if(f.localHour BETWEEN 0 AND 5) AS at_night
# MAGIC FROM fact_transactions f JOIN dim_date d USING (dateKey) GROUP BY ALL ORDER BY d.day

# COMMAND ----------

# MAGIC %md
# MAGIC ## How do others read it?
# MAGIC
# MAGIC The tables need Delta's reader version 1 only: no deletion vectors, no column mapping, timestamps with a zone. What follows is from the
# MAGIC products' documentation.
# MAGIC
# MAGIC **Synapse serverless SQL**, under an identity with *Storage Blob Data Reader*; Power BI then takes the views:
# MAGIC
# MAGIC ```sql
# MAGIC CREATE DATABASE woodgrove COLLATE Latin1_General_100_BIN2_UTF8;
# MAGIC CREATE EXTERNAL DATA SOURCE lake WITH (LOCATION = 'https://ACCOUNT.dfs.core.windows.net/lake');
# MAGIC CREATE VIEW fact_transactions AS
# MAGIC     SELECT * FROM OPENROWSET(BULK 'fact_transactions', DATA_SOURCE = 'lake', FORMAT = 'DELTA') AS rows;
# MAGIC ```
# MAGIC
# MAGIC **Microsoft Fabric**: in a lakehouse, a shortcut below *Tables* for each folder. Its SQL endpoint has them at once, and a semantic model in
# MAGIC Direct Lake mode reads them without a copy.
# MAGIC
# MAGIC **Power BI** without Fabric: *Get data*, *Azure Databricks*, with the address of a SQL warehouse; or *Azure Synapse Analytics SQL* over the
# MAGIC views. Relations: `fact_transactions` to each dimension by its key, many to one; `ipCountryKey` active, `billingCountryKey`
# MAGIC inactive (`USERELATIONSHIP`).
