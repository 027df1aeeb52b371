// Package api describes the endpoints of a service to the HTTP gateway.
//
// The gateway needs no description: every endpoint of a service has a path of its own,
// made of the names of both. What is said here is kept with the handler.
package api

import (
	"errors"
	"strconv"
	"strings"

	"github.com/micro/micro/v3/service/server"
)

// Endpoint describes an endpoint.
type Endpoint struct {
	Name        string // as "Helloworld.Call"
	Description string
	Handler     string   // what forwards to it; "rpc"
	Host        []string // of the URL
	Method      []string // of HTTP
	Path        []string
	Body        string // the field that the body becomes; "*" is all of the message
	Stream      bool
}

// WithEndpoint describes an endpoint of a handler:
//
//	pb.RegisterHelloworldHandler(srv.Server(), h, api.WithEndpoint(&api.Endpoint{
//		Name: "Helloworld.Call", Path: []string{"/hello"}, Method: []string{"POST"},
//	}))
func WithEndpoint(e *Endpoint) server.HandlerOption {
	return server.EndpointMetadata(e.Name, Encode(e))
}

// Validate says what is wrong with a description.
func Validate(e *Endpoint) error {
	switch {
	case e == nil:
		return errors.New("there is no endpoint")
	case e.Name == "":
		return errors.New("the endpoint has no name")
	default:
		return nil
	}
}

// Encode returns a description as metadata.
func Encode(e *Endpoint) map[string]string {
	if e == nil {
		return nil
	}
	md := map[string]string{}
	for name, value := range map[string]string{
		"endpoint": e.Name, "description": e.Description, "handler": e.Handler, "body": e.Body,
		"host": strings.Join(e.Host, ","), "method": strings.Join(e.Method, ","), "path": strings.Join(e.Path, ","),
	} {
		if value != "" {
			md[name] = value
		}
	}
	if e.Stream {
		md["stream"] = "true"
	}
	return md
}

// Decode reads what [Encode] wrote.
func Decode(md map[string]string) *Endpoint {
	if md == nil {
		return nil
	}
	list := func(name string) []string {
		if md[name] == "" {
			return nil
		}
		return strings.Split(md[name], ",")
	}
	stream, _ := strconv.ParseBool(md["stream"]) // anything else is none
	return &Endpoint{
		Name: md["endpoint"], Description: md["description"], Handler: md["handler"], Body: md["body"],
		Host: list("host"), Method: list("method"), Path: list("path"), Stream: stream,
	}
}
