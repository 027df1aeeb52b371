package front

// Summary is a command and what it does, in a line.
type Summary struct{ Name, Short string }

// Summaries lists the commands of microd as completion shows them, by their names: the
// front has no command tree to ask. A test holds it against that.
func Summaries() []Summary {
	return []Summary{
		{"auth", "Manage accounts, rules, API tokens and keys, and see who did what"},
		{"build", "Build an image from source, without a server"},
		{"call", "Call a service"},
		{"completion", "Write the script that completes commands in a shell"},
		{"config", "Read and change the configuration of the namespace"},
		{"describe", "Show a service, method, message or enum"},
		{"env", "Show and change the environments to work with"},
		{"events", "Publish events to topics and consume them"},
		{"gen", "Generate Go code from the .proto files of a project"},
		{"get", "Show what there is of a service"},
		{"git", "Log in to hosts of private git repositories"},
		{"health", "Ask the instances of services how they are"},
		{"help", "Help about any command"},
		{"history", "Show earlier calls, and repeat one"},
		{"image", "List, show, delete and prune the images of the namespace"},
		{"kill", "Stop services for good"},
		{"login", "Log in to the environment"},
		{"logout", "End the session, here and on the server"},
		{"logs", "Show what a service writes"},
		{"namespace", "List, create, delete and choose namespaces"},
		{"new", "Write the source of a new service"},
		{"run", "Build a service from source and run it"},
		{"server", "Run a server in the foreground"},
		{"services", "List the services that can be called"},
		{"signup", "Make a namespace with your first account in it"},
		{"stats", "Show how often, how well and how fast services answer"},
		{"status", "Show the services that should run, and whether they do"},
		{"store", "Read and write the records of the namespace"},
		{"stream", "Call an endpoint that streams"},
		{"update", "Build a running service again and replace it"},
		{"user", "Show who is logged in"},
		{"version", "Print the version"},
	}
}
