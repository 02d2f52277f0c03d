"""What the checks and the measurement stand on: txgen, its emulators, and Spark."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NOTEBOOKS = ROOT / "notebooks"
DATA = ROOT / "data" / "Untagged_Transactions.csv"
OUTPUT = HERE / ".cache" / "output"
PATIENCE = 900
# A JVM that lives for a minute spends nearly half of its CPU on optimising code that it hardly runs.
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


class Stage:
    """A folder with a lake, an emulator, and its settings."""

    def __init__(self, txgen, directory, *flags, jvm_options=SHORT_LIVED):
        self.txgen, self.directory, self.jvm_options = txgen, directory, jvm_options
        self.lake = directory / "lake"
        command = [txgen, "emulator", "--output", "json", "--event-hubs-port", "0", "--cosmos-port", "0", "--kafka-port", "0"]
        command += ["--https", "--no-throughput-limit", "--settings-out", "appsettings.json", "--settings-as-references", *flags]
        self.log = open(directory / "emulator.log", "w")
        self.emulator = subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.emulator.stdout.readline()
        assert line, f"the emulator did not start: {(directory / 'emulator.log').read_text()[-2000:]}"
        self.ready = json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.emulator.terminate()
        self.emulator.communicate()
        self.log.close()

    def run_txgen(self, *arguments, codes=(0,)):
        """Runs txgen in the folder; gives back what it wrote to standard output."""
        command = [self.txgen, *map(str, arguments)]
        ended = subprocess.run(command, cwd=self.directory, capture_output=True, text=True, timeout=PATIENCE)
        said = f"{command}: {ended.returncode}\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}"
        assert ended.returncode in codes, said
        return ended.stdout

    def verified(self, summary, table, *arguments):
        """What `txgen verify` finds of a run in a table."""
        command = ("verify", "--summary", summary, "--table", table, "--output", "json", *arguments)
        return json.loads(self.run_txgen(*command, codes=(0, 1)).splitlines()[0])

    def kafka_options(self):
        hubs = self.ready["event_hubs"]
        return json.dumps({
            "kafka.bootstrap.servers": f"127.0.0.1:{hubs['kafka_port']}",
            "kafka.ssl.truststore.type": "PEM",
            "kafka.ssl.truststore.location": hubs["certificate"],
        })

    def environment(self, version, **variables):
        """For local.py on a version of Spark; secrets that no variable holds come from the emulators' Key Vault."""
        jars = HERE / ".cache" / f"spark-{version}" / "connectors"
        temporary = self.directory / "spark"
        temporary.mkdir(exist_ok=True)
        options = {
            "spark.sql.warehouse.dir": str(temporary / "warehouse"),
            "spark.local.dir": str(temporary),
            "spark.driver.memory": "2g",
            "spark.driver.extraJavaOptions": f"{self.jvm_options} -Djavax.net.ssl.trustStore={self.trust_store()} "
            "-Djavax.net.ssl.trustStorePassword=made-up",
        }
        return os.environ | variables | {
            "SPARK_JARS_FOLDER": str(jars),
            "SPARK_OPTIONS": json.dumps(options),
            "KEY_VAULT_URL": self.ready["key_vault"]["url"],
            "KEY_VAULT_CERTIFICATE": self.ready["key_vault"]["certificate"],
        }

    def trust_store(self):
        """The emulator's certificate, as Java has it."""
        store = self.directory / "trust.p12"
        if not store.exists():
            command = ["keytool", "-importcert", "-noprompt", "-alias", "txgen", "-storetype", "PKCS12", "-storepass", "made-up"]
            command += ["-file", self.ready["cosmos_db"]["certificate"], "-keystore", str(store)]
            subprocess.run(command, cwd=self.directory, check=True, capture_output=True)
        return store

    def start_script(self, version, script, *arguments, output, **variables):
        """Starts a script on a version of Spark, in a process group of its own."""
        command = [HERE / ".cache" / f"spark-{version}" / "bin" / "python", script, *arguments]
        return subprocess.Popen(
            list(map(str, command)),
            cwd=self.directory,
            env=self.environment(version, **variables),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run_script(self, version, script, *arguments, name=None, **variables):
        """Runs a script to its end; gives back what it wrote."""
        OUTPUT.mkdir(parents=True, exist_ok=True)
        path = OUTPUT / f"{name or script.stem}.txt"
        with open(path, "w") as output:
            process = self.start_script(version, script, *arguments, output=output, **variables)
            try:
                code = process.wait(PATIENCE)
            finally:
                kill(process)
        said = path.read_text()
        assert code == 0, f"{script.name} ended with {code}:\n{said[-6000:]}"
        return said

    def notebook_arguments(self, notebook, **widgets):
        return [NOTEBOOKS / f"{notebook}.py", f"lake={self.lake}", *(f"{name}={value}" for name, value in widgets.items())]

    def run_notebook(self, notebook, version="4.2", name=None, **widgets):
        arguments = self.notebook_arguments(notebook, **widgets)
        return self.run_script(version, NOTEBOOKS / "local.py", *arguments, name=name or notebook)

    def sql(self, *statements):
        """Runs statements on Spark; gives back the rows of each."""
        said = self.run_script("4.2", HERE / "sql.py", *statements)
        return [json.loads(line.removeprefix("rows: ")) for line in said.splitlines() if line.startswith("rows: ")]

    def send(self, *bodies):
        """Sends events of any kind, past txgen."""
        parts = dict(part.split("=", 1) for part in self.ready["event_hubs"]["connection_strings"]["Sender"].split(";") if part)
        address = f"http://{urllib.parse.urlparse(parts['Endpoint']).netloc}/{parts.get('EntityPath', 'transactions')}"
        resource, expiry = urllib.parse.quote_plus(address), int(time.time()) + 3600
        key = parts["SharedAccessKey"].encode()
        signature = base64.b64encode(hmac.new(key, f"{resource}\n{expiry}".encode(), hashlib.sha256).digest())
        signature = urllib.parse.quote_plus(signature)
        token = f"SharedAccessSignature sr={resource}&sig={signature}&se={expiry}&skn={parts['SharedAccessKeyName']}"
        for body in bodies:
            request = urllib.request.Request(f"{address}/messages", body.encode(), {"Authorization": token})
            urllib.request.urlopen(request, timeout=30).close()


def kill(process):
    """Ends a process and all that it has started, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
