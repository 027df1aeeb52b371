package front

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/micro/micro/v3/dynamic/wire"
	"github.com/micro/micro/v3/envs"
	"github.com/micro/micro/v3/internal/atomicfile"
)

// Cache keeps compiled schemas on disk:
//
//	tables/SUM                          a table by its own digest; it carries that of its schema
//	names/ENV-ADDRESS/NAMESPACE/SERVICE the digests of a service's schema when it was last seen and
//	                                    of its table, and how that was learned by reflection, as JSON
//
// Everything in it can be made again: what is damaged, missing or of another schema
// is as if it had never been there. Tables are shared by all servers, and some come from
// one: no server can put a table in the place of another's, since it is known by what it
// is, and which schema it says that it has is good for calls of that server. Safe for use
// by several processes at once.
type Cache struct{ Dir string }

// Entry is a cached schema.
type Entry struct {
	Digest string // of the schema that the table was compiled from
	Table  *wire.Table
	// Origin is set when the schema is not the one that the server knows a service of
	// micro by.
	Origin *Origin
}

// Origin says how a schema was come by, and of what.
type Origin struct {
	Service string `json:"service"` // the gRPC service that was meant
	Plain   bool   `json:"plain"`   // the server knows nothing of micro: no token is for it
	// What the server was asked by reflection, and the sum of what it answered; see
	// dynamic.Probe. No method: it was not asked.
	Method   string   `json:"method,omitempty"`
	Requests [][]byte `json:"requests,omitempty"`
	Sum      []byte   `json:"sum,omitempty"`
}

// note is the file of a name.
type note struct {
	Digest string  `json:"digest"`
	Table  string  `json:"table"`
	Origin *Origin `json:"origin,omitempty"`
}

func (c Cache) table(sum string) string {
	return filepath.Join(c.Dir, "tables", strings.TrimPrefix(sum, "sha256:"))
}

// name returns the file that names the digest. The address is part of it: another
// server is another place, whatever the environment is called.
func (c Cache) name(e envs.Env, namespace, service string) string {
	sum := sha256.Sum256([]byte(e.Address))
	return filepath.Join(c.Dir, "names", e.Name+"-"+hex.EncodeToString(sum[:8]), namespace, service)
}

// Lookup returns the schema of a service, false when it is not known.
func (c Cache) Lookup(e envs.Env, namespace, service string) (Entry, bool) {
	if !isFileName(namespace) || !isFileName(service) {
		return Entry{}, false
	}
	b, err := os.ReadFile(c.name(e, namespace, service))
	if err != nil {
		return Entry{}, false
	}
	var n note
	if json.Unmarshal(b, &n) != nil || n.Origin != nil && n.Origin.Service == "" {
		return Entry{}, false
	}
	t, ok := c.open(n.Table)
	if !ok || digestOf(t) != n.Digest {
		return Entry{}, false
	}
	return Entry{Digest: n.Digest, Table: t, Origin: n.Origin}, true
}

// open returns the table with a digest of its own, false when it is not there.
func (c Cache) open(sum string) (*wire.Table, bool) {
	if !isDigest(sum) {
		return nil, false
	}
	b, err := readInPlace(c.table(sum))
	if err != nil {
		return nil, false
	}
	t, err := wire.Open(b)
	return t, err == nil
}

// digestOf returns the digest of the schema that a table was compiled from.
func digestOf(t *wire.Table) string {
	sum := t.Source()
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Put keeps the compiled schema of a service and returns it, as [Cache.Lookup] would.
// That it cannot be kept is no error: the cache is an advantage and no duty, and a
// disk that is full or cannot be written no reason for a call to fail. The table is
// not copied.
func (c Cache) Put(e envs.Env, namespace, service string, table []byte) (Entry, error) {
	return c.PutFrom(e, namespace, service, table, nil)
}

// PutFrom is [Cache.Put] for a schema that is not that of a service of micro.
func (c Cache) PutFrom(e envs.Env, namespace, service string, table []byte, origin *Origin) (Entry, error) {
	entry, err := OpenEntry(table, origin)
	if err != nil {
		return entry, err
	}
	if !isFileName(namespace) || !isFileName(service) {
		return entry, nil
	}
	raw := sha256.Sum256(table)
	sum := "sha256:" + hex.EncodeToString(raw[:])
	text, err := json.Marshal(note{entry.Digest, sum, origin})
	if err != nil {
		return entry, nil //nolint:nilerr // see above; there is nothing in it that has no JSON
	}
	if known, _ := os.ReadFile(c.table(sum)); !bytes.Equal(known, table) {
		err = writeCache(c.table(sum), table)
	}
	if err == nil {
		_ = writeCache(c.name(e, namespace, service), text)
	}
	return entry, nil
}

// OpenEntry returns the entry of a compiled schema, which is not copied.
func OpenEntry(table []byte, origin *Origin) (Entry, error) {
	t, err := wire.Open(table)
	if err != nil {
		return Entry{}, err
	}
	return Entry{Digest: digestOf(t), Table: t, Origin: origin}, nil
}

// Forget drops what is known of a service.
func (c Cache) Forget(e envs.Env, namespace, service string) {
	if isFileName(namespace) && isFileName(service) {
		_ = os.Remove(c.name(e, namespace, service)) // it is made again
	}
}

func isFileName(s string) bool {
	if s == "" || len(s) > 200 || s[0] == '.' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func isDigest(s string) bool {
	rest, ok := strings.CutPrefix(s, "sha256:")
	if !ok || len(rest) != 64 {
		return false
	}
	_, err := hex.DecodeString(rest)
	return err == nil
}

// writeCache writes a file and what directories it needs.
func writeCache(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return atomicfile.Cache(path, data)
}
