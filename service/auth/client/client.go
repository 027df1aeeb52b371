// Package client has the manager of accounts and rules under the name that Micro 3 had
// for it.
package client

import "github.com/micro/micro/v3/service/auth"

// NewAuth returns [auth.DefaultAuth].
func NewAuth() auth.Auth { return auth.DefaultAuth }
