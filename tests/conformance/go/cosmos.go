package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"
)

const database = "conformance-go"

var cosmos = []check{
	{"go cosmos", "a document is created, read, replaced, patched and deleted", documents},
	{"go cosmos", "a condition on the etag holds off a stale writer", etags},
	{"go cosmos", "a query takes parameters and gives pages", queries},
	{"go cosmos", "a query crosses partitions", acrossPartitions},
	{"go cosmos", "a batch succeeds or fails as a whole", wholeBatches},
	{"go cosmos", "a hierarchical partition key is queried by its beginning", hierarchicalKeys},
	{"go cosmos", "throughput is read and replaced", throughput},
	{"go cosmos", "a wrong key is refused", wrongKey},
}

type document struct {
	ID      string `json:"id"`
	Country string `json:"country"`
	City    string `json:"city,omitempty"`
	Number  int    `json:"number"`
}

func account(key string) (*azcosmos.Client, error) {
	credential, err := azcosmos.NewKeyCredential(key)
	if err != nil {
		return nil, err
	}
	options := azcosmos.ClientOptions{ClientOptions: azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}}}
	return azcosmos.NewClientWithKey(secure.CosmosDB.Endpoint, credential, &options)
}

var madeDatabase = sync.OnceValues(func() (*azcosmos.DatabaseClient, error) {
	client, err := account(secure.CosmosDB.Key)
	if err != nil {
		return nil, err
	}
	if _, err := client.CreateDatabase(context.Background(), azcosmos.DatabaseProperties{ID: database}, nil); err != nil {
		return nil, err
	}
	return client.NewDatabase(database)
})

// A new container of 12,000 RU/s, which has two partitions, by /country where no other paths are given.
func newContainer(ctx context.Context, name string, paths ...string) (*azcosmos.ContainerClient, error) {
	parent, err := madeDatabase()
	if err != nil {
		return nil, err
	}
	key := azcosmos.PartitionKeyDefinition{Paths: []string{"/country"}}
	if len(paths) > 0 {
		key = azcosmos.PartitionKeyDefinition{Kind: azcosmos.PartitionKeyKindMultiHash, Paths: paths, Version: 2}
	}
	rate := azcosmos.NewManualThroughputProperties(12_000)
	properties := azcosmos.ContainerProperties{ID: name, PartitionKeyDefinition: key}
	if _, err := parent.CreateContainer(ctx, properties, &azcosmos.CreateContainerOptions{ThroughputProperties: &rate}); err != nil {
		return nil, err
	}
	return parent.NewContainer(name)
}

func in(country string) azcosmos.PartitionKey { return azcosmos.NewPartitionKeyString(country) }

func encoded(item document) []byte {
	text, _ := json.Marshal(item) // cannot fail: strings and a number
	return text
}

func fails(err error, status int) error {
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) {
		return fmt.Errorf("it should have failed with status %d: %v", status, err)
	}
	return equal(answer.StatusCode, status, "the status")
}

func documents(ctx context.Context) error {
	container, err := newContainer(ctx, "documents")
	if err != nil {
		return err
	}
	item := document{ID: "täxt 1", Country: "us", Number: 1}
	created, err := container.CreateItem(ctx, in("us"), encoded(item), nil)
	if err != nil {
		return err
	}
	_, again := container.CreateItem(ctx, in("us"), encoded(item), nil)
	item.Number = 2
	if _, err := container.ReplaceItem(ctx, in("us"), item.ID, encoded(item), nil); err != nil {
		return err
	}
	var change azcosmos.PatchOperations
	change.AppendIncrement("/number", 40)
	change.AppendSet("/city", "Paris")
	if _, err := container.PatchItem(ctx, in("us"), item.ID, change, nil); err != nil {
		return err
	}
	read, err := container.ReadItem(ctx, in("us"), item.ID, nil)
	if err != nil {
		return err
	}
	var got document
	if err := json.Unmarshal(read.Value, &got); err != nil {
		return err
	}
	_, err = container.DeleteItem(ctx, in("us"), item.ID, nil)
	_, gone := container.ReadItem(ctx, in("us"), item.ID, nil)
	return first(
		err,
		fails(again, http.StatusConflict),
		equal(got, document{ID: item.ID, Country: "us", City: "Paris", Number: 42}, "the document"),
		equal(created.RequestCharge > 1, true, "that creating was charged"),
		equal(created.SessionToken != nil, true, "that there is a session token"),
		fails(gone, http.StatusNotFound),
	)
}

func etags(ctx context.Context) error {
	container, err := newContainer(ctx, "etags")
	if err != nil {
		return err
	}
	item := document{ID: "1", Country: "us"}
	created, err := container.CreateItem(ctx, in("us"), encoded(item), nil)
	if err != nil {
		return err
	}
	condition := azcosmos.ItemOptions{IfMatchEtag: &created.ETag}
	_, err = container.ReplaceItem(ctx, in("us"), "1", encoded(item), &condition)
	_, stale := container.ReplaceItem(ctx, in("us"), "1", encoded(item), &condition)
	return first(err, fails(stale, http.StatusPreconditionFailed))
}

// The numbers of what a query gives, and of how many pages.
func numbers(ctx context.Context, container *azcosmos.ContainerClient, query string, key azcosmos.PartitionKey, options azcosmos.QueryOptions) (found []int, pages int, err error) {
	pager := container.NewQueryItemsPager(query, key, &options)
	for pager.More() {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return nil, pages, err
		}
		pages++
		for _, text := range page.Items {
			var item document
			if err := json.Unmarshal(text, &item); err != nil {
				return nil, pages, err
			}
			found = append(found, item.Number)
		}
	}
	return found, pages, nil
}

func queries(ctx context.Context) error {
	container, err := newContainer(ctx, "queries")
	if err != nil {
		return err
	}
	for number := range 25 {
		item := document{ID: fmt.Sprint(number), Country: "us", Number: number}
		if _, err := container.CreateItem(ctx, in("us"), encoded(item), nil); err != nil {
			return err
		}
	}
	found, pages, err := numbers(ctx, container, "SELECT * FROM c WHERE c.number < @below ORDER BY c.number DESC", in("us"), azcosmos.QueryOptions{
		PageSizeHint:    8,
		QueryParameters: []azcosmos.QueryParameter{{Name: "@below", Value: 20}},
	})
	return first(
		err,
		equal(found, []int{19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, "what was found"),
		equal(pages, 3, "the number of pages"),
	)
}

func acrossPartitions(ctx context.Context) error {
	container, err := newContainer(ctx, "across")
	if err != nil {
		return err
	}
	sum := 0
	for number, country := range []string{"us", "gb", "ca", "fr", "de", "br", "in", "jp", "unk"} {
		item := document{ID: "1", Country: country, Number: number}
		if _, err := container.CreateItem(ctx, in(country), encoded(item), nil); err != nil {
			return err
		}
		sum += number
	}
	found, _, err := numbers(ctx, container, "SELECT * FROM c WHERE c.id = '1'", azcosmos.NewPartitionKey(), azcosmos.QueryOptions{})
	for _, number := range found {
		sum -= number
	}
	return first(err, equal(len(found), 9, "the number of documents"), equal(sum, 0, "what is missing of their sum"))
}

func wholeBatches(ctx context.Context) error {
	container, err := newContainer(ctx, "batches")
	if err != nil {
		return err
	}
	batch := container.NewTransactionalBatch(in("us"))
	batch.CreateItem(encoded(document{ID: "1", Country: "us"}), nil)
	batch.UpsertItem(encoded(document{ID: "1", Country: "us", Number: 5}), nil)
	batch.ReadItem("1", nil)
	whole, err := container.ExecuteTransactionalBatch(ctx, batch, nil)
	if err != nil {
		return err
	}
	var read document
	if err := json.Unmarshal(whole.OperationResults[2].ResourceBody, &read); err != nil {
		return err
	}
	batch = container.NewTransactionalBatch(in("us"))
	batch.CreateItem(encoded(document{ID: "2", Country: "us"}), nil)
	batch.CreateItem(encoded(document{ID: "1", Country: "us"}), nil)
	broken, err := container.ExecuteTransactionalBatch(ctx, batch, nil)
	if err != nil {
		return err
	}
	_, missing := container.ReadItem(ctx, in("us"), "2", nil)
	return first(
		equal(whole.Success, true, "whether the first succeeded"),
		equal(read.Number, 5, "what was read in it"),
		equal(broken.Success, false, "whether the second succeeded"),
		equal(broken.OperationResults[0].StatusCode, http.StatusFailedDependency, "the status of its good operation"),
		equal(broken.OperationResults[1].StatusCode, http.StatusConflict, "the status of its bad operation"),
		fails(missing, http.StatusNotFound),
	)
}

func hierarchicalKeys(ctx context.Context) error {
	container, err := newContainer(ctx, "hierarchical", "/country", "/city")
	if err != nil {
		return err
	}
	for number, city := range []string{"Paris", "Lyon", "Nice"} {
		item := document{ID: "1", Country: "fr", City: city, Number: number}
		if _, err := container.CreateItem(ctx, in("fr").AppendString(city), encoded(item), nil); err != nil {
			return err
		}
	}
	one, err := container.ReadItem(ctx, in("fr").AppendString("Lyon"), "1", nil)
	if err != nil {
		return err
	}
	var read document
	if err := json.Unmarshal(one.Value, &read); err != nil {
		return err
	}
	found, _, err := numbers(ctx, container, "SELECT * FROM c", in("fr"), azcosmos.QueryOptions{})
	return first(err, equal(read.Number, 1, "what was read"), equal(len(found), 3, "the number of documents"))
}

func throughput(ctx context.Context) error {
	container, err := newContainer(ctx, "throughput")
	if err != nil {
		return err
	}
	before, err := container.ReadThroughput(ctx, nil)
	if err != nil {
		return err
	}
	rate, _ := before.ThroughputProperties.ManualThroughput()
	if _, err := container.ReplaceThroughput(ctx, azcosmos.NewManualThroughputProperties(13_000), nil); err != nil {
		return err
	}
	after, err := container.ReadThroughput(ctx, nil)
	if err != nil {
		return err
	}
	replaced, _ := after.ThroughputProperties.ManualThroughput()
	return first(equal(rate, 12_000, "the RU/s"), equal(replaced, 13_000, "the RU/s afterwards"))
}

func wrongKey(ctx context.Context) error {
	client, err := account("d3Jvbmc=")
	if err != nil {
		return err
	}
	_, err = client.CreateDatabase(ctx, azcosmos.DatabaseProperties{ID: "wrong"}, nil)
	if err == nil || !strings.Contains(err.Error(), "The wrong key is being used") {
		return fmt.Errorf("it should have been refused: %v", err)
	}
	return nil
}
