package seal_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/micro/micro/v3/internal/seal"
)

func newBox(t *testing.T, fill byte, purpose string) seal.Box {
	t.Helper()
	b, err := seal.NewBox(bytes.Repeat([]byte{fill}, seal.MasterKeySize), purpose)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBox(t *testing.T) {
	t.Parallel()
	box := newBox(t, 1, "test")
	sealed := box.Seal("here", []byte("hello"))
	got, err := box.Open("here", sealed)
	if err != nil || string(got) != "hello" {
		t.Fatalf("Open = %q, %v, want hello", got, err)
	}
	if bytes.Contains(sealed, []byte("hello")) {
		t.Error("what is sealed can be read")
	}
	if bytes.Equal(sealed, box.Seal("here", []byte("hello"))) {
		t.Error("the same value is sealed twice to the same bytes")
	}
	altered := bytes.Clone(sealed)
	altered[len(altered)-1] ^= 1
	for _, tt := range []struct {
		name   string
		box    seal.Box
		place  string
		sealed []byte
	}{
		{"another place", box, "there", sealed},
		{"another key", newBox(t, 2, "test"), "here", sealed},
		{"another purpose", newBox(t, 1, "other"), "here", sealed},
		{"altered", box, "here", altered},
		{"cut off", box, "here", sealed[:5]},
		{"nothing", box, "here", nil},
	} {
		if _, err := tt.box.Open(tt.place, tt.sealed); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("%s: Open = %v, want %v", tt.name, err, seal.ErrOpen)
		}
	}
}

func TestMasterKeySize(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := seal.NewBox(make([]byte, n), "test"); err == nil {
			t.Errorf("a master key of %d bytes is taken", n)
		}
	}
}
