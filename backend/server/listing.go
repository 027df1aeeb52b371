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

// listing is what such a request asks for.
type listing struct {
	list  pagetoken.List
	after string // the last item of the page before; empty: from the beginning
	size  int    // at most so many items
}

// listingOf returns which page of its list a request asks for. The list is told from those of
// other methods by itself, and from others of its own by what it is of, the namespace
// first: the token of another one is refused.
func listingOf(req paging, of ...string) (listing, error) {
	size, err := pageSize(req.GetPageSize())
	if err != nil {
		return listing{}, err
	}
	l := listing{list: pagetoken.Of(append(of, string(proto.MessageName(req)))...), size: size}
	if token := req.GetPageToken(); token != "" {
		var ok bool
		if l.after, ok = l.list.Parse(token); !ok || l.after == "" {
			return listing{}, invalid("the page token is not one of this list: use the one that the page before gave, and change nothing else")
		}
	}
	return l, nil
}

// next returns the token of the page behind an item.
func (l listing) next(last string) string { return l.list.After(last) }

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
