package cli

import (
	"io"
	"sync"
)

// replay is standard input for a call that may have to be made again, because the
// service has another schema than it had: what was read of it once can be read
// again, as long as it is not too much.
type replay struct {
	in io.Reader

	mu   sync.Mutex
	kept []byte
	lost bool // more was read than is kept
}

// maxKept bounds what is kept of standard input.
const maxKept = 8 << 20

// reader returns standard input from its beginning, false when that is gone.
func (r *replay) reader() (io.Reader, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &replayed{from: r}, !r.lost
}

// replayed is one reading of standard input. One that is given up does not take
// anything from the next: what it reads is kept.
type replayed struct {
	from *replay
	at   int
}

func (r *replayed) Read(p []byte) (int, error) {
	f := r.from
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.lost && r.at < len(f.kept) {
		n := copy(p, f.kept[r.at:])
		r.at += n
		return n, nil
	}
	n, err := f.in.Read(p)
	r.at += n
	if f.lost || len(f.kept)+n > maxKept {
		f.kept, f.lost = nil, true
		return n, err
	}
	f.kept = append(f.kept, p[:n]...)
	return n, err
}
