// Command flood writes LINES lines as fast as it can, and then as many million bytes of
// lines a second as GET /rate?mb=N says. It is a service that has no methods.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

var rate, written atomic.Int64

func main() {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", os.Getenv("MICRO_ADDRESS"))
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stderr, l.Addr())
	go flood()
	s := &http.Server{Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/rate" {
			rate.Store(int64(number(r.FormValue("mb"))) * 1_000_000)
			fmt.Fprintln(w, written.Load())
			return
		}
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", "12")
	})
	_ = s.Serve(l)
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

func line(w io.Writer, n int) (int, error) {
	return fmt.Fprintf(w, "line %d of what nobody can read as fast as it is written\n", n)
}

func flood() {
	w := bufio.NewWriterSize(os.Stdout, 64<<10)
	n := 0
	write := func() int {
		n++
		size, err := line(w, n)
		if err != nil {
			panic(err)
		}
		written.Add(int64(size))
		return size
	}
	for range number(os.Getenv("LINES")) {
		write()
	}
	// What could not be written in time is not made up for.
	tick := time.Tick(10 * time.Millisecond)
	for {
		if err := w.Flush(); err != nil {
			panic(err)
		}
		<-tick
		for left := int(rate.Load() / 100); left > 0; {
			left -= write()
		}
	}
}
