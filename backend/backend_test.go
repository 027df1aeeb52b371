package backend

import (
	"errors"
	"testing"
)

func TestParseRuntime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]runtimeConfig{
		"embedded:":                          {},
		"embedded:?confine=no":               {unconfined: true},
		"docker:":                            {engine: "unix:///var/run/docker.sock"},
		"docker://":                          {engine: "unix:///var/run/docker.sock"},
		"docker:///run/podman/podman.sock":   {engine: "unix:///run/podman/podman.sock"},
		"docker:///with%20space/docker.sock": {engine: "unix:///with space/docker.sock"},
		"docker://127.0.0.1:2375":            {engine: "tcp://127.0.0.1:2375"},
		"docker://localhost:2375":            {engine: "tcp://localhost:2375"},
		"docker://[::1]:2375":                {engine: "tcp://[::1]:2375"},
	} {
		if got, err := parseRuntime(text); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "vm:", "docker", "embedded:x", "embedded:?confine=maybe", "embedded:?x=y",
		"docker:x", "docker://127.0.0.1", "docker://example.com:2375", "docker://10.0.0.1:2375", "docker://127.0.0.1:2375/x",
		"docker:///x?y=z", "docker://user@127.0.0.1:2375", "docker:///x#y", "docker://%zz",
	} {
		if got, err := parseRuntime(text); err == nil {
			t.Errorf("%q is taken: %+v", text, got)
		} else if text == "docker:x" && !errors.Is(err, ErrEngine) {
			t.Errorf("%q: %v is not %v", text, err, ErrEngine)
		}
	}
}
