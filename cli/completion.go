package cli

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic/wire"
	"github.com/micro/micro/v3/envs"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// completionFetch bounds how long completion asks a server for a schema that it does
// not have: with the start of this process it is no more than completionTimeout.
const completionFetch = completionTimeout - 60*time.Millisecond

// complete answers the script of a shell. It reports false for the words of a command,
// whose completions cobra knows.
func (a *App) complete(ctx context.Context, args []string) (done bool, err error) {
	c := front.Completer{Getenv: a.Getenv, IsCommand: func(word string) bool { return isCommand(newRoot(a), word) }}
	answer, missing := c.Complete(args[1:])
	if missing != nil && missing.Command {
		return false, nil
	}
	if missing != nil {
		a.env, a.namespace = missing.Globals.Env, missing.Globals.Namespace
		c.Table = a.fetchSchema(ctx, missing)
		if answer, missing = c.Complete(args[1:]); missing != nil {
			answer = front.NoCompletions()
		}
	}
	return true, answer.Print(a.Out, args[0] == cobra.ShellCompRequestCmd)
}

// fetchSchema returns the schema that completion lacks when it can be had in time, and
// keeps it; else nil. Whoever waits for a completion is told no reason why not.
func (a *App) fetchSchema(ctx context.Context, m *front.Missing) *wire.Table {
	ctx, cancel := context.WithTimeout(ctx, completionFetch)
	defer cancel()
	if _, err := a.Conn(); err != nil { // here, so that nothing of the app changes below
		return nil
	}
	got := make(chan *wire.Table, 1)
	go func() {
		callCtx, conn, err := a.connFor(ctx)
		if err != nil {
			got <- nil
			return
		}
		q := question{word: m.Service, options: m.Options}
		entry, _, err := a.schema(callCtx, conn, q)
		if method := (*methodError)(nil); errors.As(err, &method) {
			q.word = method.service
			_, _, _ = a.schema(callCtx, conn, q) // completion finds it in the cache
		}
		if err != nil {
			entry.Table = nil
		}
		got <- entry.Table
	}()
	select {
	case t := <-got:
		return t
	case <-ctx.Done(): // a keyring may take its time; the process ends without it
		return nil
	}
}

// rememberServices keeps the names of all services of the namespace for completion,
// which asks nobody.
func (a *App) rememberServices(names []string) {
	if c, ok := a.cache(); ok {
		c.PutServices(c.env, c.namespace, names)
	}
}

// addServices keeps the names of services that run for completion, whatever else there is.
func (a *App) addServices(services ...*runtimev1.Service) {
	c, ok := a.cache()
	if !ok {
		return
	}
	var names []string
	for _, s := range services {
		if s.GetStatus().GetPhase() == runtimev1.Phase_PHASE_RUNNING {
			names = append(names, s.GetName())
		}
	}
	c.AddServices(c.env, c.namespace, names)
}

// knownServices returns the services of the namespace that were seen last.
func (a *App) knownServices() []string {
	c, ok := a.cache()
	if !ok {
		return nil
	}
	return c.Services(c.env, c.namespace)
}

// placeCache is the cache, and the place that a command acts in.
type placeCache struct {
	front.Cache

	env       envs.Env
	namespace string
}

// cache returns what is kept of the place that the command acts in; false when there is
// no such place.
func (a *App) cache() (placeCache, bool) {
	e, ns, err := a.target()
	if err != nil {
		return placeCache{}, false
	}
	dirs, err := a.Dirs()
	return placeCache{front.Cache{Dir: dirs.Cache}, e, ns}, err == nil
}

// completeFlag sets what completes the value of a flag that a command has.
func completeFlag(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err) // there is no such flag
	}
}

func newCompletionCmd() *cobra.Command {
	cmd := parentCmd("completion", "Write the script that completes commands in a shell")
	cmd.Long = `Write the script by which a shell completes the commands of micro: services, endpoints,
fields and their values too, with what the schema says of them.

"micro completion SHELL --help" tells how to load it.`
	cmd.Example = `  micro completion bash
  micro completion zsh`
	for _, s := range []struct {
		name, load string
		write      func(root *cobra.Command, w io.Writer, about bool) error
	}{
		{"bash", `Load it in each shell by a line in ~/.bashrc:

  source <(micro completion bash)`, writeBash},
		{"zsh", `Load it in each shell by a line in ~/.zshrc, behind compinit:

  source <(micro completion zsh)`, func(root *cobra.Command, w io.Writer, about bool) error {
			if about {
				return root.GenZshCompletion(w)
			}
			return root.GenZshCompletionNoDesc(w)
		}},
		{"fish", `Load it in each shell by a file:

  micro completion fish > ~/.config/fish/completions/micro.fish`, func(root *cobra.Command, w io.Writer, about bool) error {
			return root.GenFishCompletion(w, about)
		}},
		{"powershell", `Load it in each shell by a line in the file that $PROFILE names:

  micro completion powershell | Out-String | Invoke-Expression`, func(root *cobra.Command, w io.Writer, about bool) error {
			if about {
				return root.GenPowerShellCompletionWithDesc(w)
			}
			return root.GenPowerShellCompletion(w)
		}},
	} {
		var plain bool
		sub := &cobra.Command{
			Use:               s.name,
			Short:             "Write the script for " + s.name,
			Long:              "Write the script that completes commands in " + s.name + ". " + s.load,
			Example:           "  micro completion " + s.name,
			Args:              exactly(0),
			ValidArgsFunction: cobra.NoFileCompletions,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return s.write(cmd.Root(), cmd.OutOrStdout(), !plain)
			},
		}
		sub.Flags().BoolVar(&plain, "no-descriptions", false, "complete without saying what things mean")
		cmd.AddCommand(sub)
	}
	return cmd
}

// writeBash writes the script for bash. Cobra's counts on functions of the package
// bash-completion, which is not everywhere: where they are missing, the script brings
// what it needs of them.
func writeBash(root *cobra.Command, w io.Writer, about bool) error {
	var script strings.Builder
	if err := root.GenBashCompletionV2(&script, about); err != nil {
		return err
	}
	_, err := io.WriteString(w, script.String()+bashFallback)
	return err
}

// bashFallback defines what the script for bash calls, unless it is there: the words
// of the line, with those together that bash parts at '=' and ':', and the completion
// of files.
const bashFallback = `
if ! declare -F _get_comp_words_by_ref >/dev/null; then
    __micro_init_completion()
    {
        local rest=$COMP_LINE word last= joined i
        COMPREPLY=()
        words=()
        cword=0
        for ((i = 0; i < ${#COMP_WORDS[@]}; i++)); do
            word=${COMP_WORDS[i]}
            joined=1
            [[ $rest == [[:space:]]* ]] && joined=0
            rest=${rest#*"$word"}
            if ((i > 1 && joined)) && [[ $word == [=:]* || $last == *[=:] ]]; then
                words[${#words[@]}-1]+=$word
            else
                words+=("$word")
            fi
            last=$word
            if ((i == COMP_CWORD)); then
                cword=$((${#words[@]} - 1))
            fi
        done
        cur=${words[cword]}
        prev=${words[cword > 0 ? cword - 1 : 0]}
    }
fi

if ! declare -F _filedir >/dev/null; then
    _filedir()
    {
        local file
        while IFS='' read -r file; do
            COMPREPLY+=("$file")
        done < <(if [[ ${1-} == -d ]]; then compgen -d -- "$cur"; else compgen -f -- "$cur"; fi)
        compopt -o filenames 2>/dev/null
    }
fi
`
