package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// BenchmarkStorePuts writes records of 100 bytes durably through gRPC with 1, 16 and 128
// writers, as multiples of the fsyncs that the same disk makes one after the other, and
// with what it costs server and client; and what Pebble alone makes of it, which is under
// ours. What a call costs that reads, and finds both processes at rest as an fsync leaves
// them, says how much of the one writer's time is the call. Budgets: 0.8, 5, 20.
func BenchmarkStorePuts(b *testing.B) {
	w := newWorld(b)
	disk := newSlowDisk(b, w)
	w.startOn(b, disk)
	client, ctx := w.store(b, w.login(b))
	for b.Loop() {
		for _, writers := range []int{1, 16, 128} {
			disk.measure(b, w)
			value := make([]byte, 100)
			before := w.spent(b)
			rate := atOnce(b, writers, func(writer, n int) error {
				key := fmt.Appendf(nil, "%d-%d", writer, n)
				_, err := client.Write(ctx, &storev1.WriteRequest{Table: "puts", Record: &storev1.Record{Key: key, Value: value}})
				return err
			})
			used := w.spent(b).since(before, rate*3)
			report(b, rate/disk.floor, fmt.Sprintf("x-fsync-%d", writers))
			report(b, disk.pebble(b, w, writers, len(value))/disk.floor, fmt.Sprintf("x-fsync-%d-pebble", writers))
			b.ReportMetric(used.server, fmt.Sprintf("us-server-%d", writers))
			b.ReportMetric(used.client, fmt.Sprintf("us-client-%d", writers))
		}
		b.ReportMetric(rested(b, func() error {
			_, err := client.Read(ctx, &storev1.ReadRequest{Table: "puts", Key: []byte("0-0")})
			return err
		}), "us-call")
		b.ReportMetric(disk.floor, "fsyncs/s")
	}
}

// rested returns how many microseconds half of the calls take at most, each made a
// millisecond after the one before.
func rested(b *testing.B, call func() error) float64 {
	b.Helper()
	var took []time.Duration
	for range 1000 {
		time.Sleep(time.Millisecond)
		began := time.Now()
		if err := call(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	return float64(median(took).Microseconds())
}

// store returns a client of the server on a connection of its own, and the context of
// its calls.
func (w *world) store(b *testing.B, token string) (storev1.StoreClient, context.Context) {
	b.Helper()
	conn, err := grpc.NewClient("passthrough:///"+w.proxy, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return storev1.NewStoreClient(conn), metadata.AppendToOutgoingContext(b.Context(), "authorization", "Bearer "+token)
}

// atOnce returns how many times a second several do something, each after it has done it
// before, for three seconds.
func atOnce(b *testing.B, workers int, do func(worker, n int) error) float64 {
	b.Helper()
	began := time.Now()
	done, errs := make([]int, workers), make([]error, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for ; errs[i] == nil && time.Since(began) < 3*time.Second; done[i]++ {
				errs[i] = do(i, done[i])
			}
		})
	}
	wg.Wait()
	total := 0
	for i, err := range errs {
		if err != nil {
			b.Fatal(err)
		}
		total += done[i]
	}
	return float64(total) / time.Since(began).Seconds()
}

// BenchmarkStartFull starts a server that has 1,000,000 records. Budget: 1 s.
func BenchmarkStartFull(b *testing.B) {
	w := newWorld(b)
	data := filepath.Join(w.home, "data", "server")
	w.start(b)
	client, ctx := w.store(b, w.login(b))
	const batches, batch = 1000, 1000
	for i := range batches {
		req := &storev1.BatchRequest{Table: "many"}
		for j := range batch {
			req.Operations = append(req.Operations, &storev1.Operation{Kind: &storev1.Operation_Put{Put: &storev1.Put{
				Record: &storev1.Record{Key: fmt.Appendf(nil, "%08d", i*batch+j), Value: make([]byte, 100)},
			}}})
		}
		if _, err := client.Batch(ctx, req); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		var took []time.Duration
		for range 5 {
			w.stop(b)
			took = append(took, w.startAt(b, data, filepath.Join(w.bin, "microd")))
		}
		b.ReportMetric(float64(median(took).Milliseconds()), "ms-ready")
		b.ReportMetric(rss(b, w.server.Process.Pid), "MB")
	}
}

// BenchmarkWatchers has 1,000 watches of a table, to which 100 changes a second are made,
// in a process of their own beside the server. Each sees every change. Budget: 99 of 100
// within 100 ms.
func BenchmarkWatchers(b *testing.B) {
	const watchers, changes, pause = 1000, 500, 10 * time.Millisecond
	w := newWorld(b)
	w.start(b)
	token := w.login(b)
	for b.Loop() {
		late := make([][]time.Duration, watchers)
		errs := make([]error, watchers)
		var ready, done sync.WaitGroup
		ready.Add(watchers)
		client, ctx := w.store(b, token)
		ctx, cancel := context.WithCancel(ctx)
		for i := range watchers {
			if i%100 == 0 {
				client, _ = w.store(b, token)
			}
			own := client
			done.Go(func() {
				begun := sync.OnceFunc(ready.Done)
				defer begun()
				stream, err := own.Watch(ctx, &storev1.WatchRequest{Table: "watched"})
				for synced := false; err == nil && len(late[i]) < changes; {
					var rsp *storev1.WatchResponse
					if rsp, err = stream.Recv(); err != nil {
						break
					}
					switch {
					case rsp.GetChange() == storev1.Change_CHANGE_SYNCED:
						synced = true
						begun()
					case synced:
						var at int64
						if at, err = strconv.ParseInt(string(rsp.GetRecord().GetValue()), 10, 64); err == nil {
							late[i] = append(late[i], time.Since(time.Unix(0, at)))
						}
					}
				}
				errs[i] = err
			})
		}
		ready.Wait()
		before := w.spent(b)
		tick := time.NewTicker(pause)
		began := time.Now()
		failed := make([]error, changes)
		for i := range changes {
			<-tick.C
			done.Go(func() { // whether the one before is acknowledged or not
				_, failed[i] = client.Write(ctx, &storev1.WriteRequest{Table: "watched", Record: &storev1.Record{
					Key: []byte("k"), Value: fmt.Append(nil, time.Now().UnixNano()),
				}})
				if failed[i] != nil {
					cancel() // what was not written nobody will see
				}
			})
		}
		tick.Stop()
		rate := changes / time.Since(began).Seconds()
		done.Wait()
		used := w.spent(b).since(before, watchers*changes)
		b.ReportMetric(used.server, "us-server/delivery")
		b.ReportMetric(used.client, "us-client/delivery")
		var all []time.Duration
		if err := errors.Join(append(failed, errs...)...); err != nil {
			b.Fatal(err)
		}
		for _, times := range late {
			all = append(all, times...)
		}
		b.ReportMetric(float64(median(all).Microseconds())/1000, "ms-p50") // it has sorted them
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "ms-p99")
		b.ReportMetric(rate, "changes/s")
		cancel()
	}
}

// spent is how many microseconds of a core the server and this process have had: what
// others do on the machine meanwhile is not in that, other than in how long it took.
type spent struct{ server, client float64 }

func (w *world) spent(b *testing.B) spent {
	b.Helper()
	return spent{server: float64(cpuTime(b, w.pid).Microseconds()), client: float64(cpuTime(b, os.Getpid()).Microseconds())}
}

// since returns what of it each of n had since before.
func (s spent) since(before spent, n float64) spent {
	return spent{(s.server - before.server) / n, (s.client - before.client) / n}
}
