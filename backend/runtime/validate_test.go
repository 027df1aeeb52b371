package runtime

import (
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	good := Spec{ID: "helloworld-1a2B", Namespace: "micro", Service: "helloworld"}
	for _, tt := range []struct {
		name   string
		change func(*Spec)
		ok     bool
	}{
		{"plain", func(*Spec) {}, true},
		{"longest names", func(s *Spec) { s.ID, s.Service = strings.Repeat("A", 63), strings.Repeat("a", 63) }, true},
		{"arguments and environment", func(s *Spec) { s.Args, s.Env = []string{"", "a=b\n"}, map[string]string{"A": "=\n"} }, true},
		{"smallest bounds", func(s *Spec) { s.Resources = Resources{CPU: MinCPU, Memory: MinMemory, Processes: 1} }, true},
		{"too little of a processor", func(s *Spec) { s.Resources.CPU = MinCPU - 1 }, false},
		{"less than no processor", func(s *Spec) { s.Resources.CPU = -1 }, false},
		{"too little memory", func(s *Spec) { s.Resources.Memory = MinMemory - 1 }, false},
		{"less than no memory", func(s *Spec) { s.Resources.Memory = -1 }, false},
		{"less than no processes", func(s *Spec) { s.Resources.Processes = -1 }, false},
		{"no id", func(s *Spec) { s.ID = "" }, false},
		{"long id", func(s *Spec) { s.ID = strings.Repeat("a", 64) }, false},
		{"id with a slash", func(s *Spec) { s.ID = "a/b" }, false},
		{"id with dots", func(s *Spec) { s.ID = ".." }, false},
		{"id with a dot inside", func(s *Spec) { s.ID = "a.b" }, false},
		{"id with a zero byte", func(s *Spec) { s.ID = "a\x00b" }, false},
		{"id that is no ASCII", func(s *Spec) { s.ID = "ä" }, false},
		{"no namespace", func(s *Spec) { s.Namespace = "" }, false},
		{"namespace that leaves", func(s *Spec) { s.Namespace = "../../etc" }, false},
		{"namespace in upper case", func(s *Spec) { s.Namespace = "Micro" }, false},
		{"no service", func(s *Spec) { s.Service = "" }, false},
		{"service with '-' at its end", func(s *Spec) { s.Service = "a-" }, false},
		{"long service", func(s *Spec) { s.Service = strings.Repeat("a", 64) }, false},
		{"zero byte in an argument", func(s *Spec) { s.Args = []string{"a\x00"} }, false},
		{"variable without a name", func(s *Spec) { s.Env = map[string]string{"": "x"} }, false},
		{"variable with '='", func(s *Spec) { s.Env = map[string]string{"A=B": "x"} }, false},
		{"variable with a zero byte", func(s *Spec) { s.Env = map[string]string{"A": "\x00"} }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spec := good
			tt.change(&spec)
			if err := spec.Validate(); (err == nil) != tt.ok {
				t.Errorf("Validate(%+v) = %v, want ok: %t", spec, err, tt.ok)
			}
		})
	}
}
