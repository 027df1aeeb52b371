package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/micro/micro/v3/internal/podmantest"
)

// TestKillsOfContainers kills containers, the server and the engine that they run on,
// while the service is called. Every call that may be made again comes through.
func TestKillsOfContainers(t *testing.T) {
	t.Parallel()
	engine := podmantest.Start(t)
	s := newSite(t, "--runtime", "docker://"+strings.TrimPrefix(engine.Address, "unix://"))
	s.endure(s.containerPIDs, func(do func()) {
		engine.Kill()
		do()
		engine.Run(t)
	})
}

// containerPIDs returns the processes of the instances of this site's server, by where
// they were told to serve.
func (s *site) containerPIDs() []int {
	s.Helper()
	var marks []string
	for _, in := range s.await("there", whole).GetStatus().GetInstances() {
		marks = append(marks, "MICRO_ADDRESS="+in.GetAddress())
	}
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		s.Fatal(err)
	}
	var pids []int
	for _, file := range all {
		environ, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for variable := range strings.SplitSeq(string(environ), "\x00") {
			if pid, err := strconv.Atoi(strings.Split(file, "/")[2]); err == nil && slices.Contains(marks, variable) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
