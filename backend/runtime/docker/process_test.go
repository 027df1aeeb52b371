package docker

import (
	"context"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/logfile"
	"github.com/micro/micro/v3/backend/runtime/supervisor"
)

// TestUnread checks that of what an engine has kept each line is taken once, whether it
// tells the time of a line in seconds or better.
func TestUnread(t *testing.T) {
	t.Parallel()
	at := func(second int, lines int) place {
		return place{time.Date(2026, 11, 30, 1, 0, second, 0, time.UTC), lines}
	}
	for _, tt := range []struct {
		name   string
		from   place
		frames []string
		want   []string
		behind place
	}{
		{"from the start", place{}, []string{"2026-11-30T01:00:01Z a\n", "2026-11-30T01:00:01Z b\n"}, []string{"a", "b"}, at(1, 2)},
		{
			"some of a second", at(2, 1),
			[]string{"2026-11-30T01:00:01Z a\n", "2026-11-30T01:00:02Z b\n", "2026-11-30T01:00:02Z c\n", "2026-11-30T01:00:03Z d\n"},
			[]string{"c", "d"},
			at(3, 1),
		},
		{"in nanoseconds", at(2, 1), []string{"2026-11-30T01:00:02.000000001Z a\n", "2026-11-30T01:00:02.5Z b\n"}, []string{"b"}, at(2, 2)},
		{"in another zone", at(2, 1), []string{"2026-11-30T03:00:02+02:00 a\n", "2026-11-30T03:00:02+02:00 b\n"}, []string{"b"}, at(2, 2)},
		{"in parts", at(1, 0), []string{"2026-11-30T01:00:01Z a", "2026-11-30T01:00:02Z b", "2026-11-30T01:00:03Z c\n"}, []string{"abc"}, at(1, 1)},
		{"read in parts", at(1, 1), []string{"2026-11-30T01:00:01Z a", "2026-11-30T01:00:02Z b\n", "2026-11-30T01:00:02Z c\r\n"}, []string{"c"}, at(2, 1)},
		{"empty lines", place{}, []string{"2026-11-30T01:00:01Z \n", "2026-11-30T01:00:01Z \n"}, []string{"", ""}, at(1, 2)},
		{"all read", at(5, 3), []string{"2026-11-30T01:00:01Z a\n", "2026-11-30T01:00:05Z b\n"}, nil, at(5, 3)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			now := tt.from
			u := &unread{at: &now, from: tt.from}
			var got []string
			for _, frame := range tt.frames {
				if err := u.add([]byte(frame), func(line []byte) { got = append(got, string(line)) }); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
			if !now.second.Equal(tt.behind.second) || now.lines != tt.behind.lines {
				t.Errorf("it is at %v, want %v", now, tt.behind)
			}
		})
	}
	for _, frame := range []string{"", "no time\n", "2026-11-30T01:00:01Z", "2026-11-30 a\n"} {
		u := &unread{at: &place{}}
		if err := u.add([]byte(frame), func([]byte) {}); err == nil {
			t.Errorf("%q is taken for a line", frame)
		}
	}
}

func TestExitOf(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]runtime.Exit{
		0: {}, 3: {Code: 3}, 128: {Code: 128}, 255: {Code: 255}, 150: {Code: 150},
		137: {Code: -1, Signal: "SIGKILL"}, 143: {Code: -1, Signal: "SIGTERM"}, 129: {Code: -1, Signal: "SIGHUP"}, 159: {Code: -1, Signal: "SIGSYS"},
	} {
		if got := exitOf(state{ExitCode: code}); got != want {
			t.Errorf("code %d: got %+v, want %+v", code, got, want)
		}
	}
}

// TestSilence checks that a line which the engine does not tell of, although it has it,
// comes when the engine is asked anew, and once.
func TestSilence(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	var asked atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+apiVersion+"/containers/c/wait", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-ended:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("GET "+apiVersion+"/containers/c/logs", func(w http.ResponseWriter, r *http.Request) {
		line := "2026-11-30T01:00:01Z one\n"
		w.WriteHeader(http.StatusOK)
		if asked.Add(1) > 1 {
			_, _ = w.Write(append(binary.BigEndian.AppendUint32([]byte{1, 0, 0, 0}, uint32(len(line))), line...))
		}
		_ = http.NewResponseController(w).Flush()
		if asked.Load() == 3 {
			close(ended)
			return
		}
		<-r.Context().Done()
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	client, err := newClient("tcp://" + server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	logs, err := logfile.Open(t.TempDir(), 1<<20, 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	log, err := logs.Open(logfile.Service{Namespace: "micro", Name: "alpha"}, "a")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Rest()
	p := &process{engine: &engine{client: client}, id: "c", output: supervisor.Output{Log: log, Release: 1}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := p.read(ctx, &places{}, true); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line, err := range logs.Read(t.Context(), runtime.LogQuery{Namespace: "micro", Service: "alpha"}, nil) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, line.Text)
	}
	if diff := cmp.Diff([]string{"one"}, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}
