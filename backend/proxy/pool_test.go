package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/proxy"
)

// say answers with a name.
func say(name string) func(grpc.ServerStream) error {
	return func(s grpc.ServerStream) error {
		m := []byte(name)
		return s.SendMsg(&m)
	}
}

func TestBalances(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, id := range []string{"a", "b", "c"} {
		r.register(t, "acme", "greeter", id, startInstance(t, id, say(id)).address, "")
	}
	got := map[string]int{}
	for range 300 {
		id, err := r.call(in(t), "")
		if err != nil {
			t.Fatal(err)
		}
		got[id]++
	}
	for _, id := range []string{"a", "b", "c"} {
		if got[id] < 50 { // of 100; less is as likely as to win in a lottery
			t.Errorf("%s got %d of 300 calls: %v", id, got[id], got)
		}
	}
}

// An instance that is busy gets less.
func TestBalancesByWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	r := start(t)
	began, release := make(chan struct{}), make(chan struct{})
	slow := startInstance(t, "slow", func(s grpc.ServerStream) error {
		var m []byte
		if err := s.RecvMsg(&m); err != nil {
			return err
		}
		if string(m) == "wait" {
			began <- struct{}{}
			<-release
		}
		return say("slow")(s)
	})
	r.register(t, "acme", "greeter", "slow", slow.address, "")
	var wg sync.WaitGroup
	for range 20 {
		ctx := in(t)
		wg.Go(func() {
			if _, err := r.call(ctx, "wait"); err != nil {
				t.Error(err)
			}
		})
		<-began
	}
	r.register(t, "acme", "greeter", "fast", startInstance(t, "fast", say("fast")).address, "")
	n := 0
	for range 200 {
		id, err := r.call(in(t), "")
		if err != nil {
			t.Fatal(err)
		}
		if id == "slow" {
			n++
		}
	}
	close(release)
	wg.Wait()
	if n > 80 { // a quarter is what chance gives it
		t.Errorf("an instance with 20 calls under way got %d of 200 more", n)
	}
}

// dead returns the n-th address where nobody listens. The system gives none of them to
// another test, as it does with one that was closed again.
func dead(n int) string { return fmt.Sprintf("127.0.0.1:%d", 1+n) }

// hangUp returns an address where connections are closed at once.
func hangUp(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

// Instances that are down are passed over, and nobody notices.
func TestPassesOverInstancesThatAreDown(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.register(t, "acme", "greeter", "dead", dead(0), "")
	r.register(t, "acme", "greeter", "mad", hangUp(t), "")
	r.register(t, "acme", "greeter", "well", startInstance(t, "well", say("well")).address, "")
	for range 100 {
		if id, err := r.call(in(t), ""); err != nil || id != "well" {
			t.Fatalf("%q, %v", id, err)
		}
	}
}

// However many of them are down, the one that is well is found.
func TestFindsTheOneThatIsWell(t *testing.T) {
	t.Parallel()
	r := start(t)
	for i, id := range strings.Split("abcdefghi", "") {
		r.register(t, "acme", "greeter", id, dead(i), "")
	}
	r.register(t, "acme", "greeter", "well", startInstance(t, "well", say("well")).address, "")
	for range 20 {
		if id, err := r.call(in(t), ""); err != nil || id != "well" {
			t.Fatalf("%q, %v", id, err)
		}
	}
}

// With all of them down the caller knows that nobody has got its call, and it is
// served as soon as one is well.
func TestNoneLeft(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2} {
		r := start(t)
		for i := range n {
			r.register(t, "acme", "greeter", string(rune('a'+i)), dead(i), "")
		}
		for range 5 {
			var trailer metadata.MD
			_, err := r.call(in(t), "", grpc.Trailer(&trailer))
			if err == nil || !strings.Contains(err.Error(), proxy.ErrNoInstance.Error()) {
				t.Errorf("%d down: %v, want %v", n, err, proxy.ErrNoInstance)
			}
			if trailer.Get(proxy.KeyRefused) == nil {
				t.Errorf("%d down: the caller is not told that nobody has got its call", n)
			}
		}
		r.register(t, "acme", "greeter", "well", startInstance(t, "well", say("well")).address, "")
		if id, err := r.call(in(t), ""); err != nil || id != "well" {
			t.Errorf("with one more: %q, %v", id, err)
		}
	}
}

// The same names in another namespace are other services.
func TestNamespacesAreApart(t *testing.T) {
	t.Parallel()
	r := start(t)
	if _, err := r.auth.Signup(t.Context(), "globex", "hank", password); err != nil {
		t.Fatal(err)
	}
	for _, ns := range []string{"acme", "globex"} {
		r.register(t, ns, "greeter", "greeter-1", startInstance(t, ns, say(ns)).address, "")
	}
	for range 20 {
		for _, ns := range []string{"acme", "globex"} {
			if id, err := r.call(in(t, proxy.KeyNamespace, ns), ""); err != nil || id != ns {
				t.Fatalf("%s: %q, %v", ns, id, err)
			}
		}
	}
}

// What an instance is told of its caller is what the token proves, of an account of
// its own namespace.
func TestTellsWhoCalls(t *testing.T) {
	t.Parallel()
	r, instance := startWith(t, echo)
	session, err := r.auth.Signup(t.Context(), "globex", "alice", password)
	if err != nil {
		t.Fatal(err)
	}
	refresh, err := r.auth.Identify(t.Context(), "acme", "caller", "caller-1")
	if err != nil {
		t.Fatal(err)
	}
	service, err := r.auth.Refresh(t.Context(), refresh)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, token, account, typ, scopes string
	}{
		{"nobody", "", "", "", ""},
		{"an administrator", r.admin, "alice", string(auth.User), "admin"},
		{"a stranger of the same name", session.Access, "", "", ""},
		{"a service", service.Access, "caller", string(auth.Service), "service"},
	} {
		pairs := []string{proxy.KeyAccount, "root", proxy.KeyAccountType, "user", proxy.KeyScopes, "admin"}
		if tt.token != "" {
			pairs = append(pairs, "authorization", "Bearer "+tt.token)
		}
		if _, err := r.call(in(t, pairs...), "x"); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		md := instance.seen()
		for key, want := range map[string]string{
			proxy.KeyAccount: tt.account, proxy.KeyAccountType: tt.typ, proxy.KeyScopes: tt.scopes, proxy.KeyNamespace: "acme",
		} {
			if got := strings.Join(md.Get(key), "|"); got != want {
				t.Errorf("%s: %s is %q, want %q", tt.name, key, got, want)
			}
		}
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	began, release := make(chan struct{}), make(chan struct{})
	r, instance := startWith(t, func(s grpc.ServerStream) error {
		began <- struct{}{}
		<-release
		return say("done")(s)
	})
	if err := r.proxy.Drain(t.Context(), instance.address); err != nil {
		t.Errorf("one that nobody has called: %v", err)
	}
	var wg sync.WaitGroup
	for range 3 {
		ctx := in(t)
		wg.Go(func() {
			if id, err := r.call(ctx, ""); err != nil || id != "done" {
				t.Errorf("a call that was under way: %q, %v", id, err)
			}
		})
		<-began
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.proxy.Drain(ctx, instance.address); !errors.Is(err, context.Canceled) {
		t.Errorf("one with calls under way: %v, want %v", err, context.Canceled)
	}
	drained := make(chan error, 2)
	for range 2 {
		go func() { drained <- r.proxy.Drain(t.Context(), instance.address) }()
	}
	for range 3 {
		select {
		case err := <-drained:
			t.Errorf("drained with calls under way: %v", err)
		case release <- struct{}{}:
		}
	}
	for range 2 {
		if err := <-drained; err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	// Another instance may have the address later.
	go func() {
		<-began
		release <- struct{}{}
	}()
	if id, err := r.call(in(t), ""); err != nil || id != "done" {
		t.Errorf("a call after it was drained: %q, %v", id, err)
	}
}

// A proxy that is closed ends what is under way and takes nothing more.
func TestClose(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	r, _ := startWith(t, func(s grpc.ServerStream) error {
		began <- struct{}{}
		<-s.Context().Done()
		return s.Context().Err()
	})
	failed := make(chan error, 1)
	ctx := in(t)
	go func() {
		_, err := r.call(ctx, "")
		failed <- err
	}()
	<-began
	if err := r.proxy.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("a call that was under way has succeeded")
	}
	route, err := r.proxy.Admit(t.Context(), proxy.Call{Namespace: "acme", Service: "greeter", Path: method})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := route.Open(t.Context()); !errors.Is(err, proxy.ErrClosed) {
		t.Errorf("a call afterwards: %v, want %v", err, proxy.ErrClosed)
	}
	if err := r.proxy.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}
