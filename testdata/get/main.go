// Command get prints what is at a URL, where there is no curl:
//
//	get URL [NAME: VALUE]...
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	req, err := http.NewRequest(http.MethodGet, os.Args[1], nil) //nolint:noctx // a program that does nothing else
	if err != nil {
		fail(err)
	}
	for _, h := range os.Args[2:] {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	rsp, err := http.DefaultClient.Do(req)
	if err != nil {
		fail(err)
	}
	defer rsp.Body.Close()
	if _, err := io.Copy(os.Stdout, rsp.Body); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
