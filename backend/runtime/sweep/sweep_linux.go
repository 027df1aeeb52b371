package sweep

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
func killAll(l Leftover) ([]Process, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var killed []Process
	for _, name := range names {
		pid := Number([]byte(name))
		if pid <= 0 || pid == os.Getpid() {
			continue
		}
		s, ok := ReadStatus(pid)
		if ok && s.Ended {
			l.bury(s)
			continue
		}
		if !ok || !l.means(s) {
			continue
		}
		if killErr := kill(s.Process); killErr != nil {
			err = fmt.Errorf("kill process %d: %w", pid, killErr)
		}
		killed = append(killed, s.Process)
	}
	return killed, err
}

// kill kills a process and no later one with its number.
func kill(id Process) error {
	p, err := os.FindProcess(id.PID)
	if err != nil {
		return nil //nolint:nilerr // it is gone
	}
	// The handle is of one process for ever, so ask now which.
	if Identify(id.PID) == id {
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
func (l Leftover) bury(s Status) {
	mine := s.Parent == os.Getpid() && s.PID != l.Session
	if mine && (l.Known[s.Process] || l.Session != 0 && s.Session == l.Session) {
		_, _ = unix.Wait4(s.PID, nil, unix.WNOHANG, nil) // nobody asks how it ended
	}
}

// means reports whether a process is one to sweep away.
func (l Leftover) means(s Status) bool {
	if l.Known[s.Process] || l.Session != 0 && s.Session == l.Session {
		return true
	}
	dir := Dir(s.PID)
	environ, err := os.ReadFile(filepath.Join(dir, "environ"))
	if err == nil && l.Mark.in(environ) {
		return true
	}
	// The number of a group may have been given away since this runtime used it,
	// so the process also has to run here, or be a program from here.
	if !l.Groups[s.Group] && !l.Groups[s.Session] {
		return false
	}
	for _, link := range []string{"cwd", "exe"} {
		target, err := os.Readlink(filepath.Join(dir, link))
		if err == nil && strings.HasPrefix(target, l.Dir+"/") {
			return true
		}
	}
	return false
}

// Status is what the system tells of a process.
type Status struct {
	Process
	Ended                  bool // and its parent has not taken notice
	Parent, Group, Session int

	Ticks int64 // of the processor, its own and those of children that have ended
	Pages int64 // resident
}

// ReadStatus reports false when there is no such process.
func ReadStatus(pid int) (Status, bool) {
	text, err := os.ReadFile(filepath.Join(Dir(pid), "stat"))
	if err != nil {
		return Status{}, false
	}
	// PID (NAME) STATE PARENT GROUP SESSION …, where NAME may hold anything.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	const state, parent, group, session, firstTicks, lastTicks, start, resident = 0, 1, 2, 3, 11, 14, 19, 21
	if len(fields) <= resident {
		return Status{}, false
	}
	ticks, err := strconv.ParseUint(string(fields[start]), 10, 64)
	s := Status{
		Process: Process{PID: pid, Start: ticks},
		Ended:   bytes.ContainsAny(fields[state], "ZXx"),
		Parent:  Number(fields[parent]),
		Group:   Number(fields[group]),
		Session: Number(fields[session]),
		Pages:   int64(Number(fields[resident])),
	}
	for _, f := range fields[firstTicks : lastTicks+1] {
		s.Ticks += int64(Number(f))
	}
	return s, err == nil
}

// Dir returns where the system tells of a process.
func Dir(pid int) string { return filepath.Join("/proc", strconv.Itoa(pid)) }

// Identify returns the identity of a process, an empty one if it has ended.
func Identify(pid int) Process {
	if s, ok := ReadStatus(pid); ok && !s.Ended {
		return s.Process
	}
	return Process{}
}

// Number returns the number that a text is, -1 when it is none.
func Number(b []byte) int {
	n, err := strconv.Atoi(string(b))
	if err != nil {
		return -1
	}
	return n
}

// BootID returns what tells this start of the machine from others, empty when
// that is unknown.
func BootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
