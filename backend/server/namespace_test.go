package server_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/events"
	"github.com/micro/micro/v3/backend/server"
	"github.com/micro/micro/v3/backend/store"
)

// A deletion that a server did not come to the end of is ended by the next one.
func TestDeletionGoesOn(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.stranger(t)
	topic := events.Topic{Namespace: "globex", Name: "orders"}
	if _, err := s.config.Events.Append(t.Context(), topic, []events.Event{{Payload: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.auth.CloseNamespace(t.Context(), "globex"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	s.config.Ready = func(server.Addresses) {}
	go func() { ended <- server.Run(ctx, s.config) }()
	for c, err := range s.config.Store.Watch(ctx, "$system/auth/deleting/globex", 0) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Kind == store.KindDelete {
			break
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	names, err := s.auth.Namespaces(t.Context())
	if diff := cmp.Diff([]string{"acme", "micro"}, names); err != nil || diff != "" {
		t.Errorf("namespaces: %v\n%s", err, diff)
	}
	if topics, err := s.config.Events.Topics(t.Context(), "globex", events.List{}); err != nil || len(topics) > 0 {
		t.Errorf("topics that are left: %v, %v", topics, err)
	}
	for r, err := range s.config.Store.Range(t.Context(), store.Prefix("globex/")) {
		t.Errorf("%s is left: %v", r.Key, err)
	}
}
