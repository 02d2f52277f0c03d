"""Python imports this before a sample: the stand-ins of azure-eventhub's tests serve its samples, too."""

import azure.identity
import azure.identity.aio
import stand_ins

for names, credential in ((azure.identity, stand_ins.Credential), (azure.identity.aio, stand_ins.AsyncCredential)):
    for name in ("ClientSecretCredential", "DefaultAzureCredential", "EnvironmentCredential"):
        setattr(names, name, lambda *_arguments, _credential=credential, **_options: _credential())
