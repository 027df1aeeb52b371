package tui

// Screen is a screen of the dashboard, for those who describe it and those who go there.
type Screen struct {
	Title string
	// Word is what goes there behind ":"; empty: none does.
	Word string
	// Key is what opens it on another screen, for people.
	Key string
	// Plain are the commands that write the same facts as lines, and as JSON.
	Plain []string
}

// Screens returns all screens that there are. A screen has nothing that cannot be had
// without one, but for what was done on it.
func Screens() []Screen {
	return []Screen{
		{Title: "Services", Word: "services", Plain: []string{"micro dashboard --plain", "micro status --watch --plain", "micro stats"}},
		{Title: "Service", Word: "service", Key: "Enter on a service", Plain: []string{"micro status NAME", "micro stats NAME", "micro get service NAME"}},
		{Title: "Logs", Word: "logs", Key: "l on services or an instance", Plain: []string{"micro logs NAME -f --plain"}},
		{Title: "Previous logs", Key: "p on an instance", Plain: []string{"micro logs NAME --instance ID --previous"}},
		{Title: "Description", Key: "d on a service", Plain: []string{"micro inspect NAME"}},
		{Title: "Journal", Word: "journal", Key: "o on a service", Plain: []string{"micro inspect NAME -f"}},
		{Title: "Releases", Word: "releases", Key: "v on a service", Plain: []string{"micro releases NAME"}},
		{Title: "Topics", Word: "events", Plain: []string{"micro events topics"}},
		{Title: "Events of a topic", Key: "Enter on a topic", Plain: []string{"micro events list TOPIC", "micro events consume TOPIC"}},
		{Title: "Tables", Word: "store", Plain: []string{"micro store databases", "micro store tables"}},
		{Title: "Records of a table", Key: "Enter on a table", Plain: []string{"micro store read --database DATABASE --table TABLE"}},
		{Title: "Record", Key: "Enter on a record", Plain: []string{"micro store read KEY"}},
		{Title: "Configuration", Word: "config", Plain: []string{"micro config list", "micro config watch"}},
		{Title: "History of a value", Key: "Enter on a value", Plain: []string{"micro config history PATH"}},
		{Title: "Environments", Word: "environments", Key: "e", Plain: []string{"micro env"}},
		{Title: "Namespaces", Word: "namespaces", Key: "n", Plain: []string{"micro namespace list"}},
		{Title: "Commands that were run", Word: "commands", Key: "@"},
	}
}
