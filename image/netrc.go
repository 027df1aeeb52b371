package image

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// maxNetrc bounds the file.
const maxNetrc = 1 << 20

// askNetrc returns what the user's .netrc has for a host, as git and the go command take
// it from there: the file that NETRC names, or the one in the home directory. It is empty
// when there is nothing.
func askNetrc(host string) (user, password string) {
	path := os.Getenv("NETRC")
	if path == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", ""
		}
		name := ".netrc"
		if runtime.GOOS == "windows" {
			name = "_netrc"
		}
		path = filepath.Join(home, name)
	}
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxNetrc {
		return "", ""
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", ""
	}
	return parseNetrc(string(data), host)
}

// parseNetrc finds the first entry of a machine, and what follows "default" only after
// all others.
func parseNetrc(text, host string) (user, password string) {
	var words []string
	inMacro := false
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case inMacro: // which ends with an empty line
			inMacro = len(fields) > 0
		case len(fields) > 0 && fields[0] == "macdef":
			inMacro = true
		default:
			for _, f := range fields {
				if strings.HasPrefix(f, "#") {
					break
				}
				words = append(words, f)
			}
		}
	}
	matches := false
	for i := 0; i < len(words); i++ {
		value := ""
		if i+1 < len(words) {
			value = words[i+1]
		}
		switch words[i] {
		case "machine", "default":
			if matches {
				return user, password
			}
			if matches = words[i] == "default"; !matches {
				matches = strings.EqualFold(value, host)
				i++
			}
		case "login", "password", "account":
			if matches && words[i] == "login" {
				user = value
			}
			if matches && words[i] == "password" {
				password = value
			}
			i++
		}
	}
	return user, password
}
