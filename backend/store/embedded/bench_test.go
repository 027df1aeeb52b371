package embedded_test

import (
	"testing"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/store/embedded"
	"github.com/micro/micro/v3/backend/store/storetest"
)

func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, func(b *testing.B) store.Store {
		b.Helper()
		return open(b, b.TempDir(), engine.Options{}, embedded.Options{})
	})
}
