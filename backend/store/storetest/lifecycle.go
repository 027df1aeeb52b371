package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

func contextTests() map[string]func(*testing.T, store.Store) {
	return map[string]func(*testing.T, store.Store){
		"cancelled before": func(t *testing.T, s store.Store) {
			put(t, s, "a", "1")
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			for name, err := range calls(ctx, s) {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("%s: %v, want %v", name, err, context.Canceled)
				}
			}
			equal(t, "value", get(t, s, "a").Value, []byte("1"))
		},
		"deadline": func(t *testing.T, s store.Store) {
			ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
			defer cancel()
			for name, err := range calls(ctx, s) {
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v, want %v", name, err, context.DeadlineExceeded)
				}
			}
		},
		"cancelled while watching": func(t *testing.T, s store.Store) {
			w := watch(t, s, "", 0)
			w.synced(t)
			w.cancel()
			if err := w.ended(t); !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want %v", err, context.Canceled)
			}
		},
		"cancelled while listing": func(t *testing.T, s store.Store) {
			put(t, s, "a", "", "b", "", "c", "")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			n := 0
			var end error
			for _, err := range s.Range(ctx, store.Range{}) {
				n++
				cancel()
				end = err
			}
			// What was read ahead may still come.
			if !errors.Is(end, context.Canceled) && n != 3 {
				t.Errorf("ended with %v after %d, want %v", end, n, context.Canceled)
			}
		},
		"cancelled while writing": func(t *testing.T, s store.Store) {
			// Whether the transaction is made is open; that it ends is not.
			for range 50 {
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() {
					_, err := s.Txn(ctx, store.Txn{Do: []store.Op{store.Put("a", []byte("x"))}})
					done <- err
				}()
				cancel()
				select {
				case err := <-done:
					if err != nil && !errors.Is(err, context.Canceled) {
						t.Fatal(err)
					}
				case <-time.After(patience):
					t.Fatal("a transaction does not end with its context")
				}
			}
			put(t, s, "a", "y")
			equal(t, "value", get(t, s, "a").Value, []byte("y"))
		},
	}
}

// calls makes one call of each kind and returns how it ended.
func calls(ctx context.Context, s store.Store) map[string]error {
	out := map[string]error{}
	_, out["Get"] = s.Get(ctx, "a")
	_, out["Txn"] = s.Txn(ctx, store.Txn{Do: []store.Op{store.Put("a", []byte("2"))}})
	_, out["Txn without operations"] = s.Txn(ctx, store.Txn{})
	for _, err := range s.Range(ctx, store.Range{}) {
		out["Range"] = err
		break
	}
	for _, err := range s.Watch(ctx, "", 0) {
		out["Watch"] = err
		break
	}
	return out
}

func closeTests() map[string]func(*testing.T, store.Store) {
	return map[string]func(*testing.T, store.Store){
		"calls afterwards": func(t *testing.T, s store.Store) {
			put(t, s, "a", "1")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			for name, err := range calls(t.Context(), s) {
				if !errors.Is(err, store.ErrClosed) {
					t.Errorf("%s: %v, want %v", name, err, store.ErrClosed)
				}
			}
		},
		"twice": func(t *testing.T, s store.Store) {
			for range 2 {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		},
		"while watching": func(t *testing.T, s store.Store) {
			put(t, s, "a", "1")
			listing, waiting := watch(t, s, "", 0), watch(t, s, "", 0)
			waiting.next(t)
			waiting.synced(t)
			listing.next(t)
			closed := make(chan error, 1)
			go func() { closed <- s.Close() }()
			if err := waiting.ended(t); !errors.Is(err, store.ErrClosed) {
				t.Errorf("the watch ended with %v, want %v", err, store.ErrClosed)
			}
			// The other one has still to be told.
			for ended := false; !ended; {
				select {
				case <-listing.changes:
				case err := <-listing.err:
					listing.err <- err
					ended = true
				case <-time.After(patience):
					t.Fatal("a watch goes on in a closed store")
				}
			}
			if err := <-closed; err != nil {
				t.Error(err)
			}
		},
		"while writing and reading": func(t *testing.T, s store.Store) {
			put(t, s, "a", "1")
			var callers sync.WaitGroup
			var started sync.WaitGroup
			for i := range 8 {
				started.Add(1)
				callers.Go(func() {
					for n := 0; ; n++ {
						var err error
						if i%2 == 0 {
							_, err = s.Txn(context.Background(), store.Txn{Do: []store.Op{store.Put("a", nil)}})
						} else {
							_, err = s.Get(context.Background(), "a")
						}
						if n == 0 {
							started.Done()
						}
						if err != nil {
							if !errors.Is(err, store.ErrClosed) {
								t.Errorf("%v, want %v", err, store.ErrClosed)
							}
							return
						}
					}
				})
			}
			started.Wait()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			callers.Wait()
		},
	}
}
