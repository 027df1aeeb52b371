package image

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const grpcMain = `package main

import (
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
)

const text = "edit 0"

func main() {
	s := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	reflection.Register(s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	println(text, l.Addr().String())
	if err := s.Serve(l); err != nil {
		panic(err)
	}
}
`

// grpcSource is a gRPC service with the requirements of this module.
func grpcSource(tb testing.TB) *Source {
	tb.Helper()
	files := map[string]string{"main.go": grpcMain, "proto/helloworld.proto": helloProto}
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			tb.Fatal(err)
		}
		files[name] = strings.Replace(string(data), "module github.com/micro/micro/v3", "module example.com/service", 1)
	}
	return source(tb, files)
}

// BenchmarkEdit measures the way from a change of one line to the image in a
// registry on this machine against "go build -trimpath" of the same change, and
// reports the median of the ratios; and the way of no change at all. The two
// take turns, so that what else the machine does falls on both.
func BenchmarkEdit(b *testing.B) {
	s := grpcSource(b)
	r := newTestRegistry(b, httptest.NewServer, "")
	cache, n := b.TempDir(), 0
	edit := func() {
		n++
		write(b, s.Dir, map[string]string{"main.go": strings.Replace(grpcMain, "edit 0", fmt.Sprint("edit ", n), 1)})
	}
	plain := func() time.Duration {
		start := time.Now()
		cmd := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-o", filepath.Join(cache, "plain"), ".")
		cmd.Dir = s.Dir
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		return time.Since(start)
	}
	var stage Stage
	var packaging, last time.Time
	ours := func() time.Duration {
		start := time.Now()
		source, err := Fetch(b.Context(), s.Dir, FetchOptions{})
		if err != nil {
			b.Fatal(err)
		}
		i, err := Build(b.Context(), source, BuildOptions{CacheDir: cache, Progress: func(e Event) {
			if stage != e.Stage && e.Stage == Packaging {
				packaging = time.Now()
			}
			stage = e.Stage
		}})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := i.Push(b.Context(), PushOptions{Registry: r.host(), Repository: "micro/service", PlainHTTP: true, Token: give("")}); err != nil {
			b.Fatal(err)
		}
		last = time.Now()
		if err := i.Close(); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	plain()
	ours()
	var edited, unchanged, packed []float64
	for b.Loop() {
		edit()
		floor := plain()
		edit()
		edited = append(edited, ours().Seconds()/floor.Seconds())
		packed = append(packed, last.Sub(packaging).Seconds())
		unchanged = append(unchanged, ours().Seconds()/floor.Seconds())
		b.ReportMetric(floor.Seconds(), "s/go-build")
	}
	for unit, list := range map[string][]float64{"edited/go-build": edited, "unchanged/go-build": unchanged, "s/package+push": packed} {
		slices.Sort(list)
		b.ReportMetric(list[len(list)/2], unit)
	}
}
