package front

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// statusWith returns a status in wire form.
func statusWith(tb testing.TB, details ...proto.Message) []byte {
	tb.Helper()
	s := &status.Status{Code: 3, Message: "no"}
	for _, d := range details {
		detail, ok := d.(*anypb.Any)
		if !ok {
			var err error
			if detail, err = anypb.New(d); err != nil {
				tb.Fatal(err)
			}
		}
		s.Details = append(s.Details, detail)
	}
	b, err := proto.Marshal(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func violation(field, text string) *errdetails.BadRequest_FieldViolation {
	return &errdetails.BadRequest_FieldViolation{Field: field, Description: text}
}

// TestDetails shows each of the ten details of google.rpc, and others.
func TestDetails(t *testing.T) {
	t.Parallel()
	builtin, ok := Builtin("google.rpc.QuotaFailure")
	if !ok {
		t.Fatal("no table")
	}
	tests := []struct {
		name    string
		detail  proto.Message
		verbose bool
		want    string
	}{
		{"BadRequest", &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			violation("violations[0].quotaMetric", "is empty"), violation("stranger.x", "is odd"), violation("", "is wrong"),
			{Field: "violations", Reason: "TOO_FEW"},
			{Field: "violations", Description: "x", LocalizedMessage: &errdetails.LocalizedMessage{Locale: "de", Message: "zu wenig"}},
		}}, false, "  --violations.0.quota_metric: is empty\n  stranger.x: is odd\n  is wrong\n  --violations: TOO_FEW\n  --violations: zu wenig\n"},
		{"RetryInfo", &errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)}, false, "  try again in 1.5s\n"},
		{"RetryInfo without a delay", &errdetails.RetryInfo{}, false, ""},
		{"QuotaFailure", &errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{
			Subject: "project:7", Description: "too many", QuotaMetric: "calls", QuotaValue: 10, QuotaDimensions: map[string]string{"b": "2", "a": "1"},
		}}}, false, "  quota project:7: too many (calls a=1 b=2 limit 10)\n"},
		{"PreconditionFailure", &errdetails.PreconditionFailure{Violations: []*errdetails.PreconditionFailure_Violation{
			{Type: "TOS", Subject: "example.com", Description: "not accepted"},
		}}, false, "  TOS example.com: not accepted\n"},
		{"Help", &errdetails.Help{Links: []*errdetails.Help_Link{{Description: "the guide", Url: "https://example.com"}}}, false, "  the guide: https://example.com\n"},
		{"ErrorInfo", &errdetails.ErrorInfo{Reason: "STOCK", Domain: "shop", Metadata: map[string]string{"sku": "7"}}, false, "  reason: STOCK (shop) sku=7\n"},
		{"ErrorInfo of micro", &errdetails.ErrorInfo{Reason: "NO_SERVICE", Domain: "micro"}, false, ""},
		{"DebugInfo", &errdetails.DebugInfo{Detail: "boom", StackEntries: []string{"a.go:1"}}, false, ""},
		{"DebugInfo with -v", &errdetails.DebugInfo{Detail: "boom", StackEntries: []string{"a.go:1"}}, true, "  debug: boom\n  a.go:1\n"},
		{"RequestInfo", &errdetails.RequestInfo{RequestId: "r-1", ServingData: "secret"}, false, "  request: r-1\n"},
		{"RequestInfo with -v", &errdetails.RequestInfo{RequestId: "r-1", ServingData: "data"}, true, "  request: r-1\n  serving data: data\n"},
		{"ResourceInfo", &errdetails.ResourceInfo{ResourceType: "table", ResourceName: "t", Owner: "bob", Description: "is gone"}, false, "  table t (owner bob): is gone\n"},
		{"known to everybody", wrapperspb.String("text"), false, "  google.protobuf.StringValue \"text\"\n"},
		{"unknown", &anypb.Any{TypeUrl: "x/shop.Sold", Value: []byte{1, 2}}, false, "  shop.Sold AQI=\n"},
		{"damaged", &anypb.Any{TypeUrl: "x/google.rpc.ErrorInfo", Value: []byte{0xff}}, false, "  google.rpc.ErrorInfo /w==\n"},
		{"hostile", &errdetails.ErrorInfo{Reason: "a\x1b[31m\nmicro: b"}, false, "  reason: a\\x1b[31m\n    micro: b\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := Explain(Status{Code: 3, Message: "no", Details: statusWith(t, tt.detail), Input: builtin, Verbose: tt.verbose}, Place{})
			var got bytes.Buffer
			e.Print(&got, false)
			if diff := cmp.Diff("micro: no\n"+tt.want, got.String()); diff != "" {
				t.Errorf("printed (-want +got):\n%s", diff)
			}
			got.Reset()
			e.Print(&got, true)
			if !json.Valid(got.Bytes()) {
				t.Errorf("no JSON: %s", got.Bytes())
			}
		})
	}
}

// TestDetailsJSON prints details for a program, and the message that is meant for
// people to them alone.
func TestDetailsJSON(t *testing.T) {
	t.Parallel()
	raw := statusWith(t,
		&errdetails.LocalizedMessage{Locale: "de", Message: "Nein."},
		&errdetails.ErrorInfo{Reason: "R"},
		&errdetails.RetryInfo{},
		wrapperspb.String("text"),
		&anypb.Any{TypeUrl: "x/shop.Sold", Value: []byte{1, 2}},
	)
	e := Explain(Status{Code: 3, Message: "no", Details: raw}, Place{})
	var got bytes.Buffer
	e.Print(&got, true)
	want := `{"error":{"message":"no","code":"InvalidArgument","exit":2,"details":[` +
		`{"@type":"type.googleapis.com/google.rpc.LocalizedMessage","locale":"de","message":"Nein."},` +
		`{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"R"},` +
		`{"@type":"type.googleapis.com/google.rpc.RetryInfo"},` +
		`{"@type":"type.googleapis.com/google.protobuf.StringValue","value":"text"},` +
		`{"@type":"type.googleapis.com/shop.Sold","value":"AQI="}]}}` + "\n"
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	got.Reset()
	e.Print(&got, false)
	if diff := cmp.Diff("micro: Nein.\n  reason: R\n  google.protobuf.StringValue \"text\"\n  shop.Sold AQI=\n", got.String()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

func TestRetryDelay(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status []byte
		want   time.Duration
		ok     bool
	}{
		{"asked for", statusWith(t, &errdetails.RetryInfo{RetryDelay: durationpb.New(2 * time.Second)}), 2 * time.Second, true},
		{"at once", statusWith(t, &errdetails.RetryInfo{RetryDelay: durationpb.New(0)}), 0, true},
		{"negative", statusWith(t, &errdetails.RetryInfo{RetryDelay: durationpb.New(-1)}), 0, false},
		{"not asked for", statusWith(t, &errdetails.Help{}), 0, false},
		{"nothing", nil, 0, false},
		{"damaged", []byte{0x1a, 0xff}, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got, ok := RetryDelay(tt.status); ok != tt.ok || ok && got != tt.want {
				t.Errorf("RetryDelay = %s, %t; want %s, %t", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestFlagOf(t *testing.T) {
	t.Parallel()
	m, ok := Builtin("google.rpc.ErrorInfo")
	list, _ := Builtin("google.rpc.Help")
	if !ok {
		t.Fatal("no table")
	}
	tests := []struct{ name, path, want string }{
		{"field", "reason", "--reason"},
		{"entry of a map", "metadata.key", "--metadata.key"},
		{"entry in brackets", `metadata["a.b"]`, `--metadata."a.b"`},
		{"below a scalar", "reason.length", "--reason.length"},
		{"of nobody", "nope.reason", ""},
		{"empty", "", ""},
		{"a bracket alone", "[", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := FlagOf(m, tt.path); got != tt.want {
				t.Errorf("FlagOf(%q) = %q, want %q", tt.path, got, tt.want)
			}
		})
	}
	for _, path := range []string{"links[1].url", "links.1.url"} {
		if got := FlagOf(list, path); got != "--links.1.url" {
			t.Errorf("FlagOf(%q) = %q", path, got)
		}
	}
}

// FuzzDetails reads what a hostile server may send.
func FuzzDetails(f *testing.F) {
	f.Add(statusWith(f, &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{violation("a[0].b", "c")}}), "a[0]")
	f.Fuzz(func(t *testing.T, raw []byte, path string) {
		m, _ := Builtin("google.rpc.ErrorInfo")
		FlagOf(m, path)
		e := Explain(Status{Code: 3, Details: raw, Input: m}, Place{})
		var b bytes.Buffer
		e.Print(&b, true)
		if !json.Valid(b.Bytes()) {
			t.Errorf("no JSON: %q", b.Bytes())
		}
		e.Print(&b, false)
	})
}
