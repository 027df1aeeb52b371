package tui

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/cli/front"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
	statsv1 "github.com/micro/micro/v3/proto/micro/stats/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// clock is the time of the tests of the model.
func clock() time.Time { return time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC) }

func before(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(clock().Add(-d)) }

// testConfig is a config without colours and without a server.
func testConfig() *Config {
	return &Config{
		Now: clock, Theme: "none", Line: front.Line, Colored: front.Colored,
		Explain: func(err error) string { return status.Convert(err).Message() },
		Session: Session{Environment: "local", Address: "127.0.0.1:8081", Namespace: "micro"},
		Environments: func() ([]Environment, error) {
			return []Environment{
				{Name: "local", Address: "127.0.0.1:8081", Account: "admin", Namespace: "micro"},
				{Name: "production", Address: "proxy.example.com:443", Protected: true, Description: "what customers use"},
			}, nil
		},
		Connect: func(env, namespace string) (Session, error) {
			return Session{Environment: env, Namespace: cmp.Or(namespace, "shop"), Protected: env == "production"}, nil
		},
	}
}

// driver drives a model as a program would, but for what takes time.
type driver struct {
	m    *Model
	ran  [][]string
	quit tea.Msg
	// calls are the feeds of calls that were begun.
	calls []begunFeed
}

type begunFeed struct {
	feed
	id int
}

func newDriver(c *Config) *driver {
	d := &driver{m: newModel(c)}
	d.m.run = func(_ *Session, args []string) tea.Cmd {
		d.ran = append(d.ran, args)
		return nil
	}
	d.m.launch = func(f feed, id int, _ *Session, _ <-chan struct{}) {
		if f.single {
			d.calls = append(d.calls, begunFeed{f, id})
		}
	}
	d.m.Init()
	return d
}

// send gives the model a message, and what that leads to.
func (d *driver) send(msg tea.Msg) {
	_, cmd := d.m.Update(msg)
	d.m.frame()                         // which says how long a page is
	if cmd == nil || d.m.moves() != 0 { // what is left is a tick
		return
	}
	switch msg := cmd().(type) {
	case tea.QuitMsg, tea.InterruptMsg:
		d.quit = msg
	case listedMsg, connectedMsg, laterMsg:
		d.send(msg)
	}
}

// keys types; what is in angle brackets is the name of a key.
func (d *driver) keys(text string) {
	for text != "" {
		if name, rest, ok := strings.Cut(strings.TrimPrefix(text, "<"), ">"); ok && strings.HasPrefix(text, "<") {
			d.send(keyNamed(name))
			text = rest
			continue
		}
		r := []rune(text)[0]
		d.send(tea.KeyPressMsg{Code: r, Text: string(r)})
		text = text[len(string(r)):]
	}
}

// keyNamed returns the message of a key that is no character.
func keyNamed(name string) tea.KeyPressMsg {
	if c, ok := strings.CutPrefix(name, "ctrl+"); ok {
		return tea.KeyPressMsg{Code: rune(c[0]), Mod: tea.ModCtrl}
	}
	codes := map[string]rune{
		"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "up": tea.KeyUp, "down": tea.KeyDown, "left": tea.KeyLeft, "right": tea.KeyRight,
		"pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "home": tea.KeyHome, "end": tea.KeyEnd, "backspace": tea.KeyBackspace, "space": tea.KeySpace,
		"delete": tea.KeyDelete, "f1": tea.KeyF1,
	}
	return tea.KeyPressMsg{Code: codes[name]}
}

// feed hands over messages as the feed of that name would.
func (d *driver) feed(name string, msgs ...tea.Msg) {
	for id, s := range d.m.sources {
		if s.name == name {
			d.send(feedMsg{id, msgs})
			return
		}
	}
	panic("no feed " + name)
}

func (d *driver) fail(name string, err error) {
	for id, s := range d.m.sources {
		if s.name == name {
			d.send(endedMsg{id, err})
		}
	}
}

// screenText returns the frame as it is on a terminal, without spaces at the ends.
func (d *driver) screenText() string {
	lines, _ := d.m.frame()
	for i := range lines {
		lines[i] = strings.TrimRight(ansi.Strip(lines[i]), " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

func points(n int) []*statsv1.Point {
	var all []*statsv1.Point
	for i := range n {
		d := time.Duration(1+i%7) * time.Millisecond
		all = append(all, &statsv1.Point{
			Time: before(time.Duration(n-i) * 5 * time.Second), Calls: int64(i * i % 50), Failed: int64(i % 3),
			P50: durationpb.New(d), P95: durationpb.New(3 * d), P99: durationpb.New(9 * d), Usage: &statsv1.Usage{Cpu: float64(i%5) / 10, Memory: int64(i) << 20},
		})
	}
	return all
}

// shopData is what a server says of three services: one that is well, one that is not,
// with names and words that want to hurt, and one that runs elsewhere.
func (d *driver) shopData() {
	d.feed("services", startMsg{"run"},
		&runtimev1.WatchResponse{Service: &runtimev1.Service{
			Name: "billing", Instances: 2,
			Spec: &runtimev1.Spec{Version: "v1.2.0", Source: &runtimev1.Source{Address: "github.com/shop/billing", Revision: "0123456789abcdef"}},
			Status: &runtimev1.Status{
				Phase: runtimev1.Phase_PHASE_CRASHED, Reason: "exited with code 2", Release: 4, ServingRelease: 3, Updated: before(3 * time.Minute), UpdatedBy: "alice",
				Instances: []*runtimev1.Instance{
					{Id: "billing-4-aaaaaaaa", Release: 4, Phase: runtimev1.Phase_PHASE_CRASHED, Restarts: 7, Reason: "exited with code 2", Cause: "it panicked: no \x1b[31mdatabase\x1b[2J", Started: before(20 * time.Second), NextStart: timestamppb.New(clock().Add(8 * time.Second)), LastLines: []string{"panic: 数据库不可用", "goroutine 1 [running]:"}},
					{Id: "billing-3-bbbbbbbb", Release: 3, Phase: runtimev1.Phase_PHASE_RUNNING, Address: "127.0.0.1:30001", Started: before(26 * time.Hour)},
				},
			},
		}},
		&runtimev1.WatchResponse{Service: &runtimev1.Service{
			Name: "helloworld", Instances: 1, Spec: &runtimev1.Spec{Version: "最新"},
			Status: &runtimev1.Status{Phase: runtimev1.Phase_PHASE_RUNNING, Release: 1, ServingRelease: 1, Updated: before(50 * time.Hour), UpdatedBy: "admin", Instances: []*runtimev1.Instance{
				{Id: "helloworld-1-cccccccc", Release: 1, Phase: runtimev1.Phase_PHASE_RUNNING, Address: "127.0.0.1:30002", Started: before(50 * time.Hour)},
			}},
		}},
		&runtimev1.WatchResponse{Synced: true})
	d.feed("registry", startMsg{"registered"},
		&registryv1.WatchResponse{Service: &registryv1.Service{Name: "legacy", Instances: []*registryv1.Instance{{Id: "legacy-1", Address: "10.0.0.9:9000", Since: before(time.Hour)}}}},
		&registryv1.WatchResponse{Synced: true})
	d.feed("stats", &statsv1.WatchResponse{Frame: &statsv1.Frame{Services: []*statsv1.Service{
		{Name: "billing", Figures: &statsv1.Figures{Calls: 40, Rate: 1.3333, Failed: 13, P50: durationpb.New(12 * time.Millisecond), P95: durationpb.New(1200 * time.Millisecond), P99: durationpb.New(3 * time.Second)}, Usage: &statsv1.Usage{Cpu: 1.5, Memory: 700 << 20}, Points: points(40)},
		{Name: "helloworld", Figures: &statsv1.Figures{Calls: 3000, Rate: 100, P50: durationpb.New(529 * time.Microsecond), P95: durationpb.New(786 * time.Microsecond), P99: durationpb.New(4610 * time.Microsecond)}, Usage: &statsv1.Usage{Cpu: 0.03, Memory: 14 << 20}, Points: points(60)},
	}}})
}

func (d *driver) endpoints(name string) {
	d.feed("endpoints", &registryv1.GetResponse{Service: &registryv1.Service{Name: name, Endpoints: []*registryv1.Endpoint{
		{Name: "Billing.Charge", Path: "/billing.Billing/Charge", Comment: "Charge takes money from a customer.\nOnce."},
		{Name: "Billing.Watch", Path: "/billing.Billing/Watch", ServerStreaming: true, Comment: "Watch tells of each payment."},
	}}})
	d.feed("stats of "+name, &statsv1.WatchResponse{Frame: &statsv1.Frame{Services: []*statsv1.Service{{
		Name: name, Figures: &statsv1.Figures{Calls: 40, Rate: 1.3333, Failed: 13, P95: durationpb.New(time.Second)}, Points: points(60),
		Endpoints: []*statsv1.Endpoint{{Name: "Billing.Charge", Path: "/billing.Billing/Charge", Figures: &statsv1.Figures{Calls: 40, Rate: 1.3333, Failed: 13, P95: durationpb.New(time.Second)}}},
	}}}})
}

func (d *driver) logLines(name string, from, to int) {
	var all []*runtimev1.LogLine
	for i := from; i < to; i++ {
		l := &runtimev1.LogLine{Time: before(time.Duration(1000-i) * time.Second), Instance: name + "-1", Text: fmt.Sprintf("line %d\tof the log \x1b[32mgreen\x1b[0m 日本語 \x1b]0;title\x07 end", i)}
		if i%10 == 0 {
			l.Stream, l.Text = runtimev1.LogStream_LOG_STREAM_SYSTEM, "started release 1"
		}
		all = append(all, l)
	}
	d.feed("logs of "+name, taggedLines{name, all})
}

// follow has a program in the place of the dashboard that follows a command.
func (d *driver) follow(title string) {
	m := newFollowModel(d.m.config, title)
	m.width, m.height = d.m.width, d.m.height
	d.m = m
	d.m.Init()
	d.m.frame()
}

func (d *driver) output(from, to int) {
	for i := from; i < to; i++ {
		d.feed("output", outputLine{fmt.Sprintf("level=INFO msg=\"request %d\" path=/orders/%d \x1b[32mok\x1b[0m\t日本語", i, i%7), clock().Add(time.Duration(i) * time.Second)})
	}
}

var update = flag.Bool("update", false, "write the golden frames anew")

// frames are the screens as they are when all has come.
func frames() map[string]func(d *driver) {
	return map[string]func(d *driver){
		"empty":    func(d *driver) { d.feed("services", &runtimev1.WatchResponse{Synced: true}) },
		"asking":   func(*driver) {},
		"services": func(d *driver) { d.shopData() },
		"filter": func(d *driver) {
			d.shopData()
			d.keys("/!bill<enter>")
		},
		"service": func(d *driver) {
			d.shopData()
			d.keys("<enter>")
			d.endpoints("billing")
		},
		"elsewhere": func(d *driver) {
			d.shopData()
			d.keys("G<enter>")
		},
		"logs": func(d *driver) {
			d.shopData()
			d.keys("jl")
			d.logLines("helloworld", 0, 100)
			d.keys("t")
		},
		"logs_paused": func(d *driver) {
			d.shopData()
			d.keys("mml")
			d.logLines("helloworld", 0, 50)
			d.logLines("billing", 50, 100)
			d.keys("<pgup>")
			d.logLines("billing", 100, 120)
		},
		"environments": func(d *driver) { d.keys("e") },
		"namespaces": func(d *driver) {
			d.keys("n")
			d.feed("namespaces", &authv1.ListNamespacesResponse{Namespaces: []*authv1.Namespace{{Name: "micro", Created: before(time.Hour)}, {Name: "shop", Created: before(72 * time.Hour), Deleting: true}}})
		},
		"releases": func(d *driver) {
			d.shopData()
			d.keys("v")
			d.feed("releases of billing", &runtimev1.ReleasesResponse{Releases: []*runtimev1.Release{
				{Number: 4, Created: before(time.Minute), By: "alice", Action: "update", Spec: &runtimev1.Spec{Version: "v1.2.0", Image: "micro/billing@sha256:0123456789abcdef", Source: &runtimev1.Source{Address: "github.com/shop/billing", Ref: "main"}}},
				{Number: 3, Created: before(time.Hour), By: "bob", Action: "rollback", Of: 1, Served: before(time.Hour), Spec: &runtimev1.Spec{Version: "v1.0.0"}},
				{Number: 2, Created: before(2 * time.Hour), By: "bob", Action: "update"},
			}})
			d.keys("jb")
		},
		"journal": func(d *driver) {
			d.shopData()
			d.keys("o")
			d.feed("journal of billing", &runtimev1.Entry{Number: 1, Time: before(time.Minute), Kind: "started", Instance: "billing-4-aaaaaaaa", Text: "started (pid 7)"},
				&runtimev1.Entry{Number: 2, Time: before(time.Minute), Kind: "crashed", Instance: "billing-4-aaaaaaaa", Text: "exited with code 2\x1b[2J"},
				&runtimev1.Entry{Number: 3, Time: before(time.Second), Text: "release 4 waits 8s"})
		},
		"events": func(d *driver) {
			d.keys(":events<enter>")
			d.feed("topics", listed[*eventsv1.Topic]{all: []*eventsv1.Topic{{Name: "orders", OldestOffset: 1, NextOffset: 41, Bytes: 70_000}, {Name: "payments", OldestOffset: 1, NextOffset: 1}}})
			d.keys("<enter>")
			d.feed("events of orders", &eventsv1.Event{Offset: 39, Time: before(time.Minute), Key: "alice", Payload: []byte(`{"id":39}`)}, &eventsv1.Event{Offset: 40, Time: before(time.Second), Payload: []byte{0xff, 0xfe}})
		},
		"store": func(d *driver) {
			d.keys(":store<enter>")
			d.feed("tables", listed[tableName]{all: []tableName{{"micro", "orders"}, {"micro", "users"}}})
			d.keys("<enter>")
			d.feed("records", listed[*storev1.Record]{goesOn: true, all: []*storev1.Record{{Key: []byte("a"), Value: []byte("one\x1b[2J")}, {Key: []byte("日本"), Value: []byte{0xff}, Expires: timestamppb.New(clock().Add(time.Minute))}}})
		},
		"config": func(d *driver) {
			d.keys(":config<enter>")
			d.feed("config", listed[*configv1.Value]{all: []*configv1.Value{{Path: "billing.database.host", Json: `"db.example"`, Revision: 3}, {Path: "billing.database.password", Json: `"hunter2"`, Secret: true, Revision: 4}}})
		},
		"help": func(d *driver) { d.keys("?") },
		"follow": func(d *driver) {
			d.follow("logs of orders")
			d.output(0, 100)
			d.keys("t")
		},
		"follow_paused": func(d *driver) {
			d.follow("logs of orders")
			d.output(0, 100)
			d.keys("/!orders/3<enter><up><up>")
			d.output(100, 114)
		},
		"follow_help": func(d *driver) {
			d.follow("logs of orders")
			d.keys("?")
		},
		"follow_ended": func(d *driver) {
			d.follow("logs of orders")
			d.output(0, 100)
			d.keys("<up>")
			d.send(workedMsg{})
		},
		"follow_dev": func(d *driver) {
			d.follow("dev")
			d.feed("output", Part{ID: "a", Name: "orders", State: Well, Text: "release 3 runs, after 420ms"},
				Part{ID: "b", Name: "billing\x1b[2J", State: Ill, Text: "the source does not compile", Details: []string{"handler/billing.go:12:3:\tundefined: charge", "handler/billing.go:14:1: missing return"}},
				Part{ID: "c", Name: "users", State: Busy, Text: "building users"})
			d.output(0, 100)
		},
		"follow_many": func(d *driver) {
			d.follow("dev")
			for i := range 40 {
				d.feed("output", Part{ID: strconv.Itoa(i), Name: fmt.Sprintf("service-%d", i), State: PartState(i % 3), Text: "something", Details: strings.Split(strings.Repeat("detail\n", 20), "\n")})
			}
			d.output(0, 3)
		},
		"lost": func(d *driver) {
			d.shopData()
			for _, s := range d.m.sources {
				s.last = clock().Add(-75 * time.Second)
			}
			d.fail("services", status.Error(codes.Unavailable, "connection refused"))
		},
		"denied": func(d *driver) {
			d.fail("services", status.Error(codes.PermissionDenied, "bob may not Runtime.Watch"))
		},
		"kill": func(d *driver) {
			d.shopData()
			d.keys("<ctrl+d>")
		},
		"protected": func(d *driver) {
			d.keys("ej<enter>")
			d.shopData()
			d.keys(":write<enter>r")
		},
		"readonly": func(d *driver) {
			d.keys("ej<enter>")
			d.shopData()
			d.keys("<ctrl+d>")
		},
		"go": func(d *driver) {
			d.shopData()
			d.keys(":lo<tab>he<tab>")
		},
		"commands": func(d *driver) {
			d.send(ranMsg{args: []string{"scale", "helloworld", "3"}, out: "helloworld runs with 3 instances\n"})
			d.send(ranMsg{args: []string{"kill", "nothing"}, err: errors.New("no service \"nothing\" runs")})
			d.keys("@")
		},
	}
}

// Each screen is as it is in testdata at three sizes, and no line is wider than the
// terminal.
func TestFrames(t *testing.T) {
	t.Parallel()
	checkFrames(t, frames(), func() *driver { return newDriver(testConfig()) })
}

// checkFrames compares screens at three sizes.
func checkFrames(t *testing.T, all map[string]func(d *driver), open func() *driver) {
	t.Helper()
	for name, prepare := range all {
		for _, size := range []tea.WindowSizeMsg{{Width: 60, Height: 15}, {Width: 100, Height: 30}, {Width: 300, Height: 80}} {
			file := fmt.Sprintf("%s_%dx%d", name, size.Width, size.Height)
			t.Run(file, func(t *testing.T) {
				t.Parallel()
				d := open()
				d.send(size)
				prepare(d)
				d.checkGolden(t, file)
			})
		}
	}
}

// checkGolden fails when the frame would not fit, or is not as it is in testdata.
func (d *driver) checkGolden(t *testing.T, file string) {
	t.Helper()
	checkFrame(t, d.m)
	got := d.screenText()
	path := filepath.Join("testdata", file+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got); diff != "" {
		t.Errorf("frame (-want +got):\n%s", diff)
	}
}

// checkFrame fails when a frame would not fit or would do something to the terminal.
func checkFrame(t *testing.T, m *Model) {
	t.Helper()
	lines, cursor := m.frame()
	if len(lines) != m.height {
		t.Fatalf("a frame of %d lines on a terminal of %d", len(lines), m.height)
	}
	if cursor >= m.width {
		t.Fatalf("the cursor is in column %d of %d", cursor, m.width)
	}
	for i, l := range lines {
		if n := ansi.StringWidth(l); n > m.width {
			t.Fatalf("line %d is %d wide on a terminal of %d: %q", i, n, m.width, l)
		}
		for _, bad := range []string{"\x1b]", "\x1b[2J", "\n", "\r", "\t", "\x07"} {
			if strings.Contains(l, bad) {
				t.Fatalf("line %d has %q: %q", i, bad, l)
			}
		}
	}
}

// logFeeds returns the services whose logs are asked for.
func (d *driver) logFeeds() []string {
	var names []string
	for _, s := range d.m.sources {
		if name, ok := strings.CutPrefix(s.name, "logs of "); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func unavailable() error { return status.Error(codes.Unavailable, "connection refused") }
