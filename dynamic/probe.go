package dynamic

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Probe asks a server again what it told of a service, in one round trip: all that was
// asked before at once, whatever the answers are. Servers that do not compare schemas
// themselves can be called with an old one no sooner.
type Probe struct {
	Method   string   // the gRPC path of reflection
	Requests [][]byte // messages of that method, in wire form
	// Sum is the SHA-256 of the answers in wire form, each after its length as eight
	// bytes, the lowest first.
	Sum [sha256.Size]byte
}

// Unchanged reports whether a server still answers as it did. That it no longer answers
// such questions is a change too; the error is that of a server that cannot be reached.
func (p Probe) Unchanged(ctx context.Context, conn grpc.ClientConnInterface) (bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := openReflection(ctx, conn, p.Method)
	if err != nil {
		return false, err
	}
	for _, r := range p.Requests {
		if s.SendMsg(&r) != nil {
			break // why comes with the answer
		}
	}
	if err := s.CloseSend(); err != nil {
		return false, err
	}
	r := newRecord()
	for {
		var answer []byte
		err := s.RecvMsg(&answer)
		if errors.Is(err, io.EOF) {
			return len(r.requests) == len(p.Requests) && r.answers() == p.Sum, nil
		}
		switch status.Code(err) {
		case codes.OK:
		case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
			return false, err
		default:
			return false, nil
		}
		if len(r.requests) == len(p.Requests) {
			return false, nil // nobody asked for that
		}
		r.add(nil, answer)
	}
}

// record is what was asked and what was answered.
type record struct {
	requests [][]byte
	sum      hash.Hash
}

func newRecord() *record { return &record{sum: sha256.New()} }

func (r *record) add(question, answer []byte) {
	r.requests = append(r.requests, question)
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(answer)))
	r.sum.Write(n[:])
	r.sum.Write(answer)
}

func (r *record) answers() [sha256.Size]byte { return [sha256.Size]byte(r.sum.Sum(nil)) }
