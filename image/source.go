package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Errors that callers tell apart with [errors.Is].
var (
	// ErrNotFound is returned for a directory, a repository or a folder in one
	// that is not there. Hosts say that of repositories that one may not see,
	// too.
	ErrNotFound = errors.New("not found")
	// ErrAuth is returned for a repository that needs credentials which there
	// are not, or which are not enough.
	ErrAuth = errors.New("authentication needed")
	// ErrDenied is returned where the credentials are good, and not for this.
	ErrDenied = errors.New("not allowed")
	// ErrUnreachable is returned when there is no way to a host.
	ErrUnreachable = errors.New("cannot be reached")
	// ErrTooLarge is returned for a source that is over a limit.
	ErrTooLarge = errors.New("too large")
)

// AuthError is an [ErrAuth] of a host of repositories.
type AuthError struct {
	Address string // of the repository
	Host    string
	SSH     bool
	Reason  string
}

func (e *AuthError) Error() string {
	return fmt.Sprintf("repository %s: %s: %s", e.Address, e.Reason, ErrAuth)
}

// Is reports whether target is [ErrAuth].
func (e *AuthError) Is(target error) bool { return target == ErrAuth }

// Source is a directory with the code of a service, or a program.
type Source struct {
	Dir      string // absolute; of a program, where it lies
	Program  string // the file of a program that is built already; empty: there is code
	Name     string // a name for the service: the folder's, as a DNS label
	Address  string // a directory's base name, or the git address of the repository
	Folder   string // below the repository's root, for a git address
	Ref      string // branch, tag or commit, as it was asked for or discovered
	Revision string // the full commit, where there is one
	Modified bool   // the directory differs from the commit

	root  string // what the source may be made of lies below it; empty: anywhere
	close func() error
}

// Root returns the directory that what belongs to the source is below: the root of the
// repository for a git address, "" for a directory of the user's.
func (s *Source) Root() string { return s.root }

// Close removes what [Fetch] has made. A directory of the user's stays.
func (s *Source) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

// FetchOptions are settings of [Fetch]. The zero value is good for people at
// their own machine.
type FetchOptions struct {
	TempDir  string        // where checkouts are made; empty: the system's
	Timeout  time.Duration // 0: 10 min
	MaxBytes int64         // of what is sent, and of all files; 0: 1 GiB
	MaxFile  int64         // of one file; 0: 128 MiB
	MaxFiles int           // 0: 200000

	// Credentials returns a user name and a password or token for an https
	// address. It is asked when a host wants some. When it is nil or has nothing,
	// the credential helpers of the user's git are asked, if there is one, and
	// then the user's .netrc.
	Credentials func(ctx context.Context, url string) (user, password string, err error)
	// Prompt lets the credential helpers ask on the terminal.
	Prompt bool

	Progress func(Event)
}

func (o FetchOptions) withDefaults() FetchOptions {
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Minute
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 1 << 30
	}
	if o.MaxFile == 0 {
		o.MaxFile = 128 << 20
	}
	if o.MaxFiles == 0 {
		o.MaxFiles = 200_000
	}
	return o
}

// Fetch returns the source that ref names: a directory, or a git address in one
// of these forms.
//
//	github.com/OWNER/REPO[/FOLDER][@REF]    also gitlab.com, bitbucket.org, …
//	HOST/PATH.git[/FOLDER][@REF]
//	https://HOST/PATH[//FOLDER][@REF]
//	ssh://[USER@]HOST/PATH[//FOLDER][@REF]
//	USER@HOST:PATH[//FOLDER][@REF]
//	file:///PATH[//FOLDER][@REF]            what is committed in a repository of this machine
//
// REF is a branch, a tag or a commit, also the first digits of one; without it,
// and with "latest" where nothing has that name, the default branch is taken. A
// directory is meant when ref begins with ".", "/" or "~" or when there is one
// with this name. In the place of a directory there may be a file, a program.
//
// What comes from git lies in a new directory that [Source.Close] removes. It
// holds the files of the commit, but links that lead out of it and the contents
// of submodules. The error is [ErrNotFound], a [*RefError], [ErrAuth],
// [ErrUnreachable] or [ErrTooLarge]; it is that of ctx after ctx has ended.
func Fetch(ctx context.Context, ref string, o FetchOptions) (*Source, error) {
	o = o.withDefaults()
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout,
		fmt.Errorf("fetch %s: not done after %s: %w", ref, o.Timeout, ErrUnreachable))
	defer cancel()
	s, err := fetch(ctx, ref, o)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return s, err
}

func fetch(ctx context.Context, ref string, o FetchOptions) (*Source, error) {
	if ref == "" {
		return nil, errors.New("no source: name a directory or a git address")
	}
	if isPath(ref) {
		return fetchDir(ctx, ref)
	}
	if _, err := os.Stat(ref); err == nil {
		return fetchDir(ctx, ref)
	}
	address, err := parseReference(ref)
	switch {
	case errors.Is(err, errNoAddress):
		return nil, fmt.Errorf("source %q: %w: there is no such directory, and it is no git address such as github.com/OWNER/REPO", ref, ErrNotFound)
	case err != nil:
		return nil, err
	case address.url.Scheme == "file":
		return fetchFile(ctx, address, o)
	default:
		return fetchRemote(ctx, address, o)
	}
}

// isPath reports whether ref can only mean a directory.
func isPath(ref string) bool {
	return strings.HasPrefix(ref, ".") || ref[0] == '~' || filepath.IsAbs(ref) || ref[0] == '/'
}

// fetchDir returns the source in a directory of the user's.
func fetchDir(ctx context.Context, dir string) (*Source, error) {
	if dir == "~" || strings.HasPrefix(dir, "~/") {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(home, dir[1:])
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("directory %s: %w", dir, ErrNotFound)
	case err != nil:
		return nil, err
	case !info.IsDir():
		return fetchProgram(abs, info)
	}
	base := filepath.Base(abs)
	s := &Source{Dir: abs, Name: serviceName(base), Address: base}
	s.Revision, s.Modified = revision(ctx, abs)
	return s, nil
}

// ServiceName makes the name of a service, a DNS label, of the last part of a path.
func ServiceName(p string) string { return serviceName(path.Base(p)) }

// serviceName makes a DNS label of a folder's name.
func serviceName(base string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(strings.TrimSuffix(base, ".git")) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			b.WriteRune(c)
		} else if b.Len() > 0 && !strings.HasSuffix(b.String(), "-") {
			b.WriteByte('-')
		}
	}
	name := b.String()
	name = strings.TrimRight(name[:min(len(name), 63)], "-")
	if name == "" {
		return "service"
	}
	return name
}
