// Package handler greets.
package handler

import (
	"context"

	pb "github.com/micro/services/helloworld/proto"
)

// Helloworld answers as a handler of Micro 3 does: it fills the response.
type Helloworld struct{}

// Call is what is called when no method is named.
func (h *Helloworld) Call(ctx context.Context, req *pb.Request, rsp *pb.Response) error {
	return h.Message(ctx, req, rsp)
}

// Message is the method that the announcement's .proto file has.
func (h *Helloworld) Message(ctx context.Context, req *pb.Request, rsp *pb.Response) error {
	rsp.Msg = "Hello " + req.Name
	return nil
}
