package front

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseSize(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want int
		ok   bool
	}{
		{"1", 1, true},
		{"1000b", 1000, true},
		{"64KiB", 64 << 10, true},
		{"10MB", 10e6, true},
		{"10mib", 10 << 20, true},
		{"1G", 1e9, true},
		{"2147483647", 1<<31 - 1, true},
		{"2GiB", 0, false},
		{"9999999999", 0, false},
		{"0", 0, false},
		{"", 0, false},
		{"MB", 0, false},
		{"-1", 0, false},
		{"1.5MB", 0, false},
		{"1 MB", 0, false},
		{"1KK", 0, false},
		{"1iB", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			t.Parallel()
			if got, err := parseMaxSize(tt.in); got != tt.want || (err == nil) != tt.ok {
				t.Errorf("parseMaxSize(%q) = %d, %v; want %d, %t", tt.in, got, err, tt.want, tt.ok)
			}
		})
	}
}

func TestConnectOptions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		want Transport
	}{
		{"none", []string{"--name=x"}, Transport{}},
		{"all", []string{"--retries", "3", "--max-size=1KiB", "--gzip", "--wait-ready", "--authority=a.example", "--via=http://proxy"}, Transport{
			Retries: 3, MaxSize: 1024, Gzip: true, WaitReady: true, Authority: "a.example", Via: "proxy:80",
		}},
		{"among fields", []string{"--name=x", "--switch", "--gzip", "{}"}, Transport{Gzip: true}},
		{"the value of another option", []string{"-H", "--gzip"}, Transport{}},
		{"wrong ones are for Build", []string{"--retries=x", "--via=nothing", "--retries"}, Transport{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := Parse(append([]string{"service"}, tt.args...)).Options(func(string) string { return "" }).Transport
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("Transport (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConnectOptionErrors(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, option, value string }{
		{"retries are no number", "retries", "many"},
		{"negative retries", "retries", "-1"},
		{"too many retries", "retries", "101"},
		{"size", "max-size", "big"},
		{"empty authority", "authority", ""},
		{"authority with a space", "authority", "a b"},
		{"authority with a path", "authority", "a/b"},
		{"proxy without a scheme", "via", "proxy:3128"},
		{"proxy of another kind", "via", "socks5://proxy:1080"},
		{"proxy with a path", "via", "http://proxy/path"},
		{"template without an expression", "output", "template"},
		{"jq with an empty expression", "output", "jq="},
		{"json with an expression", "output", "json=x"},
		{"no such format", "output", "xml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, o := range options() {
				if o.name == tt.option {
					if err := o.set(&Request{}, tt.value); err == nil {
						t.Errorf("--%s=%q is taken", tt.option, tt.value)
					}
					return
				}
			}
			t.Fatalf("no option %s", tt.option)
		})
	}
}
