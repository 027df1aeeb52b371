package registry_test

import (
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/micro/micro/v3/backend/registry"
	"github.com/micro/micro/v3/backend/store"
)

// noise returns bytes that nothing can compress.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

func TestSchema(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		files []byte
		want  error
	}{
		{"empty", nil, nil},
		{"one byte", []byte{0}, nil},
		{"the largest", make([]byte, 16<<20), nil},
		{"larger", make([]byte, 16<<20+1), registry.ErrInvalid},
		{"as much noise as fits", noise(store.MaxValue - 4096), nil},
		{"more", noise(store.MaxValue), registry.ErrInvalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRegistry(t, openStore(t))
			digest, err := r.PutSchema(t.Context(), ns, test.files)
			wantErr(t, "PutSchema", err, test.want)
			if err != nil {
				return
			}
			again, err := r.PutSchema(t.Context(), ns, test.files)
			wantErr(t, "PutSchema again", err, nil)
			if again != digest {
				t.Errorf("got %s first and %s then", digest, again)
			}
			got, err := r.Schema(t.Context(), ns, digest)
			wantErr(t, "Schema", err, nil)
			if !bytes.Equal(got, test.files) {
				t.Errorf("got %d other bytes, want %d", len(got), len(test.files))
			}
			_, err = r.Schema(t.Context(), "other", digest)
			wantErr(t, "Schema of another namespace", err, registry.ErrNotFound)
		})
	}
}

func TestDamagedSchema(t *testing.T) {
	t.Parallel()
	pack := func(files []byte) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(files)
		_ = w.Close()
		return b.Bytes()
	}
	whole := pack([]byte("a schema"))
	for name, value := range map[string][]byte{
		"empty":       nil,
		"no gzip":     []byte("a schema"),
		"cut off":     whole[:len(whole)-9],
		"bomb":        pack(make([]byte, 16<<20+1)),
		"other bytes": pack([]byte("another schema")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openStore(t)
			r := newRegistry(t, s)
			digest, err := r.PutSchema(t.Context(), ns, []byte("a schema"))
			wantErr(t, "PutSchema", err, nil)
			key := ns + "/registry/schema/" + digest
			if _, err := s.Txn(t.Context(), store.Txn{Do: []store.Op{store.Put(key, value)}}); err != nil {
				t.Fatal(err)
			}
			got, err := r.Schema(t.Context(), ns, digest)
			if err == nil || !strings.Contains(err.Error(), key) {
				t.Errorf("got %d bytes and the error %v, want one that names %s", len(got), err, key)
			}
		})
	}
}
