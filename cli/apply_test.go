package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

func TestIsLocalSource(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]bool{
		".": true, "..": true, "./a": true, "../a": true, "a": true, "a/b": true, "/a": true, "./a.b": true,
		"github.com/a/b": false, "git.example.com:8443/a": false, "https://x/y": false, "ssh://x": false, "git@github.com:a/b": false, "file:///a": false,
	} {
		if got := isLocalSource(source); got != want {
			t.Errorf("%q: got %t, want %t", source, got, want)
		}
	}
}

func TestDifferences(t *testing.T) {
	t.Parallel()
	text := func(s string) *runtimev1.Value { return &runtimev1.Value{Value: &runtimev1.Value_Text{Text: s}} }
	before := &runtimev1.Service{Instances: 1, Spec: &runtimev1.Spec{
		Image: "a/b@sha256:1", Version: "latest", Args: []string{"-v"},
		Source: &runtimev1.Source{Revision: "abc"},
		Env:    map[string]*runtimev1.Value{"A": text("1"), "TOKEN": text("canary"), "SAME": text("x"), "PASSWORD": text("canary")},
		Probes: &runtimev1.Probes{Liveness: &runtimev1.Probe{Check: &runtimev1.Probe_Tcp{Tcp: true}}},
	}}
	after := &runtimev1.Service{Instances: 2, Rollout: &runtimev1.Rollout{KeepTrying: true}, Spec: &runtimev1.Spec{
		Image: "a/b@sha256:2", Version: "latest",
		Source: &runtimev1.Source{Revision: "def"},
		Env: map[string]*runtimev1.Value{
			"A": {Value: &runtimev1.Value_Config{Config: "a"}}, "TOKEN": text("canary-2"), "SAME": text("x"), "PASSWORD": {Value: &runtimev1.Value_Config{Config: "p"}},
		},
		Probes:    &runtimev1.Probes{Liveness: &runtimev1.Probe{Check: &runtimev1.Probe_Http{Http: "/"}}},
		Resources: &runtimev1.Resources{Memory: 1 << 20},
	}}
	want := []difference{
		{"args", "-v", ""},
		{"env.A", `"1"`, "configuration a"},
		{"env.PASSWORD", "***", "configuration p"},
		{"env.TOKEN", "***", "***"},
		{"image", "a/b@sha256:1", "a/b@sha256:2"},
		{"instances", "1", "2"},
		{"probes.liveness", "TCP connection", "GET /"},
		{"resources.memory", "", "1Mi"},
		{"rollout", "", "a new release is never given up"},
	}
	if diff := cmp.Diff(want, differences(before, after)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := differences(after, after); len(got) > 0 {
		t.Errorf("with itself: %v", got)
	}
	if got := differences(nil, after); len(got) == 0 || got[0].Before != "" {
		t.Errorf("of a new one: %v", got)
	}
}
