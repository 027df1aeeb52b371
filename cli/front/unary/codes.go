package unary

import (
	"fmt"
	"strconv"
	"strings"
)

// Codes of gRPC that are told apart here.
const (
	CodeCanceled           = 1
	CodeUnknown            = 2
	CodeInvalidArgument    = 3
	CodeDeadlineExceeded   = 4
	CodeNotFound           = 5
	CodePermissionDenied   = 7
	CodeResourceExhausted  = 8
	CodeFailedPrecondition = 9
	CodeUnimplemented      = 12
	CodeInternal           = 13
	CodeUnavailable        = 14
	CodeUnauthenticated    = 16
)

// Closed is the [Cause] when a server has ended the connection without a word.
const Closed = "it closed the connection"

// Cause cuts the wrapping off what a transport says: ours, or that of grpc-go.
func Cause(message string) string {
	message = unwrap(message)
	if i := strings.Index(message, "the proxy "); i >= 0 {
		return message[i:] // it is not the server that could not be reached
	}
	for _, known := range []string{"connection refused", "no such host", "i/o timeout", "network is unreachable", "no route to host", "broken pipe", "connection reset by peer"} {
		if strings.Contains(message, known) {
			return known
		}
	}
	if strings.Contains(message, "produced zero addresses") { // grpc-go's resolver
		return "no such host"
	}
	for _, wrapping := range []string{"transport: authentication handshake failed: ", "error reading server preface: ", "error reading from server: "} {
		message = strings.TrimPrefix(message, wrapping)
	}
	if message == "EOF" || message == "unexpected EOF" {
		return Closed
	}
	return message
}

// unwrap returns what grpc-go has put into the quotes of a description.
func unwrap(message string) string {
	i := strings.LastIndex(message, "desc = ")
	if i < 0 {
		return message
	}
	message = message[i+len("desc = "):]
	if quoted, err := strconv.QuotedPrefix(message); err == nil {
		if text, err := strconv.Unquote(quoted); err == nil {
			return text
		}
	}
	return strings.Trim(message, `"\ `)
}

// CodeName returns the name of a gRPC code.
func CodeName(code int) string {
	names := [...]string{
		"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists",
		"PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange",
		"Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated",
	}
	if code >= 0 && code < len(names) {
		return names[code]
	}
	return fmt.Sprintf("Code(%d)", code)
}
