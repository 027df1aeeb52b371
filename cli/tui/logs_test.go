package tui

import (
	"net"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/timestamppb"

	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// sameTime writes lines of one time, one more each time that it is asked, and ends the
// stream then.
type sameTime struct {
	runtimev1.UnimplementedRuntimeServer

	lines []*runtimev1.LogLine
}

func (s *sameTime) Logs(_ *runtimev1.LogsRequest, stream grpc.ServerStreamingServer[runtimev1.LogsResponse]) error {
	at := timestamppb.New(time.Date(2026, 11, 5, 10, 0, 0, 0, time.UTC))
	s.lines = append(s.lines, &runtimev1.LogLine{Instance: "a", Time: at, Text: string(rune('1' + len(s.lines)))})
	return stream.Send(&runtimev1.LogsResponse{Lines: s.lines})
}

// A log that is read anew goes on behind the last line, also when the next one has its
// time.
func TestLogsGoOn(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	runtimev1.RegisterRuntimeServer(server, &sameTime{})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	var got []string
	f := newLogsScreen([]string{"alpha"}, "", nil).feed("alpha")
	begin := func() {
		err := f.run(t.Context(), conn, func(msg tea.Msg) {
			for _, l := range msg.(taggedLines).lines {
				got = append(got, l.GetText())
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	begin()
	begin()
	if diff := gocmp.Diff([]string{"1", "2"}, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}
