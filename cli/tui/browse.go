package tui

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"google.golang.org/grpc"

	"github.com/micro/micro/v3/cli/words"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// newTopicsScreen lists the topics; one opens to its events.
func newTopicsScreen() *listScreen {
	topics := newPages(func(ctx context.Context, conn grpc.ClientConnInterface, token string) ([]*eventsv1.Topic, string, error) {
		rsp, err := eventsv1.NewEventsClient(conn).ListTopics(ctx, &eventsv1.ListTopicsRequest{PageSize: pageRows, PageToken: token})
		return rsp.GetTopics(), rsp.GetNextPageToken(), err
	})
	return &listScreen{
		where: placeList, name: "events",
		table: table{empty: "there is no topic: micro events publish TOPIC makes one", columns: []column{
			{title: "TOPIC", most: 80}, {title: "EVENTS", right: true}, {title: "SIZE", right: true, rank: 1}, {title: "OFFSETS", rank: 2},
		}},
		ask: topics.feed("topics"), more: topics.more,
		rows: func(m *Model, msg tea.Msg) []row {
			list, _ := msg.(listed[*eventsv1.Topic])
			var rows []row
			for _, t := range list.all {
				rows = append(rows, row{id: t.GetName(), cells: []cell{
					{text: m.config.Line(t.GetName()), tone: strong},
					{text: strconv.FormatInt(t.GetNextOffset()-t.GetOldestOffset(), 10)},
					{text: words.ShortSize(t.GetBytes())},
					{text: fmt.Sprintf("%d to %d", t.GetOldestOffset(), t.GetNextOffset()-1), tone: dim},
				}})
			}
			return rows
		},
		open:   func(m *Model, topic string) tea.Cmd { m.push(newEventsScreen(topic)); return nil },
		copied: func(topic string) string { return commandText([]string{"events", "consume", topic}) },
	}
}

// newEventsScreen shows the last events of a topic, and those that come.
func newEventsScreen(topic string) *tailScreen {
	var next int64 // the offset behind what was handed over
	s := &tailScreen{name: "events of " + topic, lines: newLines(keptLines, "there is no event")}
	s.lines.times = true
	s.feed = feed{name: "events of " + topic, run: func(ctx context.Context, conn grpc.ClientConnInterface, emit func(tea.Msg)) error {
		req := &eventsv1.ReadRequest{Topic: topic, Follow: true, Last: tail}
		if next > 0 {
			req.Offset, req.Last = next, 0
		}
		stream, err := eventsv1.NewEventsClient(conn).Read(ctx, req)
		return each(stream, err, func(rsp *eventsv1.ReadResponse) {
			for _, e := range rsp.GetEvents() {
				next = e.GetOffset() + 1
				emit(e)
			}
		})
	}}
	s.add = func(m *Model, l *lines, msg tea.Msg) {
		e, _ := msg.(*eventsv1.Event)
		prefix := fmt.Sprintf("%d ", e.GetOffset())
		if e.GetKey() != "" {
			prefix += "[" + e.GetKey() + "] "
		}
		l.add(line{prefix: m.config.Line(prefix), text: m.config.Line(bytesText(e.GetPayload())), time: e.GetTime().AsTime().In(m.config.Now().Location()).Format("15:04:05.000")})
	}
	return s
}

// bytesText returns bytes as text, or how many they are when they are none.
func bytesText(b []byte) string {
	if !utf8.Valid(b) {
		return fmt.Sprintf("(%d bytes that are no text)", len(b))
	}
	return string(b)
}

// newTablesScreen lists the tables of the store; one opens to its records.
func newTablesScreen() *listScreen {
	return &listScreen{
		where: placeList, name: "store",
		table: table{empty: "there is no record: micro store write KEY VALUE makes one", columns: []column{{title: "DATABASE", most: 64}, {title: "TABLE"}}},
		ask:   newPages(tablesOf).feed("tables"),
		rows: func(m *Model, msg tea.Msg) []row {
			list, _ := msg.(listed[tableName])
			var rows []row
			for _, t := range list.all {
				rows = append(rows, row{id: t.database + "\x00" + t.table, cells: []cell{{text: m.config.Line(t.database)}, {text: m.config.Line(t.table), tone: strong}}})
			}
			return rows
		},
		open: func(m *Model, id string) tea.Cmd {
			database, name, _ := strings.Cut(id, "\x00")
			m.push(newRecordsScreen(tableName{database, name}))
			return nil
		},
	}
}

// tableName is a table of the store.
type tableName struct{ database, table string }

// tablesOf returns all tables of all databases: there are not many.
func tablesOf(ctx context.Context, conn grpc.ClientConnInterface, _ string) (all []tableName, next string, err error) {
	client := storev1.NewStoreClient(conn)
	databases := newPages(func(ctx context.Context, _ grpc.ClientConnInterface, token string) ([]string, string, error) {
		rsp, err := client.Databases(ctx, &storev1.DatabasesRequest{PageSize: pageRows, PageToken: token})
		return rsp.GetDatabases(), rsp.GetNextPageToken(), err
	})
	var names []string
	if _, err := databases.read(ctx, conn, &names, "", maxPages); err != nil {
		return nil, "", err
	}
	for _, d := range names {
		tables := newPages(func(ctx context.Context, _ grpc.ClientConnInterface, token string) ([]tableName, string, error) {
			rsp, err := client.Tables(ctx, &storev1.TablesRequest{Database: d, PageSize: pageRows, PageToken: token})
			var page []tableName
			for _, t := range rsp.GetTables() {
				page = append(page, tableName{d, t})
			}
			return page, rsp.GetNextPageToken(), err
		})
		if _, err := tables.read(ctx, conn, &all, "", maxPages); err != nil {
			return nil, "", err
		}
	}
	return all, "", nil
}

// newRecordsScreen lists the records of a table; one opens to its value.
func newRecordsScreen(t tableName) *listScreen {
	flags := []string{"--database", t.database, "--table", t.table}
	records := newPages(func(ctx context.Context, conn grpc.ClientConnInterface, token string) ([]*storev1.Record, string, error) {
		rsp, err := storev1.NewStoreClient(conn).Read(ctx, &storev1.ReadRequest{Database: t.database, Table: t.table, PageSize: pageRows, PageToken: token})
		return rsp.GetRecords(), rsp.GetNextPageToken(), err
	})
	return &listScreen{
		where: placeList, name: t.database + "/" + t.table,
		table: table{empty: "there is no record", columns: []column{
			{title: "KEY", most: 60}, {title: "SIZE", right: true, rank: 1}, {title: "ENDS", rank: 2}, {title: "VALUE", rank: 3},
		}},
		ask: records.feed("records"), more: records.more,
		beyond: "micro store list --prefix finds others",
		rows: func(m *Model, msg tea.Msg) []row {
			list, _ := msg.(listed[*storev1.Record])
			var rows []row
			for _, r := range list.all {
				ends := ""
				if r.GetExpires() != nil {
					ends = "in " + max(0, r.GetExpires().AsTime().Sub(m.config.Now())).Round(time.Second).String()
				}
				value := bytesText(r.GetValue())
				value = strings.ToValidUTF8(value[:min(len(value), maxShown)], "")
				rows = append(rows, row{id: string(r.GetKey()), cells: []cell{
					{text: m.config.Line(string(r.GetKey())), tone: strong}, {text: words.ShortSize(int64(len(r.GetValue())))}, {text: ends, tone: warn}, {text: m.config.Line(value), tone: dim},
				}})
			}
			return rows
		},
		open: func(m *Model, key string) tea.Cmd {
			return m.showOutput(key, append(append([]string{"store", "read"}, flags...), "--", key))
		},
		copied: func(key string) string {
			return commandText(append(append([]string{"store", "read"}, flags...), key))
		},
	}
}

// maxShown is how many bytes of a value are shown in a list.
const maxShown = 400

// newConfigScreen lists the configuration, without what is secret of it.
func newConfigScreen() *listScreen {
	values := newPages(func(ctx context.Context, conn grpc.ClientConnInterface, token string) ([]*configv1.Value, string, error) {
		rsp, err := configv1.NewConfigClient(conn).List(ctx, &configv1.ListRequest{PageSize: pageRows, PageToken: token})
		return rsp.GetValues(), rsp.GetNextPageToken(), err
	})
	values.watch = func(ctx context.Context, conn grpc.ClientConnInterface, changed func()) error {
		stream, err := configv1.NewConfigClient(conn).Watch(ctx, &configv1.WatchRequest{})
		return watch(stream, err, func(tea.Msg) { changed() })
	}
	return &listScreen{
		where: placeList, name: "config",
		table: table{empty: "there is no value: micro config set PATH VALUE makes one", columns: []column{
			{title: "PATH", most: 60}, {title: "REVISION", right: true, rank: 1}, {title: "VALUE"},
		}},
		ask: values.feed("config"), more: values.more,
		beyond: "micro config list PATH shows others",
		rows: func(m *Model, msg tea.Msg) []row {
			list, _ := msg.(listed[*configv1.Value])
			var rows []row
			for _, v := range list.all {
				value := cell{text: m.config.Line(v.GetJson())}
				if v.GetSecret() {
					value = cell{text: "(secret)", tone: dim}
				}
				rows = append(rows, row{id: v.GetPath(), cells: []cell{{text: m.config.Line(v.GetPath()), tone: strong}, {text: strconv.FormatInt(v.GetRevision(), 10), tone: dim}, value}})
			}
			return rows
		},
		open: func(m *Model, path string) tea.Cmd {
			return m.showOutput("history of "+path, []string{"config", "history", path})
		},
		copied: func(path string) string { return commandText([]string{"config", "get", path}) },
	}
}
