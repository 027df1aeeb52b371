package tui

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
)

func listedTopics(n int) listed[*eventsv1.Topic] {
	l := listed[*eventsv1.Topic]{goesOn: true}
	for i := range n {
		l.all = append(l.all, &eventsv1.Topic{Name: fmt.Sprintf("topic-%04d", i)})
	}
	return l
}

// numbers are pages of so many numbers, ten each, and what was asked for.
type numbers struct {
	mu    sync.Mutex
	n     int
	asked []string
	got   []listed[int] // what was handed over
}

func (s *numbers) emit(msg tea.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, msg.(listed[int]))
}

// last returns what was handed over last, when nothing goes on any more.
func (s *numbers) last() listed[int] {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got[len(s.got)-1]
}

// pagesAsked returns the pages that were asked for.
func (s *numbers) pagesAsked() []string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func (s *numbers) fetch(_ context.Context, _ grpc.ClientConnInterface, token string) (page []int, next string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, token)
	from, _ := strconv.Atoi(token) // empty: 0
	for i := from; i < min(s.n, from+10); i++ {
		page = append(page, i)
	}
	if from+10 < s.n {
		next = strconv.Itoa(from + 10)
	}
	return page, next, nil
}

// A list has its first page, and another each time that somebody comes near to the end of
// it; what is there is asked for again now and then.
func TestPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &numbers{n: 25}
		p := newPages(s.fetch)
		go func() { _ = p.run(t.Context(), nil, s.emit) }()
		rows := func(want int, goesOn bool) {
			t.Helper()
			last := s.last()
			if len(last.all) != want || last.goesOn != goesOn || last.full {
				t.Fatalf("%d rows, goes on %t, full %t, want %d, %t", len(last.all), last.goesOn, last.full, want, goesOn)
			}
		}
		rows(10, true)
		p.more()
		rows(20, true)
		p.more()
		rows(25, false)
		p.more() // there is none
		rows(25, false)
		s.mu.Lock()
		s.n = 22
		s.mu.Unlock()
		time.Sleep(3 * browsePeriod)
		rows(22, false)
		want := []string{"", "10", "20", "", "10", "20"}
		if diff := gocmp.Diff(want, s.pagesAsked()); diff != "" {
			t.Errorf("pages that were asked for (-want +got):\n%s", diff)
		}
		if first := s.got[0]; len(first.all) != 10 {
			t.Errorf("the first message was changed: %v", first)
		}
	})
}

// What tells of its changes is asked for then, and never else.
func TestPagesAreWatched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &numbers{n: 5}
		p := newPages(s.fetch)
		changes := make(chan func())
		p.watch = func(ctx context.Context, _ grpc.ClientConnInterface, changed func()) error {
			for {
				select {
				case changes <- changed:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		go func() { _ = p.run(t.Context(), nil, func(tea.Msg) {}) }()
		time.Sleep(time.Hour)
		if n := len(s.pagesAsked()); n != 1 {
			t.Errorf("it was asked %d times while nothing changed", n)
		}
		(<-changes)()
		if n := len(s.pagesAsked()); n != 2 {
			t.Errorf("it was asked %d times after a change, want 2", n)
		}
	})
}

// A list that has more pages than are asked for says so.
func TestPagesEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &numbers{n: 10 * (maxPages + 5)}
		p := newPages(s.fetch)
		go func() { _ = p.run(t.Context(), nil, s.emit) }()
		for range maxPages + 3 {
			synctest.Wait()
			p.more()
		}
		if last := s.last(); len(last.all) != 10*maxPages || last.goesOn || !last.full {
			t.Errorf("%d rows, goes on %t, full %t", len(last.all), last.goesOn, last.full)
		}
	})
}

// Whoever comes near to the end of a list asks for its next page, once.
func TestListGoesOn(t *testing.T) {
	t.Parallel()
	d := newDriver(testConfig())
	d.keys(":events<enter>")
	asked := 0
	s := d.m.top().(*listScreen)
	s.more = func() { asked++ }
	topics := func(n int) { d.feed("topics", listedTopics(n)) }
	topics(1000)
	d.keys("jjj")
	if asked != 0 {
		t.Fatalf("it asks for more %d times at the beginning", asked)
	}
	d.keys("Gkj")
	if asked != 1 {
		t.Fatalf("it asks for more %d times at the end, want once", asked)
	}
	topics(2000)
	if id, _ := s.table.selected(); id != "topic-0999" {
		t.Errorf("the chosen row is %s after more have come", id)
	}
	d.keys("G")
	if asked != 2 {
		t.Errorf("it asks for more %d times at the new end, want 2", asked)
	}
}
