package metrics_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/micro/micro/v3/backend/metrics"
	"github.com/micro/micro/v3/backend/stats"
)

// scrape returns what Prometheus gets, and whether it takes it.
func scrape(t *testing.T, s *stats.Stats) string {
	t.Helper()
	rec := httptest.NewRecorder()
	h := metrics.Handler(s, `v1 "quoted"`, slog.New(slog.DiscardHandler))
	h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	problems, err := promlint.New(strings.NewReader(rec.Body.String())).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "micro_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	return rec.Body.String()
}

// own returns the lines of a family, but for buckets and what differs each time.
func own(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "micro_") && !strings.Contains(line, "_bucket") && !strings.Contains(line, "_sum") {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := stats.New(stats.Config{Method: func(_ context.Context, _, _, path string) (known, streams bool) {
		return !strings.Contains(path, "MadeUp"), false
	}})
	call := func(ns, service, path, instance string, code uint32) {
		c := s.Begin(t.Context(), stats.Target{Namespace: ns, Service: service, Path: path, Instance: instance, Schema: "x"}, time.Now())
		c.End(code, 1)
	}
	call("acme", "shop", "/shop.Shop/Call", "a", 0)
	call("acme", "shop", "/shop.Shop/Call", "b", 0)
	call("acme", "shop", "/shop.Shop/Call", "b", 14)
	call("globex", "shop", "/shop.Shop/Call", "c", 99)
	for i := range 100 { // a stranger makes up names
		call("acme", "shop", fmt.Sprintf("/shop.Shop/MadeUp%d", i), "a", 12)
	}
	call("", metrics.Own, "/micro.auth.v1.Auth/Login", "", 16)
	want := []string{
		`micro_api_call_duration_seconds_count{method="micro.auth.v1.Auth/Login"} 1`,
		`micro_api_calls_in_flight{method="micro.auth.v1.Auth/Login"} 0`,
		`micro_api_calls_total{code="Unauthenticated",method="micro.auth.v1.Auth/Login"} 1`,
		`micro_build_info{version="v1 \"quoted\""} 1`,
		`micro_call_duration_seconds_count{endpoint="other",namespace="acme",service="shop"} 100`,
		`micro_call_duration_seconds_count{endpoint="shop.Shop/Call",namespace="acme",service="shop"} 3`,
		`micro_call_duration_seconds_count{endpoint="shop.Shop/Call",namespace="globex",service="shop"} 1`,
		`micro_calls_in_flight{endpoint="other",namespace="acme",service="shop"} 0`,
		`micro_calls_in_flight{endpoint="shop.Shop/Call",namespace="acme",service="shop"} 0`,
		`micro_calls_in_flight{endpoint="shop.Shop/Call",namespace="globex",service="shop"} 0`,
		`micro_calls_total{code="OK",endpoint="shop.Shop/Call",namespace="acme",service="shop"} 2`,
		`micro_calls_total{code="Unavailable",endpoint="shop.Shop/Call",namespace="acme",service="shop"} 1`,
		`micro_calls_total{code="Unimplemented",endpoint="other",namespace="acme",service="shop"} 100`,
		`micro_calls_total{code="Unknown",endpoint="shop.Shop/Call",namespace="globex",service="shop"} 1`,
		`micro_instance_calls_in_flight{instance_id="a",namespace="acme",service="shop"} 0`,
		`micro_instance_calls_in_flight{instance_id="b",namespace="acme",service="shop"} 0`,
		`micro_instance_calls_in_flight{instance_id="c",namespace="globex",service="shop"} 0`,
		`micro_instance_calls_total{code="OK",instance_id="a",namespace="acme",service="shop"} 1`,
		`micro_instance_calls_total{code="OK",instance_id="b",namespace="acme",service="shop"} 1`,
		`micro_instance_calls_total{code="Unavailable",instance_id="b",namespace="acme",service="shop"} 1`,
		`micro_instance_calls_total{code="Unimplemented",instance_id="a",namespace="acme",service="shop"} 100`,
		`micro_instance_calls_total{code="Unknown",instance_id="c",namespace="globex",service="shop"} 1`,
	}
	text := scrape(t, s)
	if diff := cmp.Diff(want, own(text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes"} {
		if !regexp.MustCompile(`(?m)^` + name + ` [0-9.e+]+$`).MatchString(text) {
			t.Errorf("there is no %s", name)
		}
	}
	// The buckets of a histogram grow, and the last has all.
	if !strings.Contains(text, `micro_call_duration_seconds_bucket{endpoint="other",namespace="acme",service="shop",le="+Inf"} 100`) {
		t.Error("the last bucket has not all calls")
	}
}
