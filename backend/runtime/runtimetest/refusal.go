package runtimetest

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/micro/micro/v3/backend/runtime"
)

// wantError checks that an error is one that callers tell apart.
func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

func testRefusal(t *testing.T, open Open) {
	t.Helper()
	specs := []struct {
		name   string
		change func(s *runtime.Spec)
	}{
		{"no id", func(s *runtime.Spec) { s.ID = "" }},
		{"id leads upward", func(s *runtime.Spec) { s.ID = "../a" }},
		{"id is absolute", func(s *runtime.Spec) { s.ID = "/a" }},
		{"id is a dot", func(s *runtime.Spec) { s.ID = "." }},
		{"id with zero byte", func(s *runtime.Spec) { s.ID = "a\x00" }},
		{"long id", func(s *runtime.Spec) { s.ID = strings.Repeat("a", 64<<10) }},
		{"no namespace", func(s *runtime.Spec) { s.Namespace = "" }},
		{"namespace leads upward", func(s *runtime.Spec) { s.Namespace = ".." }},
		{"service leads upward", func(s *runtime.Spec) { s.Service = "../../x" }},
		{"service is no UTF-8", func(s *runtime.Spec) { s.Service = "\xff" }},
		{"variable without a name", func(s *runtime.Spec) { s.Env = map[string]string{"": "x"} }},
		{"zero byte in an argument", func(s *runtime.Spec) { s.Args = []string{"\x00"} }},
	}
	for _, tt := range specs {
		t.Run("spec/"+tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, open)
			spec := f.spec("a", "wait")
			tt.change(&spec)
			if _, err := f.Start(within(t), spec); err == nil {
				t.Errorf("it was started")
			}
			f.wantNothing(t)
		})
	}

	otherOS := "linux"
	if goruntime.GOOS == otherOS {
		otherOS = "windows"
	}
	images := []struct {
		name   string
		want   error // nil: any but ErrImage
		change func(t *testing.T, img *runtime.Image)
	}{
		{"other system", runtime.ErrImage, func(_ *testing.T, img *runtime.Image) { img.OS = otherOS }},
		{"other processor", runtime.ErrImage, func(_ *testing.T, img *runtime.Image) { img.Architecture = "mips64" }},
		{"no program", runtime.ErrImage, func(_ *testing.T, img *runtime.Image) { img.Entrypoint = nil }},
		{"missing program", runtime.ErrImage, func(_ *testing.T, img *runtime.Image) { img.Entrypoint = []string{"/app/other"} }},
		{"program is a folder", runtime.ErrImage, func(_ *testing.T, img *runtime.Image) { img.Entrypoint = []string{"/app"} }},
		{"no layers", runtime.ErrImage, func(_ *testing.T, img *runtime.Image) { img.Layers = nil }},
		{"program is no program", runtime.ErrImage, func(t *testing.T, img *runtime.Image) {
			t.Helper()
			img.Layers = append(img.Layers, Layer(t, File{Header: tar.Header{Name: "app/" + programName}, Content: []byte("Hello\n")}))
		}},
		{"program may not be executed", runtime.ErrImage, func(t *testing.T, img *runtime.Image) {
			t.Helper()
			img.Layers = append(img.Layers, Layer(t, File{Header: tar.Header{Name: "app/" + programName, Mode: 0o644}}))
		}},
		{"program of a lower layer is taken away", runtime.ErrImage, func(t *testing.T, img *runtime.Image) {
			t.Helper()
			img.Layers = append(img.Layers, Layer(t, File{Header: tar.Header{Name: "app/.wh." + programName}}))
		}},
		{"layer leads upward", runtime.ErrImage, func(t *testing.T, img *runtime.Image) {
			t.Helper()
			img.Layers = append(img.Layers, Layer(t, File{Header: tar.Header{Name: "../../outside"}}))
		}},
		{"layer is no archive", runtime.ErrImage, func(_ *testing.T, img *runtime.Image) {
			img.Layers = append(img.Layers, func() (io.ReadCloser, error) {
				return io.NopCloser(strings.NewReader(strings.Repeat("no archive ", 200))), nil
			})
		}},
		{"layer cannot be opened", nil, func(_ *testing.T, img *runtime.Image) {
			img.Layers = append(img.Layers, func() (io.ReadCloser, error) { return nil, errors.New("broken registry") })
		}},
	}
	for _, tt := range images {
		t.Run("image/"+tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, open)
			img := ProgramImage(t)
			tt.change(t, &img)
			spec := f.spec("a")
			spec.Image = f.images.Add(img)
			_, err := f.Start(within(t), spec)
			switch {
			case tt.want != nil:
				wantError(t, "start", err, tt.want)
			case err == nil || errors.Is(err, runtime.ErrImage):
				t.Errorf("start: got error %v, want one that is not %v", err, runtime.ErrImage)
			}
			f.wantNothing(t)

			// It has spoiled nothing.
			f.start(t, f.spec("a", "wait"))
		})
	}

	for _, tt := range []struct {
		name, ref string
		want      error
	}{
		{"unknown", "test/image@sha256:" + strings.Repeat("0", 64), runtime.ErrNotFound},
		{"no digest", "test/image:latest", runtime.ErrImage},
		{"short digest", "test/image@sha256:00", runtime.ErrImage},
		{"digest leads upward", "test/image@sha256:" + strings.Repeat("../", 21) + "a", runtime.ErrImage},
		{"empty", "", runtime.ErrImage},
	} {
		t.Run("reference/"+tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, open)
			spec := f.spec("a", "wait")
			spec.Image = tt.ref
			_, err := f.Start(within(t), spec)
			wantError(t, "start", err, tt.want)
			f.wantNothing(t)
		})
	}

	t.Run("id of another service", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		f.run(t, f.spec("a", "out=secret"))
		for _, change := range []func(s *runtime.Spec){
			func(s *runtime.Spec) { s.Namespace = "other" },
			func(s *runtime.Spec) { s.Service = "other" },
		} {
			spec := f.spec("a", "out=mine")
			change(&spec)
			if _, err := f.Start(within(t), spec); err == nil {
				t.Errorf("an instance of %s/%s was started under an id that is taken", spec.Namespace, spec.Service)
			}
		}
		if got := f.known(t)["a"]; got.Namespace != "micro" || got.Service != "alpha" {
			t.Errorf("the instance is %+v now", got)
		}
	})

	t.Run("ended context", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := f.Start(ctx, f.spec("a", "wait"))
		wantError(t, "start", err, context.Canceled)
		f.wantNothing(t)
	})

	t.Run("context ends while a layer is read", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		ctx, cancel := context.WithCancel(within(t))
		img := ProgramImage(t)
		layer := img.Layers[0]
		img.Layers[0] = func() (io.ReadCloser, error) {
			cancel()
			return layer()
		}
		spec := f.spec("a", "wait")
		spec.Image = f.images.Add(img)
		_, err := f.Start(ctx, spec)
		wantError(t, "start", err, context.Canceled)
		f.wantNothing(t)

		// The next one is not held back by it.
		f.start(t, spec)
	})
}

// wantNothing checks that there is no instance and no line.
func (f *fixture) wantNothing(t *testing.T) {
	t.Helper()
	if known := f.known(t); len(known) > 0 {
		t.Errorf("there are instances: %+v", known)
	}
	if lines := f.lines(t, query()); len(lines) > 0 {
		t.Errorf("there are lines: %+v", lines)
	}
}
