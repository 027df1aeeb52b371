package metadata_test

import (
	"context"
	"fmt"

	"github.com/micro/micro/v3/service/context/metadata"
)

func Example() {
	ctx := metadata.Set(context.Background(), "X-Tenant", "acme")
	tenant, ok := metadata.Get(ctx, "x-tenant")
	fmt.Println(tenant, ok)
	// Output: acme true
}
