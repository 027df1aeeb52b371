// Package micro holds the source of the SDK, the part of this module that
// services are written against, so that a binary can carry it.
package micro

import "embed"

// SDK is the source of the packages service and proto as it is in this
// repository. Package internal/sdk makes a Go module of it.
//
//go:embed LICENSE service proto
var SDK embed.FS
