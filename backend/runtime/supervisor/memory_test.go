package supervisor

import "testing"

func TestMemoryWatch(t *testing.T) {
	t.Parallel()
	w := &MemoryWatch{}
	for i, step := range []struct {
		before, after int64
		want          bool
	}{
		{5, 5, false}, // killed by somebody
		{5, 6, true},
		{5, 6, false}, // that one is explained
		{5, 8, true},
		{5, 8, true},
		{5, 8, false},
		{9, 9, false}, // 9 was somebody else's, before the start
		{0, 0, false}, // a system that does not count
	} {
		if got := w.Took(step.before, step.after); got != step.want {
			t.Errorf("step %d: took(%d, %d) = %t, want %t", i, step.before, step.after, got, step.want)
		}
	}
}
