package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
)

// witness writes things of one kind, one after the other, and knows what of it was
// acknowledged.
type witness interface {
	// write makes one change. When it fails, the change was made as a whole or not at
	// all, and nobody knows which.
	write(ctx context.Context, rnd *rand.Rand) error
	// check compares what the server has with what was acknowledged, and goes on from
	// there.
	check(ctx context.Context) error
}

// crash has witnesses of everything that the server keeps, and kills it while all of them
// write.
type crash struct {
	*site
	rnd       *rand.Rand
	names     []string // of the witnesses
	witnesses []witness
	rands     []*rand.Rand
	writes    int
}

func newCrash(t *testing.T) *crash {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := &crash{site: newEmptySite(t), rnd: rand.New(rand.NewPCG(seed, 0))}
	for i, name := range []string{
		"store", "store", "store", "blobs", "blobs", "config", "config", "events", "events", "events",
		"accounts", "accounts", "rules", "tokens", "sessions", "sessions", "leases", "leases",
	} {
		c.names = append(c.names, fmt.Sprintf("%s of writer %d", name, i))
		c.witnesses = append(c.witnesses, newWitness(c.site, name, fmt.Sprintf("w%d", i)))
		c.rands = append(c.rands, rand.New(rand.NewPCG(seed, uint64(1+i))))
	}
	return c
}

// newWitness returns a witness of a kind, with a name that is its own.
func newWitness(s *site, kind, name string) witness {
	switch kind {
	case "events":
		return &topicWitness{conn: s.conn, name: name}
	case "sessions":
		return &sessionWitness{conn: s.conn, name: name}
	case "tokens":
		return &tokenWitness{site: s, name: name, secrets: map[string]string{}}
	}
	v := &valuesWitness{acked: map[string]string{}, at: map[string]time.Time{}}
	switch kind {
	case "store":
		v.kept = keptRecords{conn: s.conn, table: name}
	case "blobs":
		v.kept = keptBlobs{conn: s.conn, prefix: name + "/"}
	case "config":
		v.kept = keptConfig{conn: s.conn, path: name}
	case "accounts":
		v.kept = keptAccounts{conn: s.conn, prefix: name + "-"}
	case "rules":
		v.kept = keptRules{conn: s.conn, prefix: name + "-"}
	case "leases":
		v.kept = keptLeases{conn: s.conn, service: name}
	}
	return v
}

// during has every witness write until the server is killed, after each of them has been
// acknowledged a number of changes and then at any moment.
func (c *crash) during(least int) {
	c.Helper()
	var killed atomic.Bool
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(c.as(context.Background()), patience)
	defer cancel()
	acked, enough := make(chan int), make(chan struct{})
	for i, w := range c.witnesses {
		wg.Go(func() {
			for {
				if err := w.write(ctx, c.rands[i]); err != nil {
					if !killed.Load() {
						c.Errorf("%s: %v, and the server was not killed", c.names[i], err)
						cancel()
					}
					return
				}
				select {
				case acked <- i:
				case <-enough:
				}
			}
		})
	}
	each, total, done := make([]int, len(c.witnesses)), c.rnd.IntN(400), 0
	for n := 0; done < len(each) || n < total; n++ {
		select {
		case i := <-acked:
			c.writes++
			if each[i]++; each[i] == least {
				done++
			}
		case <-ctx.Done():
			close(enough)
			wg.Wait()
			c.Fatalf("not every witness writes: %v", each)
		}
	}
	close(enough)
	<-time.After(time.Duration(c.rnd.IntN(20_000)) * time.Microsecond)
	killed.Store(true)
	c.stop(syscall.SIGKILL)
	wg.Wait()
}

// check has every witness look, and returns what each says.
func (c *crash) check() []error {
	c.Helper()
	errs := make([]error, len(c.witnesses))
	ctx, cancel := context.WithTimeout(c.as(context.Background()), patience)
	defer cancel()
	var wg sync.WaitGroup
	for i, w := range c.witnesses {
		wg.Go(func() { errs[i] = w.check(ctx) })
	}
	wg.Wait()
	return errs
}

// TestKillsUnderWriters kills the server with SIGKILL at random moments, while everything
// that it keeps is written from many sides at once; every third time once more while it
// starts. What was acknowledged is there after each, and nothing else but what was under
// way, as a whole or not at all.
func TestKillsUnderWriters(t *testing.T) {
	t.Parallel()
	c := newCrash(t)
	var slowest, all time.Duration
	rounds := soak(5, 100)
	for round := range rounds {
		c.during(1)
		if round%3 == 2 {
			c.launch()
			<-time.After(time.Duration(c.rnd.IntN(100)) * time.Millisecond)
			c.stop(syscall.SIGKILL)
		}
		began := time.Now()
		c.start()
		took := time.Since(began)
		slowest, all = max(slowest, took), all+took
		for i, err := range c.check() {
			if err != nil {
				t.Errorf("after %d kills, %s: %v", round+1, c.names[i], err)
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d kills and %d acknowledged changes; serving again after %s on average, and %s at the most",
		rounds, c.writes, (all / time.Duration(rounds)).Round(time.Millisecond), slowest.Round(time.Millisecond))
}

// TestKillsControl has the server lose what it acknowledged: its data is set back to what
// it was some time ago. Each witness says so.
func TestKillsControl(t *testing.T) {
	t.Parallel()
	c := newCrash(t)
	c.during(3)
	before := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(before, os.DirFS(c.data())); err != nil {
		t.Fatal(err)
	}
	c.start()
	for i, err := range c.check() {
		if err != nil {
			t.Fatalf("nothing was lost yet, and %s: %v", c.names[i], err)
		}
	}
	c.during(10)
	if err := os.RemoveAll(c.data()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(before, c.data()); err != nil {
		t.Fatal(err)
	}
	c.start()
	missed := map[string]bool{}
	for i, err := range c.check() {
		t.Logf("%s: %v", c.names[i], err)
		kind, _, _ := strings.Cut(c.names[i], " ")
		missed[kind] = missed[kind] || err != nil // who was not logged in before and after has lost nothing
	}
	for kind, said := range missed {
		if !said {
			t.Errorf("%s: what was lost is not missed", kind)
		}
	}
}

// again has a call wait for the server to be there.
var again = grpc.WaitForReady(true)
