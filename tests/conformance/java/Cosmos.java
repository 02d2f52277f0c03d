import com.azure.cosmos.CosmosClient;
import com.azure.cosmos.CosmosClientBuilder;
import com.azure.cosmos.CosmosContainer;
import com.azure.cosmos.CosmosDatabase;
import com.azure.cosmos.CosmosException;
import com.azure.cosmos.models.CosmosBatch;
import com.azure.cosmos.models.CosmosBatchResponse;
import com.azure.cosmos.models.CosmosChangeFeedRequestOptions;
import com.azure.cosmos.models.CosmosContainerProperties;
import com.azure.cosmos.models.CosmosItemIdentity;
import com.azure.cosmos.models.CosmosItemRequestOptions;
import com.azure.cosmos.models.CosmosItemResponse;
import com.azure.cosmos.models.CosmosPatchItemRequestOptions;
import com.azure.cosmos.models.CosmosPatchOperations;
import com.azure.cosmos.models.CosmosQueryRequestOptions;
import com.azure.cosmos.models.FeedRange;
import com.azure.cosmos.models.FeedResponse;
import com.azure.cosmos.models.PartitionKey;
import com.azure.cosmos.models.SqlParameter;
import com.azure.cosmos.models.SqlQuerySpec;
import com.azure.cosmos.models.ThroughputProperties;
import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/** The checks of Cosmos DB. */
final class Cosmos {
    private static final String SUITE = "java cosmos";
    private static final PartitionKey US = new PartitionKey("us");
    private static final List<String> COUNTRIES = List.of("us", "gb", "ca", "fr", "de", "br", "in", "jp", "unk");
    private static final CosmosClient CLIENT = client(Conformance.SECURE.at("/cosmos_db/key").asText());
    private static final CosmosDatabase DATABASE = database();

    static final List<Conformance.Check> CHECKS = List.of(
        new Conformance.Check(SUITE, "a document is created, read, replaced, patched and deleted", Cosmos::documents),
        new Conformance.Check(SUITE, "a condition on the etag holds off a stale writer", Cosmos::etags),
        new Conformance.Check(SUITE, "a query takes parameters and gives pages", Cosmos::queries),
        new Conformance.Check(SUITE, "a query merges partitions", Cosmos::acrossPartitions),
        new Conformance.Check(SUITE, "many documents are read at once", Cosmos::readMany),
        new Conformance.Check(SUITE, "a batch succeeds or fails as a whole", Cosmos::batches),
        new Conformance.Check(SUITE, "the change feed gives every document", Cosmos::changeFeed),
        new Conformance.Check(SUITE, "throughput is read and replaced", Cosmos::throughput),
        new Conformance.Check(SUITE, "a wrong key is refused", Cosmos::wrongKey));

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Document(String id, String country, String city, int number) {}

    private Cosmos() {}

    private static CosmosClient client(String key) {
        return new CosmosClientBuilder()
            .endpoint(Conformance.SECURE.at("/cosmos_db/endpoint").asText())
            .key(key)
            .gatewayMode()
            .buildClient();
    }

    private static CosmosDatabase database() {
        CLIENT.createDatabase("conformance-java");
        return CLIENT.getDatabase("conformance-java");
    }

    /** A new container of 12,000 RU/s, which has two partitions. */
    private static CosmosContainer container(String name) {
        DATABASE.createContainer(
            new CosmosContainerProperties(name, "/country"), ThroughputProperties.createManualThroughput(12_000));
        return DATABASE.getContainer(name);
    }

    private static void fails(int status, Conformance.Body body) throws Exception {
        try {
            body.run();
        } catch (CosmosException failure) {
            Conformance.equal(failure.getStatusCode(), status, "the status of " + failure.getShortMessage());
            return;
        }
        throw new AssertionError("it should have failed with status " + status);
    }

    private static void documents() throws Exception {
        CosmosContainer container = container("documents");
        Document one = new Document("täxt 1", "us", null, 1);
        CosmosItemResponse<Document> created = container.createItem(one, US, new CosmosItemRequestOptions());
        Conformance.that(created.getRequestCharge() > 1, "creating should be charged");
        Conformance.that(created.getSessionToken() != null, "there should be a session token");
        fails(409, () -> container.createItem(one, US, new CosmosItemRequestOptions()));
        container.replaceItem(new Document(one.id(), "us", null, 2), one.id(), US, new CosmosItemRequestOptions());
        CosmosPatchOperations change = CosmosPatchOperations.create().increment("/number", 40).set("/city", "Paris");
        container.patchItem(one.id(), US, change, new CosmosPatchItemRequestOptions(), Document.class);
        Document read = container.readItem(one.id(), US, Document.class).getItem();
        Conformance.equal(read, new Document(one.id(), "us", "Paris", 42), "the document");
        container.deleteItem(one.id(), US, new CosmosItemRequestOptions());
        fails(404, () -> container.readItem(one.id(), US, Document.class));
    }

    private static void etags() throws Exception {
        CosmosContainer container = container("etags");
        Document one = new Document("1", "us", null, 1);
        String etag = container.createItem(one, US, new CosmosItemRequestOptions()).getETag();
        CosmosItemRequestOptions unchanged = new CosmosItemRequestOptions().setIfMatchETag(etag);
        container.replaceItem(one, "1", US, unchanged);
        fails(412, () -> container.replaceItem(one, "1", US, unchanged));
    }

    private static void queries() {
        CosmosContainer container = container("queries");
        for (int i = 0; i < 25; i++) {
            container.createItem(new Document("" + i, "us", null, i), US, new CosmosItemRequestOptions());
        }
        SqlQuerySpec query = new SqlQuerySpec(
            "SELECT * FROM c WHERE c.number < @below ORDER BY c.number DESC", new SqlParameter("@below", 20));
        List<Integer> found = new ArrayList<>();
        int pages = 0;
        CosmosQueryRequestOptions inUs = new CosmosQueryRequestOptions().setPartitionKey(US);
        for (FeedResponse<Document> page : container.queryItems(query, inUs, Document.class).iterableByPage(8)) {
            page.getResults().forEach(document -> found.add(document.number()));
            pages++;
        }
        Conformance.equal(found, IntStream.range(0, 20).mapToObj(i -> 19 - i).toList(), "what was found");
        Conformance.equal(pages, 3, "the number of pages");
    }

    private static CosmosContainer withCountries(String name) {
        CosmosContainer container = container(name);
        for (String country : COUNTRIES) {
            Document document = new Document("1", country, null, COUNTRIES.indexOf(country));
            container.createItem(document, new PartitionKey(country), new CosmosItemRequestOptions());
        }
        return container;
    }

    private static void acrossPartitions() {
        CosmosContainer container = withCountries("across");
        Conformance.equal(container.getFeedRanges().size(), 2, "the number of partitions");
        CosmosQueryRequestOptions anywhere = new CosmosQueryRequestOptions();
        List<Integer> sorted = container
            .queryItems("SELECT VALUE c.number FROM c ORDER BY c.number", anywhere, Integer.class).stream().toList();
        Conformance.equal(sorted, IntStream.range(0, COUNTRIES.size()).boxed().toList(), "the numbers, sorted");
        List<Integer> count = container
            .queryItems("SELECT VALUE COUNT(1) FROM c", anywhere, Integer.class).stream().toList();
        Conformance.equal(count, List.of(COUNTRIES.size()), "their count");
        List<JsonNode> groups = container
            .queryItems("SELECT c.id, SUM(c.number) AS sum FROM c GROUP BY c.id", anywhere, JsonNode.class).stream().toList();
        Conformance.equal(groups.size(), 1, "the number of groups");
        Conformance.equal(groups.get(0).get("sum").asInt(), 36, "the sum of the group");
    }

    private static void readMany() {
        CosmosContainer container = withCountries("many");
        List<CosmosItemIdentity> wanted = COUNTRIES.stream()
            .map(country -> new CosmosItemIdentity(new PartitionKey(country), "1")).toList();
        Conformance.equal(container.readMany(wanted, Document.class).getResults().size(), COUNTRIES.size(), "what was read");
    }

    private static void batches() throws Exception {
        CosmosContainer container = container("batches");
        CosmosBatch whole = CosmosBatch.createCosmosBatch(US);
        whole.createItemOperation(new Document("1", "us", null, 1));
        whole.upsertItemOperation(new Document("1", "us", null, 5));
        whole.readItemOperation("1");
        CosmosBatchResponse done = container.executeCosmosBatch(whole);
        Conformance.that(done.isSuccessStatusCode(), "the first batch should succeed: " + done.getErrorMessage());
        Conformance.equal(done.getResults().get(2).getItem(Document.class).number(), 5, "what was read in it");
        CosmosBatch broken = CosmosBatch.createCosmosBatch(US);
        broken.createItemOperation(new Document("2", "us", null, 1));
        broken.createItemOperation(new Document("1", "us", null, 1));
        CosmosBatchResponse failed = container.executeCosmosBatch(broken);
        Conformance.that(!failed.isSuccessStatusCode(), "the second batch should fail");
        Conformance.equal(failed.getResults().get(0).getStatusCode(), 424, "the status of its good operation");
        Conformance.equal(failed.getResults().get(1).getStatusCode(), 409, "the status of its bad operation");
        fails(404, () -> container.readItem("2", US, Document.class));
    }

    private static void changeFeed() {
        CosmosContainer container = withCountries("feed");
        List<JsonNode> changed = new ArrayList<>();
        CosmosChangeFeedRequestOptions options =
            CosmosChangeFeedRequestOptions.createForProcessingFromBeginning(FeedRange.forFullRange());
        String continuation = null;
        for (FeedResponse<JsonNode> page : container.queryChangeFeed(options, JsonNode.class).iterableByPage()) {
            changed.addAll(page.getResults());
            continuation = page.getContinuationToken();
        }
        Conformance.equal(changed.size(), COUNTRIES.size(), "the number of changes");
        container.upsertItem(new Document("1", "us", null, 100), US, new CosmosItemRequestOptions());
        List<JsonNode> later = container.queryChangeFeed(
            CosmosChangeFeedRequestOptions.createForProcessingFromContinuation(continuation), JsonNode.class).stream().toList();
        Conformance.equal(later.stream().map(node -> node.get("number").asInt()).toList(), List.of(100), "what changed later");
    }

    private static void throughput() {
        CosmosContainer container = container("throughput");
        Conformance.equal(container.readThroughput().getProperties().getManualThroughput(), 12_000, "the RU/s");
        container.replaceThroughput(ThroughputProperties.createManualThroughput(13_000));
        Conformance.equal(container.readThroughput().getProperties().getManualThroughput(), 13_000, "the RU/s afterwards");
    }

    private static void wrongKey() {
        try (CosmosClient wrong = client("d3Jvbmc=")) {
            wrong.createDatabase("wrong");
        } catch (RuntimeException refused) {
            Conformance.that(refused.getMessage().contains("The wrong key is being used"), "the words of " + refused);
            return;
        }
        throw new AssertionError("it should have been refused");
    }
}
