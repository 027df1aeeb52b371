package server

import (
	"testing"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/cli"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	namespacev1 "github.com/micro/micro/v3/proto/micro/namespace/v1"
)

// What the command line holds for a change, and asks about on a protected environment,
// is what takes the right to write. What is here and there not is said here.
func TestCommandsKnowWhatChanges(t *testing.T) {
	t.Parallel()
	exceptions := map[string]bool{
		authv1.Rules_Explain_FullMethodName:         false, // it takes the right to change rules, and changes none
		authv1.Audit_Read_FullMethodName:            false, // for those who could do what it tells of
		authv1.Audit_Verify_FullMethodName:          false,
		namespacev1.Transfer_Export_FullMethodName:  false, // for those who may change what it gives
		authv1.Invitations_Create_FullMethodName:    true,
		authv1.Invitations_Delete_FullMethodName:    true,
		authv1.Auth_ChangePassword_FullMethodName:   true,
		authv1.Tokens_Create_FullMethodName:         true,
		authv1.Tokens_Delete_FullMethodName:         true,
		authv1.Namespaces_Create_FullMethodName:     true,
		authv1.Namespaces_Delete_FullMethodName:     true,
		authv1.Keys_Rotate_FullMethodName:           true,
		"/grpc.health.v1.Health/Watch":              false,
		"/micro.nothing.v1.Nothing/NotThereYet":     true,  // what is not known is held for a change
		"/helloworld.Helloworld/Call":               false, // what a service's endpoint does is its own affair
		"/micro.runtime.v1.Runtime/SomethingNotYet": true,
	}
	for method, want := range exceptions {
		if got := cli.Changes(method); got != want {
			t.Errorf("%s: cli says that it changes something: %t, want %t", method, got, want)
		}
	}
	for method, a := range methods() {
		if _, exception := exceptions[method]; exception {
			continue
		}
		want := a.kind == byRule && a.class == auth.Write
		if got := cli.Changes(method); got != want {
			t.Errorf("%s: cli says that it changes something: %t, and its access says %t: see readers in cli/guard.go", method, got, want)
		}
	}
}
