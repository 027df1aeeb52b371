package front

import (
	"context"
	"encoding/binary"
	"strings"

	"github.com/micro/micro/v3/cli/front/unary"
	"github.com/micro/micro/v3/dynamic/wire"
	"github.com/micro/micro/v3/envs"
)

// A server of micro gives away schemas in compiled form, so that the front can call what
// it has not called before: it has nothing to compile schemas with. The table is the
// server's word. It is kept by what it is itself (see [Cache]), so that the word counts
// for calls of that server alone.

// getSchema is the path of micro.registry.v1.Registry.GetSchema.
const getSchema = "/micro.registry.v1.Registry/GetSchema"

// mayFetch reports whether the server may know a service that the cache does not: it
// is one of micro, which the user has a token for, and the name that of a service.
func (a *attempt) mayFetch() bool {
	return a.at.token != "" && isFileName(a.at.namespace) && isFileName(a.in.Service) && !strings.ContainsAny(a.in.Service, "._")
}

// fetch asks the server for the schema of the service, and prepares the request by it.
// The error is that of ctx, or errLeave.
func (a *attempt) fetch(ctx context.Context, conn *unary.Conn) error {
	answer, err := conn.Do(ctx, &unary.Call{
		Path: getSchema, Metadata: a.at.identity(true), Message: schemaRequest(a.in.Service), Timeout: a.timeout,
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil || answer.Code != 0 || !a.learn(answer.Message):
		return errLeave
	default:
		return nil
	}
}

// schemaRequest returns a micro.registry.v1.GetSchemaRequest for a compiled table.
func schemaRequest(service string) []byte {
	b := append([]byte{1<<3 | 2}, binary.AppendUvarint(nil, uint64(len(service)))...)
	b = append(b, service...)
	return binary.AppendUvarint(append(b, 3<<3), wire.Version)
}

// learn prepares the request by the schema in a GetSchemaResponse; false when microd
// has to.
func (a *attempt) learn(response []byte) bool {
	entry, ok := a.cache.Learn(a.at.env, a.at.namespace, a.in.Service, response)
	return ok && a.prepare(entry)
}

// Learn keeps the compiled schema of a service that is in the server's answer, a
// micro.registry.v1.GetSchemaResponse, and returns it; false when there is none that is
// good for all messages.
func (c Cache) Learn(e envs.Env, namespace, service string, response []byte) (Entry, bool) {
	var digest string
	var table []byte
	for number, v := range fieldsOf(response) {
		switch {
		case number == 1 && v != nil:
			digest = string(v)
		case number == 3 && v != nil:
			table = v
		}
	}
	t, err := wire.Open(table)
	if err != nil || digestOf(t) != digest {
		return Entry{}, false
	}
	for m := range t.Messages() {
		if !m.Supported() {
			return Entry{}, false
		}
	}
	entry, err := c.Put(e, namespace, service, table)
	return entry, err == nil
}
