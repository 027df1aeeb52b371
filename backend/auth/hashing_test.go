package auth_test

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/micro/micro/v3/backend/auth"
)

// hashBytes is what a password takes while it is hashed.
const hashBytes = 19 << 20

// peak returns the most memory that was in use when f has called the function that it is
// given, beyond what was before.
func peak(f func(look func())) uint64 {
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	var mu sync.Mutex
	most := before.HeapInuse
	f(func() {
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		mu.Lock()
		defer mu.Unlock()
		most = max(most, now.HeapInuse)
	})
	return most - before.HeapInuse
}

// TestManyLoginsAtOnce has 128 log in at the same time: passwords are hashed one for each
// core, so that what they take is bounded, and who needs no password is served meanwhile.
// It is no parallel test: others hash passwords too.
func TestManyLoginsAtOnce(t *testing.T) {
	a := openAuth(t, auth.Config{Store: openStore(t)})
	alice := signup(t, a)
	const logins = 128
	running, most := atomic.Int64{}, 0
	running.Store(logins)
	used := peak(func(look func()) {
		var wg sync.WaitGroup
		for i := range logins {
			wg.Go(func() {
				// From many places, or most would not be looked at.
				_, err := a.Login(t.Context(), "acme", fmt.Sprint("nobody", i), "wrong password", from(i))
				wantErr(t, "a login", err, auth.ErrCredentials)
				look()
				running.Add(-1)
			})
		}
		for range 10 * logins {
			most = max(most, a.Hashing())
			id, err := a.Verify(t.Context(), alice.Access)
			if err == nil {
				err = a.Authorize(t.Context(), id, "acme", auth.Resource{Type: "runtime", Name: "shop", Endpoint: "Runtime.Apply", Class: auth.Write})
			}
			if err != nil {
				t.Errorf("a call meanwhile: %v", err)
			}
			runtime.Gosched()
		}
		if running.Load() == 0 {
			t.Error("calls that need no password waited for all that do")
		}
		wg.Wait()
	})
	if most > runtime.NumCPU() {
		t.Errorf("%d passwords were hashed at once on %d cores", most, runtime.NumCPU())
	}
	// Each hash leaves garbage behind, which is collected when there is as much again.
	if bound := uint64(4*(runtime.NumCPU()+1)) * hashBytes; used > bound {
		t.Errorf("%d MB were in use, want less than %d", used>>20, bound>>20)
	}

	// The control: without the bound it is more.
	const many = 16
	free := peak(func(look func()) {
		var wg sync.WaitGroup
		for range many * runtime.NumCPU() {
			wg.Go(func() { auth.HashPassword("x"); look() })
		}
		wg.Wait()
	})
	if bound := uint64(4*(runtime.NumCPU()+1)) * hashBytes; free < bound {
		t.Errorf("%d hashes at once use %d MB: this test sees nothing", many*runtime.NumCPU(), free>>20)
	}
}
