"""The manifests of deploy/ as those who carry them out read them: expressions filled in, commands run.

    manifests.py write-types TEMPLATE FILE.ts     the jobs of the template, for the TypeScript compiler to check
    manifests.py run-kubernetes TXGEN JOB         the Job's pods, one process each, against `txgen emulator`
    manifests.py run-container-apps TXGEN TEMPLATE
    manifests.py check-compose COMPOSE SCHEMA     the services against Compose's schema, and the files that they mount
    manifests.py write-rules DASHBOARD FILE       the dashboard's queries as rules, for promtool to check
    manifests.py run-compose TXGEN COMPOSE        emulator and run, until the metrics count transactions
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path

import jsonschema
import yaml

ROWS = 2000


def main(command, *arguments):
    {
        "write-types": write_types,
        "run-kubernetes": run_kubernetes,
        "run-container-apps": run_container_apps,
        "check-compose": check_compose,
        "run-compose": run_compose,
        "write-rules": write_rules,
    }[command](*arguments)


# --- Azure Resource Manager --------------------------------------------------------------------------------------------


class Template:
    """An ARM template, with the few functions that ours uses."""

    def __init__(self, path, **parameters):
        self.document = json.loads(Path(path).read_text())
        declared = self.document["parameters"]
        self.parameters = {
            name: parameters.get(name, declaration.get("defaultValue")) for name, declaration in declared.items()
        }
        used = set(re.findall(r"parameters\('(\w+)'\)", Path(path).read_text()))
        assert used == set(declared), f"declared and used parameters differ: {used ^ set(declared)}"

    def jobs(self):
        (resource,) = self.document["resources"]
        assert resource["type"] == "Microsoft.App/jobs"
        count = self.fill(resource["copy"]["count"], 0)
        return [self.fill(resource, index) for index in range(count)]

    def fill(self, value, index):
        match value:
            case dict():
                return {self.fill(name, index): self.fill(item, index) for name, item in value.items()}
            case list():
                return [self.fill(item, index) for item in value]
            case str() if value.startswith("[") and value.endswith("]"):
                return self.evaluate(value[1:-1], index)
        return value

    def evaluate(self, expression, index):
        match re.fullmatch(r"(\w+)\((.*)\)((?:\.\w+)*)", expression).groups():
            case "parameters", name, "":
                return self.parameters[name.strip("'")]
            case "copyIndex", "", "":
                return index
            case "newGuid", "", "":
                return str(uuid.uuid4())
            case "resourceGroup", "", ".location":
                return "westeurope"
            case "format", arguments, "":
                text, *values = re.split(r",\s*(?![^(]*\))", arguments)
                values = [self.evaluate(value, index) for value in values]
                return text.strip("'").format(*values)
        raise ValueError(f"unknown expression: {expression}")


def template(path):
    identity = "/subscriptions/S/resourceGroups/RG/providers/Microsoft.ManagedIdentity/userAssignedIdentities/txgen"
    return Template(
        path,
        runId=str(uuid.uuid4()),
        image="registry.azurecr.io/txgen:0.1.0",
        registry="registry.azurecr.io",
        identityId=identity,
        environmentId="/subscriptions/S/resourceGroups/RG/providers/Microsoft.App/managedEnvironments/E",
        storageName="summaries",
        cosmosDbEndpoint="https://account.documents.azure.com:443/",
        cosmosDbAuthKey="KEY",
        eventHubConnectionString="Endpoint=sb://namespace.servicebus.windows.net/",
    )


def write_types(path, types):
    jobs = template(path).jobs()
    names = [job["name"] for job in jobs]
    assert len(set(names)) == len(names) and all(re.fullmatch(r"[a-z][a-z0-9-]{0,30}[a-z0-9]", name) for name in names)
    lines = [
        'import type { JobProperties, KnownStorageType, KnownTriggerType, ManagedServiceIdentity } from "@azure/arm-appcontainers";',
    ]
    for index, job in enumerate(jobs):
        properties = job["properties"]
        trigger = properties["configuration"]["triggerType"]
        storage = [volume["storageType"] for volume in properties["template"]["volumes"]]
        lines += [
            f"export const job{index}: JobProperties = {json.dumps(properties)};",
            f"export const identity{index}: ManagedServiceIdentity = {json.dumps(job['identity'])};",
            f"export const trigger{index}: `${{KnownTriggerType}}` = {json.dumps(trigger)};",
            f"export const storage{index}: `${{KnownStorageType}}`[] = {json.dumps(storage)};",
        ]
    Path(types).write_text("\n".join(lines) + "\n")


# --- Running it --------------------------------------------------------------------------------------------------------


class Emulator:
    """`txgen emulator` for as long as the block goes on."""

    def __init__(self, txgen):
        command = [txgen, "emulator", "--output", "json", "--event-hubs-port", "0", "--cosmos-port", "0"]
        self.process = subprocess.Popen(
            [*command, "--no-throughput-limit"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.ready = json.loads(self.process.stdout.readline())

    def __enter__(self):
        return {
            "EVENT_HUB_1_CONNECTION_STRING": self.ready["event_hubs"]["connection_strings"]["Sender"],
            "COSMOS_DB_ENDPOINT": self.ready["cosmos_db"]["endpoint"],
            "COSMOS_DB_AUTH_KEY": self.ready["cosmos_db"]["key"],
        }

    def __exit__(self, *_):
        self.process.terminate()
        *_, last = self.process.stdout.read().splitlines()
        self.process.wait()
        self.totals = json.loads(last)


def run_container(txgen, container, environment, own, shared=None):
    """Starts a container's command, with fewer rows than in earnest.

    Volumes are folders below `own`; those in `shared`, a folder by volume, are elsewhere.
    """
    names = {variable["name"] for variable in container.get("env", [])}
    assert len(names) == len(container.get("env", [])), "a variable is set twice"
    arguments = [str(argument) for argument in container["args"]]
    for mount in container["volumeMounts"]:
        volume = mount.get("name") or mount["volumeName"]
        folder = (shared or {}).get(volume, Path(own, volume))
        folder.mkdir(parents=True, exist_ok=True)
        arguments = [argument.replace(mount["mountPath"] + "/", f"{folder}/") for argument in arguments]
    if "--rows" in arguments:
        arguments[arguments.index("--rows") + 1] = str(ROWS)
    clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR")}
    return subprocess.Popen(
        [txgen, *arguments],
        env=clean | environment,
        cwd=own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, f"exit code {process.returncode} of {process.args}:\n{output}"
    return output


def merge(txgen, directory, files, emulator, shards):
    """Merges the summaries, and holds them against what the emulator has counted."""
    merged = Path(directory, "summary.json")
    finish(
        subprocess.Popen(
            [txgen, "report", "merge", *files, "-o", merged], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    )
    summary = json.loads(merged.read_text())
    assert summary["requested"] == ROWS, summary["requested"]
    for service in ("event_hubs", "cosmos_db"):
        assert summary["services"][service]["succeeded"] == ROWS, summary["services"][service]
    assert emulator.totals["cosmos_db"]["documents"] == ROWS, emulator.totals
    assert len(files) == shards


def check_compose(path, schema):
    compose = yaml.safe_load(Path(path).read_text())
    # The schema is of the last Compose in Python, which came before `name`.
    assert compose.pop("name") == "txgen"
    jsonschema.validate(compose, json.loads(Path(schema).read_text()))
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = Path(path).parent / volume.split(":")[0]
            assert source.exists(), f"{name} mounts {source}, which is not there"
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} opens {port} to other machines"
    grafana = compose["services"]["grafana"]
    mounted = {volume.split(":")[1] for volume in grafana["volumes"]}
    dashboards = yaml.safe_load((Path(path).parent / "grafana/provisioning/dashboards/txgen.yaml").read_text())
    folder = dashboards["providers"][0]["options"]["path"]
    assert grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] in mounted
    assert any(place.startswith(folder + "/") for place in mounted), f"nothing is mounted in {folder}"
    sources = yaml.safe_load((Path(path).parent / "grafana/provisioning/datasources/prometheus.yaml").read_text())
    assert sources["datasources"][0]["url"] == "http://prometheus:9090" and "prometheus" in compose["services"]


def write_rules(dashboard, rules):
    def queries(part):
        match part:
            case dict():
                if "expr" in part:
                    yield part["expr"]
                for value in part.values():
                    yield from queries(value)
            case list():
                for value in part:
                    yield from queries(value)

    # What Grafana fills in.
    given = {"$__rate_interval": "15s", "$__interval": "5s", "$__range": "15m", "$instance": ".*"}
    found = []
    for query in queries(json.loads(Path(dashboard).read_text())):
        for variable, value in given.items():
            query = query.replace(variable, value)
        found.append({"record": f"txgen:query_{len(found)}", "expr": query})
    assert found, "there is no query"
    Path(rules).write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": found}]}))


def run_compose(txgen, path):
    services = yaml.safe_load(Path(path).read_text())["services"]
    assert services["run"]["network_mode"] == "service:emulator"
    assert services["emulator"]["command"] == ["emulator"], "it is started here as it is there, but for its ports"
    emulator = Emulator(txgen)
    with emulator as found, tempfile.TemporaryDirectory() as directory:
        wanted = services["run"]["environment"]
        assert wanted.keys() == found.keys()
        # The same keys; only the ports are others here.
        without_ports = {name: re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1", value) for name, value in wanted.items()}
        assert without_ports == {name: re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1", value) for name, value in found.items()}
        arguments = ["127.0.0.1:0" if argument == "0.0.0.0:9464" else argument for argument in services["run"]["command"]]
        clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR")}
        run = subprocess.Popen(
            [txgen, *arguments], env=clean | found, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            url = next(match[0] for line in run.stderr if (match := re.search(r"http://\S+/metrics", line)))
            deadline = time.monotonic() + 60
            while not re.search(r'^txgen_transactions_total{.*outcome="succeeded".*} [1-9]', scrape(url), re.MULTILINE):
                assert time.monotonic() < deadline, "the metrics count no transaction"
                time.sleep(0.1)
        finally:
            run.terminate()
            run.communicate(timeout=60)
    assert run.returncode == 130, run.returncode


def scrape(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def run_kubernetes(txgen, path):
    job = yaml.safe_load(Path(path).read_text())
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    (data,), (container,) = pod["initContainers"], pod["containers"]
    assert spec["completionMode"] == "Indexed" and spec["completions"] == spec["parallelism"]
    uid = str(uuid.uuid4())
    emulator = Emulator(txgen)
    with tempfile.TemporaryDirectory() as directory:
        with emulator as services:
            processes = []
            for index in range(spec["completions"]):
                own = Path(directory, str(index))
                finish(run_container(txgen, data, {}, own))
                variables = {"JOB_COMPLETION_INDEX": str(index)}
                for variable in container["env"]:
                    source = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
                    known = {"metadata.labels['batch.kubernetes.io/controller-uid']": uid}
                    variables[variable["name"]] = variable["value"] if source is None else known[source]
                # The kubelet: $(NAME) becomes the variable's value; an unknown one would stay as it is.
                expand = lambda text: re.sub(r"\$\((\w+)\)", lambda name: variables[name[1]], text)
                filled = container | {"args": [expand(argument) for argument in container["args"]]}
                processes.append(run_container(txgen, filled, variables | services, own))
            files = []
            for index, process in enumerate(processes):
                files.append(Path(directory, f"{index}.ndjson"))
                files[-1].write_text(finish(process))
        merge(txgen, directory, files, emulator, spec["completions"])


def run_container_apps(txgen, path):
    emulator = Emulator(txgen)
    with tempfile.TemporaryDirectory() as directory:
        with emulator as services:
            processes = []
            jobs = template(path).jobs()
            summaries = Path(directory, "summaries")
            for job in jobs:
                own = Path(directory, job["name"])
                properties = job["properties"]
                (data,), (container,) = properties["template"]["initContainers"], properties["template"]["containers"]
                secrets = {secret["name"] for secret in properties["configuration"]["secrets"]}
                references = {variable["secretRef"] for variable in container["env"] if "secretRef" in variable}
                assert references == secrets, f"declared and used secrets differ: {references ^ secrets}"
                assert {variable["name"] for variable in container["env"]} == set(services)
                finish(run_container(txgen, data, {}, own))
                processes.append(run_container(txgen, container, services, own, {"summaries": summaries}))
            for process in processes:
                finish(process)
        merge(txgen, directory, sorted(summaries.iterdir()), emulator, len(jobs))


if __name__ == "__main__":
    main(*sys.argv[1:])
