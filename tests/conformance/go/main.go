// Holds the local services against Azure's clients for Go: azeventhubs with its checkpoints in Azurite, and azcosmos over
// HTTPS. ../run starts it; like the other scripts it prints a line for each check, and its exit code says whether all held.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"
)

const (
	// Bounds what hangs.
	timeLimit = 90 * time.Second
	// The exit code when a check failed, told apart from what ends a program otherwise.
	someFailed = 3
)

type check struct {
	suite, name string
	run         func(context.Context) error
}

// The `ready` line of an emulator that ../run has started.
type emulator struct {
	EventHubs struct {
		TLSPorts          []int             `json:"tls_ports"`
		ConnectionStrings map[string]string `json:"connection_strings"`
	} `json:"event_hubs"`
	CosmosDB struct {
		Endpoint, Key string
	} `json:"cosmos_db"`
}

func started(name string) emulator {
	var line emulator
	if err := json.Unmarshal([]byte(os.Getenv("TXGEN_"+name)), &line); err != nil {
		fmt.Fprintf(os.Stderr, "the environment has no TXGEN_%s as ../run sets it: %v\n", name, err)
		os.Exit(1)
	}
	return line
}

var (
	plain  = started("MAIN")
	secure = started("SECURE")
)

func main() {
	only := ""
	if len(os.Args) > 1 {
		only = os.Args[1]
	}
	var running sync.WaitGroup
	var printing sync.Mutex
	code := 0
	// Each check has a hub or a container of its own.
	for _, one := range append(eventHubs, cosmos...) {
		if !strings.Contains(one.name, only) {
			continue
		}
		running.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), timeLimit)
			defer cancel()
			begin := time.Now()
			err := one.run(ctx)
			printing.Lock()
			defer printing.Unlock()
			if err != nil {
				code = someFailed
				fmt.Printf("FAIL %s: %s: %s\n", one.suite, one.name, strings.Join(strings.Fields(err.Error()), " "))
				return
			}
			fmt.Printf("ok   %s: %s (%.2f s)\n", one.suite, one.name, time.Since(begin).Seconds())
		})
	}
	running.Wait()
	os.Exit(code)
}

func equal[T any](actual, expected T, what string) error {
	if reflect.DeepEqual(actual, expected) {
		return nil
	}
	return fmt.Errorf("%s is %v, and should be %v", what, actual, expected)
}

// The first of these that is an error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
