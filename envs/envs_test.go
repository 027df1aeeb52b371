package envs

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAdd(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		add  Env
		want error // nil: it is added
	}{
		{"plain", Env{Name: "foobar", Address: "proxy.foo.com:443"}, nil},
		{"digits and hyphens", Env{Name: "7-of-9", Address: "a:1"}, nil},
		{"longest name", Env{Name: strings.Repeat("a", 63), Address: "a:1"}, nil},
		{"certificate and key", Env{Name: "x", Address: "a:1", Cert: "c", Key: "k"}, nil},
		{"too long", Env{Name: strings.Repeat("a", 64), Address: "a:1"}, ErrInvalid},
		{"no name", Env{Address: "a:1"}, ErrInvalid},
		{"upper case", Env{Name: "Prod", Address: "a:1"}, ErrInvalid},
		{"hyphen first", Env{Name: "-x", Address: "a:1"}, ErrInvalid},
		{"path", Env{Name: "a/b", Address: "a:1"}, ErrInvalid},
		{"dot", Env{Name: "..", Address: "a:1"}, ErrInvalid},
		{"no address", Env{Name: "x"}, ErrInvalid},
		{"certificate without its key", Env{Name: "x", Address: "a:1", Cert: "c"}, ErrInvalid},
		{"key without its certificate", Env{Name: "x", Address: "a:1", Key: "k"}, ErrInvalid},
		{"there already", Env{Name: "mine", Address: "a:1"}, ErrExists},
		{"built in", Env{Name: "dev", Address: "a:1"}, ErrExists},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := mustLoad(t, newDirs(t))
			if err := c.Add(Env{Name: "mine", Address: "mine.example.com"}); err != nil {
				t.Fatal(err)
			}
			before := c.List()
			err := c.Add(tt.add)
			if !errors.Is(err, tt.want) {
				t.Fatalf("Add: %v, want %v", err, tt.want)
			}
			if err != nil {
				if diff := cmp.Diff(before, c.List()); diff != "" {
					t.Errorf("a refused one changed something (-before +after):\n%s", diff)
				}
				return
			}
			if got, err := c.Get(tt.add.Name); err != nil || got != tt.add {
				t.Errorf("Get = %+v, %v; want %+v", got, err, tt.add)
			}
		})
	}
}

func TestSetAndDelete(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, newDirs(t))
	if err := c.Add(Env{Name: "mine", Address: "mine.example.com"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Set("mine"); err != nil || c.Current() != "mine" {
		t.Errorf("Set: %v, and %q is current", err, c.Current())
	}
	if err := c.Set("nope"); !errors.Is(err, ErrUnknown) || c.Current() != "mine" {
		t.Errorf("Set of an unknown one: %v, and %q is current", err, c.Current())
	}
	for name, want := range map[string]error{"nope": ErrUnknown, "": ErrUnknown, "local": ErrBuiltin, "dev": ErrBuiltin} {
		if err := c.Delete(name); !errors.Is(err, want) {
			t.Errorf("Delete(%q): %v, want %v", name, err, want)
		}
	}
	if err := c.Delete("mine"); err != nil || c.Current() != Local {
		t.Errorf("Delete: %v, and %q is current", err, c.Current())
	}
	if _, err := c.Get("mine"); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), `"mine"`) {
		t.Errorf("Get of what was deleted: %v", err)
	}
}

// A change to a built-in environment is kept, and the others stay as they are.
func TestPutBuiltin(t *testing.T) {
	t.Parallel()
	d := newDirs(t)
	err := Update(d, func(c *Config) error {
		e, err := c.Get("dev")
		if err != nil {
			return err
		}
		e.Namespace = "shop"
		return c.Put(e)
	})
	if err != nil {
		t.Fatal(err)
	}
	c := mustLoad(t, d)
	if diff := cmp.Diff([]string{"local", "dev", "platform"}, names(c)); diff != "" {
		t.Errorf("environments (-want +got):\n%s", diff)
	}
	want := Env{Name: "dev", Address: "proxy.m3o.dev:443", Description: "Hosted environment for development", Namespace: "shop"}
	if got, err := c.Get("dev"); err != nil || got != want {
		t.Errorf("Get = %+v, %v; want %+v", got, err, want)
	}
}
