"""Checks of the change feed."""

from checks import check, equal, that
from cosmos import COUNTRIES, create_all, doc, everything, place

# --- The change feed --------------------------------------------------------------------------------------------------


@check("the change feed gives each document's latest version, in order, and goes on where it stopped")
async def _():
    async with place("feed") as container:
        for i in range(20):
            await container.create_item(doc("us", id=f"{i}", n=0))
        await create_all(container, [doc(country) for country in COUNTRIES[1:]])
        await container.replace_item("3", doc("us", id="3", n=1))
        await container.delete_item("4", "us")
        changes = await everything(container.query_items_change_feed(partition_key="us", start_time="Beginning"))
        expected = [f"{i}" for i in range(20) if i not in (3, 4)] + ["3"]
        equal([change["id"] for change in changes], expected, "the changes of one key")
        equal(changes[-1]["n"], 1, "the version")
        # Where this client says how to go on.
        continuation = container.client_connection.last_response_headers["etag"]
        more = lambda: everything(container.query_items_change_feed(continuation=continuation))
        equal(await more(), [], "what changed since")
        await container.create_item(doc("us", id="later"))
        await container.create_item(doc("gb", id="other key"))
        equal([change["id"] for change in await more()], ["later"], "what changed since")


@check("the change feed of a container is read in pages, and by feed range")
async def _():
    async with place("feeds") as container:
        items = [doc(COUNTRIES[i % len(COUNTRIES)], id=f"{i}") for i in range(90)]
        await create_all(container, items)
        found = []
        async for page in container.query_items_change_feed(start_time="Beginning", max_item_count=10).by_page():
            page = await everything(page)
            that(len(page) <= 10, f"a page of {len(page)}")
            found += [change["id"] for change in page]
        equal(sorted(found), sorted(item["id"] for item in items), "the changes")
        found = []
        for range_ in await everything(container.read_feed_ranges()):
            found += [change["id"] for change in await everything(container.query_items_change_feed(feed_range=range_, start_time="Beginning"))]
        equal(sorted(found), sorted(item["id"] for item in items), "the changes of all ranges")


@check("the change feed from now on gives what comes later")
async def _():
    async with place("now") as container:
        await container.create_item(doc(id="before"))
        equal(await everything(container.query_items_change_feed(start_time="Now", partition_key="us")), [], "the changes")
        continuation = container.client_connection.last_response_headers["etag"]
        await container.create_item(doc(id="after"))
        await container.create_item(doc("gb", id="other key"))
        later = await everything(container.query_items_change_feed(continuation=continuation))
        equal([change["id"] for change in later], ["after"], "the changes")
