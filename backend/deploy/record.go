package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// What is kept of a service.
const (
	// KeptReleases is how many releases are, beside those in use.
	KeptReleases = 10
	// KeptChanges is how many changes are.
	KeptChanges = 50
	// KeptEntries is how many entries of the journal are.
	KeptEntries = 500
	// KeptKilled is how long all of this is kept of a service that was killed.
	KeptKilled = 7 * 24 * time.Hour
)

// Release is one of the specs that a service has had.
type Release struct {
	Number int64     `json:"number"`
	Spec   Spec      `json:"spec"`
	By     string    `json:"by,omitempty"` // the account that made it
	At     time.Time `json:"at"`
	Action Action    `json:"action"`       // of the change that made it
	Of     int64     `json:"of,omitempty"` // the release that has the same spec, when it was made from that
	// Served is when all of its instances were healthy for the first time; zero: never.
	Served time.Time `json:"served,omitzero"`
}

// Action is what was done to what should run.
type Action string

// The actions.
const (
	Run          Action = "run"
	Update       Action = "update"
	Scale        Action = "scale"
	Restart      Action = "restart"
	Rollback     Action = "rollback"
	Undo         Action = "undo"
	Kill         Action = "kill"
	AutoRollback Action = "automatic rollback" // by the server itself
)

// State is what should run.
type State struct {
	Release   int64   `json:"release"`
	Instances int     `json:"instances"`
	Rollout   Rollout `json:"rollout,omitzero"`
}

// Change is something that was done to what should run.
type Change struct {
	Number int64     `json:"number"`
	At     time.Time `json:"at"`
	By     string    `json:"by,omitempty"` // the account that asked for it; empty: the server
	Action Action    `json:"action"`
	Reason string    `json:"reason,omitempty"` // why, when the server did it by itself
	Undoes int64     `json:"undoes,omitempty"` // the change that an undo has taken back
	Before *State    `json:"before,omitempty"` // nil: nothing should run
	After  *State    `json:"after,omitempty"`
}

// desired is the record of a service.
type desired struct {
	Release // the current one

	Instances int     `json:"instances"`
	Rollout   Rollout `json:"rollout,omitzero"`
	// Set is a label: the set of files that this was applied from last. To change it
	// changes nothing that runs.
	Set string `json:"set,omitempty"`
	// Newest is the greatest number that a release was given.
	Newest int64 `json:"newest"`
	// Serving is the newest release whose instances were all healthy, 0 when
	// none ever was: it is called until a later one can take over. As many as
	// Olds instances of it are.
	Serving int64 `json:"serving,omitempty"`
	Olds    int   `json:"olds,omitempty"`
	// Last is the newest change, and Undoable the one that an undo takes back.
	Last     Change  `json:"last"`
	Undoable *Change `json:"undoable,omitempty"`
	// Deleted says that nothing should run, and Gone that nothing does.
	Deleted bool `json:"deleted,omitempty"`
	Gone    bool `json:"gone,omitempty"`
}

// state returns what should run; nil: nothing.
func (d *desired) state() *State {
	if d.Number == 0 || d.Deleted {
		return nil
	}
	return &State{Release: d.Number, Instances: d.Instances, Rollout: d.Rollout}
}

// replaces reports whether the current release is to take over from one that serves.
func (d *desired) replaces() bool { return d.Serving != 0 && d.Serving != d.Number }

const index = "$system/deploy/"

func indexKey(ns, name string) string { return index + ns + "/" + name }

func serviceKey(ns, name string) string { return ns + "/deploy/service/" + name }

func releasesPrefix(ns string) string { return ns + "/deploy/release/" }

func releasePrefix(ns, name string) string { return releasesPrefix(ns) + name + "/" }

func changePrefix(ns, name string) string { return ns + "/deploy/change/" + name + "/" }

func journalPrefix(ns, name string) string { return ns + "/deploy/journal/" + name + "/" }

func numbered(prefix string, n int64) string { return fmt.Sprintf("%s%020d", prefix, n) }

// historyPrefixes are those of all that is kept of a service beside its record.
func historyPrefixes(ns, name string) []string {
	return []string{releasePrefix(ns, name), changePrefix(ns, name), journalPrefix(ns, name)}
}

// loadDesired returns the record of a service; the revision is 0 when there is none.
func loadDesired(ctx context.Context, s store.Store, ns, name string) (rec desired, revision int64, err error) {
	r, err := s.Get(ctx, serviceKey(ns, name))
	if errors.Is(err, store.ErrNotFound) {
		return desired{}, 0, nil
	}
	if err != nil {
		return desired{}, 0, err
	}
	if err := decode(r, &rec); err != nil {
		return desired{}, 0, err
	}
	return rec, r.Revision, nil
}

// loadRelease returns a release of a service; [store.ErrNotFound] when it is not kept.
func loadRelease(ctx context.Context, s store.Store, ns, name string, rec *desired, number int64) (Release, error) {
	if number == rec.Number {
		return rec.Release, nil
	}
	r, err := s.Get(ctx, numbered(releasePrefix(ns, name), number))
	if err != nil {
		return Release{}, fmt.Errorf("release %d: %w", number, err)
	}
	var rel Release
	return rel, decode(r, &rel)
}

// loadAll returns the records below a prefix, the newest first.
func loadAll[T any](ctx context.Context, s store.Store, prefix string) ([]T, error) {
	var all []T
	newest := store.Prefix(prefix)
	newest.Reverse = true
	for r, err := range s.Range(ctx, newest) {
		if err != nil {
			return nil, err
		}
		var v T
		if err := decode(r, &v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

func decode(r store.Record, v any) error {
	if err := json.Unmarshal(r.Value, v); err != nil {
		return fmt.Errorf("%s: %w", r.Key, err)
	}
	return nil
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("deploy: a record that JSON cannot hold: %v", err))
	}
	return b
}
