package tui

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	gocmp "github.com/google/go-cmp/cmp"

	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// places are the screens that there are.
func places() []string {
	return []string{placeServices, placeService, placeLogs, placeEnvs, placeSpaces, placeText, placeReleases, placeList, placePick, placeCall, placeAs}
}

// On no screen does a key stand for two things but where the screen's own meaning goes
// before what it means everywhere, and each key says what it does.
func TestKeyMap(t *testing.T) {
	t.Parallel()
	for _, place := range places() {
		seen := map[string]string{}
		for _, g := range KeyMap() {
			if !g.here(place) {
				continue
			}
			for _, k := range g.Keys {
				if k.Help == "" || k.action == actNone {
					t.Errorf("%v of %s has no meaning", k.Keys, g.Title)
				}
				for _, name := range k.Keys {
					if other := seen[name]; other != "" && len(g.places) == 0 {
						t.Errorf("on %s %s is both %q and %q", place, name, other, k.Help)
					}
					seen[name] = k.Help
				}
			}
		}
	}
	for _, g := range KeyMap() {
		for _, p := range g.places {
			if !slices.Contains(places(), p) {
				t.Errorf("%s are keys of %q, which is no screen", g.Title, p)
			}
		}
	}
}

// Whatever changes something asks first, and does nothing while read-only.
func TestChangesAreAsked(t *testing.T) {
	t.Parallel()
	for _, g := range KeyMap() {
		for _, k := range g.Keys {
			if !k.Changes || slices.Contains(g.places, placeCall) { // see TestCallReadOnly
				continue
			}
			opens := []string{"", "<enter>"}
			if g.Title == "Releases" {
				opens = []string{"v"}
			}
			for _, open := range opens {
				checkAsked(t, k, open)
			}
		}
	}
}

// checkAsked presses a key that changes something, on the screen that others open.
func checkAsked(t *testing.T, k Key, open string) {
	t.Helper()
	for _, readOnly := range []bool{false, true} {
		c := testConfig()
		c.ReadOnly = readOnly
		d := newDriver(c)
		d.shopData()
		d.keys(open)
		if open == "v" {
			d.feed("releases of billing", &runtimev1.ReleasesResponse{Releases: []*runtimev1.Release{{Number: 4}, {Number: 3}}})
		}
		press := func() {
			if name := k.Keys[0]; len(name) == 1 {
				d.keys(name)
			} else {
				d.keys("<" + name + ">")
			}
			if k.action == actScale {
				d.keys("<enter>")
			}
		}
		press()
		if len(d.ran) > 0 {
			t.Errorf("%s after %q runs without a question", k.Label, open)
		}
		d.keys("n")
		if len(d.ran) > 0 {
			t.Errorf("%s after %q runs after a no", k.Label, open)
		}
		if readOnly {
			d.keys("<esc>") // the screen of namespaces, which n opened
		}
		press()
		d.keys("y")
		if ran := len(d.ran) == 1; ran == readOnly {
			t.Errorf("%s after %q: read-only %t, ran %v", k.Label, open, readOnly, d.ran)
		}
	}
}

// A protected environment wants its name typed, and hands it to the command.
func TestProtected(t *testing.T) {
	t.Parallel()
	d := newDriver(testConfig())
	d.keys("ej<enter>")
	d.shopData()
	d.keys("r")
	if d.m.confirm != nil {
		t.Fatal("a protected environment does not begin read-only")
	}
	d.keys(":write<enter>rprod<enter>")
	if len(d.ran) > 0 {
		t.Fatalf("it ran %v with another name", d.ran)
	}
	d.keys("rproduction<enter>")
	want := [][]string{{"restart", "billing", "--no-wait", "--confirm", "production"}}
	if diff := gocmp.Diff(want, d.ran); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	d.keys(":readonly<enter>r")
	if d.m.confirm != nil {
		t.Error("it asks although it is read-only again")
	}
}

func TestQuitting(t *testing.T) {
	t.Parallel()
	for _, keys := range []string{"", ":", "/x", "?", "e", "n", "@", "l", "<enter>", "s", "<ctrl+d>", "r", "d"} {
		d := newDriver(testConfig())
		d.shopData()
		d.keys(keys + "<ctrl+c>")
		if _, ok := d.quit.(tea.InterruptMsg); !ok {
			t.Errorf("Ctrl-C after %q does %T", keys, d.quit)
		}
	}
	d := newDriver(testConfig())
	d.keys("q")
	if _, ok := d.quit.(tea.QuitMsg); !ok {
		t.Errorf("q does %T", d.quit)
	}
}

// Feeds end with the screen that they are of, and a message that was on its way is lost.
func TestFeedsEndWithTheirScreen(t *testing.T) {
	t.Parallel()
	d := newDriver(testConfig())
	stopped := map[string]<-chan struct{}{}
	d.m.launch = func(f feed, _ int, _ *Session, stop <-chan struct{}) { stopped[f.name] = stop }
	d.shopData()
	d.keys("l")
	logs := d.m.nextID
	if stopped["logs of billing"] == nil {
		t.Fatalf("no feed of logs: %v", stopped)
	}
	d.keys("<esc>")
	select {
	case <-stopped["logs of billing"]:
	default:
		t.Error("the feed goes on after its screen")
	}
	d.send(feedMsg{logs, []tea.Msg{taggedLines{}}})
	d.send(endedMsg{logs, nil})
}

// The chosen row stays chosen when others come and go before it.
func TestTableFollowsTheChosenRow(t *testing.T) {
	t.Parallel()
	tb := table{columns: []column{{title: "NAME"}}}
	set := func(names ...string) {
		var rows []row
		for _, n := range names {
			rows = append(rows, row{id: n, cells: []cell{{text: n}}})
		}
		tb.set(rows)
	}
	set("b", "c", "d")
	tb.act(actDown)
	set("a", "b", "c", "d")
	if got, _ := tb.selected(); got != "c" {
		t.Errorf("selected is %q, want c", got)
	}
	set("a", "b")
	if got, _ := tb.selected(); got != "b" {
		t.Errorf("selected is %q, want b", got)
	}
	set()
	if _, ok := tb.selected(); ok {
		t.Error("a row of an empty table is selected")
	}
}

// A watch that begins anew tells of all that there is: what is gone was not told of.
func TestWatchBeginsAnew(t *testing.T) {
	t.Parallel()
	d := newDriver(testConfig())
	d.shopData()
	d.feed("services", startMsg{"run"})
	if n := len(d.m.shared.run); n != 2 {
		t.Fatalf("%d services before the server has told of any again, want 2", n)
	}
	all := d.m.shared.run["billing"]
	d.feed("services", &runtimev1.WatchResponse{Service: all}, &runtimev1.WatchResponse{Synced: true})
	if got := d.m.shared.names(); !slices.Equal(got, []string{"billing", "legacy"}) {
		t.Errorf("services are %v", got)
	}
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte("jl\x01\x02\x03//x\x10?"), uint8(60), uint8(15))
	f.Add([]byte(":logs a\x01@y"), uint8(1), uint8(1))
	f.Add([]byte(":store\x01\xb5\x01\xb6G:config\x01\xb7jk\x01\xf0:releases billing\x01\xb3n\xb4"), uint8(80), uint8(24))
	f.Add([]byte("\xb1\xb2\xb3\xb4k\xb5/!x\x01\xb6t?\xf1\x02"), uint8(60), uint8(15))
	f.Add([]byte{0xff, 0, 7, 200, 30, 'G', 'l', 0x90, 'k'}, uint8(0), uint8(200))
	named := []string{"enter", "esc", "tab", "up", "down", "left", "right", "pgup", "pgdown", "home", "end", "backspace", "space", "delete", "f1", "ctrl+d", "ctrl+u", "ctrl+w", "ctrl+b", "ctrl+f"}
	f.Fuzz(func(t *testing.T, input []byte, width, height uint8) {
		d := newDriver(testConfig())
		d.send(tea.WindowSizeMsg{Width: int(width), Height: int(height)})
		d.shopData()
		if width%3 == 0 {
			d.follow("logs of orders")
		}
		n := 0
		for _, b := range input {
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
				for id, s := range d.m.sources {
					d.send(feedMsg{id, anything(s.name, int(b)-0xb0)})
				}
			case b < 0xd0:
				for _, name := range d.logFeeds() {
					d.logLines(name, n, n+int(b))
					n += int(b)
				}
			case b < 0xf0:
				for id := range d.m.sources {
					d.send(endedMsg{id, unavailable()})
					break
				}
			case d.m.alone:
				d.send(workedMsg{})
			default:
				d.send(ranMsg{args: []string{"inspect", "billing"}, out: string(input), err: errors.New(string(input))})
			}
			checkFrame(t, d.m)
		}
	})
}

// anything is what the feed of that name may hand over, so many of it.
func anything(name string, n int) []tea.Msg {
	switch {
	case name == "output":
		return []tea.Msg{
			Part{ID: strconv.Itoa(n), Name: "日本\x1b[2J", State: PartState(n % 3), Text: "text\nof two lines", Details: strings.Split(strings.Repeat("x\t,", 3*n), ",")},
			outputLine{strings.Repeat("日本\t\x1b[31m", n), clock()},
		}
	case name == "topics":
		return []tea.Msg{listedTopics(100 * n)}
	case name == "tables":
		return []tea.Msg{listed[tableName]{all: make([]tableName, n)}}
	case name == "records":
		return []tea.Msg{listed[*storev1.Record]{all: make([]*storev1.Record, n), goesOn: n%2 == 0, full: n%3 == 0}}
	case name == "config":
		return []tea.Msg{listed[*configv1.Value]{all: make([]*configv1.Value, n)}}
	case name == "endpoints":
		return []tea.Msg{&registryv1.GetResponse{Service: &registryv1.Service{Endpoints: make([]*registryv1.Endpoint, n)}}}
	case name == "namespaces":
		return []tea.Msg{&authv1.ListNamespacesResponse{Namespaces: make([]*authv1.Namespace, n)}}
	case strings.HasPrefix(name, "releases of "):
		return []tea.Msg{&runtimev1.ReleasesResponse{Releases: make([]*runtimev1.Release, n)}}
	case strings.HasPrefix(name, "journal of "):
		return []tea.Msg{&runtimev1.Entry{Number: int64(n), Text: "\x1b[2J\n"}}
	case strings.HasPrefix(name, "events of "):
		return []tea.Msg{&eventsv1.Event{Offset: int64(n), Payload: []byte("\xff\n")}}
	case strings.HasPrefix(name, "logs of "):
		return []tea.Msg{taggedLines{name, nil}}
	default:
		return nil
	}
}

// Sixty-thousand lines fill the ring over and over, and what is at the bottom is the
// newest; who has scrolled up stays there.
func TestLinesRing(t *testing.T) {
	t.Parallel()
	l := newLines(100, "")
	p := newPalette("none")
	for i := range 60 {
		l.add(line{text: string(rune('a' + i%26))})
	}
	l.view(p, 10, 10)
	l.act(actUp)
	at := l.last
	for range 50 {
		l.add(line{text: "x"})
	}
	if l.last != at || l.unseen() != 50 {
		t.Errorf("at %d with %d unseen, want %d with 50", l.last, l.unseen(), at)
	}
	for range 1000 {
		l.add(line{text: "x"})
	}
	got := l.view(p, 10, 10) // what was there is gone
	if got[0] != "x         " || len(got) != 10 {
		t.Errorf("view is %q", got)
	}
	l.act(actBottom)
	if l.unseen() != 0 || l.next-l.first != 100 {
		t.Errorf("%d unseen, %d kept", l.unseen(), l.next-l.first)
	}
}
