package server_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/grpc/metadata"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/server"
	"github.com/micro/micro/v3/backend/store/embedded"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// startWithFewChanges runs a server whose store keeps so few changes that a watch which
// was away for a while is too late.
func startWithFewChanges(t *testing.T) *testServer {
	t.Helper()
	db, err := engine.Open(t.Context(), "few", engine.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	st, err := embedded.Open(t.Context(), db, embedded.Options{MaxChanges: 500})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return start(t, func(c *server.Config) { c.Store = st })
}

// seen is what a watch sent at once: the changes of a revision, or with all set what
// there was as of it.
type seen struct {
	revision int64
	all      bool
	values   map[string]string // empty: removed
}

// watched is a table with what was written to it, by revision.
type watched struct {
	s    *testServer
	api  storev1.StoreClient
	done chan struct{} // closed when all but the end was written

	mu    sync.Mutex
	truth map[int64]map[string]string
}

// ctx is one for the calls of whoever writes or watches.
func (w *watched) ctx() (context.Context, context.CancelFunc) {
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+w.s.admin, "micro-namespace", "acme")
	return context.WithCancel(ctx)
}

// write makes changes to several keys at once.
func (w *watched) write(ctx context.Context, values map[string]string) error {
	req := &storev1.BatchRequest{Table: "watched"}
	for key, value := range values {
		op := &storev1.Operation{Kind: &storev1.Operation_Put{Put: &storev1.Put{Record: &storev1.Record{Key: []byte(key), Value: []byte(value)}}}}
		if value == "" {
			op.Kind = &storev1.Operation_Delete{Delete: []byte(key)}
		}
		req.Operations = append(req.Operations, op)
	}
	rsp, err := w.api.Batch(ctx, req)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, taken := w.truth[rsp.GetRevision()]; taken {
		return fmt.Errorf("two writes have the revision %d", rsp.GetRevision())
	}
	w.truth[rsp.GetRevision()] = values
	return nil
}

// writeAll has writers make changes, each to keys of its own.
func (w *watched) writeAll(writers, changes int, seed uint64) error {
	errs := make(chan error, writers)
	for id := range writers {
		go func() {
			ctx, cancel := w.ctx()
			defer cancel()
			rnd := rand.New(rand.NewPCG(seed, uint64(id)))
			there := map[string]bool{}
			for n := range changes {
				values := map[string]string{}
				for range 1 + rnd.IntN(4) {
					key := fmt.Sprintf("w%d-%d", id, rnd.IntN(6))
					values[key] = fmt.Sprintf("%d %s", n, strings.Repeat("x", rnd.IntN(400)))
					if there[key] && rnd.IntN(3) == 0 {
						values[key] = "" // what was not there would be no change
					}
				}
				for key, value := range values {
					there[key] = value != ""
				}
				if err := w.write(ctx, values); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range writers {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

// isLate reports whether a watch from a revision is too late.
func (w *watched) isLate(ctx context.Context, from int64) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := w.api.Watch(ctx, &storev1.WatchRequest{Table: "watched", FromRevision: from})
	if err == nil {
		_, err = stream.Recv()
	}
	return reasonOf(err) == "COMPACTED"
}

// follower is a client that watches, is cut off, and goes on.
type follower struct {
	w     *watched
	stop  context.Context //nolint:containedctx // when it ends, so does a control that waits for an end that it has missed
	rnd   *rand.Rand
	wrong int64 // a control: it goes on from so much beside where it should
	calls int   // how many messages it takes before it is cut off at the most
	away  bool  // it comes back only when all has been written
	slow  bool  // it takes the first message only when all has been written

	last    int64
	seen    []seen
	late    int // how often it was told that it is too late
	cutOffs int
}

// follow watches until it has seen the end.
func (f *follower) follow() error {
	if f.away {
		<-f.w.done
	}
	for {
		over, err := f.once()
		if over || err != nil {
			return err
		}
		f.cutOffs++
	}
}

// once watches until it is cut off. over says that it has seen the end.
func (f *follower) once() (over bool, err error) {
	ctx, cancel := f.w.ctx()
	defer cancel()
	defer context.AfterFunc(f.stop, cancel)()
	from := f.last
	if from > 0 {
		from += f.wrong
	}
	stream, err := f.w.api.Watch(ctx, &storev1.WatchRequest{Table: "watched", FromRevision: from})
	if err != nil {
		return false, err
	}
	if f.slow {
		<-f.w.done
	}
	part := seen{all: from == 0, values: map[string]string{}}
	for life := 1 + f.rnd.IntN(f.calls); life > 0; life-- {
		rsp, err := stream.Recv()
		if reasonOf(err) == "COMPACTED" {
			f.last = 0
			f.late++
			return false, nil
		}
		if f.stop.Err() != nil {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		switch rsp.GetChange() {
		case storev1.Change_CHANGE_SYNCED:
			part.revision = rsp.GetRevision()
			f.seen = append(f.seen, part)
			f.last = rsp.GetRevision()
			part = seen{values: map[string]string{}}
			if _, end := f.seen[len(f.seen)-1].values["end"]; end {
				return true, nil
			}
			continue
		case storev1.Change_CHANGE_PUT, storev1.Change_CHANGE_DELETE, storev1.Change_CHANGE_UNSPECIFIED:
			if key := string(rsp.GetRecord().GetKey()); part.values[key] != "" {
				return false, fmt.Errorf("%s is sent twice at revision %d", key, rsp.GetRevision())
			}
			part.values[string(rsp.GetRecord().GetKey())] = string(rsp.GetRecord().GetValue())
		}
		if part.all || rsp.GetMore() {
			if f.rnd.IntN(50) > 0 {
				life++ // a part that is cut off comes again as a whole, and so it is rarely cut
			}
			continue
		}
		part.revision = rsp.GetRevision()
		f.seen = append(f.seen, part)
		f.last = part.revision
		if _, end := part.values["end"]; end {
			return true, nil
		}
		part = seen{values: map[string]string{}}
	}
	return false, nil
}

// check holds what was seen against what was written.
func (f *follower) check() error {
	revisions := slices.Sorted(maps.Keys(f.w.truth))
	next := 0 // of revisions: what has to come
	state := map[string]string{}
	advance := func() {
		maps.Copy(state, f.w.truth[revisions[next]])
		maps.DeleteFunc(state, func(_, v string) bool { return v == "" })
		next++
	}
	for i, part := range f.seen {
		if part.all {
			if next > 0 && part.revision < revisions[next-1] {
				return fmt.Errorf("a new beginning is of revision %d, after %d", part.revision, revisions[next-1])
			}
			for next < len(revisions) && revisions[next] <= part.revision {
				advance()
			}
			if !maps.Equal(state, part.values) {
				return fmt.Errorf("as of revision %d there is %v, want %v", part.revision, part.values, state)
			}
			continue
		}
		if len(part.values) == 0 { // it has caught up
			if next < len(revisions) && revisions[next] <= part.revision {
				return fmt.Errorf("all is sent up to %d, and %d was not", part.revision, revisions[next])
			}
			continue
		}
		if next == len(revisions) || part.revision != revisions[next] {
			return fmt.Errorf("message %d has revision %d, want %v", i, part.revision, revisions[next:min(next+1, len(revisions))])
		}
		if !maps.Equal(part.values, f.w.truth[part.revision]) {
			return fmt.Errorf("revision %d is %v, want %v", part.revision, part.values, f.w.truth[part.revision])
		}
		advance()
	}
	if next != len(revisions) {
		return fmt.Errorf("%d revisions are missing at the end", len(revisions)-next)
	}
	return nil
}

// TestStoreWatchProof has followers of a table cut off and come back while others write
// to it, and the store drop old changes. Each sees every revision once, whole and in
// order; who is too late is told so, begins again, and goes on from what there is then.
// The controls go on from the wrong revision.
func TestStoreWatchProof(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := startWithFewChanges(t)
	w := &watched{s: s, api: storev1.NewStoreClient(s.conn), done: make(chan struct{}), truth: map[int64]map[string]string{}}
	var followers []*follower
	stop, end := context.WithCancel(t.Context())
	defer end()
	add := func(f follower) *follower {
		f.w, f.stop, f.rnd = w, stop, rand.New(rand.NewPCG(seed, uint64(100+len(followers))))
		followers = append(followers, &f)
		return &f
	}
	for _, calls := range []int{3, 30, 300, 3000} {
		add(follower{calls: calls})
	}
	away := add(follower{calls: 1, away: true})
	add(follower{calls: 3000, slow: true})
	skips, repeats := add(follower{calls: 10, wrong: 1}), add(follower{calls: 10, wrong: -1})
	ctx, cancel := w.ctx()
	defer cancel()
	if err := w.write(ctx, map[string]string{"begin": "x"}); err != nil {
		t.Fatal(err)
	}
	for away.last == 0 {
		if _, err := away.once(); err != nil {
			t.Fatal(err)
		}
	}
	errs := make([]error, len(followers))
	var wg, controls sync.WaitGroup
	for i, f := range followers {
		group := &wg
		if f.wrong != 0 {
			group = &controls
		}
		group.Go(func() { errs[i] = f.follow() })
	}
	err := w.writeAll(4, 500, seed)
	for n := 0; err == nil && !w.isLate(ctx, away.last); n++ { // old changes are dropped beside the writes
		err = w.write(ctx, map[string]string{"more": strconv.Itoa(n)})
	}
	away.calls = 50
	close(w.done)
	if err == nil {
		err = w.write(ctx, map[string]string{"end": "x"})
	}
	if err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	end()
	controls.Wait()
	for i, f := range followers {
		err := errs[i]
		if err == nil {
			err = f.check()
		}
		t.Logf("follower %d: %d messages, cut off %d times, too late %d times: %v", i, len(f.seen), f.cutOffs, f.late, err)
		if control := f == skips || f == repeats; control != (err != nil) {
			t.Errorf("follower %d: %v", i, err)
		}
	}
	if away.late == 0 {
		t.Error("a follower that was away for more changes than are kept was not told so")
	}
}

// TestConfigWatchProof does the same for a path of the configuration. Who comes back
// after more revisions than are kept begins with the value as it is.
func TestConfigWatchProof(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := startWithFewChanges(t)
	api := configv1.NewConfigClient(s.conn)
	w := &watched{s: s}
	const changes, kept = 700, 256
	done := make(chan struct{})
	truth := map[int64]string{} // of the path, by revision
	// follow returns the revisions that it saw, with what there was.
	type value struct {
		revision int64
		json     string
	}
	stop, end := context.WithCancel(t.Context()) // ends a control that waits for an end that it has missed
	defer end()
	var first int64
	follow := func(rnd *rand.Rand, wrong int64, away bool) (got []value, err error) {
		var from *int64
		if away {
			from, got = &first, []value{{first, `"begin"`}}
			<-done
		}
		for {
			ctx, cancel := w.ctx()
			defer cancel()
			defer context.AfterFunc(stop, cancel)()
			stream, err := api.Watch(ctx, &configv1.WatchRequest{Path: "watched", FromRevision: from})
			if err != nil {
				return got, err
			}
			for range 1 + rnd.IntN(20) {
				rsp, err := stream.Recv()
				if stop.Err() != nil {
					return got, nil
				}
				if err != nil {
					return got, err
				}
				got = append(got, value{rsp.GetRevision(), rsp.GetJson()})
				from = new(max(0, rsp.GetRevision()+wrong))
				if rsp.GetJson() == `"end"` {
					return got, nil
				}
			}
			cancel()
		}
	}
	check := func(got []value) error {
		revisions := slices.Sorted(maps.Keys(truth))
		for i, v := range got {
			if want, ok := truth[v.revision]; ok && v.json != want {
				return fmt.Errorf("revision %d is %s, want %s", v.revision, v.json, want)
			}
			if i == 0 {
				continue
			}
			before := got[i-1].revision
			next, _ := slices.BinarySearch(revisions, before+1)
			if v.revision <= before || v.revision != revisions[next] && v.revision-before <= kept {
				return fmt.Errorf("revision %d comes after %d, want %d", v.revision, before, revisions[next])
			}
		}
		return nil
	}
	ctx, cancel := w.ctx()
	defer cancel()
	set := func(path, json string) int64 {
		rsp, err := api.Set(ctx, &configv1.SetRequest{Path: path, Json: json})
		if err != nil {
			t.Error(err)
		}
		return rsp.GetRevision()
	}
	first = set("watched", `"begin"`)
	truth[first] = `"begin"`
	followers := []struct {
		name  string
		wrong int64
		away  bool
		got   []value
		err   error
	}{{name: "one"}, {name: "two"}, {name: "away", away: true}, {name: "skips", wrong: 1}, {name: "repeats", wrong: -1}}
	var wg, controls sync.WaitGroup
	for i := range followers {
		f := &followers[i]
		group := &wg
		if f.wrong != 0 {
			group = &controls
		}
		group.Go(func() { f.got, f.err = follow(rand.New(rand.NewPCG(seed, uint64(i))), f.wrong, f.away) })
	}
	for i := range changes {
		if i%5 == 4 {
			set("beside", strconv.Itoa(i))
			continue
		}
		text := strconv.Itoa(i)
		truth[set("watched", text)] = text
	}
	close(done)
	truth[set("watched", `"end"`)] = `"end"`
	wg.Wait()
	end()
	controls.Wait()
	for _, f := range followers {
		err := f.err
		if err == nil {
			err = check(f.got)
		}
		t.Logf("%s: %d messages: %v", f.name, len(f.got), err)
		if (f.wrong != 0) != (err != nil) {
			t.Errorf("%s: %v", f.name, err)
		}
		if f.away && len(f.got) > kept {
			t.Errorf("%s: %d messages, and %d revisions are kept", f.name, len(f.got), kept)
		}
	}
}
