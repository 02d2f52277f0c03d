"""Fetches the jars of a list from Maven's central repository, and holds them against their sums.

    jars.py LIST FOLDER SPARK_JARS

A line of the list is `SHA-256  GROUP:ARTIFACT:VERSION`. Ivy, which is among Spark's own jars, does the fetching.
"""

import hashlib
import pathlib
import shutil
import subprocess
import sys
import tempfile


def main(wanted, folder, spark_jars):
    folder = pathlib.Path(folder)
    lines = [line.split() for line in pathlib.Path(wanted).read_text().splitlines() if line and not line.startswith("#")]
    names = [(sum_, *coordinate.split(":")) for sum_, coordinate in lines]
    if folder.is_dir() and not faults(folder, names):
        return
    shutil.rmtree(folder, ignore_errors=True)
    dependencies = "".join(
        f'<dependency org="{group}" name="{artifact}" rev="{version}" conf="default-&gt;master" transitive="false"/>'
        for _, group, artifact, version in names
    )
    (program,) = pathlib.Path(spark_jars).glob("ivy-*.jar")
    with tempfile.TemporaryDirectory() as work:
        ivy = pathlib.Path(work, "ivy.xml")
        ivy.write_text(
            '<ivy-module version="2.0"><info organisation="txgen" module="jars"/>'
            f"<dependencies>{dependencies}</dependencies></ivy-module>"
        )
        command = ["java", "-jar", program, "-ivy", ivy, "-cache", pathlib.Path(work, "cache"), "-confs", "default", "-warn"]
        command += ["-retrieve", folder / "[artifact]-[revision].[ext]"]
        # It writes a dot for each block that has come.
        fetched = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
        if fetched.returncode:
            sys.exit(f"error: the jars of {wanted} could not be fetched:\n{fetched.stdout}")
    if wrong := faults(folder, names):
        sys.exit("error: " + "; ".join(wrong))


def faults(folder, names):
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    expected = {f"{artifact}-{version}.jar": sum_ for sum_, _, artifact, version in names}
    return [
        f"{name}: its sum is {found.get(name, 'that of no file')}, not {expected.get(name, 'expected at all')}"
        for name in sorted(found.keys() | expected.keys())
        if found.get(name) != expected.get(name)
    ]


main(*sys.argv[1:])
