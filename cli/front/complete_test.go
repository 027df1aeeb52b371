package front

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
	"github.com/micro/micro/v3/envs"
)

// completer returns a completer whose cache has the schemas of all services that
// tests know, in the environment local.
func completer(t *testing.T) (Completer, Cache, envs.Env) {
	t.Helper()
	getenv := home(t)
	dirs, err := envs.FindDirs(getenv)
	if err != nil {
		t.Fatal(err)
	}
	config, err := envs.Load(dirs)
	if err != nil {
		t.Fatal(err)
	}
	e, err := config.Get("local")
	if err != nil {
		t.Fatal(err)
	}
	cache := Cache{Dir: dirs.Cache}
	for name, table := range schemas(t) {
		put(t, cache, e, name, table)
	}
	return Completer{Getenv: getenv, IsCommand: IsCommand}, cache, e
}

func put(t *testing.T, c Cache, e envs.Env, service string, table *wire.Table) {
	t.Helper()
	if _, err := c.Put(e, "micro", service, table.Bytes()); err != nil {
		t.Fatal(err)
	}
}

// home returns the variables of a user who has nothing.
func home(t *testing.T) func(string) string {
	t.Helper()
	dir := t.TempDir()
	return func(name string) string {
		if name == "MICRO_HOME" {
			return dir
		}
		return ""
	}
}

// Every kind of word, as the scripts of shells ask for it. The line ends with the word
// that is being typed; what it completes to is in order.
func TestComplete(t *testing.T) {
	t.Parallel()
	c, _, _ := completer(t)
	for _, tt := range []struct {
		line      string
		want      string // without what completions mean
		directive int
	}{
		// The first word.
		{"log", "login logout logs", 4},
		{"e", "env events export everything", 4},
		{"acc", "accounts", 4},
		{"nosuch", "", 4},
		{"-", "--env --namespace --yes --no-color --help --version", 4},
		{"--e", "--env", 4},
		{"--env ", "local dev platform", 4},
		{"-e d", "dev", 4},
		{"--env=p", "platform", 4},
		{"-e=", "local dev platform", 4},
		{"--namespace ", "micro", 4},
		{"--namespace=x", "", 4},
		{"-y --env local acc", "accounts", 4},
		{"-e dev acc", "", 4},
		{"-e nosuch acc", "", 4},
		{"--namespace=other acc", "", 4},
		{"call acc", "accounts", 4},
		{"call -i acc", "accounts", 4},
		{"call -", "-i --interactive --help", 4},
		{"call --i", "--interactive", 4},
		{"call -i accounts o", "open", 36},

		// Endpoints.
		{"accounts ", "open", 36},
		{"call accounts o", "open", 36},
		{"stream features ", "both down up", 36},
		{"stream features c", "", 36},
		{"describe acc", "accounts", 4},
		{"features.call --na", "--name", 36},
		{"features/other do", "down", 36},
		{"everything ", "chat collect count fixture.v1.Everything/Echo fail get-user headers old slow other.v1.Everything/Echo single legacy modern", 36},
		{"everything ge", "get-user", 36},
		{"everything getU", "getUser", 36},
		{"everything Ch", "Chat", 36},
		{"everything fixture.v1.Everything/C", "fixture.v1.Everything/Chat fixture.v1.Everything/Collect fixture.v1.Everything/Count", 36},
		{"everything Legacy.", "Legacy.Echo", 36},
		{"everything legacy ", "echo", 36},
		{"everything legacy echo x", "", 36},
		{"everything leg", "legacy", 36},
		{"features get", "get-user", 36},
		{"features zzz", "", 36},

		// Names of flags.
		{"features --na", "--name", 36},
		{"accounts open --n", "--name --no-is-active", 36},
		{"accounts open --no-", "--no-is-active", 36},
		{"accounts open --no-is-active --n", "--name", 36},
		{"features --any-", "--any-json", 36},
		{"features --any_", "--any_json", 36},
		{"features --anyJ", "--anyJson", 36},
		{"twins only --no", "--no-color", 36}, // a field of its own; --no-color for color is no way to say it
		{"features --add", "--address. --addresses.", 38},
		{"features --address.", "--address.city --address.zip", 36},
		{"features --address.c", "--address.city", 36},
		{"features --addresses.", "--addresses.0.", 38},
		{"features --addresses.0.", "--addresses.0.city --addresses.0.zip", 36},
		{"features --addresses.0.city=Oslo --addresses.", "--addresses.0. --addresses.1.", 38},
		{"features --by-number.", "", 36},
		{"features --by-number.7.city=Oslo --by-number.", "--by-number.7.", 38},
		{"features --by-number.7.", "--by-number.7.city --by-number.7.zip", 36},
		{"features --self.self.na", "--self.self.name", 36},
		{"features --self.address.", "--self.address.city --self.address.zip", 36},
		{"features --self.no", "", 36},
		{"accounts open --no-owner.", "--no-owner.adult", 36},
		{"accounts open --no-ow", "--no-owner.", 38},
		{"accounts open --owner.adult --owner.", "--owner.name", 36},
		{"features --tags=a --ta", "--tags", 36},
		{"features --name=Alice --na", "", 36},
		{"features --name Alice --na", "", 36},
		{"accounts open --is-active --is", "", 36},
		{"features --this=x --th", "", 36},
		{"features --that.city=x --th", "--that.", 38},
		{"features --.o", "--.old-field --.output", 36},
		{"features --.name=x --na", "", 36},
		{"features --out", "--output", 36},
		{"features --.help", "--.help", 36},
		{"features --nothing.at.all", "", 36},
		{"features --name.", "", 36},
		{"features --at.", "", 36},
		{"features --free.", "", 36},
		{"features nosuch --time", "--timeout", 36},
		{"features -o", "-o", 36},
		{"features --help ", "", 4},
		{"features {} --na", "--name", 36},
		{"features --name=x word", "", 4},

		// Values.
		{"features --color=", "COLOR_UNSPECIFIED COLOR_RED COLOR_GREEN", 36},
		{"features --color ", "COLOR_UNSPECIFIED COLOR_RED COLOR_GREEN", 36},
		{"features --color=COLOR_R", "COLOR_RED", 36},
		{"features --color r", "red", 36},
		{"features --color=G", "GREEN", 36},
		{"features --color=color_g", "color_green", 36},
		{"features --self.color=R", "RED", 36},
		{"accounts open --is-active=", "true false", 36},
		{"features --at ", "now", 36},
		{"features --name ", "", 36},
		{"features --data=", "@ base64: hex:", 38},
		{"features --output ", "json yaml table text raw jq= template=", 38},
		{"features -o y", "yaml", 36},
		{"features --output=js", "json", 36},
		{"features --timeout ", "", 36},
		{"features --nosuch ", "", 36},
		{"everything chat --colors COLOR_RED,", "COLOR_RED,COLOR_UNSPECIFIED COLOR_RED,COLOR_GREEN COLOR_RED,COLOR_BLUE", 36},
		{"everything chat --colors=red --colors=", "COLOR_UNSPECIFIED COLOR_GREEN COLOR_BLUE", 36},
		{"everything chat --bool-value=t", "true", 36},
		{"everything chat --switches=", "false= true=", 38},
		{"everything chat --switches.", "--switches.false --switches.true", 36},
		{"everything chat --switches.true=", "COLOR_UNSPECIFIED COLOR_RED COLOR_GREEN COLOR_BLUE", 36},
		{"everything chat --places.1.country.c", "--places.1.country.code", 36},
		{"accounts open --country=", "NO SE", 36}, // the third would end a string of the shell
		{"accounts open --limits=", "cpu= disk=", 38},
		{"accounts open --limits.", "--limits.cpu --limits.disk", 36},
	} {
		answer, missing := c.Complete(strings.Split(tt.line, " "))
		if missing != nil {
			t.Errorf("%q: %+v is missing", tt.line, missing)
			continue
		}
		var got []string
		for _, one := range answer.all {
			got = append(got, one.text)
		}
		if diff := cmp.Diff(strings.Fields(tt.want), got); diff != "" && len(got)+len(tt.want) > 0 {
			t.Errorf("%q (-want +got):\n%s", tt.line, diff)
		}
		if answer.directive != tt.directive {
			t.Errorf("%q: directive %d, want %d", tt.line, answer.directive, tt.directive)
		}
	}
}

// Behind an endpoint, and between flags, everything that can follow is offered: what
// the message has, and then what every call has.
func TestCompleteNothingTyped(t *testing.T) {
	t.Parallel()
	c, _, _ := completer(t)
	for line, want := range map[string]string{
		"accounts open ":                   "--email --name --country --age --tags --limits --id --site --owner. --since --deputies. --is-active",
		"accounts open --name=x --age 20 ": "--email --country --tags --limits --id --site --owner. --since --deputies. --is-active",
		"twins only ":                      "--foo_bar --fooBar --FOO --foo --_lead --http-code --last_ --color --no-color --with-json --a--b --x1y --.output",
	} {
		answer, missing := c.Complete(strings.Split(line, " "))
		if missing != nil {
			t.Fatal(missing)
		}
		wants := strings.Fields(want)
		for _, o := range options() {
			wants = append(wants, "--"+o.name)
		}
		var got []string
		for _, one := range answer.all {
			got = append(got, one.text)
		}
		if diff := cmp.Diff(append(wants, "--help"), got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", line, diff)
		}
	}
}

// What completions mean, with what a terminal would obey escaped.
func TestCompleteAbout(t *testing.T) {
	t.Parallel()
	c, _, _ := completer(t)
	for _, tt := range []struct{ line, want string }{
		{"acc", "accounts\tAccounts keeps accounts\n:4\n"},
		{"kill", "kill\tStop services for good\n:4\n"},
		{"features d", "down\tDown streams down (answers with a stream)\n:36\n"},
		{"features ol", "old\tOld is what it says [deprecated]\n:36\n"},
		{"features oth", "other\tOther is another service of the same server\n:36\n"},
		{"features --na", "--name\tstring: Name of whom to greet\n:36\n"},
		{"features --.hel", "--.help\tstring: An escape sequence in a comment: \\x1b[31m\n:36\n"},
		{"features --thi", "--this\tstring, one of choice\n:36\n"},
		{"accounts open --cou", "--country\tstring, required\n:36\n"},
		{"everything chat --ol", "--old\tstring, deprecated\n:36\n"},
		{"everything chat --color=COLOR_R", "COLOR_RED\tThe colour of fire\n:36\n"},
	} {
		answer, missing := c.Complete(strings.Split(tt.line, " "))
		if missing != nil {
			t.Errorf("%q: %+v is missing", tt.line, missing)
			continue
		}
		var with, without bytes.Buffer
		if err := answer.Print(&with, true); err != nil {
			t.Fatal(err)
		}
		if err := answer.Print(&without, false); err != nil {
			t.Fatal(err)
		}
		if got := with.String(); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.line, got, tt.want)
		}
		text, _, _ := strings.Cut(tt.want, "\t")
		if got, want := without.String(), text+tt.want[strings.LastIndex(tt.want, "\n:"):]; got != want {
			t.Errorf("%q without what it means: %q, want %q", tt.line, got, want)
		}
	}
}

// What is not on disk is asked elsewhere.
func TestCompleteMissing(t *testing.T) {
	t.Parallel()
	c := Completer{Getenv: home(t), IsCommand: IsCommand}
	// Of the options only what the schema comes from is compared.
	sources := cmp.Transformer("sources", func(r *Request) Sources {
		if r == nil {
			return Sources{}
		}
		return r.Sources
	})
	for _, tt := range []struct {
		line string
		want *Missing
	}{
		{"features ", &Missing{Service: "features"}},
		{"-e dev --namespace=ns features call --x", &Missing{Service: "features", Globals: Globals{Env: "dev", Namespace: "ns"}}},
		{"call features ", &Missing{Service: "features"}},
		{"env ", &Missing{Command: true}},
		{"env set l", &Missing{Command: true}},
		{"--env dev status --", &Missing{Command: true}},
		{"--nosuch ", &Missing{Command: true}},
		{"--help ", &Missing{Command: true}},
		{"call ", nil},
		{"", nil},
		{"-e nosuch features ", &Missing{Service: "features", Globals: Globals{Env: "nosuch"}}},
		{"describe x --", &Missing{Command: true}},
		{"call --", nil},
		{"features --proto=a.proto -I b --", &Missing{Service: "features", Options: &Request{Sources: Sources{Protos: []string{"a.proto"}, Imports: []string{"b"}}}}},
	} {
		_, got := c.Complete(strings.Split(tt.line, " "))
		if diff := cmp.Diff(tt.want, got, sources); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.line, diff)
		}
	}
	if answer, missing := c.Complete(nil); missing != nil || len(answer.all) == 0 {
		t.Errorf("no words at all: %v, %v", answer, missing)
	}
}

// Behind an '@' come files, which shells would not find.
func TestCompleteFiles(t *testing.T) {
	t.Parallel()
	c, _, _ := completer(t)
	dir := t.TempDir()
	for _, name := range []string{"body.json", "body.yaml", "a b", ".hidden", "$(date)", "sub/x"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		words     []string
		want      []string
		directive int
	}{
		{[]string{"features", "@" + dir + "/b"}, []string{"@" + dir + "/body.json", "@" + dir + "/body.yaml"}, 4},
		{[]string{"features", "@" + dir + "/"}, []string{"@" + dir + "/body.json", "@" + dir + "/body.yaml", "@" + dir + "/sub/"}, 4},
		{[]string{"features", "@" + dir + "/s"}, []string{"@" + dir + "/sub/"}, 6},
		{[]string{"features", "@" + dir + "/.h"}, []string{"@" + dir + "/.hidden"}, 4},
		{[]string{"features", "@" + dir + "/nosuch/"}, nil, 4},
		{[]string{"features", "--data", "@" + dir + "/body.j"}, []string{"@" + dir + "/body.json"}, 4},
		{[]string{"features", "--data=@" + dir + "/body.j"}, []string{"@" + dir + "/body.json"}, 4},
		{[]string{"features", "--self=@" + dir + "/body.j"}, []string{"@" + dir + "/body.json"}, 4},
	} {
		answer, _ := c.Complete(tt.words)
		var got []string
		for _, one := range answer.all {
			got = append(got, one.text)
		}
		if !slices.Equal(got, tt.want) || answer.directive != tt.directive {
			t.Errorf("%q: %q, %d, want %q, %d", tt.words, got, answer.directive, tt.want, tt.directive)
		}
	}
}

// The front answers without a server, and leaves to microd what it cannot know.
func TestRunCompletes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.run(context.Background(), "__complete", "features", "--na")
	if want := (result{done: true, out: "--name\tstring: Name of whom to greet\n:36\n"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got = w.run(context.Background(), "__completeNoDesc", "features", "--na")
	if want := (result{done: true, out: "--name\n:36\n"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, args := range [][]string{{"__complete"}, {"__complete", "env", ""}, {"__complete", "other", ""}} {
		if got := w.run(context.Background(), args...); got != (result{}) {
			t.Errorf("%q: %+v, want nothing", args, got)
		}
	}
}

func TestServicesInCache(t *testing.T) {
	t.Parallel()
	_, cache, e := completer(t)
	want := []string{"accounts", "everything", "features", "twins"}
	if got := cache.Services(e, "micro"); !slices.Equal(got, want) {
		t.Errorf("called: %q, want %q", got, want)
	}
	cache.PutServices(e, "micro", []string{"users", "accounts", "../escape", ".hidden", ""})
	want = []string{"accounts", "users"}
	if got := cache.Services(e, "micro"); !slices.Equal(got, want) {
		t.Errorf("listed: %q, want %q", got, want)
	}
	if _, ok := cache.Lookup(e, "micro", "features"); ok {
		t.Error("a service is known that is no longer in the list")
	}
	cache.PutServices(e, "../micro", []string{"users"})
	if got := cache.Services(e, "../micro"); got != nil {
		t.Errorf("outside of the cache: %q", got)
	}
	if got, want := cache.Namespaces(e), []string{"micro"}; !slices.Equal(got, want) {
		t.Errorf("namespaces: %q, want %q", got, want)
	}
	if got := cache.Namespaces(envs.Env{Name: "other"}); got != nil {
		t.Errorf("namespaces of an unknown environment: %q", got)
	}
}

// FuzzComplete holds what is true of every answer: it is of words that a shell takes
// as they are, on lines of their own, and the last says what to do.
func FuzzComplete(f *testing.F) {
	for _, line := range []string{"features --self.ad", "-e= x", "everything --no-", "features --addresses.0", `features --limits."a.b".`, "features @/", "features --color=,", "features - -- --.= "} {
		f.Add(line)
	}
	dir := f.TempDir()
	getenv := func(name string) string {
		if name == "MICRO_HOME" {
			return dir
		}
		return ""
	}
	dirs, err := envs.FindDirs(getenv)
	if err != nil {
		f.Fatal(err)
	}
	config, err := envs.Load(dirs)
	if err != nil {
		f.Fatal(err)
	}
	e, err := config.Get("local")
	if err != nil {
		f.Fatal(err)
	}
	if _, err := (Cache{Dir: dirs.Cache}).Put(e, "micro", "features", compiled(f, features(f))); err != nil {
		f.Fatal(err)
	}
	c := Completer{Getenv: getenv, IsCommand: IsCommand}
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Split(line, " ")
		answer, missing := c.Complete(words)
		if missing != nil {
			return
		}
		var b bytes.Buffer
		if err := answer.Print(&b, true); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if want := fmt.Sprintf(":%d", answer.directive); len(lines) != len(answer.all)+1 || lines[len(lines)-1] != want {
			t.Errorf("%q: %q", line, b.String())
		}
		for _, one := range answer.all {
			if !isPlain(one.text) {
				t.Errorf("%q completes to %q", line, one.text)
			}
		}
	})
}

// The endpoints that a begun word can be of are those that looking at all of them finds.
func TestEndpointsFor(t *testing.T) {
	t.Parallel()
	file := func(services map[string][]string) *wire.Table {
		f := &descriptorpb.FileDescriptorProto{
			Name: new("t.proto"), Package: new("pkg.v1"), Syntax: new("proto3"),
			MessageType: []*descriptorpb.DescriptorProto{{Name: new("M")}},
		}
		for _, name := range slices.Sorted(maps.Keys(services)) {
			s := &descriptorpb.ServiceDescriptorProto{Name: &name}
			for _, method := range services[name] {
				s.Method = append(s.Method, &descriptorpb.MethodDescriptorProto{Name: &method, InputType: new(".pkg.v1.M"), OutputType: new(".pkg.v1.M")})
			}
			f.Service = append(f.Service, s)
		}
		table, err := wire.Open(compiled(t, parseSchema(t, f)))
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	table := file(map[string][]string{
		"Shop":     {"Get", "GetAll", "get_all", "List", "Call"},
		"ShopItem": {"Get", "Put", "GetLast"},
		"Stock":    {"Get", "Count", "list"},
		"stock":    {"Get", "Watch"},
		"Empty":    {},
	})
	for _, service := range []string{"shop", "Shop", "pkg.v1.Shop", "stock", "other"} {
		all := endpoints(table, service)
		var words []string
		for _, e := range all {
			words = append(append(words, e.words...), e.method.Name(), request.Endpoint(e.method), request.ShortName(e.service), e.service)
			if m, err := request.Resolve(table, service, e.words); err != nil || m != e.method {
				t.Errorf("%s %v means %v, %v, want %s", service, e.words, m, err, e.method.Path())
			}
		}
		for _, word := range words {
			for n := range len(word) + 1 {
				for _, before := range [][]string{nil, {"shop"}, {"Stock"}, {"shop-item"}, {"none"}, {"shop", "get"}} {
					var want, got []string
					for _, e := range all {
						if text, ok := nextWord(e, before, word[:n]); ok {
							want = append(want, text+" "+e.method.Path())
						}
					}
					for _, e := range endpointsFor(table, service, before, word[:n]) {
						if text, ok := nextWord(e, before, word[:n]); ok {
							got = append(got, text+" "+e.method.Path())
						}
					}
					if !slices.Equal(got, want) {
						t.Fatalf("%s %v %q: %v, want %v", service, before, word[:n], got, want)
					}
				}
			}
		}
	}
}
