package tui

import (
	"context"
	"fmt"
	"strconv"
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
	n     int
	asked []string
}

func (s *numbers) fetch(_ context.Context, _ grpc.ClientConnInterface, token string) (page []int, next string, err error) {
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
		var got []listed[int]
		go func() {
			_ = p.run(t.Context(), nil, func(msg tea.Msg) { got = append(got, msg.(listed[int])) })
		}()
		rows := func(want int, goesOn bool) {
			t.Helper()
			synctest.Wait()
			last := got[len(got)-1]
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
		s.n = 22
		time.Sleep(3 * browsePeriod)
		rows(22, false)
		want := []string{"", "10", "20", "", "10", "20"}
		if diff := gocmp.Diff(want, s.asked); diff != "" {
			t.Errorf("pages that were asked for (-want +got):\n%s", diff)
		}
		if len(got[0].all) != 10 {
			t.Errorf("the first message was changed: %v", got[0])
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
		synctest.Wait()
		time.Sleep(time.Hour)
		if len(s.asked) != 1 {
			t.Errorf("it was asked %d times while nothing changed", len(s.asked))
		}
		(<-changes)()
		synctest.Wait()
		if len(s.asked) != 2 {
			t.Errorf("it was asked %d times after a change, want 2", len(s.asked))
		}
	})
}

// A list that has more pages than are asked for says so.
func TestPagesEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &numbers{n: 10 * (maxPages + 5)}
		p := newPages(s.fetch)
		var last listed[int]
		go func() {
			_ = p.run(t.Context(), nil, func(msg tea.Msg) { last = msg.(listed[int]) })
		}()
		for range maxPages + 3 {
			synctest.Wait()
			p.more()
		}
		synctest.Wait()
		if len(last.all) != 10*maxPages || last.goesOn || !last.full {
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
