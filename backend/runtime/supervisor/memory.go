package supervisor

import "sync"

// MemoryWatch tells a kill for want of memory from others: the kernel counts
// such kills, though not whom they met. Safe for concurrent use.
type MemoryWatch struct {
	mu    sync.Mutex
	known int64 // as many are explained
}

// Took reports whether a process, which something has killed, was killed for
// want of memory: the kernel's count was before at its start and is now after,
// and not all kills between are explained by other processes. It can be wrong when
// something outside of this runtime died of it meanwhile.
func (w *MemoryWatch) Took(before, after int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := max(w.known, before)
	if after <= known {
		return false
	}
	w.known = known + 1
	return true
}
