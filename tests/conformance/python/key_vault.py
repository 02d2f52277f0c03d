"""Holds the Key Vault emulator against azure-keyvault-secrets, Microsoft's client for Python."""

import base64
import json
import ssl
import time

import aiohttp
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.keyvault.secrets import KeyVaultSecretIdentifier
from azure.keyvault.secrets.aio import SecretClient

from checks import check, emulator, equal, main, refused, that

READY = emulator("vault")["key_vault"]


class Credential:
    """Makes tokens up, and keeps what they were asked for."""

    def __init__(self, life=3600):
        self.life, self.scopes = life, []

    async def get_token(self, *scopes, **_):
        self.scopes += scopes
        expires = int(time.time()) + self.life
        claims = base64.urlsafe_b64encode(json.dumps({"exp": expires}).encode()).decode().rstrip("=")
        return AccessToken(f"e30.{claims}.made-up", max(expires, int(time.time()) + 3600))

    async def close(self):
        pass

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass


def client(credential=None, **options):
    return SecretClient(
        READY["url"],
        credential or Credential(),
        verify_challenge_resource=False,
        connection_verify=READY["certificate"],
        retry_total=0,
        **options,
    )


@check("key vault: a secret is read after a challenge that says where tokens come from", needs="vault")
async def _():
    credential = Credential()
    async with client(credential) as vault:
        secret = await vault.get_secret("plain")
    equal(secret.value, "made-up = value;", "the value")
    equal(credential.scopes, ["https://vault.azure.net/.default"], "the scopes")
    that(secret.properties.enabled, "it should be enabled")
    equal(secret.properties.vault_url.rstrip("/"), READY["url"].rstrip("/"), "the vault")
    that(abs(secret.properties.created_on.timestamp() - time.time()) < 3600, "it should be from just now")


@check("key vault: the newest version is read unless another is named", needs="vault")
async def _():
    async with client() as vault:
        newest = await vault.get_secret("rotated")
        versions = [version async for version in vault.list_properties_of_secret_versions("rotated")]
        equal(newest.value, "second", "the newest")
        equal(len(versions), 2, "the versions")
        equal(newest.properties.version, versions[1].version, "the newest version")
        first = await vault.get_secret("rotated", versions[0].version)
        equal(first.value, "first", "the first")
        equal(KeyVaultSecretIdentifier(first.id).version, versions[0].version, "the version in the id")


@check("key vault: secrets are listed page by page", needs="vault")
async def _():
    async with client() as vault:
        names = [item.name async for item in vault.list_properties_of_secrets()]
        pages = vault.list_properties_of_secrets(max_page_size=2).by_page()
        sizes = [len([item async for item in page]) async for page in pages]
    that({"plain", "rotated", "from-file"} <= set(names), f"{names} should have them all")
    equal(sum(sizes), len(names), "the items of all pages")
    that(len(sizes) > 1 and max(sizes) == 2, f"pages of two, not {sizes}")


@check("key vault: a secret from a file has no line end", needs="vault")
async def _():
    async with client() as vault:
        equal((await vault.get_secret("from-file")).value, "from a file", "the value")


@check("key vault: names match whatever their case", needs="vault")
async def _():
    async with client() as vault:
        equal((await vault.get_secret("PLAIN")).value, "made-up = value;", "the value")


@check("key vault: what is not there is refused with the service's code", needs="vault")
async def _():
    async with client() as vault:
        error = await refused(vault.get_secret("none"), ResourceNotFoundError, "SecretNotFound", "none")
        equal(error.status_code, 404, "the status")
        await refused(vault.get_secret("plain", "0" * 32), ResourceNotFoundError, "SecretNotFound")


@check("key vault: writing is refused for want of a role", needs="vault")
async def _():
    async with client() as vault:
        for attempt in (
            vault.set_secret("new", "value"),
            vault.update_secret_properties("plain", enabled=False),
            vault.delete_secret("plain"),
        ):
            error = await refused(attempt, HttpResponseError, "not authorized")
            equal((error.status_code, error.error.innererror["code"]), (403, "ForbiddenByRbac"), "status and code")


@check("key vault: a token that has expired is refused", needs="vault")
async def _():
    async with client(Credential(life=-60)) as vault:
        error = await refused(vault.get_secret("plain"), ClientAuthenticationError, "expired")
        equal(error.status_code, 401, "the status")


@check("key vault: each version of the protocol that the client knows is spoken, and no other", needs="vault")
async def _():
    for version in ("2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6"):
        async with client(api_version=version) as vault:
            equal((await vault.get_secret("plain")).value, "made-up = value;", version)
    trust = ssl.create_default_context(cafile=READY["certificate"])
    headers = {"authorization": "Bearer made-up"}
    async with aiohttp.ClientSession(headers=headers) as http:
        for query in ("", "?api-version=8.0"):
            async with http.get(f"{READY['url']}secrets/plain{query}", ssl=trust) as answer:
                equal(answer.status, 400, query)
                equal((await answer.json())["error"]["code"], "BadParameter", query)


@check("key vault: the client trusts the certificate for localhost, too", needs="vault")
async def _():
    url = READY["url"].replace("127.0.0.1", "localhost")
    options = {"verify_challenge_resource": False, "connection_verify": READY["certificate"], "retry_total": 0}
    async with SecretClient(url, Credential(), **options) as vault:
        secret = await vault.get_secret("plain")
    that(secret.id.startswith(url), f"{secret.id} should be where it was read")


if __name__ == "__main__":
    main("python key vault", at_once=4)
