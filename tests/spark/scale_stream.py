"""Runs notebook 03 up to the end of its first stream, and measures that stream.

    scale_stream.py NOTEBOOK [WIDGET=VALUE...]
"""

import json
import os
import pathlib
import sys
import time
import types

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "notebooks"))
import local  # noqa: E402


def cpu_of_all(root):
    """CPU seconds of a process and of all that it has started."""
    found, parents = {}, {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            found[int(entry.name)] = sum(map(int, fields[11:15]))
    ours = {root}
    while more := {child for child, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(found.get(process, 0) for process in ours) / os.sysconf("SC_CLK_TCK")


began = time.monotonic()
notebook = pathlib.Path(sys.argv[1])
widgets = local.Widgets(dict(argument.split("=", 1) for argument in sys.argv[2:]))
spark = local.start_spark("scale")
names = {"spark": spark, "dbutils": types.SimpleNamespace(widgets=widgets, secrets=local.Secrets()), "display": lambda frame: None}
for kind, text, _ in local.cells(notebook):
    if kind == "%run":
        local.run((notebook.parent / text.strip()).with_suffix(".py"), names)
    elif kind == "python":
        cpu, start = cpu_of_all(os.getpid()), time.monotonic()
        exec(text, names)
        if "arriving" in names:
            break
measured = {"start": start - began, "seconds": time.monotonic() - start, "cpu": cpu_of_all(os.getpid()) - cpu}
rows = spark.read.format("delta").load(names["place"]).count()
print(json.dumps(measured | {"rows": rows}), flush=True)
spark.stop()
