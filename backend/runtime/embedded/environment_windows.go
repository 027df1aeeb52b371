package embedded

import "os"

// hostPath is where programs find others.
const hostPath = `C:\Windows\System32;C:\Windows`

// systemEnvironment returns what a program needs of the system itself: without
// these it cannot even open a socket.
func systemEnvironment() map[string]string {
	vars := map[string]string{}
	for _, name := range []string{"SystemRoot", "SystemDrive", "ComSpec", "PATHEXT"} {
		if value, ok := os.LookupEnv(name); ok {
			vars[name] = value
		}
	}
	return vars
}
