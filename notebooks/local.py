#!/usr/bin/env python3
"""Runs a Databricks notebook on Spark on this machine.

    local.py NOTEBOOK [WIDGET=VALUE...]

The file is run as it is: Python, `%sql`, `%md` and `%run` cells, with stand-ins for `dbutils`, `display` and `spark`.

Secrets come from the environment, where `cosmos-db-auth-key` is COSMOS_DB_AUTH_KEY, or else from the Key Vault at
KEY_VAULT_URL; the scope is ignored. KEY_VAULT_CERTIFICATE names the certificate of a vault on this machine.

The environment also says how Spark is started: SPARK_JARS_FOLDER, a folder with the connectors' jars, instead of their
being fetched; SPARK_MASTER, local[2] unless set; SPARK_OPTIONS, further settings as a JSON object.

Needs Java 17, and from PyPI `pyspark`; for a Key Vault in Azure also `azure-identity`.
"""

import base64
import json
import os
import pathlib
import re
import ssl
import sys
import time
import types
import urllib.request

import pyspark
from pyspark.sql import SparkSession

# By the version of Spark: what Databricks has in its runtime, or would be installed on the cluster.
PACKAGES = {
    "4.2": ["io.delta:delta-spark_4.2_2.13:4.4.0", "org.apache.spark:spark-sql-kafka-0-10_2.13:4.2.0"],
    "4.1": [
        "io.delta:delta-spark_4.1_2.13:4.4.0",
        "org.apache.spark:spark-sql-kafka-0-10_2.13:4.1.0",
        "com.azure.cosmos.spark:azure-cosmos-spark_4-1_2-13:4.49.2",
    ],
}


# --- Spark -------------------------------------------------------------------------------------------------------------


def start_spark(name):
    if os.name == "nt" and not os.environ.get("HADOOP_HOME"):
        sys.exit("error: on Windows Spark writes files only with Hadoop's native tools in HADOOP_HOME; run this in WSL instead")
    builder = (
        SparkSession.builder.appName(name)
        .master(os.environ.get("SPARK_MASTER", "local[2]"))
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        # For two cores; the defaults are for a cluster.
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.databricks.delta.snapshotPartitions", "2")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
    )
    if folder := os.environ.get("SPARK_JARS_FOLDER"):
        builder = builder.config("spark.jars", ",".join(str(jar) for jar in sorted(pathlib.Path(folder).glob("*.jar"))))
    else:
        version = ".".join(pyspark.__version__.split(".")[:2])
        if version not in PACKAGES:
            sys.exit(f"error: local.py knows no connectors for Spark {version}, but for {', '.join(PACKAGES)}")
        builder = builder.config("spark.jars.packages", ",".join(PACKAGES[version]))
    for key, value in json.loads(os.environ.get("SPARK_OPTIONS", "{}")).items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


# --- dbutils and display -----------------------------------------------------------------------------------------------


class Widgets:
    """The values of the command line, or else the notebook's defaults."""

    def __init__(self, given):
        self.given, self.known = given, {}

    def text(self, name, default, label=None):
        self.known[name] = self.given.get(name, default)

    def get(self, name):
        return self.known[name]


class Secrets:
    def get(self, scope, key):
        variable = key.upper().replace("-", "_")
        if value := os.environ.get(variable):
            return value
        if vault := os.environ.get("KEY_VAULT_URL"):
            return self.of_vault(vault.rstrip("/"), key)
        raise LookupError(f"the secret {key}: set {variable}, or KEY_VAULT_URL to the Key Vault that has it")

    def of_vault(self, vault, key):
        trusted = ssl.create_default_context(cafile=os.environ.get("KEY_VAULT_CERTIFICATE"))
        request = urllib.request.Request(f"{vault}/secrets/{key}?api-version=7.4")
        request.add_header("Authorization", f"Bearer {self.token(vault)}")
        with urllib.request.urlopen(request, context=trusted, timeout=30) as answer:
            return json.load(answer)["value"]

    def token(self, vault):
        if re.match(r"https://(localhost|127\.|\[::1\])", vault):
            # `txgen emulator` takes every token that has not expired.
            claims = json.dumps({"exp": int(time.time()) + 3600}).encode()
            return f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.made-up"
        from azure.identity import DefaultAzureCredential

        return DefaultAzureCredential().get_token("https://vault.azure.net/.default").token


def display(frame):
    """Shows a frame as text, as far as a screen goes."""
    frame.show(50, truncate=60)


# --- The notebook ------------------------------------------------------------------------------------------------------


def cells(path):
    """The cells of a notebook in Databricks' source format: (kind, text, the lines before it in the file)."""
    text = path.read_text()
    if not text.startswith("# Databricks notebook source\n"):
        sys.exit(f"error: {path} is no notebook in Databricks' source format")
    start = 0
    for cell in text.split("# COMMAND ----------\n"):
        lines = [line for line in cell.splitlines() if line.strip() and line != "# Databricks notebook source"]
        if lines and all(line.startswith("# MAGIC") for line in lines):
            magic = "\n".join(line.removeprefix("# MAGIC").removeprefix(" ") for line in lines)
            kind, _, body = magic.partition(" " if magic.startswith("%run") else "\n")
            if not kind.startswith("%md"):
                yield kind.strip(), body, start
            else:
                yield "%md", magic.removeprefix("%md").strip(), start
        elif lines:
            yield "python", cell, start
        start += cell.count("\n") + 1


def run(path, names):
    for kind, text, start in cells(path):
        if kind == "python":
            # The lines before it are made up for, so that a traceback names the file's own.
            exec(compile("\n" * start + text, str(path), "exec"), names)
        elif kind == "%md":
            print("\n".join(line for line in text.splitlines() if line.startswith("#")), flush=True)
        elif kind == "%sql":
            for statement in filter(str.strip, re.split(r";\s*$", text, flags=re.MULTILINE)):
                answer = names["spark"].sql(statement)
                if answer.columns:
                    display(answer)
        elif kind == "%run":
            run((path.parent / text.strip()).with_suffix(".py"), names)
        else:
            sys.exit(f"error: {path}: local.py has nothing for {kind} cells")


def main():
    if len(sys.argv) < 2 or not all("=" in argument for argument in sys.argv[2:]):
        sys.exit(__doc__)
    path = pathlib.Path(sys.argv[1]).resolve()
    given = dict(argument.split("=", 1) for argument in sys.argv[2:])
    widgets = Widgets(given)
    spark = start_spark(path.stem)
    dbutils = types.SimpleNamespace(widgets=widgets, secrets=Secrets())
    run(path, {"__name__": "__main__", "spark": spark, "dbutils": dbutils, "display": display})
    if unknown := set(given) - set(widgets.known):
        sys.exit(f"error: {path.name} has no widget {', '.join(sorted(unknown))}")
    spark.stop()


if __name__ == "__main__":
    main()
