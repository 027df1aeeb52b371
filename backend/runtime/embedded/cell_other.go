//go:build !linux

package embedded

import (
	"fmt"
	goruntime "runtime"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/supervisor"
)

// cells bound and hide nothing here.
type cells struct{}

func openCells(cellsConfig) (*cells, error) { return &cells{}, nil }

func (*cells) open(_ home, _ *image, bounds runtime.Resources) (*cell, error) {
	return &cell{bounds: bounds, closed: make(chan struct{})}, nil
}

func (*cells) forget(home) {}

func (*cells) describe() runtime.Description {
	return runtime.Description{
		Cannot: []string{fmt.Sprintf("on %s nothing bounds what they use, and they see what the server does", goruntime.GOOS)},
	}
}

func (*cells) close() error { return nil }

// cell is one of an instance.
type cell struct {
	bounds runtime.Resources
	closed chan struct{}
}

func (c *cell) start(p program) (*process, error) {
	select {
	case <-c.closed:
		return nil, runtime.ErrNotRunning
	default:
		return start(p)
	}
}

func (c *cell) unmet() []supervisor.Unmet {
	return unmetOf(c.bounds, "this system has no control groups")
}

func (*cell) memoryKills() int64 { return 0 }

func (*cell) usage() (usage, bool) { return usage{}, false }

func (*cell) kill() (bool, error) { return false, nil }

func (c *cell) close() error {
	close(c.closed)
	return nil
}
