package api_test

import (
	"fmt"

	"github.com/micro/micro/v3/service/api"
)

// What is said of an endpoint is kept in strings, as metadata of its handler.
func Example() {
	md := api.Encode(&api.Endpoint{
		Name:   "Orders.Create",
		Method: []string{"POST"},
		Path:   []string{"/orders"},
	})
	e := api.Decode(md)
	fmt.Println(e.Name, e.Method, e.Path)
	// Output: Orders.Create [POST] [/orders]
}
