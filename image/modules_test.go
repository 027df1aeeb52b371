package image

import (
	"archive/zip"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// proxy is a directory with the form of a module proxy.
type proxy struct{ dir string }

// add adds a version of a module.
func (p proxy) add(tb testing.TB, module, version string, files map[string]string) {
	tb.Helper()
	dir := filepath.Join(p.dir, module, "@v")
	write(tb, dir, map[string]string{
		version + ".info": `{"Version":"` + version + `","Time":"2026-01-01T00:00:00Z"}`,
		version + ".mod":  files["go.mod"],
	})
	f, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		tb.Fatal(err)
	}
	z := zip.NewWriter(f)
	for name, content := range files {
		w, err := z.Create(module + "@" + version + "/" + name)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
}

// environment returns that of a user whose modules come from a proxy only.
func (p proxy) environment(tb testing.TB) []string {
	tb.Helper()
	modules := tb.TempDir()
	env := append(os.Environ(), "GOPROXY="+(&url.URL{Scheme: "file", Path: filepath.ToSlash(p.dir)}).String(), "GOSUMDB=off", "GOMODCACHE="+modules, "GOFLAGS=", "GOPRIVATE=", "GONOPROXY=")
	tb.Cleanup(func() {
		cmd := exec.Command("go", "clean", "-modcache") //nolint:noctx // the test's context has ended
		cmd.Env = env
		if out, err := cmd.CombinedOutput(); err != nil {
			tb.Errorf("%v: %s", err, out)
		}
	})
	return env
}

const (
	sdk    = "example.com/sdk"
	sdkMod = "module example.com/sdk\n\ngo 1.26.0\n"
	useSDK = "package main\n\nimport \"example.com/sdk\"\n\nfunc main() { println(sdk.Text) }\n"
)

func sdkText(s string) string { return "package sdk\n\nconst Text = \"" + s + "\"\n" }

// says returns what the program of an image says when it runs, and which modules
// it says that it is made of.
func says(tb testing.TB, i *Image) (text, modules string) {
	tb.Helper()
	_, content := files(tb, open(tb, i))
	path := filepath.Join(tb.TempDir(), "program")
	writeProgram(tb, path, content["app/"+i.Name()])
	out, err := exec.CommandContext(tb.Context(), path).CombinedOutput()
	if err != nil {
		tb.Fatal(err)
	}
	var deps []string
	for _, d := range info(tb, content["app/"+i.Name()]).Deps {
		text := d.Path + "@" + d.Version
		if d.Replace != nil {
			text += "=>" + d.Replace.Path + "@" + d.Replace.Version
		}
		deps = append(deps, text)
	}
	return strings.TrimSpace(string(out)), strings.Join(deps, " ")
}

// snapshot returns all files below a directory.
func snapshot(tb testing.TB, dir string) map[string]string {
	tb.Helper()
	got := map[string]string{}
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		got[path] = string(data)
		return err
	}); err != nil {
		tb.Fatal(err)
	}
	return got
}

func TestOverride(t *testing.T) {
	t.Parallel()
	ours, theirs := proxy{t.TempDir()}, proxy{t.TempDir()}
	ours.add(t, sdk, "v1.9.0", map[string]string{"go.mod": sdkMod, "sdk.go": sdkText("ours")})
	for _, v := range []string{"v1.0.0", "v1.1.0"} {
		theirs.add(t, "example.com/lib", v, map[string]string{"go.mod": "module example.com/lib\n\ngo 1.26.0\n", "lib.go": "package lib\n\nconst Text = \"lib " + v + "\"\n"})
	}
	sums := map[string]string{}
	for _, v := range []string{"v1.0.0", "v1.1.0"} {
		lines, err := Override{Module: "example.com/lib", Version: v, ProxyDir: theirs.dir}.sums()
		if err != nil {
			t.Fatal(err)
		}
		sums[v] = string(lines)
	}
	ours.add(t, sdk, "v1.9.0-needy", map[string]string{
		"go.mod": sdkMod + "\nrequire example.com/lib v1.1.0\n", "go.sum": sums["v1.1.0"],
		"sdk.go": "package sdk\n\nimport \"example.com/lib\"\n\nconst Text = \"with \" + lib.Text\n",
	})
	theirs.add(t, "example.com/forgotten", "v1.0.0", map[string]string{"go.mod": "module example.com/forgotten\n", "x.go": "package forgotten\n"})
	theirs.add(t, sdk, "v1.0.0", map[string]string{"go.mod": sdkMod, "sdk.go": sdkText("theirs")})
	const require = goMod + "\nrequire example.com/sdk v1.0.0\n"
	local := map[string]string{"../local/go.mod": sdkMod, "../local/sdk.go": sdkText("local")}

	for _, test := range []struct {
		name    string
		files   map[string]string
		version string
		env     []string
		text    string
		modules string
	}{
		{
			name:    "replaced by a directory",
			files:   map[string]string{"go.mod": require + "\nreplace example.com/sdk => ../local\n", "main.go": useSDK},
			version: "v1.9.0", text: "ours", modules: "example.com/sdk@v1.0.0=>example.com/sdk@v1.9.0",
		},
		{
			name:    "one version replaced",
			files:   map[string]string{"go.mod": require + "\nreplace example.com/sdk v1.0.0 => ../local\n", "main.go": useSDK},
			version: "v1.9.0", text: "ours", modules: "example.com/sdk@v1.0.0=>example.com/sdk@v1.9.0",
		},
		{
			name:    "not replaced",
			files:   map[string]string{"go.mod": require, "main.go": useSDK},
			version: "v1.9.0", text: "ours", modules: "example.com/sdk@v1.0.0=>example.com/sdk@v1.9.0",
		},
		{
			name:    "from nowhere but the override",
			files:   map[string]string{"go.mod": require, "main.go": useSDK},
			env:     []string{"GOPROXY=off", "GOPRIVATE=example.com/*", "GOFLAGS=-mod=mod"},
			version: "v1.9.0", text: "ours", modules: "example.com/sdk@v1.0.0=>example.com/sdk@v1.9.0",
		},
		{
			name: "vendor directory",
			files: map[string]string{
				"go.mod": require, "main.go": useSDK, "vendor/example.com/sdk/sdk.go": sdkText("vendored"),
				"vendor/modules.txt": "# example.com/sdk v1.0.0\n## explicit; go 1.26.0\nexample.com/sdk\n",
			},
			version: "v1.9.0", text: "ours", modules: "example.com/sdk@v1.0.0=>example.com/sdk@v1.9.0",
		},
		{
			name: "in a folder of the module",
			files: map[string]string{
				"../go.mod": strings.Replace(require, "example.com/app", "example.com/all", 1), "main.go": useSDK,
			},
			version: "v1.9.0", text: "ours", modules: "example.com/sdk@v1.0.0=>example.com/sdk@v1.9.0",
		},
		{
			name: "needs a newer version of another module",
			files: map[string]string{
				"go.mod":  goMod + "\nrequire (\n\texample.com/sdk v1.0.0\n\texample.com/lib v1.0.0\n)\n",
				"go.sum":  sums["v1.0.0"],
				"main.go": "package main\n\nimport (\n\t\"example.com/lib\"\n\t\"example.com/sdk\"\n)\n\nfunc main() { println(sdk.Text, lib.Text) }\n",
			},
			version: "v1.9.0-needy", text: "with lib v1.1.0 lib v1.1.0",
			modules: "example.com/lib@v1.1.0 example.com/sdk@v1.0.0=>example.com/sdk@v1.9.0-needy",
		},
		{
			name:    "needs a module that was not needed",
			files:   map[string]string{"go.mod": require, "main.go": useSDK},
			version: "v1.9.0-needy", text: "with lib v1.1.0",
			modules: "example.com/lib@v1.1.0 example.com/sdk@v1.0.0=>example.com/sdk@v1.9.0-needy",
		},
		{
			name: "needs what is replaced by an older version",
			files: map[string]string{
				"go.mod":  strings.Replace(goMod, "go 1.26.0", "go 1.15", 1) + "\nrequire (\n\texample.com/sdk v1.0.0\n\texample.com/lib v1.0.0\n)\n\nreplace example.com/lib => example.com/lib v1.0.0\n",
				"go.sum":  sums["v1.0.0"],
				"main.go": useSDK,
			},
			version: "v1.9.0-needy", text: "with lib v1.1.0",
			modules: "example.com/lib@v1.1.0 example.com/sdk@v1.0.0=>example.com/sdk@v1.9.0-needy",
		},
		{
			name: "needs what is replaced by another module",
			files: map[string]string{
				"go.mod":     require + "\nreplace example.com/lib => ./lib\n",
				"main.go":    useSDK,
				"lib/go.mod": "module example.com/lib\n\ngo 1.26.0\n", "lib/lib.go": "package lib\n\nconst Text = \"lib of the user\"\n",
			},
			version: "v1.9.0-needy", text: "with lib of the user",
			modules: "example.com/lib@v1.1.0=>./lib@(devel) example.com/sdk@v1.0.0=>example.com/sdk@v1.9.0-needy",
		},
		{
			name: "without a go.sum",
			files: map[string]string{
				"go.mod":  strings.Replace(goMod, "go 1.26.0", "go 1.15", 1) + "\nrequire (\n\texample.com/sdk v1.0.0\n\texample.com/lib v1.0.0\n)\n",
				"main.go": "package main\n\nimport (\n\t\"example.com/lib\"\n\t\"example.com/sdk\"\n)\n\nfunc main() { println(sdk.Text, lib.Text) }\n",
			},
			version: "v1.9.0", text: "ours lib v1.0.0",
			modules: "example.com/lib@v1.0.0 example.com/sdk@v1.0.0=>example.com/sdk@v1.9.0",
		},
		{
			name:    "not required",
			files:   map[string]string{"go.mod": goMod, "main.go": goMain},
			version: "v1.9.0", text: "hello",
		},
		{
			name: "workspace that is needed",
			files: map[string]string{
				"../go.work": "go 1.26.0\n\nuse (\n\t./app\n\t./other\n)\n\nreplace example.com/sdk => ./local\n", "../other/go.mod": "module example.com/other\n\ngo 1.26.0\n",
				"../other/other.go": "package other\n\nconst Text = \"other\"\n",
				"go.mod":            require, "main.go": "package main\n\nimport (\n\t\"example.com/other\"\n\t\"example.com/sdk\"\n)\n\nfunc main() { println(sdk.Text, other.Text) }\n",
			},
			version: "v1.9.0", text: "ours other", modules: "example.com/other@(devel) example.com/sdk@v1.0.0=>example.com/sdk@v1.9.0",
		},
		{
			name: "workspace that is not needed",
			files: map[string]string{
				"../go.work": "go 1.26.0\n\nuse (\n\t./app\n\t./other\n)\n", "../other/go.mod": "module example.com/other\n\ngo 1.26.0\n",
				"go.mod": require, "main.go": useSDK,
			},
			version: "v1.9.0", text: "ours", modules: "example.com/sdk@v1.0.0=>example.com/sdk@v1.9.0",
		},
		{
			name:    "workspace that is broken",
			files:   map[string]string{"../go.work": "go 1.26.0\n\nuse ./none\n", "go.mod": require, "main.go": useSDK},
			version: "v1.9.0", text: "ours", modules: "example.com/sdk@v1.0.0=>example.com/sdk@v1.9.0",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := source(t, test.files)
			write(t, s.Dir, local)
			before := snapshot(t, filepath.Dir(s.Dir))
			i := buildImage(t, s, BuildOptions{
				Env:       append(theirs.environment(t), test.env...),
				Overrides: []Override{{Module: sdk, Version: test.version, ProxyDir: ours.dir}},
			})
			text, modules := says(t, i)
			if text != test.text || modules != test.modules {
				t.Errorf("got %q of %q, want %q of %q", text, modules, test.text, test.modules)
			}
			if diff := cmp.Diff(before, snapshot(t, filepath.Dir(s.Dir))); diff != "" {
				t.Errorf("the user's files were changed (-before +after):\n%s", diff)
			}
		})
	}
	t.Run("not there", func(t *testing.T) {
		t.Parallel()
		s := source(t, map[string]string{"go.mod": require, "main.go": useSDK})
		_, err := Build(t.Context(), s, BuildOptions{
			TempDir: t.TempDir(), Env: theirs.environment(t),
			Overrides: []Override{{Module: sdk, Version: "v3.0.0", ProxyDir: ours.dir}},
		})
		if err == nil || !strings.Contains(err.Error(), sdk+"@v3.0.0") {
			t.Errorf("got %v", err)
		}
	})
	for _, version := range []string{"v1.9.0", "v1.9.0-needy"} {
		t.Run("forgotten requirement with "+version, func(t *testing.T) {
			t.Parallel()
			s := source(t, map[string]string{
				"go.mod": require, "main.go": "package main\n\nimport (\n\t_ \"example.com/forgotten\"\n\t_ \"example.com/sdk\"\n)\n\nfunc main() {}\n",
			})
			_, err := Build(t.Context(), s, BuildOptions{
				TempDir: t.TempDir(), Env: theirs.environment(t),
				Overrides: []Override{{Module: sdk, Version: version, ProxyDir: ours.dir}},
			})
			// It is not added at whatever version is the latest today.
			var e *BuildError
			if !errors.As(err, &e) || e.Hint != "go get example.com/forgotten" {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestOverrideReproducible holds that where a developer has the SDK makes no
// difference.
func TestOverrideReproducible(t *testing.T) {
	t.Parallel()
	ours := proxy{t.TempDir()}
	ours.add(t, sdk, "v1.9.0", map[string]string{"go.mod": sdkMod, "sdk.go": sdkText("ours")})
	digest := func(path string) string {
		s := source(t, map[string]string{
			"go.mod": goMod + "\nrequire example.com/sdk v1.0.0\n\nreplace example.com/sdk => " + path + "\n", "main.go": useSDK,
		})
		return buildImage(t, s, BuildOptions{
			Env: ours.environment(t), CacheDir: t.TempDir(),
			Overrides: []Override{{Module: sdk, Version: "v1.9.0", ProxyDir: ours.dir}},
		}).Digest()
	}
	if a, b := digest("/home/alice/sdk"), digest("../../bob/sdk"); a != b {
		t.Errorf("the digest is %s there and %s here", a, b)
	}
}

// TestWorkspace builds with a workspace and nothing else.
func TestWorkspace(t *testing.T) {
	t.Parallel()
	s := source(t, map[string]string{
		"../go.work":        "go 1.26.0\n\nuse (\n\t./app\n\t./other\n)\n",
		"../other/go.mod":   "module example.com/other\n\ngo 1.26.0\n",
		"../other/other.go": "package other\n\nconst Text = \"other\"\n",
		"go.mod":            goMod,
		"main.go":           "package main\n\nimport \"example.com/other\"\n\nfunc main() { println(other.Text) }\n",
	})
	var said []string
	i := buildImage(t, s, BuildOptions{Progress: func(e Event) { said = append(said, e.Message) }})
	if text, _ := says(t, i); text != "other" {
		t.Errorf("got %q", text)
	}
	if !strings.Contains(strings.Join(said, "\n"), "go.work") {
		t.Errorf("nobody was told of the workspace: %q", said)
	}
}
