package logger

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMain logs instead of testing when TestFatal asks for it.
func TestMain(m *testing.M) {
	switch os.Getenv("TEST_FATAL") {
	case "Fatal":
		Debug("not this")
		Infof("then %s", "this")
		Fatal("the ", "end")
	case "Fatalf":
		Fatalf("the %s", "end")
	}
	os.Exit(m.Run())
}

func TestFatal(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Fatal":  "level=INFO msg=\"then this\"\nlevel=ERROR msg=\"the end\"\n",
		"Fatalf": "level=ERROR msg=\"the end\"\n",
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "TEST_FATAL="+name, "MICRO_LOG_LEVEL=", "MICRO_LOG_FORMAT=")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		err := cmd.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("%s: the program ended with %v, want exit code 1", name, err)
		}
		if diff := cmp.Diff(want, withoutTime(stderr.String())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

var timePattern = regexp.MustCompile(`time=\S+ |"time":"[^"]+",`)

func withoutTime(s string) string { return timePattern.ReplaceAllString(s, "") }

func TestNew(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		env  map[string]string
		want []string
	}{
		"nothing set": {nil, []string{`level=INFO msg=i`, `level=WARN msg=w`, `level=ERROR msg=e`}},
		"debug": {
			map[string]string{"MICRO_LOG_LEVEL": "DEBUG"},
			[]string{`level=DEBUG msg=d`, `level=INFO msg=i`, `level=WARN msg=w`, `level=ERROR msg=e`},
		},
		"warn":  {map[string]string{"MICRO_LOG_LEVEL": "warn"}, []string{`level=WARN msg=w`, `level=ERROR msg=e`}},
		"error": {map[string]string{"MICRO_LOG_LEVEL": "error", "MICRO_LOG_FORMAT": "text"}, []string{`level=ERROR msg=e`}},
		"json": {
			map[string]string{"MICRO_LOG_LEVEL": "error", "MICRO_LOG_FORMAT": "json", "MICRO_SERVICE_NAME": "greeter", "MICRO_SERVICE_VERSION": "v1"},
			[]string{`{"level":"ERROR","msg":"e","service":"greeter","version":"v1"}`},
		},
		"unknown": {
			map[string]string{"MICRO_LOG_LEVEL": "loud", "MICRO_LOG_FORMAT": "xml"},
			[]string{
				`level=WARN msg="the environment has a value that the logger does not know" MICRO_LOG_LEVEL=loud MICRO_LOG_FORMAT=xml`,
				`level=INFO msg=i`, `level=WARN msg=w`, `level=ERROR msg=e`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			l := New(&out, func(name string) string { return tc.env[name] })
			l.Debug("d")
			l.Info("i")
			l.Warn("w")
			l.Error("e")
			got := strings.Split(strings.TrimSuffix(withoutTime(out.String()), "\n"), "\n")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}
