package envs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writeEnvs puts a file of environments where it is looked for.
func writeEnvs(t *testing.T, d Dirs, content string) {
	t.Helper()
	if err := os.MkdirAll(d.Config, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path(d), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readEnvs(t *testing.T, d Dirs) string {
	t.Helper()
	b, err := os.ReadFile(path(d))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func mustLoad(t *testing.T, d Dirs) *Config {
	t.Helper()
	c, err := Load(d)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func names(c *Config) []string {
	var out []string
	for _, e := range c.List() {
		out = append(out, e.Name)
	}
	return out
}

func TestLoadNewMachine(t *testing.T) {
	t.Parallel()
	d := newDirs(t)
	d.Config = filepath.Join(d.Config, "not", "there")
	c := mustLoad(t, d)
	if got := c.Current(); got != Local {
		t.Errorf("Current = %q, want %q", got, Local)
	}
	if diff := cmp.Diff([]string{"local", "dev", "platform"}, names(c)); diff != "" {
		t.Errorf("environments (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(d.Config); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load made %s (%v)", d.Config, err)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	d := newDirs(t)
	writeEnvs(t, d, `{
		"current": "foobar",
		"environments": {
			"foobar": {"address": "proxy.foo.com:443", "ca": "/ca.pem", "insecure": true, "account": "alice", "storage": "file"},
			"local": {"address": "10.0.0.1:1", "namespace": "shop"},
			"abc": {"address": "abc.example.com"}
		}
	}`)
	c := mustLoad(t, d)
	want := []Env{
		{Name: "local", Address: "127.0.0.1:8081", Namespace: "shop"}, // its address is never that of the file
		{Name: "dev", Address: "proxy.m3o.dev:443", Description: "Hosted environment for development"},
		{Name: "platform", Address: "proxy.m3o.com:443", Description: "Hosted environment for production"},
		{Name: "abc", Address: "abc.example.com"},
		{Name: "foobar", Address: "proxy.foo.com:443", CA: "/ca.pem", Insecure: true, Account: "alice", Storage: InFile},
	}
	if diff := cmp.Diff(want, c.List()); diff != "" {
		t.Errorf("environments (-want +got):\n%s", diff)
	}
	if e, err := c.Get(""); e.Name != "foobar" || err != nil {
		t.Errorf("the current environment is %+v, %v; want foobar", e, err)
	}
}

// What cannot be understood is reported, and neither it nor a part of it is lost.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	const fine = `{"current":"x","environments":{"x":{"address":"x.example.com:443"}}}`
	tests := []struct{ name, content string }{
		{"empty", ""},
		{"white space", "\n"},
		{"cut off", fine[:len(fine)/2]},
		{"cut off at the last byte", fine[:len(fine)-1]},
		{"zeros, as after a power cut", strings.Repeat("\x00", 64)},
		{"twice", fine + fine},
		{"something behind it", fine + "x"},
		{"a list", "[]"},
		{"a string", `"envs"`},
		{"yaml", "current: x\n"},
		{"binary", "\x7fELF\x02\x01"},
		{"foreign JSON", `{"version": 2, "contexts": []}`},
		{"an unknown setting", `{"environments":{"x":{"address":"x:1","pin":"sha256:00"}}}`},
		{"a setting of another type", `{"environments":{"x":{"address":"x:1","insecure":"no"}}}`},
		{"environments of another type", `{"environments":[]}`},
		{"no address", `{"environments":{"x":{}}}`},
		{"bad address", `{"environments":{"x":{"address":"http://x"}}}`},
		{"a name that is a path", `{"environments":{"../x":{"address":"x:1"}}}`},
		{"an empty name", `{"environments":{"":{"address":"x:1"}}}`},
		{"an upper-case name", `{"environments":{"X":{"address":"x:1"}}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDirs(t)
			writeEnvs(t, d, tt.content)
			_, err := Load(d)
			damaged, ok := errors.AsType[*DamagedError](err)
			if !ok || damaged.Path != path(d) || !strings.HasPrefix(err.Error(), path(d)+" is damaged: ") {
				t.Fatalf("Load: %v; want a DamagedError that names %s", err, path(d))
			}
			called := false
			err = Update(d, func(*Config) error { called = true; return nil })
			if !errors.As(err, &damaged) || called {
				t.Errorf("Update: %v, and it went on: %t; want a DamagedError and nothing done", err, called)
			}
			if got := readEnvs(t, d); got != tt.content {
				t.Errorf("the file is %q now; it was %q", got, tt.content)
			}
		})
	}
}

func TestFileThatSaysNothing(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"{}", "null", `{"environments":null}`, ` {"current":""} ` + "\n"} {
		d := newDirs(t)
		writeEnvs(t, d, content)
		if c := mustLoad(t, d); c.Current() != Local || len(c.List()) != 3 {
			t.Errorf("%s: current %q of %v", content, c.Current(), names(c))
		}
	}
}

func TestLoadUnreadable(t *testing.T) {
	t.Parallel()
	d := newDirs(t)
	if err := os.Mkdir(path(d), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Load(d)
	if _, damaged := errors.AsType[*DamagedError](err); err == nil || damaged {
		t.Errorf("Load of a directory: %v; want the error of the system", err)
	}
}

// The own server says where it listens.
func TestLocalAddress(t *testing.T) {
	t.Parallel()
	const usual = "127.0.0.1:8081"
	tests := []struct{ name, content, want string }{
		{"no server was ever there", "", usual},
		{"a free port", `{"gateway":"127.0.0.1:1","proxy":"127.0.0.1:40001","pid":7}`, "127.0.0.1:40001"},
		{"every IPv4 address", `{"proxy":"0.0.0.0:8081"}`, "127.0.0.1:8081"},
		{"every address", `{"proxy":"[::]:9000"}`, "[::1]:9000"},
		{"one address", `{"proxy":"192.168.0.7:8081"}`, "192.168.0.7:8081"},
		{"cut off", `{"proxy":"127.0.0`, usual},
		{"no address", `{"proxy":"http://x/"}`, usual},
		{"another type", `{"proxy":1}`, usual},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDirs(t)
			if tt.content != "" {
				file := filepath.Join(d.Data, "server", "server.json")
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(tt.content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if e, err := mustLoad(t, d).Get(Local); e.Address != tt.want || err != nil {
				t.Errorf("local is at %q, %v; want %q", e.Address, err, tt.want)
			}
		})
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	d := newDirs(t)
	d.Config = filepath.Join(d.Config, "config", "micro")
	add := func(name string) func(*Config) error {
		return func(c *Config) error { return c.Add(Env{Name: name, Address: name + ".example.com"}) }
	}
	if err := Update(d, add("one")); err != nil {
		t.Fatal(err)
	}
	before := readEnvs(t, d)
	refused := errors.New("refused")
	if err := Update(d, func(c *Config) error { return errors.Join(add("two")(c), refused) }); !errors.Is(err, refused) {
		t.Errorf("Update: %v, want %v", err, refused)
	}
	if got := readEnvs(t, d); got != before {
		t.Errorf("an update that failed left\n%s", got)
	}
	if diff := cmp.Diff([]string{"local", "dev", "platform", "one"}, names(mustLoad(t, d))); diff != "" {
		t.Errorf("environments (-want +got):\n%s", diff)
	}
	for name, want := range map[string]fs.FileMode{d.Config: fs.ModeDir | 0o700, path(d): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s has the mode %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
	if leftovers, _ := filepath.Glob(filepath.Join(d.Config, ".micro-*")); leftovers != nil {
		t.Errorf("there are %v", leftovers)
	}
}

func TestUpdateOfNothing(t *testing.T) {
	t.Parallel()
	d := newDirs(t)
	set := func(c *Config) error { return c.Set("dev") }
	if err := Update(d, set); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path(d))
	if err != nil {
		t.Fatal(err)
	}
	if err := Update(d, set); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(path(d)); err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was written again (%v)", err)
	}
}

func TestUpdateKeepsLink(t *testing.T) {
	t.Parallel()
	d := newDirs(t)
	elsewhere := filepath.Join(t.TempDir(), "dotfiles.json")
	if err := os.WriteFile(elsewhere, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, path(d)); err != nil {
		t.Skip(err)
	}
	if err := Update(d, func(c *Config) error { return c.Set("dev") }); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path(d)); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link was replaced (%v, %v)", info.Mode(), err)
	}
	if got := mustLoad(t, d).Current(); got != "dev" {
		t.Errorf("Current = %q, want dev", got)
	}
}

func TestUpdateNowhereToWrite(t *testing.T) {
	t.Parallel()
	d := newDirs(t)
	if err := os.WriteFile(filepath.Join(d.Config, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.Config = filepath.Join(d.Config, "file")
	err := Update(d, func(*Config) error { return nil })
	if _, ok := errors.AsType[*fs.PathError](err); !ok {
		t.Errorf("Update: %v; want the error of the system", err)
	}
}

const (
	writers = 16
	each    = 4
)

func childAdd(args []string) error {
	d, err := FindDirs(os.Getenv)
	if err != nil {
		return err
	}
	for i := range each {
		e := Env{Name: args[0] + "-" + strconv.Itoa(i), Address: "127.0.0.1:1"}
		if err := Update(d, func(c *Config) error { return c.Add(e) }); err != nil {
			return err
		}
	}
	return nil
}

func checkAdded(t *testing.T, d Dirs) {
	t.Helper()
	c := mustLoad(t, d)
	for w := range writers {
		for i := range each {
			if _, err := c.Get(fmt.Sprintf("w%d-%d", w, i)); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestUpdateProcesses(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	var group sync.WaitGroup
	for w := range writers {
		cmd := child(t, "add", []string{"MICRO_HOME=" + home}, "w"+strconv.Itoa(w))
		group.Go(func() {
			if err := cmd.Run(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	checkAdded(t, homeDirs(t, home))
}

func TestUpdateGoroutines(t *testing.T) {
	t.Parallel()
	d := newDirs(t)
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				e := Env{Name: fmt.Sprintf("w%d-%d", w, i), Address: "127.0.0.1:1"}
				if err := Update(d, func(c *Config) error { return c.Add(e) }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	checkAdded(t, d)
}

// childRewrite changes the file again and again until it is killed.
func childRewrite([]string) error {
	d, err := FindDirs(os.Getenv)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		err := Update(d, func(c *Config) error {
			return c.Put(Env{Name: "x", Address: "127.0.0.1:1", Description: strconv.Itoa(i) + strings.Repeat(".", 64<<10)})
		})
		if err != nil {
			return err
		}
		fmt.Println(i)
	}
}

func TestUpdateKilled(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	d := homeDirs(t, home)
	if err := Update(d, func(c *Config) error { return c.Add(Env{Name: "kept", Address: "kept.example.com"}) }); err != nil {
		t.Fatal(err)
	}
	for kill := range 8 {
		cmd := child(t, "rewrite", []string{"MICRO_HOME=" + home})
		lines := startChild(t, cmd)
		for range kill + 1 {
			if !lines.Scan() {
				t.Fatal("the child ended by itself")
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		last := lines.Text()
		for lines.Scan() {
			last = lines.Text()
		}
		_ = cmd.Wait() // it was killed
		c := mustLoad(t, d)
		if _, err := c.Get("kept"); err != nil {
			t.Error(err)
		}
		// What was acknowledged is there, or the one after it.
		e, err := c.Get("x")
		if err != nil {
			t.Fatal(err)
		}
		got, _, _ := strings.Cut(e.Description, ".")
		if n, _ := strconv.Atoi(last); got != last && got != strconv.Itoa(n+1) {
			t.Errorf("the file has change %s; change %s was acknowledged", got, last)
		}
	}
}

func TestLockWaits(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("the user has gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := lock(ctx, name); !errors.Is(err, gone) {
		t.Errorf("lock: %v, want %v", err, gone)
	}
	second := make(chan error)
	go func() {
		unlock, err := lock(t.Context(), name)
		if err == nil {
			unlock()
		}
		second <- err
	}()
	select {
	case err := <-second:
		t.Fatalf("the second lock did not wait (%v)", err)
	default:
	}
	unlock()
	if err := <-second; err != nil {
		t.Error(err)
	}
}

func TestLockNowhere(t *testing.T) {
	t.Parallel()
	if _, err := lock(t.Context(), filepath.Join(t.TempDir(), "gone", "lock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lock: %v, want fs.ErrNotExist", err)
	}
}
