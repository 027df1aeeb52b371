package embedded

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// logs is what all instances wrote, in the folder of each:
//
//	<dir>/<namespace>/<service>/<instance>/00000001.log
//
// The folders are also the list of the instances that are kept: an instance is
// known from the moment it has one until it has none.
//
// All methods are safe for concurrent use.
type logs struct {
	dir         string
	segmentSize int64
	segments    int
	maxAge      time.Duration // 0: none
	now         func() time.Time

	mu       sync.Mutex
	services map[serviceKey]*serviceLogs
}

// serviceKey names a service.
type serviceKey struct {
	namespace, service string
}

// serviceLogs is kept while it has logs or somebody waits for some.
type serviceLogs struct {
	instances map[string]*instanceLog
	waiters   int
	changed   chan struct{} // closed at the next change; nil while nobody waits
}

// openLogs finds the logs below dir, which must exist.
func openLogs(dir string, segmentSize int64, segments int, maxAge time.Duration) (*logs, error) {
	ls := &logs{dir: dir, segmentSize: segmentSize, segments: segments, maxAge: maxAge, now: time.Now, services: map[serviceKey]*serviceLogs{}}
	err := folders(dir, func(namespace string) error {
		return folders(filepath.Join(dir, namespace), func(service string) error {
			return folders(filepath.Join(dir, namespace, service), func(id string) error {
				_, err := ls.open(serviceKey{namespace, service}, id)
				return err
			})
		})
	})
	if err != nil {
		return nil, err
	}
	return ls, nil
}

// folders calls do with the name of each folder in dir.
func folders(dir string, do func(name string) error) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if err := do(e.Name()); err != nil {
			return err
		}
	}
	return nil
}

// open returns the log of an instance, and makes it when there is none.
func (ls *logs) open(service serviceKey, id string) (*instanceLog, error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if s := ls.services[service]; s != nil && s.instances[id] != nil {
		return s.instances[id], nil
	}
	dir := filepath.Join(ls.dir, service.namespace, service.service, id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l, err := openInstanceLog(ls, service, id, dir)
	if err != nil {
		return nil, err
	}
	ls.service(service).instances[id] = l
	return l, nil
}

// service returns the entry of a service, a new one when there is none.
func (ls *logs) service(key serviceKey) *serviceLogs {
	s := ls.services[key]
	if s == nil {
		s = &serviceLogs{instances: map[string]*instanceLog{}}
		ls.services[key] = s
	}
	return s
}

// remove forgets a log. Its folder is moved to trash, a name that does not exist
// yet, in one step; the folders above go when they are empty.
func (ls *logs) remove(l *instanceLog, trash string) error {
	l.rest()
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
func (ls *logs) wake(service serviceKey) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.changed(service)
}

func (ls *logs) changed(service serviceKey) {
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
func (ls *logs) subscribe(service serviceKey) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.service(service).waiters++
}

func (ls *logs) unsubscribe(service serviceKey) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.services[service].waiters--
	ls.changed(service)
}

// look returns the logs that a service has now, of one instance or of all when
// id is empty, and a channel that is closed when that or what they hold changes.
// The service must be subscribed to.
func (ls *logs) look(service serviceKey, id string) ([]*instanceLog, <-chan struct{}) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	s := ls.services[service]
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	var found []*instanceLog
	for _, l := range s.instances {
		if id == "" || id == l.id {
			found = append(found, l)
		}
	}
	return found, s.changed
}
