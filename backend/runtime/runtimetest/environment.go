package runtimetest

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// engineVariables are what a driver or its engine may add.
var engineVariables = [...]string{"MICRO_RUNTIME_ID", "HOSTNAME", "TERM", "container"}

func testEnvironment(t *testing.T, open Open) {
	t.Helper()
	t.Run("variables", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		img := ProgramImage(t)
		img.Env = []string{"IMAGE=image", "BOTH=image", "EMPTY=", "MICRO_ADDRESS=image"}
		spec := f.spec("a", "env")
		spec.Image = f.images.Add(img)
		spec.Env = map[string]string{
			"BOTH": "spec", "SPEC": "a=b c\nd", "TMPDIR": "/spec",
			"PORT": "1", "MICRO_ADDRESS": "spec", "MICRO_IDENTITY_FILE": "/spec",
		}
		address := f.run(t, spec).Address
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatalf("address: %v", err)
		}
		text := "\n" + strings.Join(f.output(t, "a"), "\n") + "\n"
		if want := "\nSPEC=a=b c\nd\n"; !strings.Contains(text, want) {
			t.Errorf("the environment %q does not hold %q", text, want)
		}
		got := map[string]string{}
		for line := range strings.SplitSeq(text, "\n") {
			if name, value, ok := strings.Cut(line, "="); ok {
				got[name] = value
			}
		}
		// What these are is the driver's affair, but not the server's own.
		for _, name := range []string{"PATH", "HOME", "MICRO_IDENTITY_FILE"} {
			if value := got[name]; value == "" || value == "/spec" {
				t.Errorf("%s is %q", name, value)
			}
			delete(got, name)
		}
		for _, name := range engineVariables {
			delete(got, name)
		}
		want := map[string]string{
			"IMAGE": "image", "EMPTY": "", "BOTH": "spec", "SPEC": "a=b c", "TMPDIR": "/spec",
			"PORT": port, "MICRO_ADDRESS": address,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("environment (-want +got), of %q:\n%s", slices.Sorted(maps.Keys(got)), diff)
		}
	})

	t.Run("bytes that are no UTF-8", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		spec := f.spec("a", "env")
		spec.Env = map[string]string{"SPEC": "a\xffb"}
		if _, err := f.Start(within(t), spec); err != nil {
			f.wantNothing(t) // a driver that cannot pass them on refuses them
			return
		}
		f.awaitExit(t, "a")
		if got := f.output(t, "a"); !slices.Contains(got, "SPEC=a\xffb") {
			t.Errorf("the environment is %q", got)
		}
	})

	t.Run("folders", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		f.run(t, f.spec("a", "dirs"))
		root := ProgramImage(t)
		root.WorkingDir = "/" // as images have that do not care
		spec := f.spec("a", "dirs")
		spec.Image = f.images.Add(root)
		f.run(t, spec)
		want := slices.Repeat([]string{"written: true"}, 6)
		if diff := cmp.Diff(want, f.output(t, "a")); diff != "" {
			t.Errorf("HOME, TMPDIR and working directory (-want +got):\n%s", diff)
		}
	})

	t.Run("identity", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		for _, identity := range []string{"first token\n", "2", ""} {
			spec := f.spec("a", "identity")
			spec.Identity = []byte(identity)
			f.run(t, spec)
		}
		want := []string{`identity "first token\n" -r--------`, `identity "2" -r--------`, `identity "" -r--------`}
		if diff := cmp.Diff(want, f.output(t, "a")); diff != "" {
			t.Errorf("identities of three lives (-want +got):\n%s", diff)
		}
	})

	for _, tt := range []struct {
		name            string
		entrypoint, cmd []string
		args            []string
		want            []string
	}{
		{"image's own", []string{"/app/" + programName}, []string{"args"}, nil, []string{"args"}},
		{"in place of the image's", []string{"/app/" + programName}, []string{"exit=1"}, []string{"args"}, []string{"args"}},
		{"after the entry point", []string{"/app/" + programName, "out=x"}, nil, []string{"args", "out= "}, []string{"out=x", "args", "out= "}},
		{"kept as they are", []string{"/app/" + programName}, nil, []string{"args", `out="$HOME" *`, "out="}, []string{"args", `out="$HOME" *`, "out="}},
		{"without an entry point", nil, []string{"/app/" + programName, "args"}, nil, []string{"args"}},
	} {
		t.Run("arguments/"+tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, open)
			img := ProgramImage(t)
			img.Entrypoint, img.Cmd = tt.entrypoint, tt.cmd
			spec := f.spec("a", tt.args...)
			spec.Image = f.images.Add(img)
			f.run(t, spec)
			var got []string
			for _, line := range f.output(t, "a") {
				if strings.HasPrefix(line, `"`) && line != `"$HOME" *` {
					got = append(got, line)
				}
			}
			want := []string{`"/app/` + programName + `"`}
			for _, arg := range tt.want {
				want = append(want, strconv.Quote(arg))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
		})
	}

	t.Run("program by its plain name", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		img := ProgramImage(t)
		img.Entrypoint, img.Env = []string{programName}, []string{"PATH=/none:/app:/usr/bin"}
		spec := f.spec("a", "out=found")
		spec.Image = f.images.Add(img)
		f.run(t, spec)
		if got := f.output(t, "a"); !slices.Equal(got, []string{"found"}) {
			t.Errorf("it wrote %q", got)
		}
	})
}
