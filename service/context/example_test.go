package context_test

import (
	"fmt"

	"github.com/micro/micro/v3/service/context"
)

// Calls with the context are made in the namespace "shop".
func ExampleWithNamespace() {
	ctx := context.WithNamespace("shop")
	ns, _ := context.GetMetadata(ctx, "Micro-Namespace")
	fmt.Println(ns)
	// Output: shop
}
