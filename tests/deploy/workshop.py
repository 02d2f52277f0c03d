"""deploy/azure/workshop.json as Azure Resource Manager reads it.

    workshop.py write-types TEMPLATE FILE.ts    every resource, for the TypeScript compiler to check
    workshop.py references TEMPLATE             names, dependencies and secrets lead to what is there
    workshop.py run TXGEN TEMPLATE              the settings of its outputs, read by `txgen check`
"""

import json
import re
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
GIVEN = {
    "userId": str(uuid.uuid4()),
    "databricksId": str(uuid.uuid4()),
    "servicePrincipalId": str(uuid.uuid4()),
    "servicePrincipalClientId": str(uuid.uuid4()),
    "servicePrincipalSecret": "made-up",
}
GROUP = "/subscriptions/S/resourceGroups/RG"
# What the types of Azure's API call the parts of each resource: (package, type of `properties`, types of other parts).
TYPES = {
    "Microsoft.EventHub/namespaces": ("arm-eventhub", "EHNamespaceProperties", {"sku": "Sku"}),
    "Microsoft.EventHub/namespaces/eventhubs": ("arm-eventhub", "EventhubProperties", {}),
    "Microsoft.EventHub/namespaces/eventhubs/consumergroups": ("arm-eventhub", "ConsumerGroupProperties", {}),
    "Microsoft.EventHub/namespaces/eventhubs/authorizationRules": ("arm-eventhub", "AuthorizationRuleProperties", {}),
    "Microsoft.DocumentDB/databaseAccounts": ("arm-cosmosdb", "DatabaseAccountCreateUpdateProperties", {"kind": "DatabaseAccountKind"}),
    "Microsoft.DocumentDB/databaseAccounts/sqlDatabases": ("arm-cosmosdb", "SqlDatabaseCreateUpdateProperties", {}),
    "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers": ("arm-cosmosdb", "SqlContainerCreateUpdateProperties", {}),
    "Microsoft.Storage/storageAccounts": ("arm-storage", "StorageAccountPropertiesCreateParameters", {"sku": "Sku", "kind": "Kind"}),
    "Microsoft.Storage/storageAccounts/blobServices/containers": ("arm-storage", "ContainerProperties", {}),
    "Microsoft.KeyVault/vaults": ("arm-keyvault", "VaultProperties", {}),
    "Microsoft.KeyVault/vaults/secrets": ("arm-keyvault", "SecretProperties", {}),
    "Microsoft.Databricks/accessConnectors": ("arm-databricks", "AccessConnectorProperties", {"identity": "ManagedServiceIdentity"}),
    "Microsoft.Databricks/workspaces": ("arm-databricks", "WorkspaceProperties", {"sku": "Sku"}),
    "Microsoft.Authorization/roleAssignments": ("arm-authorization", "RoleAssignmentCreateParameters", {}),
}
# What those types leave open as `string`, by what is known of it.
KNOWN = {
    ("Microsoft.EventHub/namespaces", "sku.name"): "KnownSkuName",
    ("Microsoft.EventHub/namespaces", "properties.minimumTlsVersion"): "KnownTlsVersion",
    ("Microsoft.EventHub/namespaces/eventhubs", "properties.retentionDescription.cleanupPolicy"): "KnownCleanupPolicyRetentionDescription",
    ("Microsoft.EventHub/namespaces/eventhubs/authorizationRules", "properties.rights.0"): "KnownAccessRights",
    ("Microsoft.DocumentDB/databaseAccounts", "kind"): "KnownDatabaseAccountKind",
    ("Microsoft.DocumentDB/databaseAccounts", "properties.minimalTlsVersion"): "KnownMinimalTlsVersion",
    ("Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers", "properties.resource.partitionKey.kind"): "KnownPartitionKind",
    ("Microsoft.Storage/storageAccounts", "sku.name"): "KnownSkuName",
    ("Microsoft.Storage/storageAccounts", "kind"): "KnownKind",
    ("Microsoft.Storage/storageAccounts", "properties.minimumTlsVersion"): "KnownMinimumTlsVersion",
    ("Microsoft.Databricks/workspaces", "properties.computeMode"): "KnownComputeMode",
    ("Microsoft.Authorization/roleAssignments", "properties.principalType"): "KnownPrincipalType",
}


# --- Expressions -------------------------------------------------------------------------------------------------------

TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|(\d+)|([A-Za-z]\w*)|([(),.]))")


class Template:
    def __init__(self, path):
        self.document = json.loads(Path(path).read_text())
        declared = self.document["parameters"]
        text = json.dumps({name: part for name, part in self.document.items() if name != "parameters"})
        for kind in ("parameters", "variables"):
            used, there = set(re.findall(rf"{kind}\('(\w+)'\)", text)), set(self.document[kind])
            assert used == there, f"{kind} declared and used differ: {used ^ there}"
        self.parameters = {name: GIVEN.get(name, self.fill(part.get("defaultValue"))) for name, part in declared.items()}
        assert None not in self.parameters.values(), self.parameters
        self.resources = [self.fill(resource) for resource in self.document["resources"]]
        self.outputs = {name: self.fill(output["value"]) for name, output in self.document["outputs"].items()}

    def fill(self, value):
        match value:
            case dict():
                return {name: self.fill(item) for name, item in value.items()}
            case list():
                return [self.fill(item) for item in value]
            case str() if value.startswith("[") and value.endswith("]"):
                tokens = [match.groups() for match in TOKEN.finditer(value[1:-1])]
                result = self.evaluate(tokens)
                assert not tokens, f"what is after an expression: {value}"
                return result
        return value

    def evaluate(self, tokens):
        text, number, name, _ = tokens.pop(0)
        if text is not None:
            return text.replace("''", "'")
        if number is not None:
            return int(number)
        assert tokens.pop(0)[3] == "(", name
        arguments = []
        while tokens[0][3] != ")":
            arguments.append(self.evaluate(tokens))
            if tokens[0][3] == ",":
                tokens.pop(0)
        tokens.pop(0)
        result = self.call(name, arguments)
        while tokens and tokens[0][3] == ".":
            tokens.pop(0)
            result = result[tokens.pop(0)[2]]
        return result

    def call(self, name, arguments):
        match name, arguments:
            case "parameters", [parameter]:
                return self.parameters[parameter]
            case "variables", [variable]:
                return self.fill(self.document["variables"][variable])
            case "resourceGroup", []:
                return {"id": GROUP, "name": "RG", "location": "westeurope"}
            case "subscription", []:
                return {"tenantId": str(uuid.uuid4())}
            case "format", [text, *values]:
                return text.format(*values)
            case "uniqueString", [_]:
                return "abcdefghijklm"
            case "guid", values:
                return str(uuid.uuid5(uuid.NAMESPACE_URL, "|".join(values)))
            case "resourceId", [kind, *names]:
                return f"{GROUP}/{path_of(kind, names)}"
            case "subscriptionResourceId", [kind, *names]:
                return f"/subscriptions/S/{path_of(kind, names)}"
            case "listKeys", [_, version] if re.fullmatch(r"\d{4}-\d\d-\d\d", version):
                return {"primaryConnectionString": "Endpoint=sb://NAMESPACE/", "primaryMasterKey": "KEY"}
            case "reference", [_, _]:
                address = "https://example.invalid/"
                return {"documentEndpoint": address, "vaultUri": address, "workspaceUrl": "example.invalid"}
            case "reference", [_, _, "full"]:
                return {"identity": {"principalId": str(uuid.uuid4())}}
            case "empty", [value]:
                return not value
            case "not", [value]:
                return not value
        raise ValueError(f"unknown expression: {name}({arguments})")


def path_of(kind, names):
    provider, *types = kind.split("/")
    assert len(types) == len(names), f"{kind} takes {len(types)} names, not {names}"
    return f"providers/{provider}/" + "/".join(f"{a}/{b}" for a, b in zip(types, names))


# --- Checks ------------------------------------------------------------------------------------------------------------


def write_types(template, types):
    lines = []
    for index, resource in enumerate(Template(template).resources):
        kind = resource["type"]
        package, properties, parts = TYPES[kind]
        allowed = {"type", "apiVersion", "name", "location", "dependsOn", "condition", "scope", "properties", *parts}
        assert resource.keys() <= allowed, f"{kind} has {resource.keys() - allowed}"
        for part, name in {"properties": properties, **parts}.items():
            lines.append(f'import type {{ {name} as T{index}{part} }} from "@azure/{package}";')
            lines.append(f"export const {part}{index}: T{index}{part} = {json.dumps(resource[part])};")
        for number, ((of, path), name) in enumerate(KNOWN.items()):
            if of == kind:
                value = resource
                for step in path.split("."):
                    value = value[int(step) if step.isdigit() else step]
                lines.append(f'import type {{ {name} as K{index}x{number} }} from "@azure/{package}";')
                lines.append(f"export const known{index}x{number}: `${{K{index}x{number}}}` = {json.dumps(value)};")
    Path(types).write_text("\n".join(lines) + "\n")


def references(path):
    template = Template(path)
    ids = [f"{GROUP}/{path_of(resource['type'], resource['name'].split('/'))}" for resource in template.resources]
    assert len(ids) == len(set(ids)), "two resources have one name"
    for resource in template.resources:
        for target in [*resource.get("dependsOn", []), *([resource["scope"]] if "scope" in resource else [])]:
            assert target in ids, f"{resource['name']} needs {target}, which is not in the template"
        parent = resource["type"].rpartition("/")[0]
        if parent.count("/") and not parent.endswith("blobServices"):
            of = f"{GROUP}/{path_of(parent, resource['name'].split('/')[:-1])}"
            assert of in resource["dependsOn"], f"{resource['name']} does not wait for {of}"
    secrets = {r["name"].split("/")[1] for r in template.resources if r["type"] == "Microsoft.KeyVault/vaults/secrets"}
    referred = set(re.findall(r"SecretName=([\w-]+)\)", json.dumps(template.outputs["appsettings"])))
    asked_for = {name for notebook in NOTEBOOKS.glob("*.py") for name in re.findall(r'\bsecret\("([\w-]+)"\)', notebook.read_text())}
    assert referred and asked_for and referred | asked_for == secrets, (referred, asked_for, secrets)


def run(txgen, path):
    settings = json.dumps(Template(path).outputs["appsettings"])
    with tempfile.TemporaryDirectory() as directory:
        command = [txgen, "emulator", "--output", "json", "--event-hubs-port", "0", "--cosmos-port", "0"]
        command += ["--settings-out", "emulator.json", "--settings-as-references"]
        emulator = subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            ready = json.loads(emulator.stdout.readline())
            # The same secrets, in another vault.
            settings = re.sub(r"VaultName=\w+;SecretName=", f"SecretUri={ready['key_vault']['url']}secrets/", settings)
            settings = settings.replace("https://example.invalid/", ready["cosmos_db"]["endpoint"])
            Path(directory, "appsettings.json").write_text(settings)
            checked = subprocess.run([txgen, "check"], cwd=directory, capture_output=True, text=True, timeout=120)
            assert checked.returncode == 0, f"{settings}\n{checked.stdout}\n{checked.stderr}"
        finally:
            emulator.terminate()
            emulator.communicate()


def main(command, *arguments):
    {"write-types": write_types, "references": references, "run": run}[command](*arguments)


main(*sys.argv[1:])
