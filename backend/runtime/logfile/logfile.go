// Package logfile keeps what instances write, in files, for the drivers that have to do
// so themselves. It knows neither processes nor containers.
package logfile

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Logs is what all instances wrote, in the folder of each:
//
//	<dir>/<namespace>/<service>/<instance>/00000001.log
//
// The folders are also the list of the instances that are kept: an instance is
// known from the moment it has one until it has none.
//
// All methods are safe for concurrent use.
type Logs struct {
	dir         string
	segmentSize int64
	segments    int
	maxAge      time.Duration // 0: none
	now         func() time.Time

	mu       sync.Mutex
	services map[Service]*serviceLogs
}

// Service names a service.
type Service struct {
	Namespace, Name string
}

// serviceLogs is kept while it has logs or somebody waits for some.
type serviceLogs struct {
	instances map[string]*Log
	waiters   int
	changed   chan struct{} // closed at the next change; nil while nobody waits
}

// Open finds the logs below dir, which must exist. A file of a log grows to segmentSize
// bytes, so many segments of each are kept, and lines until they are maxAge old; 0: for
// as long as there is room.
func Open(dir string, segmentSize int64, segments int, maxAge time.Duration) (*Logs, error) {
	ls := &Logs{dir: dir, segmentSize: segmentSize, segments: segments, maxAge: maxAge, now: time.Now, services: map[Service]*serviceLogs{}}
	found, err := fs.Glob(os.DirFS(dir), "*/*/*")
	if err != nil {
		return nil, err
	}
	for _, name := range found {
		at := strings.Split(name, "/")
		info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
		if err == nil && info.IsDir() {
			_, err = ls.Open(Service{at[0], at[1]}, at[2])
		}
		if err != nil {
			return nil, err
		}
	}
	return ls, nil
}

// Open returns the log of an instance, and makes it when there is none.
func (ls *Logs) Open(service Service, id string) (*Log, error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if s := ls.services[service]; s != nil && s.instances[id] != nil {
		return s.instances[id], nil
	}
	dir := filepath.Join(ls.dir, service.Namespace, service.Name, id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l, err := openLog(ls, service, id, dir)
	if err != nil {
		return nil, err
	}
	ls.service(service).instances[id] = l
	return l, nil
}

// All returns the logs that there are.
func (ls *Logs) All() []*Log {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	var all []*Log
	for _, s := range ls.services {
		all = slices.AppendSeq(all, maps.Values(s.instances))
	}
	return all
}

// service returns the entry of a service, a new one when there is none.
func (ls *Logs) service(key Service) *serviceLogs {
	s := ls.services[key]
	if s == nil {
		s = &serviceLogs{instances: map[string]*Log{}}
		ls.services[key] = s
	}
	return s
}

// Remove forgets a log. Its folder is moved to trash, a name that does not exist
// yet, in one step; the folders above go when they are empty.
func (ls *Logs) Remove(l *Log, trash string) error {
	l.Rest()
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if err := os.Rename(l.dir, trash); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	service := filepath.Dir(l.dir)
	if os.Remove(service) == nil {
		_ = os.Remove(filepath.Dir(service)) // not empty, as a rule
	}
	delete(ls.services[l.service].instances, l.id)
	ls.changed(l.service)
	return nil
}

// wake tells who waits for a service that there is more to read.
func (ls *Logs) wake(service Service) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.changed(service)
}

func (ls *Logs) changed(service Service) {
	s := ls.services[service]
	if s == nil {
		return
	}
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
	if s.waiters == 0 && len(s.instances) == 0 {
		delete(ls.services, service)
	}
}

// subscribe keeps a service's entry, so that look can wait for what it does not
// have yet. The caller calls unsubscribe once.
func (ls *Logs) subscribe(service Service) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.service(service).waiters++
}

func (ls *Logs) unsubscribe(service Service) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.services[service].waiters--
	ls.changed(service)
}

// look returns the logs that a service has now, of one instance or of all when
// id is empty, and a channel that is closed when that or what they hold changes.
// The service must be subscribed to.
func (ls *Logs) look(service Service, id string) ([]*Log, <-chan struct{}) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	s := ls.services[service]
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	var found []*Log
	for _, l := range s.instances {
		if id == "" || id == l.id {
			found = append(found, l)
		}
	}
	return found, s.changed
}
