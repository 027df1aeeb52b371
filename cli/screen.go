package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/tui"
)

const (
	// themeVariable names the theme of what takes the whole terminal.
	themeVariable = "MICRO_THEME"
	// accessibleVariable has everything written as lines, for those who are read to.
	accessibleVariable = "MICRO_ACCESSIBLE"
)

// hasScreen reports whether a command may take the whole terminal, or else writes lines.
func (a *App) hasScreen(plain bool) bool {
	return !plain && a.Terminal.In && a.Terminal.Out && a.Getenv("TERM") != "dumb" && a.Getenv(accessibleVariable) == ""
}

// mayFollow reports whether a command whose output goes on may be followed on the whole
// terminal: all that it writes has to be seen there, and somebody has to be there who has
// not put it into the background.
func (a *App) mayFollow(plain bool) bool {
	return a.hasScreen(plain) && a.Terminal.Err && a.Getenv("CI") == "" && (a.Terminal.Foreground == nil || a.Terminal.Foreground())
}

// plainFlag adds --plain to a command that does something else on a terminal.
func plainFlag(cmd *cobra.Command, plain *bool) {
	cmd.Flags().BoolVar(plain, "plain", false, "write lines on a terminal, too, as elsewhere")
}

// screen returns what all that takes the whole terminal is made of.
func (a *App) screen() (tui.Config, error) {
	theme := a.Getenv(themeVariable)
	if !slices.Contains([]string{"", "light", "dark", "none"}, theme) {
		return tui.Config{}, usage("", "%s is %q, and none of light, dark, none", themeVariable, theme)
	}
	if a.noColor || a.Getenv("NO_COLOR") != "" {
		theme = "none"
	}
	return tui.Config{
		In: a.In, Out: a.Out, Environ: a.terminalEnviron(), Now: a.Now, Theme: theme,
		Line: front.Line, Colored: front.Colored,
		Explain: func(err error) string {
			e := a.explain(err)
			if e.Hint == "" {
				return e.Message
			}
			return e.Message + "; hint: " + e.Hint
		},
	}, nil
}

// follow runs a command whose output goes on, and shows that on the whole terminal.
func (a *App) follow(ctx context.Context, title string, times bool, work func(context.Context, *tui.Output) error) error {
	c, err := a.screen()
	if err != nil {
		return err
	}
	e, ns, err := a.target()
	if err != nil {
		return err
	}
	c.Times, c.Session = times, tui.Session{Environment: e.Name, Address: e.Address, Namespace: ns}
	return tui.Follow(ctx, c, title, work)
}

// terminalEnviron returns what the environment says of the terminal.
func (a *App) terminalEnviron() []string {
	var all []string
	for _, name := range []string{"TERM", "COLORTERM", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM_PROGRAM", "TMUX", "STY", "WT_SESSION", "SSH_TTY", "GOOGLE_CLOUD_SHELL", "TTY_FORCE", "ConEmuANSI"} {
		if v := a.Getenv(name); v != "" {
			all = append(all, name+"="+v)
		}
	}
	if a.noColor {
		all = append(all, "NO_COLOR=1")
	}
	return all
}
