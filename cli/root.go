package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/tui"
	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/internal/fault"
)

// Main runs one command and returns the code that the process exits with. It is
// the only way out of a command: commands return errors and do not print them.
func Main(ctx context.Context, app *App, args []string) int {
	defer app.close()
	err := guarded(ctx, func(ctx context.Context) error {
		root := newRoot(app)
		root.SetArgs(args)
		return execute(ctx, app, root, args)
	})
	if err == nil {
		return ExitOK
	}
	e := app.explain(err)
	if e.Exit == ExitInterrupted && (ctx.Err() != nil || errors.Is(err, tui.ErrInterrupted)) {
		return e.Exit // whoever pressed Ctrl-C knows
	}
	e.Print(app.Err, wantsJSON(args))
	return e.Exit
}

// guarded returns the error of run, or at once a fault of it: the goroutines that had none
// end with the process.
func guarded(ctx context.Context, run func(ctx context.Context) error) error {
	ctx, watch := fault.NewWatch(ctx)
	defer watch.End()
	done := make(chan error, 1)
	fault.Go(ctx, func() { done <- run(ctx) })
	select {
	case err := <-done:
		return err
	case <-watch.Seen():
		return watch.Err()
	}
}

// execute runs a built-in command, or else calls the service that the first word
// names.
func execute(ctx context.Context, app *App, root *cobra.Command, args []string) error {
	if len(args) > 1 && front.IsCompletion(args[0]) {
		if done, err := app.complete(ctx, args); done {
			return err
		}
	}
	if word := firstWord(root, args); word != "" && !isCommand(root, word) {
		return app.callService(ctx, root, args)
	}
	root.SetArgs(withNumbers(root, args))
	err := root.ExecuteContext(ctx)
	var e *Error
	if err != nil && !errors.As(err, &e) && isUsage(err) {
		e = &Error{Message: usageText(err), Hint: "micro " + strings.Join(append(commandPath(root, args), "--help"), " "), Exit: ExitUsage}
		if hint := dashHint(root, args); hint != "" {
			e.Hints = []string{hint}
		}
		return e
	}
	return err
}

func newRoot(app *App) *cobra.Command {
	root := &cobra.Command{
		Use:   "micro",
		Short: "Take a service from source to running, and call it",
		Long: `micro runs services and calls them.

It is the server (micro server), the tool that turns a directory or a git
repository into a running service (micro run), and a command line for every
service that runs: micro SERVICE [ENDPOINT] --field=value.`,
		Example: `  micro server                     # start a server on this machine
  micro new helloworld             # write a service
  micro run ./helloworld           # build it and run it
  micro helloworld --name=Alice    # call it`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
	}
	root.SetIn(app.In)
	root.SetOut(app.Out)
	root.SetErr(app.Err)
	if width := app.width(); width > 0 {
		// What flags are for stays in its column on a narrow terminal, too.
		root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "Flags.FlagUsages", fmt.Sprintf("Flags.FlagUsagesWrapped %d", width)))
	}
	globalFlags(app, root.PersistentFlags())
	completeFlag(root, "env", completeEnvs(app))
	completeFlag(root, "confirm", cobra.NoFileCompletions) // it is to be typed
	completeFlag(root, "namespace", cobra.NoFileCompletions)
	root.AddGroup(
		&cobra.Group{ID: "services", Title: "Services:"},
		&cobra.Group{ID: "data", Title: "Data:"},
		&cobra.Group{ID: "source", Title: "Source:"},
		&cobra.Group{ID: "access", Title: "Environments and access:"},
		&cobra.Group{ID: "server", Title: "Server:"},
	)
	group := func(id string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	group("services", newRunCmd(app), newDevCmd(app), newUpdateCmd(app), newScaleCmd(app), newRestartCmd(app), newRollbackCmd(app), newUndoCmd(app), newKillCmd(app),
		newApplyCmd(app), newDiffCmd(app), newDeleteCmd(app), newExportCmd(app), newPromoteCmd(app),
		newStatusCmd(app), newInspectCmd(app), newReleasesCmd(app), newServicesCmd(app), newGetCmd(app), newHealthCmd(app), newStatsCmd(app), newLogsCmd(app), newDashboardCmd(app),
		newCallCmd(app), newStreamCmd(app), newHistoryCmd(app), newDescribeCmd(app))
	group("data", newStoreCmd(app), newConfigCmd(app), newEventsCmd(app))
	group("source", newNewCmd(app), newGenCmd(app), newBuildCmd(app), newImageCmd(app), newSchemaCmd(app))
	group("access", newEnvCmd(app), newLoginCmd(app), newLogoutCmd(app), newGitCmd(app), newSignupCmd(app), newUserCmd(app), newAuthCmd(app), newNamespaceCmd(app))
	group("server", newServerCmd(app), newBackupCmd(app), newRestoreCmd(app))
	root.AddCommand(newVersionCmd(app), newExitCodesTopic(), newCompletionCmd())
	root.SetHelpCommandGroupID("")
	return root
}

func globalFlags(app *App, f *pflag.FlagSet) {
	f.StringVarP(&app.env, "env", "e", "", "environment to act on (MICRO_ENV; the current one)")
	f.StringVar(&app.namespace, "namespace", "", "namespace to act in (MICRO_NAMESPACE; the environment's)")
	f.BoolVarP(&app.yes, "yes", "y", false, "answer yes to every question")
	f.StringVar(&app.confirmed, "confirm", "", "name of the protected environment that may be changed")
	f.BoolVar(&app.noColor, "no-color", false, "no colours (NO_COLOR)")
}

// firstWord returns the first argument that is neither a global flag nor the
// value of one.
func firstWord(root *cobra.Command, args []string) string {
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			return ""
		case !strings.HasPrefix(a, "-") || a == "-":
			return a
		case strings.Contains(a, "="):
		default:
			name := strings.TrimLeft(a, "-")
			f := root.PersistentFlags().Lookup(name)
			if f == nil && len(name) == 1 {
				f = root.PersistentFlags().ShorthandLookup(name)
			}
			if f == nil {
				return "" // --help and unknown flags are cobra's to handle
			}
			if f.NoOptDefVal == "" {
				i++
			}
		}
	}
	return ""
}

// isCommand reports whether a word is a built-in command.
func isCommand(root *cobra.Command, word string) bool {
	return slices.Contains(commands(root), word)
}

// Planned returns words that the server keeps for commands to come.
func Planned() []string {
	return []string{"build-cache", "doctor", "micro", "network", "registry", "runtime", "web"}
}

// nameTaken says why a word, though it is well formed, cannot be the name of a service:
// empty when it can.
func nameTaken(root *cobra.Command, word string) string {
	switch {
	case isCommand(root, word):
		return fmt.Sprintf("a service cannot be called %q, because micro has a command of that name", word)
	case slices.Contains(Planned(), word):
		return fmt.Sprintf("a service cannot be called %q, because micro keeps that name for a command", word)
	}
	return ""
}

// Tree returns the whole command tree for those who describe it; its commands cannot be
// run.
func Tree() *cobra.Command { return newRoot(&App{}) }

// Commands returns the first words that are commands, with the hidden ones by which
// shells ask for completions; no service that is called like one could be called.
func Commands() []string { return commands(newRoot(&App{})) }

// Summaries returns the commands that help lists, and what it says of them.
func Summaries() map[string]string {
	root := newRoot(&App{})
	root.InitDefaultHelpCmd()
	all := map[string]string{}
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			all[c.Name()] = c.Short
		}
	}
	return all
}

func commands(root *cobra.Command) []string {
	// Cobra adds these itself when it runs.
	words := []string{"help", "completion", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd}
	for _, c := range root.Commands() {
		words = append(append(words, c.Name()), c.Aliases...)
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// commandPath returns the names of the command that args reach.
func commandPath(root *cobra.Command, args []string) []string {
	cmd, _, err := root.Find(args)
	if err != nil || cmd == root {
		return nil
	}
	return strings.Fields(strings.TrimPrefix(cmd.CommandPath(), root.Name()))
}

// isUsage reports whether cobra or pflag did not understand the arguments: their
// errors have no type of their own but for some.
func isUsage(err error) bool {
	var (
		notExist *pflag.NotExistError
		value    *pflag.InvalidValueError
		syntax   *pflag.InvalidSyntaxError
		required *pflag.ValueRequiredError
	)
	if errors.As(err, &notExist) || errors.As(err, &value) || errors.As(err, &syntax) || errors.As(err, &required) {
		return true
	}
	for _, prefix := range []string{"unknown command", "required flag", exclusivePrefix, oneOfPrefix} {
		if strings.HasPrefix(err.Error(), prefix) {
			return true
		}
	}
	return false
}

// What cobra says of flags of which no two may be given, and of those of which one has to
// be; the flags come next, and of the first in the end those that were given.
const (
	exclusivePrefix = "if any flags in the group ["
	oneOfPrefix     = "at least one of the flags in the group ["
)

// flagGroup says what is wrong with flags that belong together; empty when an error is
// about something else.
func flagGroup(text string) string {
	flags := func(names string) string { return "--" + strings.Join(strings.Fields(names), ", --") }
	if group, ok := strings.CutPrefix(text, oneOfPrefix); ok {
		names, _, _ := strings.Cut(group, "]")
		return "one of " + flags(names) + " is needed"
	}
	if strings.HasPrefix(text, exclusivePrefix) {
		_, given, _ := strings.Cut(text, "; [")
		names, _, _ := strings.Cut(given, "]")
		return flags(names) + " cannot be given together"
	}
	return ""
}

// usageText says what was typed wrong, without the words of Go's own packages.
func usageText(err error) string {
	if text := flagGroup(err.Error()); text != "" {
		return text
	}
	value := (*pflag.InvalidValueError)(nil)
	number := (*strconv.NumError)(nil)
	if !errors.As(err, &value) || !errors.As(err, &number) {
		return err.Error()
	}
	reason := "is no number"
	if errors.Is(number.Err, strconv.ErrRange) {
		reason = "is too large or too small"
	}
	return fmt.Sprintf("--%s is %q, which %s", value.GetFlag().Name, value.GetValue(), reason)
}

// wantsJSON reports whether the command was asked for JSON, so that its error is
// JSON too.
func wantsJSON(args []string) bool {
	found := false
	for i, a := range args {
		value, attached := "", false
		for _, flag := range []string{"--output=", "-o=", "-o"} {
			if value, attached = strings.CutPrefix(a, flag); attached {
				break
			}
		}
		switch {
		case a == "--":
			return found
		case (a == "-o" || a == "--output") && i+1 < len(args):
			found = args[i+1] == "json" // the last counts
		case attached:
			found = value == "json"
		}
	}
	return found
}

// exactly makes a command take so many arguments.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error { return checkArgs(cmd, args, n, n) }
}

func atMostOne() cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error { return checkArgs(cmd, args, 0, 1) }
}

func atLeast(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error { return checkArgs(cmd, args, n, len(args)) }
}

func checkArgs(cmd *cobra.Command, args []string, least, most int) error {
	hint := cmd.CommandPath() + " --help"
	switch {
	case len(args) > most && most == 0:
		return usage(hint, "%q takes no arguments, and got %q", cmd.CommandPath(), args[0])
	case len(args) > most:
		return usage(hint, "%q has one argument too many: %q", cmd.CommandPath(), args[most])
	case len(args) < least:
		_, names, _ := strings.Cut(cmd.Use, " ")
		return usage(hint, "%q needs %s", cmd.CommandPath(), names)
	}
	return nil
}

// parentCmd makes a command that only has others below it say which ones.
func parentCmd(use, short string) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
}

// unknownCommand says that a command has no such command below it, and what may have
// been meant.
func unknownCommand(cmd *cobra.Command, word string) error {
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	hint := cmd.CommandPath() + " --help"
	if near := request.Nearest(word, names); near != "" {
		hint = cmd.CommandPath() + " " + near
	}
	return usage(hint, "unknown command %q of %q", word, cmd.CommandPath())
}

func newVersionCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  micro version",
		Args:    exactly(0),
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintln(app.Out, "micro "+app.Version)
			return nil
		},
	}
}

func newExitCodesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean",
		Long: `micro exits with:

  0    all went well
  1    something failed
  2    the command was typed wrong, or a value is not valid
  4    not logged in, or the session has ended
  5    what was named does not exist
  6    the account may not do it
  7    the server cannot be reached, or did not answer in time
  8    what should be changed was changed by somebody else in between
  130  interrupted`,
	}
}
