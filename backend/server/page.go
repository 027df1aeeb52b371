package server

import (
	"google.golang.org/protobuf/proto"

	"github.com/micro/micro/v3/internal/pagetoken"
)

// paging is any request for a page of a list.
type paging interface {
	proto.Message
	GetPageSize() int32
	GetPageToken() string
}

// page is what such a request asks for.
type page struct {
	list  pagetoken.List
	after string // the last item of the page before; empty: from the beginning
	size  int    // at most so many items
}

// pageOf returns which page of its list a request asks for. The list is told from those of
// other methods by itself, and from others of its own by what it is of, the namespace
// first: the token of another one is refused.
func pageOf(req paging, of ...string) (page, error) {
	size, err := pageSize(req.GetPageSize())
	if err != nil {
		return page{}, err
	}
	p := page{list: pagetoken.Of(append(of, string(proto.MessageName(req)))...), size: size}
	if token := req.GetPageToken(); token != "" {
		var ok bool
		if p.after, ok = p.list.Parse(token); !ok || p.after == "" {
			return page{}, invalid("the page token is not one of this list: use the one that the page before gave, and change nothing else")
		}
	}
	return p, nil
}

// next returns the token of the page behind an item.
func (p page) next(last string) string { return p.list.After(last) }

// pageSize returns how many items a page has that was asked for with a size.
func pageSize(asked int32) (int, error) {
	switch {
	case asked < 0:
		return 0, invalid("a page of %d items", asked)
	case asked == 0:
		return 100, nil
	default:
		return min(int(asked), 1000), nil
	}
}
