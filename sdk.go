// Package micro holds the source of the SDK, the part of this module that
// services are written against, so that a binary can carry it.
package micro

import "embed"

// SDK is the source of the packages service and proto as it is in this
// repository, and of the server as far as service/servicetest needs it. Package
// internal/sdk makes a Go module of it.
//
//go:embed LICENSE service proto
//go:embed backend/*.go backend/archive/*.go backend/audit/*.go backend/auth/*.go backend/backup/*.go backend/blobs/*.go
//go:embed backend/config/*.go backend/deploy/*.go backend/embedded/*.go
//go:embed backend/events/*.go backend/events/embedded/*.go backend/gateway/*.go backend/logs/*.go backend/mail/*.go backend/metrics/*.go
//go:embed backend/proxy/*.go backend/registry/*.go backend/runtime/*.go backend/runtime/docker/*.go backend/runtime/embedded/*.go
//go:embed backend/runtime/logfile/*.go backend/runtime/supervisor/*.go backend/runtime/sweep/*.go backend/server/*.go backend/server/apis.binpb backend/stats/*.go backend/store/*.go backend/store/embedded/*.go backend/tables/*.go
//go:embed backend/trace/*.go backend/transfer/*.go
//go:embed dynamic/*.go dynamic/request/*.go dynamic/wire/*.go dynamic/wire/builtin.table
//go:embed image/layout/*.go image/registry/*.go
//go:embed internal/atomicfile/*.go internal/buildinfo/*.go internal/filelock/*.go internal/pagetoken/*.go
//go:embed internal/protofiles/*.go internal/seal/*.go
var SDK embed.FS
