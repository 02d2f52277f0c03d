"""Runs SQL statements on Spark, and prints the rows of each as JSON."""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "notebooks"))
from local import start_spark  # noqa: E402

spark = start_spark("sql")
for statement in sys.argv[1:]:
    rows = [row.asDict(recursive=True) for row in spark.sql(statement).collect()]
    print("rows:", json.dumps(rows, default=str), flush=True)
spark.stop()
