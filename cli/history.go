package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/snippet"
	"github.com/micro/micro/v3/dynamic/wire"
)

func newHistoryCmd(app *App) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:   "history [N]",
		Short: "Show earlier calls, and repeat one",
		Long: `Show the last N calls, the newest last; 20 when N is not given. The last 1,000 are kept on
this machine, without values of passwords, tokens, keys and the like, and with ${NAME} as
it was typed. MICRO_HISTORY=off keeps none.`,
		Example: `  micro history
  micro history 100 -o json
  micro history run 17
  micro history clear`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			n := 20
			if len(args) > 0 {
				var err error
				if n, err = strconv.Atoi(args[0]); err != nil {
					return unknownCommand(cmd, args[0])
				}
				if n <= 0 || len(args) > 1 {
					return usage("micro history --help", "%q is no number of calls", strings.Join(args, " "))
				}
			}
			return app.showHistory(n, out)
		},
	}
	outputFlag(cmd, &out)
	cmd.AddCommand(newHistoryRunCmd(app), newHistoryClearCmd(app))
	return cmd
}

// history returns the history, also when nothing is added to it.
func (a *App) history() (front.History, error) {
	dirs, err := a.Dirs()
	if err != nil {
		return front.History{}, err
	}
	h, _ := front.NewHistory(dirs, func(string) string { return "" })
	return h, nil
}

func (a *App) showHistory(n int, out format) error {
	h, err := a.history()
	if err != nil {
		return err
	}
	all, err := h.Read()
	if err != nil {
		return err
	}
	all = all[max(len(all)-n, 0):]
	if out == asTable {
		if len(all) == 0 {
			fmt.Fprintln(a.Err, "no calls yet")
			return nil
		}
		t := newTable(a.Out)
		t.row("N", "TIME", "ENV", "STATUS", "TOOK", "CALL")
		for _, p := range all {
			t.row(strconv.Itoa(p.Number), p.Time.Local().Format(time.DateTime), p.Env, pastStatus(p), pastTook(p), pastLine(p))
		}
		return t.flush()
	}
	if all == nil {
		all = []front.Past{}
	}
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if out == asYAML {
		return jsonToYAML(a.Out, b)
	}
	return front.PrintJSON(a.Out, b, front.FormatAuto)
}

func pastTook(p front.Past) string {
	if p.Millis == 0 {
		return "<1ms"
	}
	return (time.Duration(p.Millis) * time.Millisecond).String()
}

func pastStatus(p front.Past) string {
	switch {
	case p.Exit == 0:
		return "ok"
	case p.Code != "":
		return p.Code
	default:
		return "exit " + strconv.Itoa(p.Exit)
	}
}

// pastLine returns a call as it could be typed, but for what is hidden.
func pastLine(p front.Past) string {
	var words []string
	for _, w := range slices.Concat([]string{p.Service}, p.Words, p.Args) {
		words = append(words, snippet.Quote(w))
	}
	for _, h := range p.Hidden {
		words = append(words, h+"=…")
	}
	if p.Cut {
		words = append(words, "…")
	}
	return strings.Join(words, " ")
}

func newHistoryRunCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "run N [-e ENV] [--namespace NAME] [--FIELD=VALUE...]",
		Short: "Repeat a call",
		Long: `Repeat a call, in the environment and the namespace that it was made in. With -e it is made
in another one, in the namespace that is current there. What is typed behind N is added to
what was typed then; flags whose values were not kept have to be given again.`,
		Example: `  micro history run 17
  micro history run 17 -e dev
  micro history run 17 --name=Bob`,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			g, rest, ok := front.SplitGlobals(args)
			if len(rest) > 0 && (rest[0] == "--help" || rest[0] == "-h") {
				return cmd.Help()
			}
			if !ok || len(rest) == 0 {
				return usage("micro history run --help", "%q needs the number of a call", cmd.CommandPath())
			}
			n, err := strconv.Atoi(rest[0])
			if err != nil {
				return usage("micro history", "%q is no number of a call", rest[0])
			}
			more := splitPlace(rest[1:], &g)
			in, err := app.repeated(n, g, more)
			if err != nil {
				return err
			}
			return app.invoke(cmd.Context(), cmd.Root(), in)
		},
	}
}

// splitPlace takes the flags that say where out of arguments.
func splitPlace(args []string, g *front.Globals) (rest []string) {
	for len(args) > 0 {
		found, after, ok := front.SplitGlobals(args)
		if len(after) == len(args) || !ok && len(after) == 0 {
			rest = append(rest, args[0])
			args = args[1:]
			continue
		}
		if found.Env != "" {
			g.Env = found.Env
		}
		if found.Namespace != "" {
			g.Namespace = found.Namespace
		}
		args = after
	}
	return rest
}

// repeated returns a call of the history with more arguments, and makes the app act
// where it was made, or where the flags say.
func (a *App) repeated(n int, g front.Globals, more []string) (in front.Invocation, err error) {
	h, err := a.history()
	if err != nil {
		return in, err
	}
	all, err := h.Read()
	if err != nil {
		return in, err
	}
	i := slices.IndexFunc(all, func(p front.Past) bool { return p.Number == n })
	if i < 0 {
		return in, &Error{Message: fmt.Sprintf("there is no call %d in the history", n), Hint: "micro history", Exit: ExitNotFound}
	}
	p := all[i]
	if p.Cut {
		return in, &Error{Message: fmt.Sprintf("call %d was too long to be kept with its arguments", n), Exit: ExitError}
	}
	if missing := missingFlags(p.Hidden, more); len(missing) > 0 {
		return in, &Error{
			Message: fmt.Sprintf("secrets are not kept: call %d needs %s again", n, strings.Join(missing, ", ")),
			Hint:    fmt.Sprintf("micro history run %d %s=…", n, missing[0]),
			Exit:    ExitUsage,
		}
	}
	if a.env = g.Env; a.env == "" {
		a.env = p.Env
	}
	if a.namespace = g.Namespace; a.namespace == "" && a.env == p.Env {
		a.namespace = p.Namespace
	}
	words := slices.Concat([]string{p.Service}, p.Words, p.Args, more)
	shown := []string{"micro", "--env=" + a.env}
	if a.namespace != "" {
		shown = append(shown, "--namespace="+a.namespace)
	}
	for _, w := range slices.Concat(shown, []string{"call", p.Service}, p.Words, p.Args) {
		fmt.Fprint(a.Err, front.Line(snippet.Quote(w)), " ")
	}
	if len(more) > 0 {
		fmt.Fprint(a.Err, "…") // it may be a secret
	}
	fmt.Fprintln(a.Err)
	return front.Parse(words), nil
}

// missingFlags returns those of the hidden flags that are not given.
func missingFlags(hidden, given []string) []string {
	return slices.DeleteFunc(slices.Clone(hidden), func(h string) bool {
		if h == "the body" {
			return slices.ContainsFunc(given, func(g string) bool { return !strings.HasPrefix(g, "--") })
		}
		flag, header, isHeader := strings.Cut(h, " ")
		for i, g := range given {
			name, value, has := strings.Cut(g, "=")
			if !has && i+1 < len(given) {
				value = given[i+1]
			}
			if !isHeader && name == flag {
				return true
			}
			got, _, _ := strings.Cut(value, ":")
			if isHeader && (name == "-H" || name == "--header") && strings.EqualFold(strings.TrimSpace(got), header) {
				return true
			}
		}
		return false
	})
}

func newHistoryClearCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "clear",
		Short:   "Forget all earlier calls",
		Example: "  micro history clear",
		Args:    exactly(0),
		RunE: func(*cobra.Command, []string) error {
			h, err := app.history()
			if err != nil {
				return err
			}
			if err := h.Clear(); err != nil {
				return err
			}
			fmt.Fprintln(app.Err, "the history is empty")
			return nil
		},
	}
}

// madeCall is a call that was begun.
type madeCall struct {
	in      front.Invocation
	method  wire.Method
	request *front.Request
	started time.Time
}

// remember puts the call that was made, if one was, into the history, with the error
// that it ended with.
func (a *App) remember(err error) {
	made := a.made
	dirs, dirsErr := a.Dirs()
	if made == nil || dirsErr != nil {
		return
	}
	h, wanted := front.NewHistory(dirs, a.Getenv)
	if !wanted {
		return
	}
	p := front.Remember(made.in, made.method, made.request, made.started, a.Now())
	e, envErr := a.Env()
	ns, nsErr := a.Namespace()
	if errors.Join(envErr, nsErr) != nil {
		return
	}
	p.Env, p.Namespace = e.Name, ns
	if err != nil {
		told := a.explain(err)
		p.Exit, p.Code = told.Exit, told.Code
	}
	_ = h.Add(p) // the call was made all the same
}
