package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/micro/micro/v3/internal/fault"
)

// BuildOptions are settings of [Build].
type BuildOptions struct {
	Name    string // of the service; empty: the source's
	Package string // the main package below the source's directory; empty: the directory itself
	// Platforms are those to build for, such as "linux/arm64" and "linux/arm/v7".
	// None: the one of this machine. Several make an index of images.
	Platforms []string

	// Dockerfile is built by a container engine of this machine, in the place of
	// the go command; its path is below the source's directory. Empty: none.
	Dockerfile string

	// Overrides are modules that this build takes from elsewhere than the
	// source's go.mod says.
	Overrides []Override

	// CacheDir keeps the linked programs, so that a source that has not changed
	// is not linked again. Empty: they are not kept. What was not used for a
	// month is removed.
	CacheDir string
	// Seed is where to find what another machine has compiled. Nil: nowhere. Builds
	// for several platforms do without.
	Seed    *Seed
	TempDir string   // for what is not kept; empty: the system's
	Go      string   // the go command; empty: "go", found in PATH
	Env     []string // the environment of the go command; nil: this process's

	Progress func(Event)
}

// Override makes a build take a module from a directory with the form of a
// module proxy, whatever replace directive go.mod has for it. What the source's
// go.mod does not need is not touched.
type Override struct {
	Module  string
	Version string // one version has one content, on every machine and at any time
	// ProxyDir holds MODULE/@v/VERSION.{info,mod,zip}, in the form of GOPROXY.
	ProxyDir string
}

// buildTags are set for every build. timetzdata puts the time zones into the
// program: 0.4 MB, and they are there in a container without a file and on a
// host that has none. They cost nothing else, and no layer has to be kept up to
// date for them.
const buildTags = "timetzdata"

// Build compiles the main package of a source with the user's own go command
// and build cache, and makes an image of it that the caller closes. The files of
// the source are not changed.
//
// The same source gives the same image: in any directory, at any time and on any
// machine with the same version of Go. Of the user's settings of Go only those
// count that say where modules come from and where things are cached. A source
// from git carries its address and its commit in labels; a directory does not,
// so that a commit that changes nothing in the program does not change the
// image.
//
// A go.work counts only when the program needs another of its modules or one
// of its replacements; a vendor directory counts unless there is an override for
// the module.
//
// Of a source that is a program there is nothing to compile: it becomes the image's.
// The error is [ErrProgram] when it cannot. What an engine makes of a Dockerfile is its
// own affair; without one the error is [ErrEngine].
//
// The error is a [*BuildError] for code that does not compile, a
// [*PackageError] where there is no main package, and [ErrGo] when there is no
// go command or one that is too old. It is that of ctx when that has ended;
// everything that was started is ended before Build returns.
func Build(ctx context.Context, s *Source, o BuildOptions) (_ *Image, err error) {
	if s.Program != "" {
		return buildProgram(ctx, s, o)
	}
	platforms, err := ParsePlatforms(o.Platforms)
	if err != nil {
		return nil, err
	}
	if o.Dockerfile != "" {
		return buildDockerfile(ctx, s, platforms, o)
	}
	builders := make([]*builder, len(platforms))
	closeAll := func() error {
		var err error
		for _, b := range builders {
			if b != nil {
				err = errors.Join(err, b.close())
			}
		}
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, closeAll())
		}
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()
	first, err := newBuild(ctx, s, o)
	if err != nil {
		return nil, err
	}
	for n, p := range platforms {
		b := *first
		b.platform = p
		builders[n] = &b
	}
	schema := make(chan []byte, 1)
	fault.Go(ctx, func() {
		var compiled []byte
		defer func() { schema <- compiled }()
		compiled = compileSchema(ctx, first.dir(), first.tools.modRoot(), first.report)
	})
	parts, err := buildAll(ctx, builders)
	compiled := <-schema
	if err != nil {
		return nil, err
	}
	i, err := combine(first.name, first.labels(), compiled, parts)
	if err != nil {
		return nil, err
	}
	i.close = closeAll
	i.seeded = builders[0].seeded
	return i, nil
}

// buildAll builds for one platform after the other: the go command makes use of all
// processors by itself.
func buildAll(ctx context.Context, builders []*builder) ([]part, error) {
	parts := make([]part, len(builders))
	for n, b := range builders {
		if err := b.makeDirs(); err != nil {
			return nil, err
		}
		if err := b.compile(ctx); err != nil {
			return nil, err
		}
		b.report(Event{Stage: Packaging, Message: b.subject()})
		var err error
		if parts[n], err = b.describe().image(); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// ParsePlatforms reads the names of platforms, such as "linux/arm64". None means that
// of this machine. The error says which is none, or comes twice.
func ParsePlatforms(names []string) ([]v1.Platform, error) {
	if len(names) == 0 {
		names = []string{runtime.GOOS + "/" + runtime.GOARCH}
	}
	var list []v1.Platform
	for _, name := range names {
		p, err := v1.ParsePlatform(name)
		if err != nil || p.OS == "" || p.Architecture == "" || p.OSVersion != "" {
			return nil, fmt.Errorf("platform %q: want OS/ARCHITECTURE, such as linux/arm64", name)
		}
		if slices.ContainsFunc(list, p.Equals) {
			return nil, fmt.Errorf("platform %q: it is there twice", name)
		}
		list = append(list, *p)
	}
	return list, nil
}

// builder is one run of [Build] for one platform.
type builder struct {
	source   *Source
	options  BuildOptions
	name     string
	several  bool // there are builds for other platforms beside this one
	platform v1.Platform
	created  time.Time
	tools    *tools
	work     string // a directory of this run
	keep     string // where the program is kept; empty: nowhere
	program  *os.File
	log      []string // what it said
	seeded   *seeded  // nil: with the user's own build cache
	report   func(Event)
}

// newBuilder returns a builder that has no tools yet.
func newBuilder(s *Source, o BuildOptions) (*builder, error) {
	b := &builder{source: s, options: o, name: o.Name, several: len(o.Platforms) > 1}
	if b.name == "" {
		b.name = s.Name
	}
	if err := checkName(b.name); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	b.report = func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		report(o.Progress, e)
	}
	var err error
	b.created, err = created()
	return b, err
}

func newBuild(ctx context.Context, s *Source, o BuildOptions) (*builder, error) {
	b, err := newBuilder(s, o)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(b.dir()); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("package %s: %w", b.place(), ErrNotFound)
	}
	b.tools, err = findTools(ctx, b.dir(), o)
	return b, err
}

// checkName returns an error for what cannot name a program in an image.
func checkName(name string) error {
	if name == "" || strings.ContainsAny(name, "/\\\x00") || len(name) > 63 {
		return fmt.Errorf("%q cannot be the name of a service", name)
	}
	return nil
}

// subject returns what is built, for people.
func (b *builder) subject() string {
	if b.several {
		return b.name + " for " + b.platform.String()
	}
	return b.name
}

// remote reports whether the source came from a git address.
func (s *Source) remote() bool { return s.root != "" }

// created returns the time that everything in an image bears: the epoch, or
// what SOURCE_DATE_EPOCH says.
func created() (time.Time, error) {
	value := os.Getenv("SOURCE_DATE_EPOCH")
	if value == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<33-1 { // what a tar header holds
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH is %q, not a number of seconds", value)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// dir returns the directory of the main package.
func (b *builder) dir() string {
	return filepath.Join(b.source.Dir, filepath.FromSlash(b.options.Package))
}

// place returns how the user knows the main package.
func (b *builder) place() string {
	if b.source.remote() {
		return strings.TrimSuffix(b.source.Address+"/"+path.Join(b.source.Folder, b.options.Package), "/")
	}
	return b.dir()
}

// makeDirs makes the directory of this run. It is beside the kept program, on
// the same file system, so that the one becomes the other in one step.
func (b *builder) makeDirs() error {
	parent := b.options.TempDir
	if b.options.CacheDir != "" {
		parent = filepath.Join(b.options.CacheDir, b.key())
		if err := os.MkdirAll(parent, 0o755); err != nil {
			return err
		}
		b.keep = filepath.Join(parent, "program")
		prune(b.options.CacheDir)
	}
	var err error
	b.work, err = os.MkdirTemp(parent, "build-*")
	return err
}

// key names the program among those that are kept: what may differ between two
// builds whose programs should not take each other's place.
func (b *builder) key() string {
	place := b.source.Dir
	if b.source.remote() {
		place = b.source.Address + "//" + b.source.Folder
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q %q %q", place, b.options.Package, b.platform.String(), b.options.Overrides)
	return hex.EncodeToString(sum.Sum(nil))[:keyLength]
}

// keyLength is how many hexadecimal digits a key has.
const keyLength = 24

// keepFor is how long a program is kept that nobody builds again.
const keepFor = 30 * 24 * time.Hour

// prune removes programs from a cache that were not built for long, and what a
// build left that was killed. It is no harm when it fails.
func prune(cache string) {
	entries, err := os.ReadDir(cache)
	if err != nil {
		return
	}
	for _, e := range entries {
		if _, err := hex.DecodeString(e.Name()); err != nil || len(e.Name()) != keyLength {
			continue // not ours
		}
		dir := filepath.Join(cache, e.Name())
		removeOld(dir)
		left, err := filepath.Glob(filepath.Join(dir, "build-*"))
		if err != nil {
			return
		}
		for _, dir := range left {
			removeOld(dir)
		}
	}
}

func removeOld(dir string) {
	if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > keepFor {
		_ = os.RemoveAll(dir)
	}
}

// close removes the directory of the run.
func (b *builder) close() error {
	var err error
	if b.program != nil {
		err = b.program.Close()
		b.program = nil
	}
	if b.work == "" {
		return err
	}
	return errors.Join(err, os.RemoveAll(b.work))
}

// compile makes the program and opens it. Whatever happens to the file
// afterwards, the content that was opened stays the same: go replaces files, and
// does not write into them.
func (b *builder) compile(ctx context.Context) error {
	if err := b.checkMain(); err != nil {
		return err
	}
	modules, err := b.modules(ctx)
	if err != nil {
		return err
	}
	out := filepath.Join(b.work, "program")
	if b.keep != "" {
		// When this fails, it is linked again.
		_ = os.Link(b.keep, out)
	}
	b.report(Event{Stage: Building, Message: b.subject()})
	b.seeded = b.useSeed(ctx, modules)
	run := func() error {
		return b.goBuild(ctx, modules, out)
	}
	err = run()
	if modules.resolve != nil && needsResolving(err) {
		if err = modules.resolve(ctx); err == nil {
			err = run()
		}
	}
	if err != nil {
		return err
	}
	if b.program, err = os.Open(out); err != nil {
		return err
	}
	if b.keep != "" {
		// When this fails, it is linked again the next time.
		_ = os.Rename(out, b.keep)
	}
	return nil
}

func (b *builder) goBuild(ctx context.Context, m *modules, out string) error {
	args := append([]string{"build", "-o", out}, buildFlags()...)
	c := command{
		dir: b.dir(), args: append(append(args, m.flags...), "."),
		env: append(m.env, b.platformEnv()...), progress: b.report,
	}
	b.log = nil
	c.said = func(line string) { b.log = append(b.log, m.clean(line)) }
	_, err := b.tools.run(ctx, c)
	if failed, ok := errors.AsType[*exitError](err); ok {
		return b.failure(failed, m)
	}
	return err
}

// buildFlags are those of every build. Without symbols and debugging information the
// link takes half the time. The build ID stays: without it go links again what has
// not changed, and it is made of the content only.
func buildFlags() []string {
	return []string{"-trimpath", "-buildvcs=false", "-tags=" + buildTags, "-ldflags=-s -w"}
}

// platformEnv returns the settings of go for the platform. Nothing in them is
// the user's, so that they are the same everywhere.
func (b *builder) platformEnv() []string {
	return append(platformSettings(b.platform), "GOTMPDIR="+b.work)
}

// platformSettings returns what makes go build for a platform.
func platformSettings(p v1.Platform) []string {
	env := []string{"GOOS=" + p.OS, "GOARCH=" + p.Architecture, "CGO_ENABLED=0"}
	switch v := strings.TrimPrefix(p.Variant, "v"); {
	case v == "":
	case p.Architecture == "amd64":
		env = append(env, "GOAMD64=v"+v)
	case p.Architecture == "arm64" && !strings.Contains(v, "."):
		env = append(env, "GOARM64=v"+v+".0")
	case p.Architecture == "arm64":
		env = append(env, "GOARM64=v"+v)
	case p.Architecture == "arm":
		env = append(env, "GOARM="+v)
	}
	return env
}
