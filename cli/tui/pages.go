package tui

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"
	"google.golang.org/grpc"

	"github.com/micro/micro/v3/internal/fault"
)

const (
	// browsePeriod is how often lists of data are asked for, times the pages that they
	// have by then.
	browsePeriod = 5 * time.Second
	// pageRows is how many rows a page has at most, and maxPages how many pages are
	// asked for: who looks for more names it to a command.
	pageRows = 1000
	maxPages = 100
)

// listed is what there is of a list so far.
type listed[T any] struct {
	all    []T
	goesOn bool // there is more
	full   bool // more than is asked for
}

// listedPages is a listed of any type.
type listedPages interface {
	state() (goesOn, full bool)
}

func (l listed[T]) state() (goesOn, full bool) { return l.goesOn, l.full }

// pages asks for a list page by page: the first one, and another whenever somebody wants
// more. From time to time, or when it is told of a change, it asks for those again that
// it has.
type pages[T any] struct {
	// fetch returns the page behind a token, and the token of the next; empty: none.
	fetch func(ctx context.Context, conn grpc.ClientConnInterface, token string) (page []T, next string, err error)
	// watch tells of changes until ctx ends; nil: nobody does.
	watch func(ctx context.Context, conn grpc.ClientConnInterface, changed func()) error

	wanted chan struct{} // somebody wants one more
	want   int           // pages; of run
}

func newPages[T any](fetch func(context.Context, grpc.ClientConnInterface, string) ([]T, string, error)) *pages[T] {
	return &pages[T]{fetch: fetch, wanted: make(chan struct{}, 1), want: 1}
}

// more asks for another page. It does not wait for it.
func (p *pages[T]) more() {
	select {
	case p.wanted <- struct{}{}:
	default:
	}
}

// feed returns the feed of the list.
func (p *pages[T]) feed(name string) feed { return feed{name: name, run: p.run} }

func (p *pages[T]) run(ctx context.Context, conn grpc.ClientConnInterface, emit func(tea.Msg)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed, failed := make(chan struct{}, 1), make(chan error, 1)
	if p.watch != nil {
		fault.Go(ctx, func() {
			failed <- p.watch(ctx, conn, func() {
				select {
				case changed <- struct{}{}:
				default:
				}
			})
		})
	}
	for {
		var all []T
		token, err := p.read(ctx, conn, &all, "", p.want)
		for err == nil {
			emit(listed[T]{all: all, goesOn: token != "" && p.want < maxPages, full: token != "" && p.want == maxPages})
			var again <-chan time.Time
			if p.watch == nil {
				again = time.After(browsePeriod * time.Duration(p.want))
			}
			select {
			case <-p.wanted:
				if token == "" || p.want == maxPages {
					continue
				}
				p.want++
				all = append([]T(nil), all...) // what was handed over is read by others
				token, err = p.read(ctx, conn, &all, token, 1)
				continue
			case <-changed:
			case <-again:
			case err = <-failed:
			case <-ctx.Done():
				err = ctx.Err()
			}
			break
		}
		if err != nil {
			return err
		}
	}
}

// read appends so many pages behind a token, and returns the token of the next.
func (p *pages[T]) read(ctx context.Context, conn grpc.ClientConnInterface, all *[]T, token string, pages int) (string, error) {
	for range pages {
		page, next, err := p.fetch(ctx, conn, token)
		if err != nil {
			return "", err
		}
		*all = append(*all, page...)
		if token = next; token == "" {
			break
		}
	}
	return token, nil
}
