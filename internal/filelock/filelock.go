// Package filelock locks files between processes, so that a directory has one user at a
// time. A lock ends with its process, whatever ends that.
package filelock

import "errors"

// ErrLocked is returned for a file that is locked, by this process or another.
var ErrLocked = errors.New("another server uses it")
