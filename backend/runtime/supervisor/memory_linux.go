package supervisor

import (
	"os"
	"strconv"
	"strings"
)

// MemoryKills returns how many processes of this machine were killed for want of memory
// since it was started; 0 when that is not known.
func MemoryKills() int64 {
	text, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if count, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(count), 10, 64) // 0 when it is no number
			return n
		}
	}
	return 0
}
