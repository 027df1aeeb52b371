//go:build unix && !linux

package embedded

import (
	"os"
	"syscall"
)

// endWatch has nothing to keep.
type endWatch struct{}

func newEndWatch(*syscall.SysProcAttr) *endWatch { return &endWatch{} }

// reap waits for the leader's end and kills its group. There is no way here to
// wait for a process and not reap it, so for a moment the group's number may be
// nobody's; systems do not give it away as fast.
func (*endWatch) reap(p *process, finish func(session int)) (*os.ProcessState, error) {
	state, err := p.leader.Wait()
	p.kill()
	finish(0)
	p.gone()
	return state, err
}
