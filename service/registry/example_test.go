package registry_test

import (
	"context"
	"fmt"
	"log"

	"github.com/micro/micro/v3/service/registry"
)

func Example() {
	services, err := registry.ListServices()
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range services {
		fmt.Printf("%s %s has %d instances\n", s.Name, s.Version, len(s.Nodes))
		for _, e := range s.Endpoints {
			fmt.Println("  ", e.Name, e.Metadata["comment"])
		}
	}
}

// What changes is told for as long as somebody listens.
func ExampleClient_Watch() {
	c, err := registry.Default()
	if err != nil {
		log.Fatal(err)
	}
	for change, err := range c.Watch(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(change.Name, "runs in", len(change.Services), "versions")
	}
}
