package cli

import (
	"strings"
	"testing"
)

// Whatever is on a screen of the dashboard is written by commands, as JSON too, but for
// what was done on it.
func TestScreensHavePlainTwins(t *testing.T) {
	t.Parallel()
	for _, s := range DashboardScreens() {
		if len(s.Plain) == 0 && s.Word != "commands" {
			t.Errorf("%s has no command that writes the same", s.Title)
		}
		if s.Word == "" && s.Key == "" {
			t.Errorf("nobody comes to %s", s.Title)
		}
		for _, line := range s.Plain {
			root := Tree()
			cmd, args, err := root.Find(strings.Fields(line)[1:])
			if err != nil || cmd == root {
				t.Errorf("%s: %s is no command: %v", s.Title, line, err)
				continue
			}
			if err := cmd.ParseFlags(args); err != nil {
				t.Errorf("%s: %s: %v", s.Title, line, err)
			}
			if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
				t.Errorf("%s: %s: %v", s.Title, line, err)
			}
			if f := cmd.Flag("output"); f == nil || f.Value.Set("json") != nil {
				t.Errorf("%s: %s does not write JSON", s.Title, line)
			}
		}
	}
}
