package auth_test

import (
	"context"
	"fmt"

	"github.com/micro/micro/v3/service/auth"
	"github.com/micro/micro/v3/service/errors"
)

// A handler does what it does for somebody.
func ExampleAccountFromContext() {
	buy := func(ctx context.Context) error {
		account, ok := auth.AccountFromContext(ctx)
		if !ok {
			return errors.Unauthorized("shop", "log in to buy something")
		}
		fmt.Println(account.ID, "buys something")
		return nil
	}
	ctx := auth.ContextWithAccount(context.Background(), &auth.Account{ID: "alice"})
	if err := buy(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println(errors.FromError(buy(context.Background())).Detail)
	// Output:
	// alice buys something
	// log in to buy something
}
