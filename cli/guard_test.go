package cli

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/micro/micro/v3/envs"
)

// recorder is a server that takes every call that changes something, and keeps which they
// were.
type recorder struct {
	mu      sync.Mutex
	methods []string
}

func (r *recorder) handle(_ any, s grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(s)
	r.mu.Lock()
	r.methods = append(r.methods, method)
	r.mu.Unlock()
	if !Changes(method) && !strings.HasPrefix(method, "/micro.runtime.v1.") {
		return status.Error(codes.NotFound, "there is nothing to read")
	}
	if err := s.RecvMsg(&emptypb.Empty{}); err != nil {
		return err
	}
	return s.SendMsg(&emptypb.Empty{}) // as good as any message
}

// changes returns the methods that were called and change something, ordered.
func (r *recorder) changes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	methods := slices.DeleteFunc(slices.Clone(r.methods), func(m string) bool { return !Changes(m) })
	slices.Sort(methods)
	return slices.Compact(methods)
}

// serve starts a recorder, and returns its address.
func (r *recorder) serve(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.UnknownServiceHandler(r.handle))
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "tcp://" + l.Addr().String()
}

// examples returns the command lines that the help of all commands shows.
func examples(cmd *cobra.Command) [][]string {
	var all [][]string
	for line := range strings.Lines(cmd.Example) {
		if _, piped, ok := strings.Cut(line, "| "); ok {
			line = piped
		}
		line, _, _ = strings.Cut(line, "  #")
		line, _, _ = strings.Cut(line, " > ")
		if args, ok := strings.CutPrefix(strings.TrimSpace(line), "micro "); ok {
			all = append(all, splitWords(args))
		}
	}
	for _, c := range cmd.Commands() {
		all = append(all, examples(c)...)
	}
	return all
}

// splitWords splits a command line at spaces that are not within quotes.
func splitWords(line string) []string {
	var words []string
	quote := rune(0)
	begin := true
	for _, r := range line {
		switch {
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
			continue
		case r == quote:
			quote = 0
			continue
		case r == ' ' && quote == 0:
			begin = true
			continue
		}
		if begin {
			words, begin = append(words, ""), false
		}
		words[len(words)-1] += string(r)
	}
	return words
}

// emptyExport returns what "micro store export" writes of a store without records.
func emptyExport(t *testing.T) string {
	t.Helper()
	header, err := json.Marshal(exportHeader{exportFormat, exportVersion})
	if err != nil {
		t.Fatal(err)
	}
	header = append(header, '\n')
	return fmt.Sprintf("%s{\"count\":0,\"sha256\":\"%x\"}\n", header, sha256.Sum256(header))
}

// TestProtected runs what the help shows of every command on a protected environment,
// where nobody can be asked: nothing of it changes anything. On one that is not, it does.
func TestProtected(t *testing.T) {
	run := func(protected bool, confirm string) (*recorder, string) {
		r := &recorder{}
		address := r.serve(t)
		var told strings.Builder
		for _, args := range examples(newRoot(&App{})) {
			switch args[0] {
			case "server", "new", "gen", "env", "completion", "login", "signup", "history", "build", "git":
				continue // of this machine, or about nobody's environment
			case "dashboard", "top":
				continue // it ends when somebody ends it, and changes things by running other commands
			case "run", "dev", "update", "apply", "diff":
				if !protected || confirm != "" {
					continue // they build
				}
			}
			app, _, stderr := testApp(t, "MICRO_TOKEN=x")
			t.Chdir(t.TempDir())
			err := app.updateEnvs(func(c *envs.Config) error {
				if err := c.Add(envs.Env{Name: "prod", Address: address, Protected: protected}); err != nil {
					return err
				}
				return c.Set("prod")
			})
			if err != nil {
				t.Fatal(err)
			}
			app.In = strings.NewReader("secret\n")
			if slices.Contains(args, "import") {
				// A call whose input is refused here may end before the server has seen it.
				app.In = strings.NewReader(emptyExport(t))
			}
			args = append([]string{"--yes", "--confirm=" + confirm}, args...)
			_ = Main(t.Context(), app, args) // what an empty answer means is not what this is about
			told.WriteString(stderr.String())
		}
		return r, told.String()
	}
	r, told := run(true, "")
	if got := r.changes(); len(got) > 0 {
		t.Errorf("changed by commands that did not ask:\n%s", strings.Join(got, "\n"))
	}
	if want := `environment "prod" is protected: changes need its name, typed on a terminal or as --confirm prod`; !strings.Contains(told, want) {
		t.Errorf("got\n%s\nwant %q", told, want)
	}
	free, _ := run(false, "")
	confirmed, _ := run(true, "prod")
	wrong, told := run(true, "dev")
	if got := wrong.changes(); len(got) > 0 || !strings.Contains(told, `environment "prod" is protected, and --confirm names "dev"`) {
		t.Errorf("with another name: %v", got)
	}
	if got := free.changes(); len(got) < 20 || !slices.Equal(got, confirmed.changes()) {
		t.Errorf("changed unprotected (-) and confirmed (+):\n%s", cmp.Diff(got, confirmed.changes()))
	}
}

// TestConfirmName has the name of an environment typed.
func TestConfirmName(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"prod\n": "", " prod \n": "", "\n": `nothing was changed: "" is not the name`, "y\n": `nothing was changed: "y" is not the name`,
		"dev\n": `nothing was changed: "dev" is not the name`,
	} {
		app, _, _ := testApp(t)
		var asked strings.Builder
		app.In, app.Terminal = strings.NewReader(typed), Terminal{In: true, Prompt: &asked}
		err := app.confirmName("prod")
		got := ""
		if err != nil {
			got = app.explain(err).Message
		}
		if got != want {
			t.Errorf("typed %q: got %q, want %q", typed, got, want)
		}
		if asked.String() != `Environment "prod" is protected. Type its name to go on: ` {
			t.Errorf("asked %q", asked.String())
		}
	}
}

// TestSaysWhereItActs says so once, and not where nothing can be mistaken.
func TestSaysWhereItActs(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"proxy.example.com:443": "acting on environment \"there\" (proxy.example.com:443), namespace micro\n",
		"tcp://127.0.0.1:1":     "",
	} {
		app, _, stderr := testApp(t)
		app.env = "there"
		if err := app.updateEnvs(func(c *envs.Config) error { return c.Add(envs.Env{Name: "there", Address: address}) }); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := app.mayChange(); err != nil {
				t.Error(err)
			}
		}
		if got := stderr.String(); got != want {
			t.Errorf("%s: got %q, want %q", address, got, want)
		}
	}
}
