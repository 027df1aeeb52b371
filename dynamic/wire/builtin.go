package wire

import _ "embed" // for the table

// builtin is the table of google.rpc.Status, of the messages that are commonly in
// its details, and of those of google.protobuf with a JSON form of their own.
// TestBuiltin of package dynamic makes it with -update.
//
//go:embed builtin.table
var builtin []byte

// OpenBuiltin opens the table with which everybody can read a rich error of gRPC
// without a schema: google.rpc.Status is what is in the trailer
// grpc-status-details-bin.
func OpenBuiltin() (*Table, error) { return Open(builtin) }
