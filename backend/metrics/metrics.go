// Package metrics shows what the server has counted to Prometheus. It is for who runs
// the server: all namespaces are in it, and nobody is asked who he is.
//
//	micro_calls_total{namespace, service, endpoint, code}   and what else begins so
//	micro_instance_…{namespace, service, instance_id, …}
//	micro_api_…{method, …}                                  the server's own APIs
//	go_…, process_…                                         the server itself
//
// Labels have no more values than there are methods in schemas and instances that were
// started: what a stranger makes up is not among them.
package metrics

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/codes"

	"github.com/micro/micro/v3/backend/stats"
)

// Own is the name of the service that the server's own APIs are counted as, in no
// namespace.
const Own = "micro"

// Other is the endpoint of calls of methods that no schema has.
const Other = "other"

// Handler returns the handler of GET /metrics.
func Handler(s *stats.Stats, version string, log *slog.Logger) http.Handler {
	r := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "micro_build_info", Help: "The version of the server.", ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	r.MustRegister(newCollector(s), info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelError),
		MaxRequestsInFlight: 4,
	}))
	return mux
}

// family is what is told of the calls of one kind of thing.
type family struct {
	calls, took, inFlight *prometheus.Desc
}

func newFamily(name, what string, labels ...string) family {
	return family{
		calls:    prometheus.NewDesc(name+"calls_total", "Calls of "+what+" that have ended, by the code of gRPC.", append(labels, "code"), nil),
		took:     prometheus.NewDesc(name+"call_duration_seconds", "How long calls of "+what+" with one answer took.", labels, nil),
		inFlight: prometheus.NewDesc(name+"calls_in_flight", "Calls of "+what+" that are under way.", labels, nil),
	}
}

// collector reads the stats when it is asked.
type collector struct {
	stats                     *stats.Stats
	endpoints, instances, own family
	cpu, memory               *prometheus.Desc
}

func newCollector(s *stats.Stats) *collector {
	const instance = "micro_instance_"
	labels := []string{"namespace", "service", "instance_id"} // Prometheus has an instance of its own
	return &collector{
		stats:     s,
		endpoints: newFamily("micro_", "services", "namespace", "service", "endpoint"),
		instances: newFamily(instance, "instances", labels...),
		own:       newFamily("micro_api_", "the server's own APIs", "method"),
		cpu:       prometheus.NewDesc(instance+"cpu_seconds_total", "What an instance has used of the processors.", labels, nil),
		memory:    prometheus.NewDesc(instance+"memory_bytes", "The resident memory of an instance.", labels, nil),
	}
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range []family{c.endpoints, c.instances, c.own} {
		out <- f.calls
		out <- f.inFlight
	}
	out <- c.endpoints.took
	out <- c.own.took
	out <- c.cpu
	out <- c.memory
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(out chan<- prometheus.Metric) {
	for t := range c.stats.Totals() {
		endpoint := strings.TrimPrefix(t.Endpoint, "/")
		if endpoint == "" {
			endpoint = Other
		}
		switch {
		case t.Namespace == "":
			c.own.collect(out, t, endpoint)
		case t.Instance == "":
			c.endpoints.collect(out, t, t.Namespace, t.Service, endpoint)
		default:
			labels := []string{t.Namespace, t.Service, t.Instance}
			c.instances.collect(out, t, labels...)
			if t.Runs {
				out <- prometheus.MustNewConstMetric(c.cpu, prometheus.CounterValue, t.CPU.Seconds(), labels...)
				out <- prometheus.MustNewConstMetric(c.memory, prometheus.GaugeValue, float64(t.Memory), labels...)
			}
		}
	}
}

func (f family) collect(out chan<- prometheus.Metric, t stats.Total, labels ...string) {
	for code, n := range t.Codes {
		if n > 0 {
			with := append(append([]string{}, labels...), codes.Code(code).String())
			out <- prometheus.MustNewConstMetric(f.calls, prometheus.CounterValue, float64(n), with...)
		}
	}
	if t.Timed > 0 && t.Instance == "" { // there are many
		bounds := map[float64]uint64{}
		for _, b := range t.Latencies {
			bounds[b.Bound.Seconds()] = b.Calls
		}
		out <- prometheus.MustNewConstHistogram(f.took, t.Timed, t.Took.Seconds(), bounds, labels...)
	}
	out <- prometheus.MustNewConstMetric(f.inFlight, prometheus.GaugeValue, float64(t.InFlight), labels...)
}
