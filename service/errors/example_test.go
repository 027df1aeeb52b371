package errors_test

import (
	"fmt"

	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/service/errors"
)

// What a handler returns reaches its callers as what it is.
func Example() {
	err := errors.NotFound("accounts", "there is no account %q", "bob")
	fmt.Println(status.Code(err))
	if e := errors.FromError(err); e.Code == 404 {
		fmt.Println(e.Detail)
	}
	// Output:
	// NotFound
	// there is no account "bob"
}
