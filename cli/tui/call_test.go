package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// fixtureTable is the schema of the service with everything, with its comments.
var fixtureTable = sync.OnceValue(func() *wire.Table {
	return tableOf("fixture/v1/fixture.proto", "../../testdata/fixture/proto")
})

// formConfig is the config of a program that fills in calls, which are answered with
// what they are made with.
func formConfig(table *wire.Table) *Config {
	c := testConfig()
	c.Form = &Form{}
	calls := func() *Calls {
		return &Calls{
			Services: func(context.Context) ([]string, error) { return nil, nil },
			Schema:   func(context.Context, string) (*wire.Table, error) { return table, nil },
			Draft: func(_ context.Context, args []string) (*Draft, error) {
				m, err := request.Resolve(table, args[0], args[1:2])
				if err != nil {
					return nil, err
				}
				return &Draft{Service: args[0], Table: table, Method: m, JSON: []byte(args[2])}, nil
			},
			Call: func(_ context.Context, args []string, requests io.Reader, out io.Writer) error {
				fmt.Fprintln(out, strings.Join(args, " "))
				_, err := io.Copy(out, requests)
				return err
			},
			Past: func() ([]PastCall, error) {
				return []PastCall{
					{Number: 7, Time: clock().Add(-time.Minute), Took: 12 * time.Millisecond, Environment: "local", Status: "ok", Service: "fixture", Line: `fixture echo '{"string":"again"}'`, Args: []string{"fixture", "echo", `{"string":"again"}`}},
					{Number: 6, Time: clock().Add(-time.Hour), Environment: "local", Status: "NotFound", Line: "fixture getUser --id=\x1b[2J", Args: []string{"fixture", "nosuch", "{}"}},
					{Number: 5, Status: "ok", Line: "fixture echo …", Cut: true},
				}, nil
			},
			ReadFile: func(name string) ([]byte, error) {
				if name == "picture.png" {
					return []byte("\x89PNG\x00\x1b[2J" + strings.Repeat("x", 100)), nil
				}
				return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
			},
			Languages: []string{"micro", "grpcurl", "curl"},
		}
	}
	c.Session.Calls = calls()
	connect := c.Connect
	c.Connect = func(env, namespace string) (Session, error) {
		s, err := connect(env, namespace)
		s.Calls = calls()
		return s, err
	}
	return c
}

// newFormDriver drives a program that fills in calls of the service with everything.
func newFormDriver() *driver { return newDriver(formConfig(fixtureTable())) }

// open chooses a service and an endpoint.
func (d *driver) open(endpoint string) {
	d.feed("callable services", []string{"fixture", "helloworld"})
	d.keys("fix<enter>")
	d.feed("schema of fixture", fixtureTable())
	d.keys(endpoint + "<enter>")
}

// to chooses the row of a field.
func (d *driver) to(label string) {
	d.keys("/^ *[▾▸]? *" + label + " <enter>")
	if d.call().fields.filter.text != "" {
		d.keys("<esc>")
	}
}

// answer hands over what the last call printed, and how it ended.
func (d *driver) answer(err error, lines ...string) {
	call := d.calls[len(d.calls)-1]
	var msgs []tea.Msg
	for _, l := range lines {
		msgs = append(msgs, answerMsg(l))
	}
	d.send(feedMsg{call.id, msgs})
	d.send(endedMsg{call.id, err})
}

// runCall runs the last call as it would be run, to its end, and returns what it printed.
func (d *driver) runCall(t *testing.T) []string {
	t.Helper()
	var lines []string
	call := d.calls[len(d.calls)-1]
	err := call.run(t.Context(), nil, func(msg tea.Msg) {
		text, _ := msg.(answerMsg)
		lines = append(lines, string(text))
	})
	d.answer(err, lines...)
	return lines
}

func (d *driver) call() *callScreen {
	for _, s := range slices.Backward(d.m.stack) {
		if s, ok := s.(*callScreen); ok {
			return s
		}
	}
	return nil
}

// setJSON replaces the request.
func (d *driver) setJSON(text string) {
	s := d.call()
	if err := s.form.SetJSON([]byte(text)); err != nil {
		panic(err)
	}
	s.refresh(d.m)
}

// callFrames are the screens of a call.
func callFrames() map[string]func(d *driver) {
	fill := func(d *driver) {
		d.open("Everything.Echo")
		d.setJSON(`{"int64":"9007199254740993","bool":true,"string":"日本語\u001b[2J","bytes":"iVBORw==","color":"COLOR_RED","address":{"city":"Oslo","lines":["a","b"]},"labels":{"env":"dev"},"mail":"","time":"2026-01-02T03:04:05Z","struct":{"a":[1,2]}}`)
	}
	return map[string]func(d *driver){
		"call_services": func(d *driver) {
			d.feed("callable services", []string{"grpc.health.v1.Health", "fixture", "helloworld", "evil\x1b[2J"})
			d.keys("l")
		},
		"call_endpoints": func(d *driver) {
			d.feed("callable services", []string{"fixture"})
			d.keys("<enter>")
			d.feed("schema of fixture", fixtureTable())
			d.keys("<esc><down>")
		},
		"call_form": func(d *driver) { d.open("Everything.Echo") },
		"call_filled": func(d *driver) {
			fill(d)
			d.keys("<pgdown><pgdown><up>")
		},
		"call_json": func(d *driver) {
			fill(d)
			d.keys("<tab>")
		},
		"call_editor": func(d *driver) {
			fill(d)
			d.keys("<tab><enter><down>oops")
			d.keys("<esc>")
		},
		"call_enum": func(d *driver) {
			d.open("Everything.Echo")
			d.to("color")
			d.keys("<enter>")
		},
		"call_oneof": func(d *driver) {
			d.open("Everything.Echo")
			d.to("contact")
			d.keys("<enter>")
		},
		"call_typing": func(d *driver) {
			d.open("Everything.Count")
			d.keys("<enter>many<enter>")
		},
		"call_answer": func(d *driver) {
			fill(d)
			d.keys("s")
			d.answer(nil, `{"string": "日本語\u001b[2J", "address": {"city": "Oslo"}}`)
		},
		"call_answers": func(d *driver) {
			d.open("Everything.Count")
			d.keys("<enter>3<enter>s")
			d.answer(nil, `{"number":1,"text":"x"}`, `{"number":2,"text":"x"}`, `{"number":3,"text":"`+"\x1b]0;title\x07"+`"}`)
		},
		"call_chat": func(d *driver) {
			d.open("Everything.Chat")
			d.to("string")
			d.keys("<enter>hello<enter>s")
			d.send(feedMsg{d.calls[0].id, []tea.Msg{answerMsg(`{"string":"hello"}`)}})
			d.keys("s<tab><tab>")
		},
		"call_failed": func(d *driver) {
			fill(d)
			d.keys("s")
			d.answer(&Failure{
				Code: "InvalidArgument", Message: "2 fields are wrong", Hint: "micro fixture echo --help",
				Lines:  []string{"--address.city: there is no such city", "--nofield: what is this?"},
				Fields: []Problem{{"address.city", "there is no such city"}, {"nofield", "what is this?"}},
			})
			d.keys("<tab>")
			d.to("city")
		},
		"call_as": func(d *driver) {
			fill(d)
			d.keys("c<down>")
		},
		"call_past": func(d *driver) { d.keys("<esc>p") },
		"call_help": func(d *driver) {
			d.open("Everything.Echo")
			d.keys("?")
		},
		"call_readonly": func(d *driver) {
			d.keys("<esc>ej<enter>")
			d.open("Everything.Count")
			d.keys("s")
		},
	}
}

// Each screen of a call is as it is in testdata at three sizes.
func TestCallFrames(t *testing.T) {
	t.Parallel()
	checkFrames(t, callFrames(), newFormDriver)
}

// What is typed into the form is the request, in each way in which a field is typed.
func TestCallFill(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, field, keys, want string }{
		{"a number", "int32", "<enter>7<enter>", `{"int32":"7"}`},
		{"a number that is none, mended", "int32", "<enter>7x<enter><backspace><enter>", `{"int32":"7"}`},
		{"a number that is none, given up", "int32", "<enter>7x<enter><esc>", `{}`},
		{"text", "string", "<enter>a b<enter>", `{"string":"a b"}`},
		{"no text, which is set", "nickname", "d", `{"nickname":""}`},
		{"unset again", "nickname", "dx", `{}`},
		{"text in several lines", "string", "ma<enter>b<esc>", `{"string":"a\nb"}`},
		{"a switch", "bool", "<enter>", `{"bool":true}`},
		{"a switch back", "bool", "<enter><enter>", `{"bool":false}`},
		{"an enum by a part of its name", "color", "<enter>red<enter>", `{"color":"COLOR_RED"}`},
		{"no value of an enum after all", "color", "<enter><esc><esc>", `{}`},
		{"bytes of a file", "bytes", "<enter>@picture.png<enter>", `{"bytes":"iVBORwAbWzJKeHh4…`},
		{"bytes of no file", "bytes", "<enter>@nofile<enter>", `{}`},
		{"text that is no file", "string", "<enter>@picture.png<enter>", `{"string":"@picture.png"}`},
		{"a time", "time", "<enter>now<enter>", `{"time":"2026-11-30T12:00:00Z"}`},
		{"a duration", "duration", "<enter>1h<enter>", `{"duration":"3600s"}`},
		{"a wrapper", "int64_value", "<enter>5<enter>", `{"int64Value":"5"}`},
		{"a wrapped switch", "bool_value", "<enter>", `{"boolValue":true}`},
		{"JSON", "struct", "<enter><ctrl+u><ctrl+k>{\"a\":[1]}<esc>", `{"struct":{"a":[1]}}`},
		{"JSON that is none, given up", "struct", "<enter>x<esc><esc>", `{}`},
		{"elements", "numbers", "<enter>1<enter>", `{"numbers":["1"]}`},
		{"an entry", "labels", "<enter>k<enter>v<enter>", `{"labels":{"k":"v"}}`},
		{"an entry with a key that is none", "places", "<enter>k<enter><esc>", `{}`},
		{"an entry that is a message", "places", "<enter>7<enter>", `{"places":{"7":{}}}`},
		{"an element that is a message", "addresses", "<enter>", `{"addresses":[{}]}`},
		{"an element of an enum", "colors", "<enter>blue<enter>", `{"colors":["COLOR_BLUE"]}`},
		{"one of several", "contact", "<enter>home<enter>", `{"home":{}}`},
		{"another of several", "contact", "<enter>home<enter><enter>mail<enter>", `{"mail":""}`},
		{"none of several", "contact", "<enter>home<enter><enter>none<enter>", `{}`},
		{"a message, only opened", "next", "<enter>", `{}`},
		{"a message, empty", "empty", "d", `{"empty":{}}`},
		{"what is not typed", "old", "<enter>\x00<enter>", `{"old":""}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newFormDriver()
			d.open("Everything.Echo")
			d.to(test.field)
			d.keys(test.keys)
			if got := string(d.call().form.JSON()); got != test.want && !strings.HasPrefix(got, strings.TrimSuffix(test.want, "…")+"eHh4") {
				t.Errorf("got  %s\nwant %s\n%s", got, test.want, d.screenText())
			}
			checkFrame(t, d.m)
		})
	}
}

// A message within itself is opened as deep as somebody wants, and set where something is.
func TestCallRecursion(t *testing.T) {
	t.Parallel()
	d := newFormDriver()
	d.open("Everything.Echo")
	s := d.call()
	for range 20 {
		r := s.rows[slices.IndexFunc(s.rows, func(r callRow) bool { return r.Label == "next" && !r.Open })]
		s.form.SetOpen(r.Row, true)
		s.refresh(d.m)
	}
	if got := string(s.form.JSON()); got != "{}" {
		t.Errorf("to open sets %s", got)
	}
	i := slices.IndexFunc(s.rows, func(r callRow) bool { return r.Depth == 20 && r.Label == "int32" })
	if err := s.form.Set(s.rows[i].Row, "1", request.Values{}); err != nil {
		t.Fatal(err)
	}
	if got := string(s.form.JSON()); got != strings.Repeat(`{"next":`, 20)+`{"int32":"1"}`+strings.Repeat("}", 20) {
		t.Errorf("it is %s", got)
	}
}

// The two tabs are two views of one request.
func TestCallTabs(t *testing.T) {
	t.Parallel()
	d := newFormDriver()
	d.open("Everything.Count")
	d.keys("<enter>3<enter><tab>")
	if !strings.Contains(d.screenText(), `"count": "3"`) {
		t.Errorf("the JSON does not have what was typed:\n%s", d.screenText())
	}
	d.keys("<enter><ctrl+a>")
	d.m.editor.lines, d.m.editor.y, d.m.editor.x = [][]rune{nil}, 0, 0
	d.send(tea.PasteMsg{Content: "{\"count\": 4,\r\n \"txet\": \"x\"}"})
	d.keys("<ctrl+s>")
	if d.m.editor != nil || !strings.Contains(d.screenText(), "✗ txet") {
		t.Errorf("nothing says what is wrong:\n%s", d.screenText())
	}
	d.keys("<tab><tab>")
	text := d.screenText()
	for _, want := range []string{"count", "4", "txet", "unknown", "✗ unknown field"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the form:\n%s", want, text)
		}
	}
	d.to("txet")
	d.keys("x")
	if got := string(d.call().form.JSON()); got != `{"count":4}` {
		t.Errorf("it is %s", got)
	}
}

// A call is made by the arguments that a command would have.
func TestCallArguments(t *testing.T) {
	t.Parallel()
	c := formConfig(fixtureTable())
	c.Form.Options, c.Form.Headers, c.Form.Timeout, c.Form.Where = []string{"--gzip"}, []string{"a: b"}, "5s", []string{"--env=local"}
	d := newDriver(c)
	d.open("Everything.Count")
	d.keys("<enter>3<enter>")
	d.to("metadata")
	d.keys("<enter>token: ${TOKEN}<enter>")
	d.to("timeout")
	d.keys("<enter><backspace><backspace>1m<enter>")
	d.keys("s")
	want := `fixture Everything.Count --gzip -H a: b -H token: ${TOKEN} --timeout=1m {"count":"3"}`
	if got := d.runCall(t); len(got) != 1 || got[0] != want {
		t.Errorf("it is called with %q, want %q", got, want)
	}
	if got, want := d.call().selection(), want; got != want {
		t.Errorf("the answer that is copied is %q", got)
	}
	d.keys("<tab>")
	if got, want := d.call().selection(), `micro --env=local call fixture Everything.Count --gzip -H 'a: b' -H 'token: ${TOKEN}' --timeout=1m '{"count":"3"}'`; got != want {
		t.Errorf("what is copied is\n%s\nwant\n%s", got, want)
	}
	d.to("a")
	d.keys("x")
	if got := d.call().headers; len(got) != 1 {
		t.Errorf("headers are %q", got)
	}
	d.keys("@")
	if !strings.Contains(d.screenText(), "$ micro call fixture Everything.Count") {
		t.Errorf("the call is not among the commands:\n%s", d.screenText())
	}
}

// The requests of a stream are sent one by one until somebody ends them; what is wrong
// is not sent.
func TestCallStream(t *testing.T) {
	t.Parallel()
	d := newFormDriver()
	d.open("Everything.Collect")
	d.to("string")
	d.keys("<enter>one<enter>s")
	d.keys("<enter><ctrl+u>two<enter>s")
	d.setJSON(`{"nofield":1}`)
	d.keys("s")
	if d.call().exchange.sent != 2 {
		t.Errorf("%d were sent", d.call().exchange.sent)
	}
	d.keys("ff")
	d.keys("s")
	got := d.runCall(t)
	want := []string{"fixture Everything.Collect -", `{"string":"one"}`, `{"string":"two"}`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(d.calls) != 1 {
		t.Errorf("%d calls", len(d.calls))
	}
	d.keys("f") // of no requests at all
	if got := d.runCall(t); len(got) != 1 {
		t.Errorf("got %q", got)
	}
}

// Who cancels a call, or leaves its screen, ends it.
func TestCallCancel(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string]string{"cancel": "<ctrl+x>", "leave": "<esc>"} {
		d := newFormDriver()
		var stopped <-chan struct{}
		launch := d.m.launch
		d.m.launch = func(f feed, id int, s *Session, stop <-chan struct{}) {
			launch(f, id, s, stop)
			if f.single {
				stopped = stop
			}
		}
		d.open("Everything.Chat")
		d.keys("s" + keys)
		select {
		case <-stopped:
		default:
			t.Errorf("%s does not end the call", name)
		}
		d.answer(nil, "late") // nobody is told
		if name == "cancel" && !strings.Contains(d.screenText(), "Canceled") {
			t.Errorf("it does not say so:\n%s", d.screenText())
		}
	}
}

// What a server says of fields is at them, until they are changed.
func TestCallViolations(t *testing.T) {
	t.Parallel()
	d := newFormDriver()
	d.open("Everything.Count")
	d.keys("<enter>3<enter>s")
	d.answer(&Failure{Code: "InvalidArgument", Message: "no", Fields: []Problem{{"count", "too many"}, {"delay.seconds", "too slow"}}})
	d.keys("<tab>")
	for _, want := range []string{"✗ too many", "✗ too slow", "✗ InvalidArgument"} {
		if !strings.Contains(d.screenText(), want) {
			t.Errorf("%q is not on the screen:\n%s", want, d.screenText())
		}
	}
	d.to("count")
	d.keys("<enter><ctrl+u>2<enter>")
	if text := d.screenText(); strings.Contains(text, "too many") || !strings.Contains(text, "too slow") {
		t.Errorf("it is\n%s", text)
	}
	d.keys("s")
	d.answer(errors.New("no such luck"))
	if !strings.Contains(d.screenText(), "no such luck") {
		t.Errorf("it is\n%s", d.screenText())
	}
}

// An earlier call is a form again.
func TestCallPast(t *testing.T) {
	t.Parallel()
	d := newFormDriver()
	d.keys("<esc>pagain<enter>")
	if s := d.call(); s == nil || string(s.form.JSON()) != `{"string":"again"}` || !strings.Contains(d.screenText(), "fixture › Everything.Echo") {
		t.Fatalf("it is\n%s", d.screenText())
	}
	d.keys("pNotFound<enter>")
	if !strings.Contains(d.screenText(), "nosuch") {
		t.Errorf("nothing says that it cannot be:\n%s", d.screenText())
	}
	d.keys("/<ctrl+u>…<enter>")
	if !strings.Contains(d.screenText(), "too long to be kept") {
		t.Errorf("nothing says that it cannot be:\n%s", d.screenText())
	}
}

// Nothing is called while read-only, which a form in a protected environment begins as.
func TestCallReadOnly(t *testing.T) {
	t.Parallel()
	d := newFormDriver()
	d.keys("<esc>ej<enter>")
	d.open("Everything.Count")
	d.keys("s")
	if len(d.calls) > 0 || !strings.Contains(d.screenText(), ":write") {
		t.Fatalf("it was called:\n%s", d.screenText())
	}
	if got := d.call().selection(); got != "micro --env=production --namespace=shop call fixture Everything.Count" {
		t.Errorf("what is copied is %q", got)
	}
	d.keys(":write<enter>s")
	if len(d.calls) != 1 {
		t.Errorf("it was not called:\n%s", d.screenText())
	}
}

// What is on a screen of forms is no screen of the dashboard, and the other way round.
func TestCallWords(t *testing.T) {
	t.Parallel()
	d := newFormDriver()
	for _, word := range []string{"services", "service x", "logs x", "store", "config", "events"} {
		d.keys("<esc>:" + word + "<enter>")
		if d.m.top().place() != placePick {
			t.Errorf(":%s leads to %s", word, d.m.top().place())
		}
	}
	d.keys(":history<enter><esc><esc>:call<enter>")
	if d.m.prompt == nil || len(d.m.stack) != 1 {
		t.Errorf("it is\n%s", d.screenText())
	}
	d = newDriver(testConfig())
	d.keys(":history<enter>:call<enter>")
	if d.m.top().place() != placeServices {
		t.Errorf("it is\n%s", d.screenText())
	}
}
