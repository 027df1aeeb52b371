package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// group is the values of a few keys that are changed together; empty: there is none. No
// value is ever written twice, so that a revision stands for one.
type group [3]string

// key returns the name of a key of a group.
func key(i int) string { return fmt.Sprintf("k%d", i) }

// cell is what a client knows of a key.
type cell struct {
	value    string
	revision int64
}

// step is a call: a look at all keys, or a transaction.
type step struct {
	look bool
	when map[int]cell   // conditions by key
	put  map[int]string // values by key; empty: removed
}

// result is how a call ended.
type result struct {
	saw      group
	conflict bool
	unknown  bool // nobody answered: it was made at any time later, or will never be
}

// linear is what a group promises, one call after the other.
var linear = porcupine.Model{
	Init: func() any { return group{} },
	Step: func(state, input, output any) (bool, any) {
		g, _ := state.(group)
		in, _ := input.(step)
		out, _ := output.(result)
		if in.look {
			return g == out.saw, g
		}
		holds := true
		for i, c := range in.when {
			holds = holds && g[i] == c.value
		}
		if out.conflict || !holds {
			return !holds && (out.conflict || out.unknown), g
		}
		for i, v := range in.put {
			g[i] = v
		}
		return true, g
	},
}

// cells is where a group is kept.
type cells interface {
	look(ctx context.Context) ([3]cell, error)
	// change makes a transaction; ABORTED when a condition does not hold.
	change(ctx context.Context, s step) error
	// whole reports whether a transaction may have any conditions and keys; otherwise
	// it has one key and a condition for that.
	whole() bool
}

// records keeps a group in a table.
type records struct {
	storev1.StoreClient
	table string
}

func (records) whole() bool { return true }

func (r records) look(ctx context.Context) (known [3]cell, err error) {
	rsp, err := r.Read(ctx, &storev1.ReadRequest{Table: r.table}, again)
	for _, rec := range rsp.GetRecords() {
		for i := range known {
			if string(rec.GetKey()) == key(i) {
				known[i] = cell{string(rec.GetValue()), rec.GetRevision()}
			}
		}
	}
	return known, err
}

func (r records) change(ctx context.Context, s step) error {
	req := &storev1.BatchRequest{Table: r.table}
	for i := range len(group{}) {
		op := &storev1.Operation{}
		if c, ok := s.when[i]; ok {
			op.IfRevision = &c.revision
			op.Kind = &storev1.Operation_Check{Check: []byte(key(i))}
		}
		switch v, ok := s.put[i]; {
		case ok && v == "":
			op.Kind = &storev1.Operation_Delete{Delete: []byte(key(i))}
		case ok:
			op.Kind = &storev1.Operation_Put{Put: &storev1.Put{Record: &storev1.Record{Key: []byte(key(i)), Value: []byte(v)}}}
		}
		if op.GetKind() != nil {
			req.Operations = append(req.Operations, op)
		}
	}
	_, err := r.Batch(ctx, req, again)
	return err
}

// settings keeps a group in the configuration.
type settings struct {
	configv1.ConfigClient
	path string
}

func (settings) whole() bool { return false }

func (c settings) look(ctx context.Context) (known [3]cell, err error) {
	rsp, err := c.Get(ctx, &configv1.GetRequest{Path: c.path}, again)
	if status.Code(err) == codes.NotFound {
		return known, nil
	}
	if err != nil {
		return known, err
	}
	values := map[string]string{}
	if err := json.Unmarshal([]byte(rsp.GetJson()), &values); err != nil {
		return known, err
	}
	for i := range known {
		if v := values[key(i)]; v != "" {
			known[i] = cell{v, rsp.GetRevision()}
		}
	}
	return known, nil
}

func (c settings) change(ctx context.Context, s step) error {
	for i, v := range s.put {
		req := &configv1.SetRequest{Path: c.path + "." + key(i), Json: `"` + v + `"`}
		if w, ok := s.when[i]; ok {
			req.IfRevision = &w.revision
		}
		_, err := c.Set(ctx, req, again)
		return err
	}
	return nil
}

// history is what clients of one group did and saw.
type history struct {
	cells cells
	stale bool // a control: one of the clients is shown what it saw before

	mu         sync.Mutex
	operations []porcupine.Operation
}

// client makes calls until it is told to stop, and tells of each that it made.
func (h *history) client(ctx context.Context, id int, rnd *rand.Rand, stop *atomic.Bool, made chan<- struct{}) error {
	var known [3]cell
	for n := 0; !stop.Load(); n++ {
		s := step{look: rnd.IntN(3) == 0 || h.stale && id == 0}
		if !s.look {
			s = h.transaction(rnd, known, fmt.Sprintf("c%d-%d", id, n))
		}
		op := porcupine.Operation{ClientId: id, Input: s, Call: time.Since(epoch).Nanoseconds()}
		var out result
		var err error
		if s.look {
			before := known
			if known, err = h.cells.look(ctx); err == nil && h.stale && id == 0 && n > 0 {
				known = before
			}
			out.saw = group{known[0].value, known[1].value, known[2].value}
		} else {
			err = h.cells.change(ctx, s)
			out.conflict = status.Code(err) == codes.Aborted
			out.unknown = err != nil && !out.conflict
		}
		op.Output, op.Return = out, time.Since(epoch).Nanoseconds()
		if out.unknown {
			op.Return = math.MaxInt64
		}
		switch code := status.Code(err); {
		case code == codes.OK, code == codes.Aborted, code == codes.Unavailable && !s.look:
			h.mu.Lock()
			h.operations = append(h.operations, op)
			h.mu.Unlock()
		case code == codes.Unavailable: // it saw nothing
		default:
			return err
		}
		made <- struct{}{}
	}
	return nil
}

// begin looks before anybody changes anything.
func (h *history) begin(ctx context.Context) error {
	op := porcupine.Operation{Input: step{look: true}, Call: time.Since(epoch).Nanoseconds()}
	known, err := h.cells.look(ctx)
	op.Output, op.Return = result{saw: group{known[0].value, known[1].value, known[2].value}}, time.Since(epoch).Nanoseconds()
	h.operations = append(h.operations, op)
	return err
}

// epoch is what the times of histories are measured from.
var epoch = time.Now()

// transaction returns one that writes what was never written before.
func (h *history) transaction(rnd *rand.Rand, known [3]cell, name string) step {
	s := step{when: map[int]cell{}, put: map[int]string{}}
	if !h.cells.whole() {
		i := rnd.IntN(3)
		s.put[i] = name
		if rnd.IntN(2) == 0 {
			s.when[i] = known[i]
		}
		return s
	}
	for i := range known {
		switch rnd.IntN(5) {
		case 0, 1:
			s.put[i] = fmt.Sprintf("%s-%d", name, i)
		case 2:
			s.put[i] = ""
		}
		if rnd.IntN(3) == 0 {
			s.when[i] = known[i]
		}
	}
	return s
}

// linearWorld has clients of groups on a server that is killed.
type linearWorld struct {
	*site
	rnd       *rand.Rand
	histories []*history
}

func newLinearWorld(t *testing.T) *linearWorld {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := &linearWorld{site: newEmptySite(t), rnd: rand.New(rand.NewPCG(seed, 0))}
	for i := range 3 {
		w.histories = append(w.histories, &history{cells: records{storev1.NewStoreClient(w.conn), fmt.Sprintf("g%d", i)}})
	}
	w.histories = append(w.histories, &history{cells: settings{configv1.NewConfigClient(w.conn), "g"}})
	return w
}

// run has clients make about so many calls before each kill, and after the last.
func (w *linearWorld) run(kills, calls int, down func()) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.as(context.Background()), patience)
	defer cancel()
	var stop atomic.Bool
	var wg sync.WaitGroup
	made, all := make(chan struct{}), make(chan struct{})
	for i, h := range w.histories {
		if err := h.begin(ctx); err != nil {
			w.Fatalf("history %d: %v", i, err)
		}
	}
	for _, h := range w.histories {
		for id := range 4 {
			rnd := rand.New(rand.NewPCG(w.rnd.Uint64(), 0))
			wg.Go(func() {
				if err := h.client(ctx, id, rnd, &stop, made); err != nil {
					w.Errorf("client %d: %v", id, err)
				}
			})
		}
	}
	go func() { wg.Wait(); close(all) }()
	await := func(n int) {
		for ; n > 0; n-- {
			select {
			case <-made:
			case <-all:
				return // they have all failed, and said so
			}
		}
	}
	for range kills {
		await(calls/2 + w.rnd.IntN(calls))
		w.halt(made, func() { w.stop(syscall.SIGKILL) })
		down()
		w.halt(made, w.start)
	}
	await(calls)
	stop.Store(true)
	for ended := false; !ended; {
		select {
		case <-made:
		case <-all:
			ended = true
		}
	}
}

// halt does something while clients go on.
func (w *linearWorld) halt(made <-chan struct{}, do func()) {
	done := make(chan struct{})
	quit := make(chan struct{})
	go func() {
		defer close(quit)
		for {
			select {
			case <-made:
			case <-done:
				return
			}
		}
	}()
	do()
	close(done)
	<-quit
}

// broken returns how many of the histories no order explains.
func (w *linearWorld) broken() (n int) {
	w.Helper()
	for i, h := range w.histories {
		var unknown, conflicts int
		for _, op := range h.operations {
			out, _ := op.Output.(result)
			if out.unknown {
				unknown++
			}
			if out.conflict {
				conflicts++
			}
		}
		verdict := porcupine.CheckOperationsTimeout(linear, h.operations, patience)
		w.Logf("history %d: %d calls, %d conflicts, %d not answered: %s", i, len(h.operations), conflicts, unknown, verdict)
		if verdict == porcupine.Unknown {
			w.Errorf("history %d: nobody knows, after %s", i, patience)
		}
		if verdict == porcupine.Illegal {
			n++
		}
	}
	return n
}

// TestKillsLinearizable has clients look at, change and compare-and-set a few keys all at
// once, while the server is killed. There is an order of their calls, in which each takes
// effect between its beginning and its end, that explains all that they saw.
func TestKillsLinearizable(t *testing.T) {
	t.Parallel()
	w := newLinearWorld(t)
	for range soak(1, 50) {
		w.run(3, 400, func() {})
		if w.broken() > 0 {
			t.Fatal("not linearizable")
		}
		for i, h := range w.histories { // new keys, and a history of their own
			h.operations = nil
			switch c := h.cells.(type) {
			case records:
				c.table = fmt.Sprintf("g%d-%d", i, w.rnd.Uint64())
				h.cells = c
			case settings:
				c.path = fmt.Sprintf("g%d", w.rnd.Uint64())
				h.cells = c
			}
		}
	}
}

// TestKillsLinearizableControl has what must not be explained: a server that forgets, and
// a client that is shown what was.
func TestKillsLinearizableControl(t *testing.T) {
	t.Parallel()
	w := newLinearWorld(t)
	before := filepath.Join(t.TempDir(), "data")
	w.run(1, 200, func() {
		if err := os.CopyFS(before, os.DirFS(w.data())); err != nil {
			t.Fatal(err)
		}
	})
	if n := w.broken(); n > 0 {
		t.Fatalf("%d histories are not linearizable, and nothing was done to them", n)
	}
	w.stop(syscall.SIGKILL)
	if err := os.RemoveAll(w.data()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(before, w.data()); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.run(0, 100, nil)
	if n := w.broken(); n != len(w.histories) {
		t.Errorf("%d histories of a server that forgot are not linearizable, want all %d", n, len(w.histories))
	}
	w = newLinearWorld(t)
	for _, h := range w.histories {
		h.stale = true
	}
	n := 0
	for range 5 { // that client may be slower than the others are all together
		w.run(0, 400, nil)
		if n = w.broken(); n == len(w.histories) {
			return
		}
	}
	t.Errorf("%d histories with a client that sees what was are not linearizable, want all %d", n, len(w.histories))
}

var _, _ cells = records{}, settings{}
