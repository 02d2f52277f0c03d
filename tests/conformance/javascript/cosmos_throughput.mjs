// Checks of throughput and memory: what is provisioned, and what exceeds it.

import { check, equal, eventually, that } from "./checks.mjs";
import { PATIENT, client, doc, everything, fails, range, within } from "./cosmos.mjs";

// --- Throughput -----------------------------------------------------------------------------------------------------

/** An offer's throughput, replaced. */
async function reprovision(container, change) {
  const { offer, resource } = await container.readOffer();
  change(resource.content);
  return (await offer.replace(resource)).resource.content;
}

check("throughput is read and replaced, manual and autoscale, and offers are listed and queried", async () => {
  await within(
    "manual",
    async (container) => {
      const { resource } = await container.readOffer();
      equal(resource.content.offerThroughput, 400, "the throughput");
      equal((await reprovision(container, (content) => (content.offerThroughput = 700))).offerThroughput, 700, "the new one");
      equal((await container.readOffer()).resource.content.offerThroughput, 700, "the throughput read again");
      const { resource: own } = await container.read();
      const listed = await everything(client.offers.readAll());
      that(listed.some((offer) => offer.offerResourceId === own._rid), "the offer should be listed");
      const parameters = [{ name: "@rid", value: own._rid }];
      const found = await everything(client.offers.query({ query: "SELECT * FROM r WHERE r.offerResourceId = @rid", parameters }));
      equal(found.map((offer) => offer.content.offerThroughput), [700], "the offers found");
    },
    { throughput: 400 },
  );
  await within(
    "autoscale",
    async (container) => {
      const { resource } = await container.readOffer();
      equal(resource.content.offerAutopilotSettings.maxThroughput, 4000, "the maximum");
      const content = await reprovision(container, (content) => (content.offerAutopilotSettings.maxThroughput = 10_000));
      equal(content.offerAutopilotSettings.maxThroughput, 10_000, "the new maximum");
    },
    { maxThroughput: 4000 },
  );
});

check("a database's throughput is shared by the containers without their own", async () => {
  const { database } = await client.databases.create({ id: "shared-javascript", throughput: 1000 });
  try {
    equal((await database.readOffer()).resource.content.offerThroughput, 1000, "the throughput");
    const { container } = await database.containers.create({ id: "shares", partitionKey: "/k" });
    that(!(await container.readOffer().then((read) => read.resource, () => undefined)), "the container should have no offer");
  } finally {
    await database.delete();
  }
});

/** Creates at once: the failures. */
async function burst(container, count) {
  const creates = range(count).map(() => container.items.create(doc()).then(() => undefined, (error) => error));
  return (await Promise.all(creates)).filter(Boolean);
}

/** Takes what hundreds of small documents would: at 400 RU/s the container has nothing to give for 14 seconds. */
const overdraw = (container) => container.items.create(doc("us", { x: "y".repeat(1_000_000) }));

check("what exceeds the throughput is answered 429, and says how long to wait", () =>
  within(
    "narrow",
    async (container) => {
      await overdraw(container);
      const failures = await burst(container, 30);
      equal(failures.length, 30, "the number of creates that were throttled");
      for (const error of failures) {
        equal([error.code, error.substatus], [429, 3200], "status and substatus");
        that(error.retryAfterInMs > 0, `the answer should say how long to wait: ${error.retryAfterInMs}`);
      }
    },
    { throughput: 400 },
  ),
);

check("a client that waits as long as it is asked to gets through", () =>
  within("patient", async (container) => equal(await burst(container, 100), [], "the failures"), {
    throughput: 400,
    retryOptions: PATIENT,
  }),
);

check("a replaced throughput counts from the next second on", () =>
  within(
    "changing",
    async (container) => {
      await overdraw(container);
      that((await burst(container, 1)).length > 0, "there should be throttling at 400 RU/s");
      await reprovision(container, (content) => (content.offerThroughput = 10_000));
      await eventually(async () => (await burst(container, 200)).length === 0, "200 creates at once at 10,000 RU/s", 20, 200);
      await reprovision(container, (content) => (content.offerThroughput = 400));
      // The rest of the second still has what 10,000 RU/s had left.
      const overdrawn = () => overdraw(container).then(() => false, (error) => error.code === 429);
      await eventually(overdrawn, "throttling at 400 RU/s again");
    },
    { throughput: 400 },
  ),
);

// --- Memory ---------------------------------------------------------------------------------------------------------

check("beyond the memory limit documents are refused with 507, until some are deleted", () =>
  within(
    "full",
    async (container) => {
      const large = (id) => doc("us", { id, x: "y".repeat(200_000) });
      let count = 0;
      let error;
      while (error === undefined && count < 30) {
        await container.items.create(large(`${count}`)).then(() => (count += 1), (refusal) => (error = refusal));
      }
      equal(error?.code, 507, "the status");
      that(/memory/.test(error.message), `the error should say why: ${error.message}`);
      that(count >= 10 && count < 20, `of 4 MB, ${count} times 200,000 bytes were taken`);
      await container.item("0", "us").delete();
      await container.items.create(large("again"));
      await fails(507, container.items.create(large("one too many")), "memory");
    },
    { of: "full_javascript" },
  ),
);
