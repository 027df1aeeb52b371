package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// killAll kills the processes that l means and returns them. It is an error if
// one of them may not be killed.
func killAll(l leftover) ([]processID, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var killed []processID
	for _, name := range names {
		pid := number([]byte(name))
		if pid <= 0 || pid == os.Getpid() {
			continue
		}
		s, ok := readStatus(pid)
		if ok && s.ended {
			l.bury(s)
			continue
		}
		if !ok || !l.means(s) {
			continue
		}
		if killErr := kill(s.processID); killErr != nil {
			err = fmt.Errorf("kill process %d: %w", pid, killErr)
		}
		killed = append(killed, s.processID)
	}
	return killed, err
}

// kill kills a process and no later one with its number.
func kill(id processID) error {
	p, err := os.FindProcess(id.PID)
	if err != nil {
		return nil //nolint:nilerr // it is gone
	}
	// The handle is of one process for ever, so ask now which.
	if identify(id.PID) == id {
		err = p.Kill()
	}
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	return errors.Join(err, p.Release())
}

// bury takes notice of the end of a process that l means, if it has fallen to
// this process to do so: that is the lot of the first process of a container. The
// leader of a session is left to who started it.
func (l leftover) bury(s status) {
	mine := s.parent == os.Getpid() && s.PID != l.session
	if mine && (l.known[s.processID] || l.session != 0 && s.session == l.session) {
		_, _ = unix.Wait4(s.PID, nil, unix.WNOHANG, nil) // nobody asks how it ended
	}
}

// means reports whether a process is one to sweep away.
func (l leftover) means(s status) bool {
	if l.known[s.processID] || l.session != 0 && s.session == l.session {
		return true
	}
	dir := procDir(s.PID)
	environ, err := os.ReadFile(filepath.Join(dir, "environ"))
	if err == nil && l.mark.in(environ) {
		return true
	}
	// The number of a group may have been given away since this runtime used it,
	// so the process also has to run here, or be a program from here.
	if !l.groups[s.group] && !l.groups[s.session] {
		return false
	}
	for _, link := range []string{"cwd", "exe"} {
		target, err := os.Readlink(filepath.Join(dir, link))
		if err == nil && strings.HasPrefix(target, l.dir+"/") {
			return true
		}
	}
	return false
}

// status is what the system tells of a process.
type status struct {
	processID
	ended                  bool // and its parent has not taken notice
	parent, group, session int

	ticks int64 // of the processor, its own and those of children that have ended
	pages int64 // resident
}

// readStatus reports false when there is no such process.
func readStatus(pid int) (status, bool) {
	text, err := os.ReadFile(filepath.Join(procDir(pid), "stat"))
	if err != nil {
		return status{}, false
	}
	// PID (NAME) STATE PARENT GROUP SESSION …, where NAME may hold anything.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	const state, parent, group, session, firstTicks, lastTicks, start, resident = 0, 1, 2, 3, 11, 14, 19, 21
	if len(fields) <= resident {
		return status{}, false
	}
	ticks, err := strconv.ParseUint(string(fields[start]), 10, 64)
	s := status{
		processID: processID{PID: pid, Start: ticks},
		ended:     bytes.ContainsAny(fields[state], "ZXx"),
		parent:    number(fields[parent]),
		group:     number(fields[group]),
		session:   number(fields[session]),
		pages:     int64(number(fields[resident])),
	}
	for _, f := range fields[firstTicks : lastTicks+1] {
		s.ticks += int64(number(f))
	}
	return s, err == nil
}

func procDir(pid int) string { return filepath.Join("/proc", strconv.Itoa(pid)) }

// identify returns the identity of a process, an empty one if it has ended.
func identify(pid int) processID {
	if s, ok := readStatus(pid); ok && !s.ended {
		return s.processID
	}
	return processID{}
}

func number(b []byte) int {
	n, err := strconv.Atoi(string(b))
	if err != nil {
		return -1
	}
	return n
}

// bootID returns what tells this start of the machine from others, empty when
// that is unknown.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
