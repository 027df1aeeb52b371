package describe_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/describe"
)

var update = flag.Bool("update", false, "write what the tests got into testdata")

func parse(t *testing.T, names ...string) *dynamic.Schema {
	t.Helper()
	raw, err := dynamic.CompileProto(t.Context(), names, []string{"testdata"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := dynamic.ParseSchema(raw)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestForms(t *testing.T) {
	t.Parallel()
	s := parse(t, "shop.proto", "old.proto")
	for _, tc := range []struct {
		golden, name string
		write        func(io.Writer, protoreflect.Descriptor) error
	}{
		{"service.tree", "Shop", describe.Tree},
		{"method.tree", "shop.v1.Shop/Order", describe.Tree},
		{"message.tree", "Item", describe.Tree},
		{"enum.tree", "shop.v1.Size", describe.Tree},
		{"proto2.tree", "Old", describe.Tree},
		{"service.proto", "Shop", describe.Proto},
		{"message.proto", "Item", describe.Proto},
		{"proto2.proto", "Old", describe.Proto},
		{"message.schema.json", "Item", describe.JSONSchema},
		{"method.schema.json", "Shop.Order", describe.JSONSchema},
		{"enum.schema.json", "Size", describe.JSONSchema},
		{"wellknown.schema.json", "google.protobuf.Timestamp", describe.JSONSchema},
	} {
		t.Run(tc.golden, func(t *testing.T) {
			t.Parallel()
			d, err := describe.Find(s, tc.name)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := tc.write(&got, d); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", "golden", tc.golden)
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestJSONSchemaOfService(t *testing.T) {
	t.Parallel()
	d, err := describe.Find(parse(t, "shop.proto"), "Shop")
	if err != nil {
		t.Fatal(err)
	}
	if err := describe.JSONSchema(io.Discard, d); !errors.Is(err, describe.ErrNoType) {
		t.Errorf("JSONSchema = %v, want ErrNoType", err)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	s := parse(t, "shop.proto", "old.proto")
	for _, tc := range []struct{ name, want string }{
		{"shop.v1.Shop", "shop.v1.Shop"},
		{".shop.v1.Shop", "shop.v1.Shop"},
		{"shop", "shop.v1.Shop"},
		{"v1.shop", "shop.v1.Shop"},
		{"Shop/Order", "shop.v1.Shop.Order"},
		{"shop.order", "shop.v1.Shop.Order"},
		{"Item.Part", "shop.v1.Item.Part"},
		{"hop", ""},
		{"Item.size", ""}, // a field
		{"", ""},
		{"..", ""},
		{"LabelsEntry", ""}, // of a map
	} {
		d, err := describe.Find(s, tc.name)
		switch {
		case tc.want == "" && !errors.Is(err, describe.ErrNotFound):
			t.Errorf("Find(%q) = %v, %v; want ErrNotFound", tc.name, d, err)
		case tc.want != "" && (err != nil || string(d.FullName()) != tc.want):
			t.Errorf("Find(%q) = %v, %v; want %s", tc.name, d, err, tc.want)
		}
	}
}

func TestFindAmbiguous(t *testing.T) {
	t.Parallel()
	_, err := describe.Find(parse(t, "shop.proto", "old.proto"), "Note")
	var ambiguous *describe.AmbiguousError
	if !errors.As(err, &ambiguous) {
		t.Fatalf("Find = %v, want an AmbiguousError", err)
	}
	if got := strings.Join(ambiguous.Candidates, " "); got != "old.v1.Note shop.v1.Note" {
		t.Errorf("candidates %q", got)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	s := parse(t, "shop.proto", "old.proto")
	d, err := describe.Find(s, "Shop")
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, fd := range describe.Files([]protoreflect.Descriptor{d, d}) {
		paths = append(paths, fd.Path())
		var text bytes.Buffer
		if err := describe.Proto(&text, fd); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text.String(), "\nservice Shop {\n") {
			t.Errorf("%s is\n%s", fd.Path(), &text)
		}
	}
	if diff := cmp.Diff([]string{"shop.proto"}, paths); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
