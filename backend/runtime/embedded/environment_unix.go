//go:build unix

package embedded

// hostPath is where programs find others.
const hostPath = defaultPath

// systemEnvironment returns what a program needs of the system itself.
func systemEnvironment() map[string]string { return map[string]string{} }
