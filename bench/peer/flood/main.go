// Command flood writes LINES lines as fast as it can, and is a service that has no methods.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
)

func main() {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", os.Getenv("MICRO_ADDRESS"))
	if err != nil {
		panic(err)
	}
	go flood()
	s := &http.Server{Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", "12")
	})
	_ = s.Serve(l)
}

func flood() {
	n, err := strconv.Atoi(os.Getenv("LINES"))
	if err != nil {
		panic(err)
	}
	w := bufio.NewWriterSize(os.Stdout, 64<<10)
	for i := range n {
		fmt.Fprintf(w, "line %d of what nobody can read as fast as it is written\n", i+1)
	}
	if err := w.Flush(); err != nil {
		panic(err)
	}
}
