package bench

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	pb "github.com/micro/micro/v3/bench/peer/proto"
)

const (
	callers    = 16
	slice      = time.Second // of each way, in each round
	doorRounds = 5
)

// BenchmarkDoor measures how many calls a second go through the proxy and the
// gateway, as fractions of the same calls made to the instance itself.
func BenchmarkDoor(b *testing.B) {
	w := newWorld(b)
	w.start(b)
	w.deploy(b)
	token, err := os.ReadFile(w.token)
	if err != nil {
		b.Fatal(err)
	}
	direct := dial(b, w.instance(b))
	proxied := dial(b, w.proxy)
	withToken := metadata.AppendToOutgoingContext(b.Context(), "authorization", "Bearer "+strings.TrimSpace(string(token)), "micro-service", "helloworld")
	transport := &http.Transport{MaxIdleConnsPerHost: callers}
	defer transport.CloseIdleConnections()
	ways := map[string]func() error{
		"direct": grpcCall(b.Context(), direct),
		"proxy":  grpcCall(withToken, proxied),
		"gateway": func() error {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://"+w.gateway+"/helloworld?name=Alice", nil)
			if err != nil {
				return err
			}
			rsp, err := transport.RoundTrip(req)
			if err != nil {
				return err
			}
			defer rsp.Body.Close()
			_, err = io.Copy(io.Discard, rsp.Body)
			return err
		},
	}
	for b.Loop() {
		counts := map[string][]int64{}
		for range doorRounds {
			for _, name := range []string{"direct", "proxy", "gateway"} {
				counts[name] = append(counts[name], load(b, ways[name]))
			}
		}
		base := median(counts["direct"])
		report(b, ratio(median(counts["proxy"]), base), "proxy/direct")
		report(b, ratio(median(counts["gateway"]), base), "gateway/direct")
		b.ReportMetric(float64(base)/slice.Seconds(), "direct-calls/s")
	}
}

func dial(b *testing.B, address string) pb.HelloworldClient {
	b.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return pb.NewHelloworldClient(conn)
}

func grpcCall(ctx context.Context, c pb.HelloworldClient) func() error {
	return func() error {
		_, err := c.Call(ctx, &pb.CallRequest{Name: "Alice"})
		return err
	}
}

// load makes calls from several callers for a while and returns how many were
// answered.
func load(b *testing.B, call func() error) int64 {
	b.Helper()
	var n atomic.Int64
	var failure atomic.Pointer[error]
	end := time.Now().Add(slice)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for time.Now().Before(end) {
				if err := call(); err != nil {
					failure.Store(&err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	if err := failure.Load(); err != nil {
		b.Fatal(*err)
	}
	return n.Load()
}

// instance returns the address of the instance of helloworld.
func (w *world) instance(b *testing.B) string {
	b.Helper()
	var s struct {
		Status struct {
			Instances []struct{ Address string }
		}
	}
	if err := json.Unmarshal([]byte(w.run(b, "status", "helloworld", "-o", "json")), &s); err != nil {
		b.Fatal(err)
	}
	return s.Status.Instances[0].Address
}
