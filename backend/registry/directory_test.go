package registry_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/registry"
	"github.com/micro/micro/v3/backend/store"
)

// TestTwoReleases has a service whose new release takes over from the old one.
func TestTwoReleases(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, openStore(t))
	d := directory(t, r, ns)
	instance := func(id string, release int64, provides ...string) registry.Instance {
		in := shop(id)
		in.Release, in.Provides = release, provides
		return in
	}
	type state struct {
		instances        []string
		cart, shop, till []string
	}
	s := []string{"shop"}
	for _, step := range []struct {
		name string
		do   func()
		want state
	}{
		{"the old one", func() {
			register(t, r, ns, instance("z", 9, "shop.Cart", "shop.Shop"), 0)
			register(t, r, ns, instance("y", 9, "shop.Cart", "shop.Shop"), 0)
		}, state{[]string{"y", "z"}, s, s, nil}},
		{
			"the first of the new one", func() { register(t, r, ns, instance("a", 10, "shop.Shop", "shop.Till"), 0) },
			state{[]string{"y", "z", "a"}, s, s, s},
		},
		{
			"one of the old less", func() { _ = r.Deregister(t.Context(), ns, "shop", "y", owner) },
			state{[]string{"z", "a"}, s, s, s},
		},
		{
			"the second of the new one", func() { register(t, r, ns, instance("b", 10, "shop.Shop", "shop.Till"), 0) },
			state{[]string{"z", "a", "b"}, s, s, s},
		},
		{
			"the new one alone", func() { _ = r.Deregister(t.Context(), ns, "shop", "z", owner) },
			state{[]string{"a", "b"}, nil, s, s},
		},
	} {
		step.do()
		got := state{ids(d)["shop"], d.Providers("shop.Cart"), d.Providers("shop.Shop"), d.Providers("shop.Till")}
		if diff := gocmp.Diff(step.want, got, gocmp.AllowUnexported(state{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

// TestRenewalsAreSilent: that leases are renewed wakes nobody, and makes no index anew.
func TestRenewalsAreSilent(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, openStore(t))
	d := directory(t, r, ns)
	register(t, r, ns, shop("a"), 0)
	changed, providers := d.Changed(), d.Providers("shop.Shop")
	if _, err := r.Renew(t.Context(), ns, "shop", "a", owner, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := r.RenewAll(t.Context(), ns, owner, 0, []registry.Name{{Service: "shop", ID: "a"}}); err != nil {
		t.Fatal(err)
	}
	register(t, r, ns, shop("a"), registry.MaxLease)
	select {
	case <-changed:
		t.Error("a renewal was told as a change")
	default:
	}
	if got := d.Providers("shop.Shop"); &got[0] != &providers[0] {
		t.Error("a renewal made the index anew")
	}

	for _, change := range []struct {
		name string
		make func(*registry.Instance)
	}{
		{"version", func(in *registry.Instance) { in.Version = "v2" }},
		{"release", func(in *registry.Instance) { in.Release = 2 }},
		{"address", func(in *registry.Instance) { in.Address = "127.0.0.1:2" }},
		{"schema", func(in *registry.Instance) { in.Schema = "sha256:2" }},
		{"provides", func(in *registry.Instance) { in.Provides = nil }},
	} {
		in := shop("a")
		change.make(&in)
		changed := d.Changed()
		register(t, r, ns, in, 0)
		select {
		case <-changed:
		default:
			t.Errorf("nobody was told of a change of the %s", change.name)
		}
		register(t, r, ns, shop("a"), 0)
	}
}

// TestDirectoryAgainstModel makes random changes and compares all that a directory
// tells with what a naive reading of the same instances says.
func TestDirectoryAgainstModel(t *testing.T) {
	t.Parallel()
	seed := uint64(1)
	if s := os.Getenv("MICRO_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("MICRO_SEED: %v", err)
		}
		seed = n
	}
	rnd := rand.New(rand.NewPCG(seed, 0))
	r := newRegistry(t, openStore(t))
	d := directory(t, r, ns)
	model := map[registry.Name]registry.Instance{}
	apis := []string{"a.A", "a.B", "b.A", "c.C"}
	var held [][]registry.Instance // what was handed out, and what was in it
	var copies [][]registry.Instance
	for step := range 500 {
		name := registry.Name{Service: string(rune('p' + rnd.IntN(4))), ID: strconv.Itoa(rnd.IntN(5))}
		switch rnd.IntN(6) {
		case 0, 1, 2:
			in := registry.Instance{
				ID: name.ID, Service: name.Service, Release: rnd.Int64N(3), Owner: owner,
				Address: strconv.Itoa(rnd.IntN(3)),
			}
			for _, p := range apis {
				if rnd.IntN(3) == 0 {
					in.Provides = append(in.Provides, p)
				}
			}
			model[name] = register(t, r, ns, in, 0)
		case 3:
			if err := r.Deregister(t.Context(), ns, name.Service, name.ID, owner); err != nil {
				t.Fatal(err)
			}
			delete(model, name)
		case 4:
			if _, err := r.RenewAll(t.Context(), ns, owner, registry.MaxLease, slices.Collect(maps.Keys(model))); err != nil {
				t.Fatal(err)
			}
		case 5:
			if rnd.IntN(10) == 0 {
				if err := r.Recover(t.Context(), ns, owner); err != nil {
					t.Fatal(err)
				}
				clear(model)
			}
		}

		services := map[string][]registry.Instance{}
		providers := map[string][]string{}
		for _, in := range model {
			services[in.Service] = append(services[in.Service], in)
			for _, p := range in.Provides {
				if !slices.Contains(providers[p], in.Service) {
					providers[p] = append(providers[p], in.Service)
				}
			}
		}
		for _, list := range services {
			slices.SortFunc(list, func(a, b registry.Instance) int {
				return cmp.Or(cmp.Compare(a.Release, b.Release), cmp.Compare(a.ID, b.ID))
			})
		}
		ignore := gocmp.FilterPath(func(p gocmp.Path) bool { return p.Last().String() == ".LeaseExpires" }, gocmp.Ignore())
		got := maps.Collect(d.Services())
		if diff := gocmp.Diff(services, got, ignore); diff != "" {
			t.Fatalf("seed %d, step %d: services (-want +got):\n%s", seed, step, diff)
		}
		for _, p := range apis {
			slices.Sort(providers[p])
			if diff := gocmp.Diff(providers[p], d.Providers(p)); diff != "" {
				t.Fatalf("seed %d, step %d: providers of %s (-want +got):\n%s", seed, step, p, diff)
			}
		}
		if list := d.Instances(name.Service); step%20 == 0 {
			held, copies = append(held, list), append(copies, slices.Clone(list))
		}
	}
	if diff := gocmp.Diff(copies, held); diff != "" {
		t.Errorf("seed %d: what was handed out was changed afterwards (-want +got):\n%s", seed, diff)
	}
}

// TestDamagedInstance has a record that cannot be read. Calls by a directory that stands
// still would go to where nobody is.
func TestDamagedInstance(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	r := newRegistry(t, s)
	register(t, r, ns, shop("a"), 0)
	d := directory(t, r, ns)
	write := func(op store.Op) {
		if _, err := s.Txn(t.Context(), store.Txn{Do: []store.Op{op}}); err != nil {
			t.Fatal(err)
		}
	}
	const key = ns + "/registry/instance/shop/b"
	write(store.Put(key, []byte("{")))
	<-d.Done()
	if d.Err() == nil {
		t.Error("the directory has ended without an error")
	}
	if _, err := r.Directory(t.Context(), ns); err == nil {
		t.Error("got a directory without what cannot be read")
	}
	if _, err := r.Directory(t.Context(), "other"); err != nil {
		t.Errorf("another namespace: %v", err)
	}
	write(store.Delete(key))
	register(t, r, ns, shop("c"), 0)
	if diff := gocmp.Diff(map[string][]string{"shop": {"a", "c"}}, ids(directory(t, r, ns))); diff != "" {
		t.Errorf("repaired (-want +got):\n%s", diff)
	}
}

// TestReadersAndWriters is for the race detector.
func TestReadersAndWriters(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, openStore(t))
	d := directory(t, r, ns)
	var readers, writers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					runtime.Gosched()
				}
				for _, in := range d.Instances("shop") {
					_ = in.ID
				}
				for _, name := range d.Providers("shop.Shop") {
					_ = name
				}
				for range d.Services() {
					break
				}
			}
		})
	}
	for i := range 4 {
		writers.Go(func() {
			for n := range 10 {
				in := shop(strconv.Itoa(i))
				in.Release = int64(n)
				if _, err := r.Register(t.Context(), ns, in, 0); err != nil {
					t.Error(err)
				}
				if err := r.Deregister(t.Context(), ns, in.Service, in.ID, owner); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if got := ids(d); len(got) > 0 {
		t.Errorf("left: %v", got)
	}
}

// BenchmarkHeartbeat renews 5,000 leases of 1,000 services, which a server does each
// ten seconds. The store, which is in memory, and the directory are in the figure.
func BenchmarkHeartbeat(b *testing.B) {
	r := newRegistry(b, openStore(b))
	directory(b, r, ns)
	names := make([]registry.Name, 0, 5000)
	var wg sync.WaitGroup
	for i := range 5000 {
		in := shop(fmt.Sprintf("i%04d", i))
		in.Service = fmt.Sprintf("s%03d", i%1000)
		names = append(names, registry.Name{Service: in.Service, ID: in.ID})
		wg.Go(func() {
			if _, err := r.Register(b.Context(), ns, in, registry.MaxLease); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	for b.Loop() {
		ended, err := r.RenewAll(b.Context(), ns, owner, registry.MaxLease, names)
		if err != nil || len(ended) > 0 {
			b.Fatal(len(ended), err)
		}
	}
	perBeat := b.Elapsed() / time.Duration(b.N)
	b.ReportMetric(100*perBeat.Seconds()/10, "%core")
}
