package front

// Summary is a command and what it does, in a line.
type Summary struct{ Name, Short string }

// Summaries lists the commands of microd as completion shows them, by their names: the
// front has no command tree to ask. A test holds it against that.
func Summaries() []Summary {
	return []Summary{
		{"apply", "Make services run as files declare them"},
		{"auth", "Manage accounts, rules, API tokens and keys, and see who did what"},
		{"backup", "Copy all data of the server to a file while it works"},
		{"build", "Build an image from source, without a server"},
		{"call", "Call a service"},
		{"completion", "Write the script that completes commands in a shell"},
		{"config", "Read and change the configuration of the namespace"},
		{"dashboard", "Watch services, and act on them, on the whole terminal"},
		{"delete", "Stop the services that files declare"},
		{"describe", "Show a service, method, message or enum"},
		{"dev", "Run services from source, again after each change"},
		{"diff", "Show what micro apply would change"},
		{"env", "Show and change the environments to work with"},
		{"events", "Publish events to topics and consume them"},
		{"export", "Write what runs as files for micro apply"},
		{"gen", "Generate Go code from the .proto files of a project"},
		{"get", "Show what there is of a service"},
		{"git", "Log in to hosts of private git repositories"},
		{"health", "Ask the instances of services how they are"},
		{"help", "Help about any command"},
		{"history", "Show earlier calls, and repeat one"},
		{"image", "List, show, delete and prune the images of the namespace"},
		{"inspect", "Show all that is known of a service, and what was done with it"},
		{"kill", "Stop services for good"},
		{"login", "Log in to the environment"},
		{"logout", "End the session, here and on the server"},
		{"logs", "Show what services write"},
		{"namespace", "List, create, delete, choose and move namespaces"},
		{"new", "Write the source of a new service"},
		{"promote", "Run in another environment what runs in this one"},
		{"releases", "List the releases of a service that are kept"},
		{"restart", "Replace the instances of a service by new ones"},
		{"restore", "Put a backup into the data directory of a server"},
		{"rollback", "Go back to an older release of a service"},
		{"run", "Build a service from source and run it"},
		{"scale", "Change how many instances of a service run"},
		{"schema", "Print schemas for editors and other tools"},
		{"server", "Run a server in the foreground"},
		{"services", "List the services that can be called"},
		{"signup", "Make a namespace with your first account in it"},
		{"stats", "Show how often, how well and how fast services answer"},
		{"status", "Show the services that should run, and whether they do"},
		{"store", "Read and write the records and blobs of the namespace"},
		{"stream", "Call an endpoint that streams"},
		{"undo", "Take back the last change of a service"},
		{"update", "Build a running service again and replace it"},
		{"user", "Show who is logged in"},
		{"version", "Print the version"},
	}
}
