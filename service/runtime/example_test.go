package runtime_test

import (
	"fmt"
	"log"

	"github.com/micro/micro/v3/service/runtime"
)

func Example() {
	services, err := runtime.Read()
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range services {
		if why := s.Metadata["error"]; why != "" {
			fmt.Printf("%s, release %s, is not well: %s\n", s.Name, s.Metadata["release"], why)
		}
	}
}
