package embedded_test

import (
	"testing"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/events/eventstest"
)

func BenchmarkLog(b *testing.B) {
	eventstest.Bench(b, func(b *testing.B) eventstest.Log {
		b.Helper()
		return open(b, b.TempDir(), engine.Options{})
	})
}
