import com.azure.core.amqp.AmqpRetryOptions;
import com.azure.core.amqp.exception.AmqpErrorCondition;
import com.azure.core.amqp.exception.AmqpException;
import com.azure.messaging.eventhubs.EventData;
import com.azure.messaging.eventhubs.EventDataBatch;
import com.azure.messaging.eventhubs.EventHubClientBuilder;
import com.azure.messaging.eventhubs.EventHubConsumerAsyncClient;
import com.azure.messaging.eventhubs.EventHubConsumerClient;
import com.azure.messaging.eventhubs.EventHubProducerClient;
import com.azure.messaging.eventhubs.EventHubProperties;
import com.azure.messaging.eventhubs.EventProcessorClient;
import com.azure.messaging.eventhubs.EventProcessorClientBuilder;
import com.azure.messaging.eventhubs.LoadBalancingStrategy;
import com.azure.messaging.eventhubs.PartitionProperties;
import com.azure.messaging.eventhubs.checkpointstore.blob.BlobCheckpointStore;
import com.azure.messaging.eventhubs.models.CreateBatchOptions;
import com.azure.messaging.eventhubs.models.EventPosition;
import com.azure.messaging.eventhubs.models.PartitionEvent;
import com.azure.messaging.eventhubs.models.ReceiveOptions;
import com.azure.storage.blob.BlobContainerAsyncClient;
import com.azure.storage.blob.BlobContainerClientBuilder;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** The checks of Event Hubs. This client takes no port from a connection string, hence the custom endpoint. */
final class EventHubs {
    private static final String SUITE = "java event hubs";
    private static final Duration PATIENCE = Duration.ofSeconds(40);
    private static final int PARTITIONS = 10;

    static final List<Conformance.Check> CHECKS = List.of(
        new Conformance.Check(SUITE, "a batch arrives in order, with what its events carry", EventHubs::batches),
        new Conformance.Check(SUITE, "events of one key share a partition", EventHubs::keys),
        new Conformance.Check(SUITE, "receiving starts where it is told", EventHubs::positions),
        new Conformance.Check(SUITE, "a higher owner level takes the partition over", EventHubs::ownerLevels),
        new Conformance.Check(SUITE, "a wrong key and a right that is not there are refused", EventHubs::refusals),
        new Conformance.Check(SUITE, "a hub and its partitions have properties", EventHubs::properties),
        new Conformance.Check(SUITE, "a processor goes on from the checkpoints of another", EventHubs::processors));

    private EventHubs() {}

    private static String endpoint() {
        return "https://localhost:" + Conformance.SECURE.at("/event_hubs/tls_ports/0").asInt();
    }

    private static String connection(String policy, String hub) {
        String given = Conformance.SECURE.at("/event_hubs/connection_strings/" + policy).asText();
        String kept = List.of(given.split(";")).stream()
            .filter(part -> part.startsWith("SharedAccessKey"))
            .collect(Collectors.joining(";"));
        return "Endpoint=sb://localhost/;" + kept + ";EntityPath=" + hub;
    }

    private static EventHubClientBuilder client(String connection) {
        return new EventHubClientBuilder()
            .connectionString(connection)
            .customEndpointAddress(endpoint())
            .consumerGroup(EventHubClientBuilder.DEFAULT_CONSUMER_GROUP_NAME)
            .retryOptions(new AmqpRetryOptions().setMaxRetries(0).setTryTimeout(PATIENCE));
    }

    private static void send(String connection, CreateBatchOptions where, EventData... events) {
        try (EventHubProducerClient producer = client(connection).buildProducerClient()) {
            EventDataBatch batch = producer.createBatch(where);
            for (EventData event : events) {
                Conformance.that(batch.tryAdd(event), "the batch should have room");
            }
            producer.send(batch);
        }
    }

    private static CreateBatchOptions partition(String id) {
        return new CreateBatchOptions().setPartitionId(id);
    }

    private static List<EventData> receive(String hub, String partition, EventPosition from, int count) {
        try (EventHubConsumerClient consumer = client(connection("Listener", hub)).buildConsumerClient()) {
            List<EventData> events = new ArrayList<>();
            for (PartitionEvent event : consumer.receiveFromPartition(partition, count, from, PATIENCE)) {
                events.add(event.getData());
            }
            return events;
        }
    }

    private static List<String> bodies(List<EventData> events) {
        return events.stream().map(EventData::getBodyAsString).toList();
    }

    private static void batches() {
        String hub = "java-batches";
        EventData rich = new EventData("first").setContentType("text/plain").setCorrelationId("correlated").setMessageId("1");
        rich.getProperties().putAll(Map.of("text", "täxt", "number", 7L, "flag", true));
        send(connection("Sender", hub), partition("3"), rich, new EventData("second"), new EventData("third"));
        List<EventData> events = receive(hub, "3", EventPosition.earliest(), 3);
        EventData got = events.get(0);
        Conformance.equal(bodies(events), List.of("first", "second", "third"), "what came");
        Conformance.equal(got.getContentType(), "text/plain", "the content type");
        Conformance.equal(got.getCorrelationId(), "correlated", "the correlation id");
        Conformance.equal(got.getMessageId(), "1", "the message id");
        Conformance.equal(got.getProperties(), rich.getProperties(), "the properties");
        Conformance.equal(events.get(2).getSequenceNumber(), 2L, "the last sequence number");
        Conformance.that(got.getEnqueuedTime() != null, "it should say when it was enqueued");
    }

    private static void keys() {
        String hub = "java-keys";
        // `us` belongs to partition 1 of 10.
        CreateBatchOptions key = new CreateBatchOptions().setPartitionKey("us");
        send(connection("Sender", hub), key, new EventData("one"));
        send(connection("Sender", hub), key, new EventData("two"));
        List<EventData> events = receive(hub, "1", EventPosition.earliest(), 2);
        Conformance.equal(bodies(events), List.of("one", "two"), "what came");
        Conformance.equal(events.get(1).getPartitionKey(), "us", "the key");
    }

    private static void positions() {
        String hub = "java-positions";
        for (int i = 0; i < 4; i++) {
            send(connection("Sender", hub), partition("2"), new EventData("" + i));
        }
        List<EventData> all = receive(hub, "2", EventPosition.earliest(), 4);
        Map<EventPosition, List<String>> expected = Map.of(
            EventPosition.fromSequenceNumber(1, true), List.of("1", "2", "3"),
            EventPosition.fromOffsetString(all.get(1).getOffsetString()), List.of("2", "3"),
            EventPosition.fromSequenceNumber(2), List.of("3"),
            EventPosition.fromEnqueuedTime(all.get(0).getEnqueuedTime().minusSeconds(60)), List.of("0", "1"));
        expected.forEach((from, bodies) ->
            Conformance.equal(bodies(receive(hub, "2", from, bodies.size())), bodies, "what came from " + from));
    }

    private static void ownerLevels() throws Exception {
        String hub = "java-levels";
        send(connection("Sender", hub), partition("0"), new EventData("for both"));
        CompletableFuture<Throwable> lost = new CompletableFuture<>();
        try (EventHubConsumerAsyncClient low = client(connection("Listener", hub)).buildAsyncConsumerClient();
                EventHubConsumerAsyncClient high = client(connection("Listener", hub)).buildAsyncConsumerClient()) {
            receiveAsOwner(low, 0, lost);
            receiveAsOwner(high, 1, new CompletableFuture<>());
            Throwable error = lost.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
            AmqpErrorCondition condition = error instanceof AmqpException failed ? failed.getErrorCondition() : null;
            Conformance.equal(condition, AmqpErrorCondition.LINK_STOLEN, "the condition of " + error);
        }
    }

    /** Returns once an event has come; what ends the receiving later goes into {@code failure}. */
    private static void receiveAsOwner(EventHubConsumerAsyncClient client, long level, CompletableFuture<Throwable> failure)
            throws InterruptedException {
        BlockingQueue<String> came = new LinkedBlockingQueue<>();
        client.receiveFromPartition("0", EventPosition.earliest(), new ReceiveOptions().setOwnerLevel(level))
            .subscribe(event -> came.add(event.getData().getBodyAsString()), failure::complete);
        Conformance.equal(came.poll(PATIENCE.toSeconds(), TimeUnit.SECONDS), "for both", "what came");
    }

    private static void refusals() {
        String hub = "java-refusals";
        String wrong = connection("Sender", hub).replaceAll("SharedAccessKey=[^;]*", "SharedAccessKey=d3Jvbmc=");
        for (String connection : List.of(wrong, connection("Listener", hub))) {
            try {
                send(connection, new CreateBatchOptions(), new EventData("x"));
            } catch (AmqpException refused) {
                Conformance.equal(refused.getErrorCondition(), AmqpErrorCondition.UNAUTHORIZED_ACCESS, "the condition");
                continue;
            }
            throw new AssertionError("it should have been refused");
        }
    }

    private static void properties() {
        String hub = "java-properties";
        send(connection("Sender", hub), partition("9"), new EventData("one"), new EventData("two"));
        try (EventHubConsumerClient consumer = client(connection("Listener", hub)).buildConsumerClient()) {
            EventHubProperties all = consumer.getEventHubProperties();
            PartitionProperties one = consumer.getPartitionProperties("9");
            Conformance.equal(all.getName(), hub, "the name");
            Conformance.equal((int) all.getPartitionIds().stream().count(), PARTITIONS, "the number of partitions");
            Conformance.equal(one.getLastEnqueuedSequenceNumber(), 1L, "the last sequence number");
            Conformance.equal(one.isEmpty(), false, "whether it is empty");
        }
    }

    private static void processors() throws Exception {
        String hub = "java-processor";
        BlobContainerAsyncClient blobs = new BlobContainerClientBuilder()
            .connectionString(System.getenv("AZURITE")).containerName(hub).buildAsyncClient();
        blobs.create().block(PATIENCE);
        for (String generation : List.of("early", "late")) {
            TreeSet<String> sent = new TreeSet<>();
            for (int id = 0; id < PARTITIONS; id++) {
                sent.add(generation + " " + id);
                send(connection("Sender", hub), partition("" + id), new EventData(generation + " " + id));
            }
            Conformance.equal(process(hub, blobs), sent, "what the processor was given");
        }
    }

    /** The first events that a new processor is given, one for each partition; each is its partition's checkpoint. */
    private static TreeSet<String> process(String hub, BlobContainerAsyncClient blobs) throws InterruptedException {
        BlockingQueue<String> came = new LinkedBlockingQueue<>();
        Map<String, EventPosition> earliest = IntStream.range(0, PARTITIONS).boxed()
            .collect(Collectors.toMap(String::valueOf, id -> EventPosition.earliest()));
        EventProcessorClient processor = new EventProcessorClientBuilder()
            .connectionString(connection("Listener", hub))
            .customEndpointAddress(endpoint())
            .consumerGroup(EventHubClientBuilder.DEFAULT_CONSUMER_GROUP_NAME)
            .checkpointStore(new BlobCheckpointStore(blobs))
            .loadBalancingStrategy(LoadBalancingStrategy.GREEDY)
            .loadBalancingUpdateInterval(Duration.ofMillis(500))
            .initialPartitionEventPosition(earliest)
            .processEvent(context -> {
                context.updateCheckpoint();
                came.add(context.getEventData().getBodyAsString());
            })
            .processError(context -> came.add("error: " + context.getThrowable()))
            .buildEventProcessorClient();
        processor.start();
        TreeSet<String> given = new TreeSet<>();
        try {
            for (int i = 0; i < PARTITIONS; i++) {
                given.add(came.poll(PATIENCE.toSeconds(), TimeUnit.SECONDS));
            }
        } finally {
            processor.stop();
        }
        return given;
    }
}
