package dynamic

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// Whatever the schema is, and whatever is done to the rows of a form of it, the request
// is JSON, and what is wrong with it is said of one of the rows.
func TestFormOfRandomSchemas(t *testing.T) {
	t.Parallel()
	done := 0
	for seed := range uint64(150) {
		set, names := randomSchema(seed)
		raw, err := proto.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		schema, err := ParseSchema(raw)
		if err != nil {
			continue // not each random schema is one
		}
		table, err := schema.Table()
		if err != nil {
			continue
		}
		for _, name := range names {
			m, ok := table.Message(name)
			if !ok {
				continue
			}
			done++
			fillAtRandom(t, m, rand.New(rand.NewPCG(seed, 7)))
		}
	}
	if done < 100 {
		t.Errorf("only %d messages", done)
	}
}

// fillAtRandom does something to rows of a form of a message.
func fillAtRandom(t *testing.T, m wire.Message, r *rand.Rand) {
	t.Helper()
	f, err := request.NewForm(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	v := request.Values{Now: time.Now, ReadFile: func(string) ([]byte, error) { return nil, errors.New("no file") }}
	texts := []string{"", "1", "true", "a.b", "{}", "[]", `{"@type":"x"}`, "now", "1h", "hex:00", "@x", "\x1b[2J", "\xff", "-1", "null", "NaN"}
	for range 60 {
		rows := f.Rows()
		if len(rows) == 0 {
			return
		}
		row := rows[r.IntN(len(rows))]
		text := texts[r.IntN(len(texts))]
		switch r.IntN(6) {
		case 0:
			f.SetOpen(row, !row.Open)
		case 1:
			if r.IntN(3) == 0 {
				f.Unset(row)
			}
		case 2:
			if row.Kind == request.ListRow || row.Kind == request.MapRow {
				if e, err := f.Element(row, text); err == nil {
					_ = f.SetZero(e) // an enum that is closed may have no value
				}
			}
		case 3:
			if row.Kind == request.OneofRow {
				for member := range row.Oneof.Fields() {
					_ = f.Choose(row, member) // as above
				}
			}
		case 4:
			_ = f.SetZero(row) // not each row has a value
		default:
			_ = f.Set(row, text, v) // it need not be taken
		}
	}
	text := f.JSON()
	if !json.Valid(text) {
		t.Fatalf("%s: no JSON: %q", m.Name(), text)
	}
	if at, err := f.Problem(); err != nil && at != "" && request.RowOf(f.Rows(), at) < 0 {
		t.Errorf("%s: %s is wrong at %q, which no row is: %v", m.Name(), text, at, err)
	}
}
