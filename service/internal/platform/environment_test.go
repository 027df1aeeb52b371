package platform

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Who is run by hand is where its developer is logged in, unless anything says
// otherwise.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "command"), []byte("/opt/micro/microd\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	relative := t.TempDir()
	if err := os.WriteFile(filepath.Join(relative, "command"), []byte("microd\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		vars    map[string]string
		testing bool
		fails   bool
		want    string // MICRO_PROXY and MICRO_TOKEN, and what is asked for tokens
	}{
		{"by hand", map[string]string{"MICRO_HOME": home}, false, false, "tcp://there:1 secret /opt/micro/microd"},
		{"in a test", map[string]string{"MICRO_HOME": home}, true, false, "  "},
		{"in no environment", map[string]string{"MICRO_HOME": home, "MICRO_ENV": "none"}, false, false, "  "},
		{"by the runtime", map[string]string{"MICRO_HOME": home, "MICRO_IDENTITY_FILE": "/x"}, false, false, "  "},
		{"with a token", map[string]string{"MICRO_HOME": home, "MICRO_TOKEN": "own"}, false, false, " own "},
		{"with a server", map[string]string{"MICRO_HOME": home, "MICRO_PROXY": "here:1"}, false, false, "here:1  "},
		{"nobody is logged in", map[string]string{"MICRO_HOME": home}, false, true, "  "},
		{"no login ever", map[string]string{"MICRO_HOME": t.TempDir()}, false, false, "  "},
		{"no absolute path", map[string]string{"MICRO_HOME": relative}, false, false, "  "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			getenv := environment(func(name string) string { return tt.vars[name] }, tt.testing, func(_ context.Context, command string) (map[string]string, error) {
				if command != "/opt/micro/microd" {
					t.Errorf("the command is %q", command)
				}
				if tt.fails {
					return nil, errors.New("not logged in")
				}
				return map[string]string{"MICRO_PROXY": "tcp://there:1", "MICRO_TOKEN": "secret"}, nil
			})
			if got := getenv("MICRO_PROXY") + " " + getenv("MICRO_TOKEN") + " " + getenv(commandVariable); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// This is one of `go test`: whoever develops the framework is logged in somewhere as well.
func TestUnderTest(t *testing.T) {
	t.Parallel()
	if !underTest() {
		t.Error("a test is not known to be one")
	}
}

// command writes a program that stands for the command line.
func command(t *testing.T, script string) string {
	t.Helper()
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("needs a shell")
	}
	name := filepath.Join(t.TempDir(), "microd")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+script), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return name
}

func TestExport(t *testing.T) {
	t.Parallel()
	vars, err := export(t.Context(), command(t, `test "$*" = "env export -o json" && echo '{"MICRO_TOKEN": "x"}'`))
	if diff := cmp.Diff(map[string]string{"MICRO_TOKEN": "x"}, vars); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for script, want := range map[string]string{
		"echo micro: not logged in >&2; exit 4": "micro: not logged in",
		"exit 4":                                "exit status 4",
		"echo no JSON":                          "invalid character",
	} {
		if _, err := export(t.Context(), command(t, script)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", script, err, want)
		}
	}
}

// The first token is the one that came with the environment, the next are asked for.
func TestTokensOfACommand(t *testing.T) {
	t.Parallel()
	path := command(t, `echo '{"MICRO_TOKEN": "second"}'`)
	vars := map[string]string{"MICRO_TOKEN": "first", commandVariable: path}
	next := source(func(name string) string { return vars[name] })
	for _, want := range []string{"first", "second", "second"} {
		token, _, err := next(t.Context(), nil)
		if token != want || err != nil {
			t.Errorf("the token %q, %v; want %q", token, err, want)
		}
	}
	vars = map[string]string{commandVariable: command(t, "exit 4")}
	if _, _, err := source(func(name string) string { return vars[name] })(t.Context(), nil); status.Code(err) != codes.Unauthenticated {
		t.Errorf("of a command that fails: %v", err)
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	at := time.Unix(1900000000, 0)
	encode := func(claims string) string {
		return "header." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".signature"
	}
	for token, want := range map[string]time.Time{
		encode(fmt.Sprintf(`{"exp":%d}`, at.Unix())): at,
		encode(`{}`):      {},
		encode(`no JSON`): {},
		"a.%.c":           {},
		"opaque":          {},
		"":                {},
	} {
		if got := expiry(token); !got.Equal(want) {
			t.Errorf("expiry(%q) = %v, want %v", token, got, want)
		}
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for proxy, want := range map[string]string{
		"":                 "127.0.0.1:8081 false",
		"a:1":              "a:1 false",
		"a:443":            "a:443 true",
		"tcp://a:443":      "a:443 false",
		"tls://a:1":        "a:1 true",
		"unix:/run/x.sock": "unix:/run/x.sock false",
	} {
		address, secure := Address(func(string) string { return proxy })
		if got := fmt.Sprint(address, " ", secure); got != want {
			t.Errorf("Address(%q) = %s, want %s", proxy, got, want)
		}
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		vars map[string]string
		want string
	}{
		{map[string]string{"MICRO_PROXY_CA": "/nowhere"}, "MICRO_PROXY_CA: open /nowhere"},
		{map[string]string{"MICRO_PROXY_CA": empty}, "there is no certificate in"},
		{map[string]string{"MICRO_PROXY_CERT": "/x"}, "MICRO_PROXY_CERT and MICRO_PROXY_KEY go together"},
		{map[string]string{"MICRO_PROXY_CERT": "/x", "MICRO_PROXY_KEY": "/x"}, "MICRO_PROXY_CERT: open /x"},
	} {
		tt.vars["MICRO_PROXY"] = "tls://a:1"
		if _, err := Dial(func(name string) string { return tt.vars[name] }); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v, want %q", tt.vars, err, tt.want)
		}
	}
}
