package dynamic

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/micro/micro/v3/dynamic/wire"
)

// The differential tests compare the tables with protojson on random schemas and
// random inputs. MICRO_SOAK=1 makes a million cases each way of them, another
// number a million others; MICRO_CASE=schema/case, as a failure prints it, makes
// one.

// scale returns the seeds of the schemas and how many cases there are of each.
func scale(t *testing.T) (first, last, cases uint64) {
	t.Helper()
	soak := os.Getenv("MICRO_SOAK")
	if soak == "" {
		return 0, 200, 100
	}
	const schemas = 2000
	n, err := strconv.ParseUint(soak, 10, 32)
	if err != nil || n == 0 {
		t.Fatalf("MICRO_SOAK=%s: want a positive number", soak)
	}
	return (n - 1) * schemas, n * schemas, 500
}

// randomAPI is a random schema with what the generators need of it.
type randomAPI struct {
	*api
	names []string
	exts  map[protoreflect.FullName][]protoreflect.FieldDescriptor
}

func newRandomAPI(t *testing.T, seed uint64) *randomAPI {
	t.Helper()
	var err error
	for try := range uint64(50) {
		set, names := randomSchema(seed + try<<32)
		var a *api
		if a, err = newAPI(set); err == nil {
			r := &randomAPI{a, names, map[protoreflect.FullName][]protoreflect.FieldDescriptor{}}
			for _, f := range set.GetFile() {
				d, err := a.files.FindFileByPath(f.GetName())
				if err != nil {
					t.Fatal(err)
				}
				r.extensions(d.Extensions())
				for i := range d.Messages().Len() {
					r.extensions(d.Messages().Get(i).Extensions())
				}
			}
			return r
		}
	}
	t.Fatalf("schema %d: %v", seed, err)
	return nil
}

func (r *randomAPI) extensions(list protoreflect.ExtensionDescriptors) {
	for i := range list.Len() {
		x := list.Get(i)
		t, err := r.types.FindExtensionByName(x.FullName())
		if err == nil {
			of := x.ContainingMessage().FullName()
			r.exts[of] = append(r.exts[of], t.TypeDescriptor())
		}
	}
}

// tally counts what became of the cases.
type tally struct {
	cases, accepted, panicked atomic.Int64
}

func (c *tally) check(t *testing.T) {
	t.Helper()
	t.Logf("%d cases, %d accepted, the oracle panicked in %d", c.cases.Load(), c.accepted.Load(), c.panicked.Load())
	if n := c.cases.Load(); n > 1 && (c.accepted.Load() < n/4 || c.accepted.Load() > n*19/20 || c.panicked.Load() > n/100) {
		t.Error("the cases are not what they should be")
	}
}

// eachCase calls f for the cases of the test, in parallel by schema.
func eachCase(t *testing.T, f func(r *randomAPI, rnd *rand.Rand) (what string, accepted bool, err error)) {
	t.Helper()
	var count tally
	t.Cleanup(func() { count.check(t) })
	one := func(t *testing.T, r *randomAPI, schema, seed uint64) {
		t.Helper()
		what, accepted, err := f(r, rand.New(rand.NewPCG(schema, seed+1)))
		count.cases.Add(1)
		if accepted {
			count.accepted.Add(1)
		}
		if errors.Is(err, errPanicked) {
			count.panicked.Add(1)
		} else if err != nil {
			t.Errorf("MICRO_CASE=%d/%d: %s\n%v", schema, seed, what, err)
		}
	}
	if env := os.Getenv("MICRO_CASE"); env != "" {
		var schema, seed uint64
		if _, err := fmt.Sscanf(env, "%d/%d", &schema, &seed); err != nil {
			t.Fatal(err)
		}
		one(t, newRandomAPI(t, schema), schema, seed)
		return
	}
	first, last, cases := scale(t)
	const groups = 4
	for group := range uint64(groups) {
		t.Run(strconv.FormatUint(group, 10), func(t *testing.T) {
			t.Parallel()
			for schema := first + group; schema < last; schema += groups {
				r := newRandomAPI(t, schema)
				for seed := range cases {
					one(t, r, schema, seed)
				}
				if t.Failed() {
					return
				}
			}
		})
	}
}

func TestDifferentialJSONToWire(t *testing.T) {
	t.Parallel()
	eachCase(t, func(r *randomAPI, rnd *rand.Rand) (string, bool, error) {
		name := r.names[rnd.IntN(len(r.names))]
		in := r.randomJSON(rnd, name)
		o := wire.DecodeOptions{DiscardUnknown: rnd.IntN(3) == 0, AllowPartial: rnd.IntN(3) == 0}
		if rnd.IntN(8) == 0 {
			o.MaxDepth = 1 + rnd.IntN(6)
		}
		d, err := r.files.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			return name, false, err
		}
		m, _ := r.table.Message(name)
		accepted, err := r.compareDecode(d.(protoreflect.MessageDescriptor), m, in, o)
		return fmt.Sprintf("%s %+v\n%s", name, o, in), accepted, err
	})
}

func TestDifferentialWireToJSON(t *testing.T) {
	t.Parallel()
	eachCase(t, func(r *randomAPI, rnd *rand.Rand) (string, bool, error) {
		name := r.names[rnd.IntN(len(r.names))]
		d, err := r.files.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			return name, false, err
		}
		in := r.randomWire(rnd, d.(protoreflect.MessageDescriptor))
		o := wire.EncodeOptions{
			UseProtoNames:     rnd.IntN(4) == 0,
			UseEnumNumbers:    rnd.IntN(4) == 0,
			EmitUnpopulated:   rnd.IntN(4) == 0,
			EmitDefaultValues: rnd.IntN(4) == 0,
			AllowPartial:      rnd.IntN(3) == 0,
		}
		if rnd.IntN(8) == 0 {
			o.MaxDepth = 1 + rnd.IntN(6)
		}
		m, _ := r.table.Message(name)
		accepted, err := r.compareEncode(d.(protoreflect.MessageDescriptor), m, in, o)
		return fmt.Sprintf("%s %+v\n%x", name, o, in), accepted, err
	})
}

// randomJSON returns JSON for a message: written by the generator or by protojson,
// and as it is, or broken in a few places.
func (r *randomAPI) randomJSON(rnd *rand.Rand, name string) []byte {
	d, err := r.files.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		panic(err)
	}
	md := d.(protoreflect.MessageDescriptor)
	var in []byte
	if rnd.IntN(5) == 0 {
		m, err := r.parse(md, (&wireGen{Rand: rnd, api: r.api, names: r.names, exts: r.exts}).message(md), 0, true)
		if err == nil {
			in, _ = protojson.MarshalOptions{Resolver: r.types, AllowPartial: true, EmitUnpopulated: rnd.IntN(3) == 0}.Marshal(m)
			in = bytes.ReplaceAll(in, []byte(", "), []byte(","))
		}
	}
	if len(in) == 0 {
		g := &jsonGen{Rand: rnd, api: r.api, names: r.names, exts: r.exts, wrong: []int{0, 0, 300, 60}[rnd.IntN(4)]}
		g.space()
		g.message(md)
		g.space()
		in = g.out
	}
	if rnd.IntN(6) == 0 {
		in = mutate(rnd, in, []byte(`{}[]",:\nue0-+.E_= `+"\x00\x80\xff"))
	}
	return in
}

// randomWire is randomJSON for wire forms.
func (r *randomAPI) randomWire(rnd *rand.Rand, d protoreflect.MessageDescriptor) []byte {
	g := &wireGen{Rand: rnd, api: r.api, names: r.names, exts: r.exts, wrong: []int{0, 0, 300, 60}[rnd.IntN(4)]}
	in := g.message(d)
	switch rnd.IntN(6) {
	case 0:
		in = mutate(rnd, in, []byte{0, 1, 2, 3, 4, 5, 8, 10, 0x7f, 0x80, 0xff})
	case 1:
		in = append(in, g.message(d)...)
	case 2:
		if m, err := r.parse(d, in, 0, true); err == nil {
			in, _ = proto.MarshalOptions{AllowPartial: true, Deterministic: true}.Marshal(m)
		}
	}
	return in
}

// mutate changes a few bytes, to those of an alphabet when it inserts some.
func mutate(rnd *rand.Rand, in, alphabet []byte) []byte {
	in = bytes.Clone(in)
	for range 1 + rnd.IntN(3) {
		if len(in) == 0 {
			return in
		}
		i := rnd.IntN(len(in))
		switch rnd.IntN(5) {
		case 0:
			in = in[:i]
		case 1:
			in = append(in[:i], in[i+1:]...)
		case 2:
			in[i] = alphabet[rnd.IntN(len(alphabet))]
		case 3:
			in = append(in[:i], append([]byte{alphabet[rnd.IntN(len(alphabet))]}, in[i:]...)...)
		case 4:
			j := i + rnd.IntN(len(in)-i)
			in = append(in[:j], in[i:]...)
		}
	}
	return in
}
