package tui

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	tea "charm.land/bubbletea/v2"

	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/wire"
)

// hostileProto is a schema of somebody who wants to hurt: names and comments that give
// orders to a terminal, an enum of thousands, messages within themselves in many ways.
func hostileProto() string {
	var b strings.Builder
	b.WriteString(`syntax = "proto2";
package hostile;
import "google/protobuf/any.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/wrappers.proto";
// Evil ` + "\x1b[2J\x1b]0;title\x07" + ` comments.
service Hostile {
  // Do ` + "\x1b[31m\r\x9b2J" + `
  rpc Do(A) returns (A);
  rpc DoAll(stream A) returns (stream A);
}
message A {
  // ` + "\x1b]52;c;ZXZpbA==\x07" + `
  optional string s = 1 [json_name = "a\x1b[2Jb.c\"d"];
  repeated A as = 2;
  map<string, A> ms = 3;
  oneof o { A a = 4; B b = 5; bytes raw = 6; Big big = 7; google.protobuf.Value v = 8; }
  required int32 needed = 9 [default = 7];
  optional group G = 10 { optional A a = 1; optional group H = 2 { repeated Big big = 1; } }
  optional google.protobuf.Any any = 11;
  optional google.protobuf.NullValue nothing = 12;
  optional google.protobuf.BytesValue wrapped = 13;
  optional google.protobuf.ListValue list = 14;
  map<int64, Big> bigs = 15;
  map<bool, google.protobuf.Struct> structs = 16;
  extensions 1000 to 2000;
}
extend A { optional A more = 1000; }
message B { optional A a = 1; optional B b = 2; repeated bytes raws = 3; }
enum Big {
`)
	for i := range 5000 {
		fmt.Fprintf(&b, "  BIG_%d = %d; // \x1b[%dm\n", i, i, i%50)
	}
	b.WriteString("}\n")
	return b.String()
}

var hostileTable = sync.OnceValue(func() *wire.Table {
	dir, err := os.MkdirTemp("", "hostile")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.WriteFile(filepath.Join(dir, "hostile.proto"), []byte(hostileProto()), 0o600); err != nil {
		panic(err)
	}
	return tableOf("hostile.proto", dir)
})

// tableOf compiles a .proto file.
func tableOf(name, dir string) *wire.Table {
	raw, err := dynamic.CompileProto(context.Background(), []string{name}, []string{dir})
	if err != nil {
		panic(err)
	}
	schema, err := dynamic.ParseSchema(raw)
	if err != nil {
		panic(err)
	}
	table, err := schema.Table()
	if err != nil {
		panic(err)
	}
	return table
}

// Whatever is typed into a form, of whatever schema, and whatever is answered, a frame
// fits and does nothing to the terminal.
func FuzzCall(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x0b\x00s"), uint8(60), uint8(15), false)
	f.Add([]byte("\x04\x00\x04\x04dx\x02\x00{\x01\x01\x95\x01\x01c"), uint8(120), uint8(30), true)
	f.Add([]byte{0, 'a', 0, 0x9f, 's', 0xb0, 0xc5, 2, 's', 'f', 0xd0, 18, 'm', 0x95, 1, 1}, uint8(1), uint8(1), true)
	named := []string{"enter", "esc", "tab", "up", "down", "left", "right", "pgup", "pgdown", "home", "end", "backspace", "space", "delete", "f1", "ctrl+d", "ctrl+u", "ctrl+k", "ctrl+s", "ctrl+x"}
	f.Fuzz(func(t *testing.T, input []byte, width, height uint8, hostile bool) {
		table, service := fixtureTable(), "fixture"
		if hostile {
			table, service = hostileTable(), "hostile\x1b[2J"
		}
		d := newDriver(formConfig(table))
		d.send(tea.WindowSizeMsg{Width: int(width), Height: int(height)})
		give := func() {
			for id, s := range d.m.sources {
				switch {
				case s.name == "callable services":
					d.send(feedMsg{id, []tea.Msg{[]string{service, "b\x07"}}})
				case strings.HasPrefix(s.name, "schema"):
					d.send(feedMsg{id, []tea.Msg{table}})
				}
			}
		}
		give()
		d.keys("<enter>")
		for _, b := range input[:min(len(input), 200)] {
			switch {
			case b < 0x20:
				d.keys("<" + named[int(b)%len(named)] + ">")
			case b < 0x7f:
				d.keys(string(rune(b)))
			case b < 0xa0:
				d.send(tea.PasteMsg{Content: "日本\x1b[2J\n" + string(input)})
			case b < 0xb0:
				d.send(tea.WindowSizeMsg{Width: int(b) % 13 * 9, Height: int(b) % 7 * 5})
			case b < 0xc0:
				give()
			case b < 0xd0 && len(d.calls) > 0:
				d.send(feedMsg{d.calls[len(d.calls)-1].id, []tea.Msg{answerMsg(input), answerMsg(`{"a":"` + "\x9b" + `"}`)}})
			case len(d.calls) > 0:
				d.answer(&Failure{Code: "Internal", Message: string(input), Lines: []string{string(input)}, Fields: []Problem{{string(input), "x"}, {"as.0.s", "\x1b[2J"}}})
			}
			checkFrame(t, d.m)
		}
	})
}

// A schema of two thousand methods and an enum of thousands is only more to choose from.
func TestCallHostile(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("syntax = \"proto3\";\npackage many;\nmessage M { M m = 1; string s = 2; }\nservice Many {\n")
	for i := range 2000 {
		fmt.Fprintf(&b, "  // Method number %d\x1b[2J.\n  rpc Method%d(M) returns (M);\n", i, i)
	}
	b.WriteString("}\n")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "many.proto"), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	table := tableOf("many.proto", dir)
	d := newDriver(formConfig(table))
	d.feed("callable services", []string{"many"})
	d.keys("<enter>")
	d.feed("schema of many", table)
	d.keys("1234<enter>")
	if s := d.call(); s == nil || s.draft.Method.Name() != "Method1234" {
		t.Fatalf("it is\n%s", d.screenText())
	}
	checkFrame(t, d.m)

	d = newDriver(formConfig(hostileTable()))
	d.feed("callable services", []string{"hostile"})
	d.keys("<enter>")
	d.feed("schema of hostile", hostileTable())
	checkFrame(t, d.m)
	d.keys("Do <enter>")
	d.to("o")
	d.keys("<enter>big<enter>")
	d.to("big")
	d.keys("<enter>4321<enter>")
	if got := string(d.call().form.JSON()); got != `{"big":"BIG_4321"}` {
		t.Errorf("it is %s", got)
	}
	if d.call().problemAt != "needed" {
		t.Errorf("the problem is %q at %q", d.call().problem, d.call().problemAt)
	}
	d.to("s")
	d.keys("<enter>x<enter>")
	if got := d.call().form.JSON(); !strings.Contains(string(got), `:"x"`) {
		t.Errorf("it is %s", got)
	}
	checkFrame(t, d.m)
}
