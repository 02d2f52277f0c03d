package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2/checkpoints"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

const group = azeventhubs.DefaultConsumerGroup

var (
	eventHubs = []check{
		{"go event hubs", "a batch arrives in order, with what its events carry", batches},
		{"go event hubs", "events of one key share a partition", keys},
		{"go event hubs", "receiving starts where it is told", positions},
		{"go event hubs", "a higher owner level takes the partition over", ownerLevels},
		{"go event hubs", "a wrong key and a right that is not there are refused", refusals},
		{"go event hubs", "a hub and its partitions have properties", properties},
		{"go event hubs", "TLS is spoken with the certificate that is written", overTLS},
		{"go event hubs", "a processor goes on from the checkpoints of another", processors},
	}
	noRetries = azeventhubs.RetryOptions{MaxRetries: -1}
	earliest  = azeventhubs.StartPosition{Earliest: to.Ptr(true)}
)

// A policy's connection string for a hub; changes are parts that are put in, or left out where they are empty.
func connection(of emulator, policy, hub string, changes map[string]string) string {
	parts := map[string]string{}
	for _, part := range strings.Split(of.EventHubs.ConnectionStrings[policy], ";") {
		name, value, _ := strings.Cut(part, "=")
		parts[name] = value
	}
	parts["EntityPath"] = hub
	for name, value := range changes {
		parts[name] = value
	}
	var text []string
	for _, name := range []string{"Endpoint", "SharedAccessKeyName", "SharedAccessKey", "EntityPath", "UseDevelopmentEmulator"} {
		if parts[name] != "" {
			text = append(text, name+"="+parts[name])
		}
	}
	return strings.Join(text, ";")
}

// Where the emulator listens for TLS, for a connection string that means TLS.
func customEndpoint(text string) string {
	if strings.Contains(text, "UseDevelopmentEmulator") {
		return ""
	}
	return fmt.Sprintf("localhost:%d", secure.EventHubs.TLSPorts[0])
}

func sender(hub string) string   { return connection(plain, "Sender", hub, nil) }
func listener(hub string) string { return connection(plain, "Listener", hub, nil) }

func event(body string) *azeventhubs.EventData { return &azeventhubs.EventData{Body: []byte(body)} }

// Sends events as one batch.
func send(ctx context.Context, text string, to *azeventhubs.EventDataBatchOptions, events ...*azeventhubs.EventData) error {
	client, err := azeventhubs.NewProducerClientFromConnectionString(text, "", &azeventhubs.ProducerClientOptions{
		RetryOptions: noRetries, CustomEndpoint: customEndpoint(text),
	})
	if err != nil {
		return err
	}
	defer client.Close(ctx)
	batch, err := client.NewEventDataBatch(ctx, to)
	if err != nil {
		return err
	}
	for _, event := range events {
		if err := batch.AddEventData(event, nil); err != nil {
			return err
		}
	}
	return client.SendEventDataBatch(ctx, batch, nil)
}

func partition(id string) *azeventhubs.EventDataBatchOptions {
	return &azeventhubs.EventDataBatchOptions{PartitionID: &id}
}

func consumer(text string) (*azeventhubs.ConsumerClient, error) {
	return azeventhubs.NewConsumerClientFromConnectionString(text, "", group, &azeventhubs.ConsumerClientOptions{
		RetryOptions: noRetries, CustomEndpoint: customEndpoint(text),
	})
}

// So many events of a partition, from a position on.
func receive(ctx context.Context, text, id string, from azeventhubs.StartPosition, count int) ([]*azeventhubs.ReceivedEventData, error) {
	client, err := consumer(text)
	if err != nil {
		return nil, err
	}
	defer client.Close(ctx)
	receiver, err := client.NewPartitionClient(id, &azeventhubs.PartitionClientOptions{StartPosition: from})
	if err != nil {
		return nil, err
	}
	defer receiver.Close(ctx)
	return receiver.ReceiveEvents(ctx, count, nil)
}

func bodies(events []*azeventhubs.ReceivedEventData) []string {
	var texts []string
	for _, event := range events {
		texts = append(texts, string(event.Body))
	}
	return texts
}

func batches(ctx context.Context) error {
	const hub = "go-batches"
	rich := &azeventhubs.EventData{
		Body:          []byte("first"),
		ContentType:   to.Ptr("text/plain"),
		CorrelationID: "correlated",
		MessageID:     to.Ptr("message 1"),
		Properties:    map[string]any{"text": "täxt", "number": int64(7), "flag": true},
	}
	if err := send(ctx, sender(hub), partition("3"), rich, event("second"), event("third")); err != nil {
		return err
	}
	events, err := receive(ctx, listener(hub), "3", earliest, 3)
	if err != nil {
		return err
	}
	got := events[0]
	return first(
		equal(bodies(events), []string{"first", "second", "third"}, "what came"),
		equal(*got.ContentType, "text/plain", "the content type"),
		equal(got.CorrelationID, any("correlated"), "the correlation id"),
		equal(*got.MessageID, "message 1", "the message id"),
		equal(got.Properties, rich.Properties, "the properties"),
		equal(events[2].SequenceNumber, 2, "the last sequence number"),
		equal(time.Since(*got.EnqueuedTime).Abs() < time.Minute, true, "that it was enqueued just now"),
	)
}

func keys(ctx context.Context) error {
	const hub = "go-keys"
	// `us` belongs to partition 1 of 10.
	for _, body := range []string{"one", "two"} {
		if err := send(ctx, sender(hub), &azeventhubs.EventDataBatchOptions{PartitionKey: to.Ptr("us")}, event(body)); err != nil {
			return err
		}
	}
	events, err := receive(ctx, listener(hub), "1", earliest, 2)
	if err != nil {
		return err
	}
	return first(equal(bodies(events), []string{"one", "two"}, "what came"), equal(*events[1].PartitionKey, "us", "the key"))
}

func positions(ctx context.Context) error {
	const hub = "go-positions"
	for _, body := range []string{"0", "1", "2", "3"} {
		if err := send(ctx, sender(hub), partition("2"), event(body)); err != nil {
			return err
		}
	}
	all, err := receive(ctx, listener(hub), "2", earliest, 4)
	if err != nil {
		return err
	}
	for expected, from := range map[string]azeventhubs.StartPosition{
		"1 2 3": {SequenceNumber: to.Ptr(int64(1)), Inclusive: true},
		"2 3":   {Offset: &all[1].Offset},
		"3":     {SequenceNumber: to.Ptr(int64(2))},
		"0 1":   {EnqueuedTime: to.Ptr(time.Now().Add(-time.Hour))},
	} {
		events, err := receive(ctx, listener(hub), "2", from, len(strings.Fields(expected)))
		if err := first(err, equal(strings.Join(bodies(events), " "), expected, "what came from a position")); err != nil {
			return err
		}
	}
	return nil
}

func ownerLevels(ctx context.Context) error {
	const hub = "go-levels"
	if err := send(ctx, sender(hub), partition("0"), event("for both")); err != nil {
		return err
	}
	client, err := consumer(listener(hub))
	if err != nil {
		return err
	}
	defer client.Close(ctx)
	var readers []*azeventhubs.PartitionClient
	for level := range int64(2) {
		reader, err := client.NewPartitionClient("0", &azeventhubs.PartitionClientOptions{StartPosition: earliest, OwnerLevel: &level})
		if err != nil {
			return err
		}
		events, err := reader.ReceiveEvents(ctx, 1, nil)
		if err := first(err, equal(bodies(events), []string{"for both"}, "what came")); err != nil {
			return err
		}
		readers = append(readers, reader)
	}
	_, err = readers[0].ReceiveEvents(ctx, 1, nil)
	return hasCode(err, azeventhubs.ErrorCodeOwnershipLost)
}

func hasCode(err error, code azeventhubs.ErrorCode) error {
	var failed *azeventhubs.Error
	if !errors.As(err, &failed) {
		return fmt.Errorf("it should have failed with the code %s: %v", code, err)
	}
	return equal(failed.Code, code, "the code")
}

func refusals(ctx context.Context) error {
	const hub = "go-refusals"
	wrong := connection(plain, "Sender", hub, map[string]string{"SharedAccessKey": "d3Jvbmc="})
	return first(
		hasCode(send(ctx, wrong, nil, event("x")), azeventhubs.ErrorCodeUnauthorizedAccess),
		hasCode(send(ctx, listener(hub), nil, event("x")), azeventhubs.ErrorCodeUnauthorizedAccess),
	)
}

func properties(ctx context.Context) error {
	const hub = "go-properties"
	if err := send(ctx, sender(hub), partition("9"), event("one"), event("two")); err != nil {
		return err
	}
	client, err := consumer(listener(hub))
	if err != nil {
		return err
	}
	defer client.Close(ctx)
	all, err := client.GetEventHubProperties(ctx, nil)
	if err != nil {
		return err
	}
	one, err := client.GetPartitionProperties(ctx, "9", nil)
	return first(
		err,
		equal(all.Name, hub, "the name"),
		equal(len(all.PartitionIDs), 10, "the number of partitions"),
		equal(one.LastEnqueuedSequenceNumber, 1, "the last sequence number"),
		equal(one.IsEmpty, false, "whether it is empty"),
	)
}

func overTLS(ctx context.Context) error {
	const hub = "go-tls"
	// This client would put a port into the name that it has the certificate checked for.
	text := connection(secure, "RootManageSharedAccessKey", hub, map[string]string{"Endpoint": "sb://localhost/", "UseDevelopmentEmulator": ""})
	if err := send(ctx, text, partition("0"), event("encrypted")); err != nil {
		return err
	}
	events, err := receive(ctx, text, "0", earliest, 1)
	return first(err, equal(bodies(events), []string{"encrypted"}, "what came"))
}

func processors(ctx context.Context) error {
	const hub = "go-processor"
	const partitions = 10
	blobs, err := container.NewClientFromConnectionString(os.Getenv("AZURITE"), hub, nil)
	if err != nil {
		return err
	}
	if _, err := blobs.Create(ctx, nil); err != nil {
		return err
	}
	store, err := checkpoints.NewBlobStore(blobs, nil)
	if err != nil {
		return err
	}
	for _, generation := range []string{"early", "late"} {
		var sent []string
		for id := range partitions {
			body := fmt.Sprintf("%s %d", generation, id)
			if err := send(ctx, sender(hub), partition(fmt.Sprint(id)), event(body)); err != nil {
				return err
			}
			sent = append(sent, body)
		}
		processed, err := process(ctx, hub, store, partitions)
		if err := first(err, equal(processed, sent, "what the processor was given")); err != nil {
			return err
		}
	}
	return nil
}

// What a new processor is given until it has so many events, sorted; each of them is its partition's checkpoint.
func process(ctx context.Context, hub string, store azeventhubs.CheckpointStore, count int) ([]string, error) {
	client, err := consumer(listener(hub))
	if err != nil {
		return nil, err
	}
	defer client.Close(ctx)
	processor, err := azeventhubs.NewProcessor(client, store, &azeventhubs.ProcessorOptions{
		LoadBalancingStrategy: azeventhubs.ProcessorStrategyGreedy,
		UpdateInterval:        500 * time.Millisecond,
		// Where it is stopped while it renews an ownership, this client does not give it back.
		PartitionExpirationDuration: 3 * time.Second,
		StartPositions:              azeventhubs.StartPositions{Default: earliest},
	})
	if err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	var readers sync.WaitGroup
	var reading sync.Mutex
	var given []string
	var failed error
	read := func(reader *azeventhubs.ProcessorPartitionClient) {
		for running.Err() == nil {
			events, err := reader.ReceiveEvents(running, 1, nil)
			if err == nil {
				err = reader.UpdateCheckpoint(ctx, events[0], nil)
			}
			reading.Lock()
			given = append(given, bodies(events)...)
			if err != nil && running.Err() == nil {
				failed = err
			}
			if err != nil || len(given) >= count {
				stop()
			}
			reading.Unlock()
		}
	}
	readers.Go(func() {
		for reader := processor.NextPartitionClient(running); reader != nil; reader = processor.NextPartitionClient(running) {
			readers.Go(func() { read(reader) })
		}
	})
	err = processor.Run(running)
	readers.Wait()
	sort.Strings(given)
	return given, first(failed, err, ctx.Err())
}
