package image

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"strings"
)

// knownHosts are those where a repository is the first two parts of the path.
func knownHost(host string) bool {
	switch host {
	case "github.com", "gitlab.com", "bitbucket.org", "codeberg.org", "gitea.com":
		return true
	default:
		return false
	}
}

// reference is a git address taken apart.
type reference struct {
	url      *url.URL      // of the repository, without credentials
	address  string        // the repository as people write it
	folder   string        // slash-separated below the repository's root; empty: the root
	ref      string        // branch, tag or commit; empty: the default branch
	userinfo *url.Userinfo // credentials in an https address
}

// errNoAddress is returned for what does not look like a git address at all.
var errNoAddress = errors.New("not a git address")

// parseReference takes one of the forms of a git address apart:
//
//	github.com/OWNER/REPO[/FOLDER][@REF]
//	HOST/PATH.git[/FOLDER][@REF]
//	https://HOST/PATH[//FOLDER][@REF]
//	ssh://[USER@]HOST/PATH[//FOLDER][@REF]
//	USER@HOST:PATH[//FOLDER][@REF]
//	file:///PATH[//FOLDER][@REF]
//
// The path of a file address is not split: that takes a look at the disk. The
// error is errNoAddress for what has none of these forms.
func parseReference(s string) (reference, error) {
	if p, ok := strings.CutPrefix(s, "file://"); ok {
		return parseFile(p)
	}
	first, _, _ := strings.Cut(s, "/")
	if !strings.ContainsAny(first, ".:@") {
		return reference{}, errNoAddress
	}
	if strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == 0x7f || strings.ContainsRune("\\%?#", c) }) {
		return reference{}, errors.New("address of a git repository: spaces, control characters and any of \\ % ? # are not allowed")
	}
	if scheme, _, ok := strings.Cut(s, "://"); ok && !strings.ContainsAny(scheme, "/:@.") {
		return parseURL(scheme, s)
	}
	if user, rest, ok := strings.Cut(s, "@"); ok && user != "" && !strings.ContainsAny(user, "/:") {
		host, p, ok := strings.Cut(rest, ":")
		if ok && validHost(host) && validHost(user) {
			return parseSCP(user, strings.ToLower(host), p)
		}
	}
	host, p, ok := strings.Cut(s, "/")
	host = strings.ToLower(host)
	if !ok || !strings.Contains(host, ".") || strings.HasPrefix(host, ".") {
		return reference{}, errNoAddress
	}
	if !knownHost(host) && !strings.Contains(p+"/", ".git/") && !strings.Contains(p, ".git@") {
		return reference{}, fmt.Errorf("address %q: where does the repository end? Write https://%s or end it with .git", s, s)
	}
	return parseURL("https", "https://"+s)
}

func parseURL(scheme, s string) (reference, error) {
	u, err := url.Parse(s)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok { // its text has the whole address, with a password
			err = e.Err
		}
		return reference{}, fmt.Errorf("address of a git repository: %w", err)
	}
	switch scheme {
	case "https", "http", "ssh":
		if !validAuthority(u) {
			return reference{}, fmt.Errorf("address %q: no host", u.Redacted())
		}
	default:
		return reference{}, fmt.Errorf("address %q: scheme %q is not supported, use https, ssh or file", u.Redacted(), scheme)
	}
	host := strings.ToLower(u.Hostname())
	r, repo, err := splitPath(strings.TrimPrefix(u.Path, "/"), knownHost(host))
	if err != nil {
		return reference{}, fmt.Errorf("address %q: %w", u.Redacted(), err)
	}
	r.url = &url.URL{Scheme: scheme, Host: strings.TrimSuffix(strings.ToLower(u.Host), ":"), Path: "/" + repo}
	if scheme == "ssh" {
		r.url.User = url.User(u.User.Username())
		if u.User.Username() == "" {
			r.url.User = url.User("git")
		}
		r.address = "ssh://" + r.url.User.Username() + "@" + r.url.Host + r.url.Path
		return r, nil
	}
	r.userinfo = u.User
	switch {
	case scheme == "https" && u.Port() == "" && knownHost(host):
		r.address = host + "/" + strings.TrimSuffix(repo, ".git")
		r.url.Path = "/" + strings.TrimSuffix(repo, ".git") + ".git"
	case scheme == "https" && u.Port() == "" && strings.Index(host, ".") > 0 && strings.HasSuffix(repo, ".git") && path.Base(repo) != ".git":
		r.address = host + "/" + repo
	default:
		r.address = scheme + "://" + r.url.Host + r.url.Path
	}
	return r, nil
}

// validAuthority reports whether a URL names a host, and no strange user on it.
func validAuthority(u *url.URL) bool {
	if u.Scheme == "ssh" && u.User.Username() != "" && !validHost(u.User.Username()) {
		return false
	}
	return validHost(u.Hostname()) || strings.HasPrefix(u.Host, "[") && net.ParseIP(u.Hostname()) != nil
}

// validHost reports whether s can be the name of a host or of a user on one.
func validHost(s string) bool {
	return s != "" && s[0] != '-' && !strings.ContainsFunc(s, func(c rune) bool {
		return c > 0x7f || !isAlphanumeric(byte(c)) && !strings.ContainsRune(".-_", c)
	})
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// parseFile takes the part of a file address behind its scheme.
func parseFile(p string) (reference, error) {
	p = strings.TrimPrefix(p, "localhost")
	if !strings.HasPrefix(p, "/") || strings.ContainsRune(p, 0) {
		return reference{}, fmt.Errorf("address file://%s: a file is on this machine: file:///PATH", p)
	}
	return reference{url: &url.URL{Scheme: "file", Path: p}}, nil
}

// parseSCP takes the form that ssh and scp have for a path on a host.
func parseSCP(user, host, p string) (reference, error) {
	r, repo, err := splitPath(p, knownHost(host))
	if err != nil {
		return reference{}, fmt.Errorf("address %s@%s:%s: %w", user, host, p, err)
	}
	r.address = user + "@" + host + ":" + repo
	r.url = &url.URL{Scheme: "ssh", User: url.User(user), Host: host, Path: "/" + strings.TrimPrefix(repo, "/")}
	return r, nil
}

// splitPath takes the path of an address apart: the repository, then the folder
// and the ref, which it sets. The ref begins at the first "@". The repository
// ends before "//", after a part that ends in ".git", after two parts where
// twoParts is set, or where the path ends.
func splitPath(p string, twoParts bool) (r reference, repo string, err error) {
	p, r.ref, err = cutRef(p)
	if err != nil {
		return r, "", err
	}
	repo, folder := p, ""
	parts := strings.Split(strings.TrimSuffix(p, "/"), "/")
	if before, after, ok := strings.Cut(p, "//"); ok {
		repo, folder = before, after
	} else if i := indexSuffix(parts, ".git"); i >= 0 {
		repo, folder = strings.Join(parts[:i+1], "/"), strings.Join(parts[i+1:], "/")
	} else if twoParts && len(parts) > 2 {
		repo, folder = strings.Join(parts[:2], "/"), strings.Join(parts[2:], "/")
	}
	repo = strings.TrimSuffix(repo, "/")
	if twoParts && strings.Count(repo, "/") == 0 || strings.Trim(repo, "/") == "" {
		return r, "", errors.New("no repository: want OWNER/REPOSITORY")
	}
	if path.Clean("/"+repo) != "/"+strings.TrimPrefix(repo, "/") {
		return r, "", errors.New(`"." and ".." are not allowed`)
	}
	r.folder, err = cleanFolder(folder)
	return r, repo, err
}

func indexSuffix(parts []string, suffix string) int {
	for i, part := range parts {
		if strings.HasSuffix(part, suffix) && part != suffix {
			return i
		}
	}
	return -1
}

// cutRef cuts the ref off a path.
func cutRef(p string) (before, ref string, err error) {
	before, ref, ok := strings.Cut(p, "@")
	if ok && !validRef(ref) {
		return "", "", fmt.Errorf("%q is not the name of a branch, a tag or a commit", ref)
	}
	return before, ref, nil
}

// cleanFolder returns a folder in its shortest form, empty for the root.
func cleanFolder(folder string) (string, error) {
	folder = path.Clean(strings.Trim(folder, "/"))
	if folder == "." {
		return "", nil
	}
	if folder == ".." || strings.HasPrefix(folder, "../") {
		return "", errors.New("the folder is outside the repository")
	}
	return folder, nil
}

// validRef reports whether git allows the name.
func validRef(ref string) bool {
	if ref == "" || len(ref) > 255 || ref[0] == '-' || ref == "@" {
		return false
	}
	for part := range strings.SplitSeq(ref, "/") {
		if part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock") || strings.HasSuffix(part, ".") {
			return false
		}
	}
	for _, bad := range []string{"..", "@{", "~", "^", ":", "?", "*", "[", " ", "\\", "\x7f"} {
		if strings.Contains(ref, bad) {
			return false
		}
	}
	return true
}
