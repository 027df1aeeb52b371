package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/micro/micro/v3/backend/deploy"
	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/store/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// behaviour is what the instances of an image do.
type behaviour struct {
	ready    time.Duration // after the start; until then its probe fails
	exits    time.Duration // after the start; 0: never
	sick     bool          // its probes never succeed
	unready  bool          // its probe over HTTP does not
	dead     bool          // its probe over TCP does not
	hangs    bool          // its probe gets no answer
	startErr error         // Start fails
	lies     bool          // Start fails, and has started it all the same
	slow     time.Duration // how long Start takes
	stubborn time.Duration // how long Stop takes
	unbound  bool          // the machine does not let Start hold any bounds
}

// process is an instance of the simulated runtime.
type process struct {
	runtime.Instance
	image string
	env   map[string]string
	began time.Time
	life  context.CancelFunc
}

// sim is a runtime without processes. It keeps the contract of [runtime.Runtime], and
// its errors are those it is told to give.
type sim struct {
	mu        sync.Mutex
	images    map[string]behaviour
	instances map[string]*process
	events    []runtime.Event
	changed   chan struct{}
	starts    []time.Time
	started   map[string]bool   // by id: ever
	env       map[string]string // of the last start
	bounds    runtime.Resources // of the last start
	address   int
	jump      time.Duration // by which the wall clock is off
	stopErr   error
	watchErr  error // ends the watches there are
}

func newSim() *sim {
	return &sim{
		images:    map[string]behaviour{},
		instances: map[string]*process{},
		started:   map[string]bool{},
		changed:   make(chan struct{}),
	}
}

// tell records an event. s.mu is held.
func (s *sim) tell(in runtime.Instance) {
	s.events = append(s.events, runtime.Event{Instance: in})
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *sim) behave(image string, b behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.images[image] = b
}

func (s *sim) Start(ctx context.Context, spec runtime.Spec) (runtime.Instance, error) {
	if err := spec.Validate(); err != nil {
		return runtime.Instance{}, err
	}
	s.mu.Lock()
	b := s.images[spec.Image]
	s.starts, s.env, s.bounds = append(s.starts, time.Now()), spec.Env, spec.Resources
	s.mu.Unlock()
	if err := pass(ctx, b.slow); err != nil {
		return runtime.Instance{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.instances[spec.ID]; p != nil && p.State == runtime.Running {
		return runtime.Instance{}, runtime.ErrRunning
	}
	if b.startErr != nil && !b.lies {
		return runtime.Instance{}, b.startErr
	}
	s.address++
	life, end := context.WithCancel(context.Background())
	p := &process{
		Instance: runtime.Instance{
			ID: spec.ID, Namespace: spec.Namespace, Service: spec.Service, Release: spec.Release,
			State: runtime.Running, Address: fmt.Sprint("sim:", s.address), Started: s.now(),
		},
		image: spec.Image, env: spec.Env, began: time.Now(), life: end,
	}
	if b.unbound {
		p.Unmet = spec.Resources
	}
	s.instances[spec.ID] = p
	s.started[spec.ID] = true
	s.tell(p.Instance)
	if b.exits > 0 {
		go func() {
			if pass(life, b.exits) == nil {
				s.exit(spec.ID, runtime.Exit{Code: 3})
			}
		}()
	}
	return p.Instance, b.startErr
}

// now returns the time as a machine tells it to others, without what makes it monotonic.
// s.mu is held.
func (s *sim) now() time.Time { return time.Now().Round(0).Add(s.jump) }

// setClock makes the wall clock be off by so much.
func (s *sim) setClock(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jump = d
}

// pass waits, and returns ctx's error when it ends first.
func pass(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// exit ends an instance that runs.
func (s *sim) exit(id string, e runtime.Exit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.instances[id]; p != nil && p.State == runtime.Running {
		p.life()
		p.State, p.Exit = runtime.Exited, e
		s.tell(p.Instance)
	}
}

func (s *sim) Stop(ctx context.Context, id string, _ time.Duration) error {
	s.mu.Lock()
	err := s.stopErr
	var b behaviour
	if p := s.instances[id]; p != nil && p.State == runtime.Running {
		b = s.images[p.image]
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	_ = pass(ctx, b.stubborn)
	s.exit(id, runtime.Exit{Stopped: true})
	return nil
}

func (s *sim) Remove(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.instances[id]
	if p == nil {
		return nil
	}
	if p.State == runtime.Running {
		return runtime.ErrRunning
	}
	delete(s.instances, id)
	p.State = runtime.Removed
	s.tell(p.Instance)
	return nil
}

func (s *sim) Watch(ctx context.Context) iter.Seq2[runtime.Event, error] {
	return func(yield func(runtime.Event, error) bool) {
		s.mu.Lock()
		var batch []runtime.Event
		for _, p := range s.instances {
			batch = append(batch, runtime.Event{Instance: p.Instance})
		}
		seen := len(s.events)
		s.mu.Unlock()
		batch = append(batch, runtime.Event{Synced: true})
		for {
			for _, e := range batch {
				if !yield(e, nil) {
					return
				}
			}
			s.mu.Lock()
			batch = slices.Clone(s.events[seen:])
			seen = len(s.events)
			changed, err := s.changed, s.watchErr
			s.mu.Unlock()
			if err != nil {
				yield(runtime.Event{}, err)
				return
			}
			if len(batch) > 0 {
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
				yield(runtime.Event{}, ctx.Err())
				return
			}
		}
	}
}

func (s *sim) Logs(_ context.Context, q runtime.LogQuery) iter.Seq2[runtime.Line, error] {
	return func(yield func(runtime.Line, error) bool) {
		if q.Since.IsZero() && !yield(runtime.Line{Instance: q.Instance, Stream: runtime.Stderr, Text: "words of a life before"}, nil) {
			return
		}
		_ = yield(runtime.Line{Instance: q.Instance, Stream: runtime.Stderr, Text: "last words"}, nil) &&
			yield(runtime.Line{Instance: q.Instance, Stream: runtime.System, Text: "exited"}, nil)
	}
}

func (s *sim) Close() error { return nil }

// probe answers for the instance that listens on an address.
func (s *sim) probe(ctx context.Context, in runtime.Instance, c deploy.Check) error {
	s.mu.Lock()
	var at *process
	for _, p := range s.instances {
		if p.Address == in.Address && p.State == runtime.Running {
			at = p
		}
	}
	b := behaviour{}
	if at != nil {
		b = s.images[at.image]
	}
	s.mu.Unlock()
	switch {
	case at == nil:
		return errors.New("nobody listens")
	case b.hangs:
		<-ctx.Done()
		return ctx.Err()
	case b.sick, b.unready && c.Kind == deploy.CheckHTTP, b.dead && c.Kind == deploy.CheckTCP:
		return errors.New("its health is NOT_SERVING")
	case time.Since(at.began) < b.ready:
		return errors.New("not ready")
	}
	return nil
}

// running returns the releases of the instances that run, ordered.
func (s *sim) running(service string) []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var got []int64
	for _, p := range s.instances {
		if p.Service == service && p.State == runtime.Running {
			got = append(got, p.Release)
		}
	}
	slices.Sort(got)
	return got
}

func (s *sim) isRunning(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.instances[id] != nil && s.instances[id].State == runtime.Running
}

// startTimes returns when instances were started.
func (s *sim) startTimes() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.starts)
}

// lastEnv returns the environment of the instance that was started last.
func (s *sim) lastEnv() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.env
}

// failStop makes Stop fail, or not.
func (s *sim) failStop(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopErr = err
}

// failWatch ends the watches, or lets there be some again.
func (s *sim) failWatch(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchErr = err
	close(s.changed)
	s.changed = make(chan struct{})
}

// envs returns the environments of the instances that run.
func (s *sim) envs() []map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []map[string]string
	for _, p := range s.instances {
		if p.State == runtime.Running {
			all = append(all, p.env)
		}
	}
	return all
}

// wasStopped reports whether the last run of an instance was ended by Stop.
func (s *sim) wasStopped(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.instances[id]
	return p != nil && p.State == runtime.Exited && p.Exit.Stopped
}

// ids returns the instances that run, ordered.
func (s *sim) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var got []string
	for id, p := range s.instances {
		if p.State == runtime.Running {
			got = append(got, id)
		}
	}
	slices.Sort(got)
	return got
}

// dir is a directory that sees to it that it is used as its contract says.
type dir struct {
	sim *sim

	mu         sync.Mutex
	up         map[string]deploy.Instance
	identities map[string]int // by instance: how many are good
	least      int            // the fewest that were up after a Down since it was set
	wrong      []string
	drained    int

	upErr, downErr, identifyErr, forgetErr error
}

func (d *dir) Up(_ context.Context, in deploy.Instance) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if in.Address == "" || in.ID == "" || in.Image == "" {
		d.wrong = append(d.wrong, fmt.Sprintf("Up of %+v", in))
	}
	if d.upErr != nil {
		return d.upErr
	}
	d.up[in.ID] = in
	return nil
}

func (d *dir) Down(_ context.Context, in deploy.Instance) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.up, in.ID)
	d.least = min(d.least, len(d.up))
	return d.downErr
}

func (d *dir) Drain(_ context.Context, in deploy.Instance) {
	stopped := d.sim.wasStopped(in.ID)
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, up := d.up[in.ID]; up || stopped {
		d.wrong = append(d.wrong, fmt.Sprintf("Drain of %s: called %t, stopped before %t", in.ID, up, stopped))
	}
	d.drained++
}

func (d *dir) Identify(_ context.Context, in deploy.Instance) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.identifyErr != nil {
		return nil, d.identifyErr
	}
	d.identities[in.ID]++
	return []byte(in.ID), nil
}

func (d *dir) Forget(_ context.Context, in deploy.Instance) error {
	running := d.sim.isRunning(in.ID)
	d.mu.Lock()
	defer d.mu.Unlock()
	if running {
		d.wrong = append(d.wrong, "Forget of "+in.ID+", which is running")
	}
	if d.forgetErr == nil {
		delete(d.identities, in.ID)
	}
	return d.forgetErr
}

// fail makes the directory's methods fail, or not.
func (d *dir) fail(up, down, identify, forget error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.upErr, d.downErr, d.identifyErr, d.forgetErr = up, down, identify, forget
}

// setLeast begins to look for the fewest instances that are up.
func (d *dir) setLeast(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.least = n
}

// fewest returns how few instances were up since setLeast.
func (d *dir) fewest() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.least
}

// drains returns how many instances were drained.
func (d *dir) drains() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.drained
}

// called returns the releases of the instances that are up, ordered.
func (d *dir) called(service string) []int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	var got []int64
	for _, in := range d.up {
		if in.Service == service {
			got = append(got, in.Release)
		}
	}
	slices.Sort(got)
	return got
}

// world is a Deployer with all that it meets. It lives in a bubble of synctest.
type world struct {
	*testing.T
	store    store.Store
	sim      *sim
	dir      *dir
	settings *settings
	d        *deploy.Deployer
}

// settings is the configuration of the namespace.
type settings struct {
	mu     sync.Mutex
	values map[string]string // by path
	err    error
}

func (s *settings) lookup(_ context.Context, namespace, path string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, ok := s.values[path]
	switch {
	case s.err != nil:
		return "", s.err
	case namespace != ns || !ok:
		return "", deploy.ErrNotFound
	default:
		return text, nil
	}
}

func (s *settings) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *settings) set(path, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[path] = text
}

const ns = "acme"

// inWorld runs f with a new world, and checks in the end that contracts were kept.
func inWorld(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		db, err := engine.Open(t.Context(), "data", engine.Options{FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		s, err := embedded.Open(t.Context(), db, embedded.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := errors.Join(s.Close(), db.Close()); err != nil {
				t.Error(err)
			}
		})
		w := &world{T: t, store: s, sim: newSim(), settings: &settings{values: map[string]string{}}}
		w.dir = &dir{sim: w.sim, up: map[string]deploy.Instance{}, identities: map[string]int{}}
		t.Cleanup(func() {
			w.shut()
			for _, id := range w.sim.ids() {
				w.sim.exit(id, runtime.Exit{})
			}
			if len(w.dir.wrong) > 0 {
				t.Errorf("the directory was used wrongly:\n%s", strings.Join(w.dir.wrong, "\n"))
			}
		})
		w.open()
		f(w)
	})
}

func (w *world) config() deploy.Config {
	return deploy.Config{
		Store: w.store, Runtime: w.sim, Directory: w.dir, Probe: w.sim.probe, Lookup: w.settings.lookup,
		Logger: slog.New(slog.DiscardHandler),
	}
}

// open starts a Deployer. Leases of a server before are forgotten.
func (w *world) open() {
	w.Helper()
	clear(w.dir.up)
	d, err := deploy.Open(w.Context(), w.config())
	if err != nil {
		w.Fatal(err)
	}
	w.d = d
}

func (w *world) shut() {
	w.Helper()
	if w.d == nil {
		return
	}
	if err := w.d.Close(); err != nil {
		w.Error(err)
	}
	w.d = nil
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (w *world) apply(image string, instances int) deploy.Release {
	w.Helper()
	return w.order(deploy.Order{Spec: deploy.Spec{Image: image}, Instances: instances})
}

func (w *world) order(o deploy.Order) deploy.Release {
	w.Helper()
	if _, err := w.d.Apply(w.Context(), ns, "shop", o, "alice"); err != nil {
		w.Fatal(err)
	}
	return w.status().Release
}

func (w *world) scale(instances int) *deploy.Change {
	w.Helper()
	return w.done(w.d.Scale(w.Context(), ns, "shop", instances, "bob"))
}

func (w *world) restart() {
	w.Helper()
	w.done(w.d.Restart(w.Context(), ns, "shop", "bob"))
}

func (w *world) rollback(to int64) *deploy.Change {
	w.Helper()
	return w.done(w.d.Rollback(w.Context(), ns, "shop", to, "bob"))
}

// undo returns the change that was taken back.
func (w *world) undo() *deploy.Change {
	w.Helper()
	did, undone, err := w.d.Undo(w.Context(), ns, "shop", 0, "bob")
	w.done(did, err)
	return undone
}

func (w *world) done(c *deploy.Change, err error) *deploy.Change {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
	return c
}

func (w *world) delete() {
	w.Helper()
	if _, err := w.d.Delete(w.Context(), ns, "shop", "alice"); err != nil {
		w.Fatal(err)
	}
}

func (w *world) status() deploy.Service {
	w.Helper()
	s, err := w.d.Service(w.Context(), ns, "shop")
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// want checks which releases are called and run, and the phase.
func (w *world) want(what string, phase deploy.Phase, called, running []int64) {
	w.Helper()
	if got := w.status(); got.Phase != phase {
		w.Errorf("%s: the phase is %s (%s), want %s", what, got.Phase, got.Reason, phase)
	}
	if got := w.dir.called("shop"); !slices.Equal(got, called) {
		w.Errorf("%s: called are instances of the releases %v, want %v", what, got, called)
	}
	if got := w.sim.running("shop"); !slices.Equal(got, running) {
		w.Errorf("%s: there run instances of the releases %v, want %v", what, got, running)
	}
}

// wantGone checks that nothing is left of the service.
func (w *world) wantGone() {
	w.Helper()
	if _, err := w.d.Service(w.Context(), ns, "shop"); !errors.Is(err, deploy.ErrNotFound) {
		w.Errorf("the service: got the error %v, want %v", err, deploy.ErrNotFound)
	}
	w.sim.mu.Lock()
	left := len(w.sim.instances)
	w.sim.mu.Unlock()
	w.dir.mu.Lock()
	up, identities := len(w.dir.up), 0
	for id := range w.dir.identities {
		// One that a server which was stopped has made for a start that failed
		// is known to nobody.
		if w.sim.started[id] {
			identities++
		}
	}
	w.dir.mu.Unlock()
	if left+up+identities > 0 {
		w.Errorf("left are %d instances, of which %d are called, and %d identities", left, up, identities)
	}
	for r, err := range w.store.Range(w.Context(), store.Prefix("")) {
		if err != nil {
			w.Fatal(err)
		}
		if r.Expires.IsZero() {
			w.Errorf("left in the store for good: %s", r.Key)
		}
	}
}

// releases returns n times a release.
func releases(n int, release int64) []int64 { return slices.Repeat([]int64{release}, n) }

// records returns all that is stored.
func (w *world) records() map[string]string {
	w.Helper()
	all := map[string]string{}
	for r, err := range w.store.Range(w.Context(), store.Prefix("")) {
		if err != nil {
			w.Fatal(err)
		}
		all[r.Key] = string(r.Value)
	}
	return all
}

// faultyStore is a store that refuses to write when it is told to.
type faultyStore struct {
	store.Store

	mu  sync.Mutex
	err error
}

func (f *faultyStore) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *faultyStore) Txn(ctx context.Context, t store.Txn) (int64, error) {
	f.mu.Lock()
	err := f.err
	f.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return f.Store.Txn(ctx, t)
}

// deaf is a runtime whose events nobody can get.
type deaf struct{ *sim }

func (d deaf) Watch(context.Context) iter.Seq2[runtime.Event, error] {
	return func(yield func(runtime.Event, error) bool) { yield(runtime.Event{}, errSim) }
}
