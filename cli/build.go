package cli

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/cli/words"
	"github.com/micro/micro/v3/image"
	"github.com/micro/micro/v3/internal/sdk"
)

// makeOptions say how an image is made of a source.
type makeOptions struct {
	name       string
	platforms  []string
	dockerfile string // empty: the go command builds
	shareCache bool
}

func (o *makeOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "name of the service (micro.yaml, else the directory's)")
	f.StringSliceVar(&o.platforms, "platform", nil, "platforms to build for, such as linux/amd64,linux/arm64")
	f.StringVar(&o.dockerfile, "dockerfile", "", "build with this Dockerfile and the docker or podman that is installed")
	f.Lookup("dockerfile").NoOptDefVal = "Dockerfile"
	f.BoolVar(&o.shareCache, "share-cache", false, "keep what had to be compiled in the environment, for machines that have compiled nothing yet")
}

const sourceHelp = `SOURCE is a directory, or a git address: github.com/OWNER/REPO, the same on another
host, https://, ssh:// or file://; then /FOLDER for a folder of it and @REF for
a branch, tag or commit. It may be a program, too: a static one for the platform
that it will run on, as a file.`

// fetched is a source that is here, with what it says of itself.
type fetched struct {
	*image.Source
	manifest manifest
	name     string // of the service
}

// fetch gets a source. The caller closes it.
func (o *makeOptions) fetch(ctx context.Context, app *App, p *progress, ref string) (*fetched, error) {
	source, err := image.Fetch(ctx, ref, image.FetchOptions{
		Credentials: app.gitCredentials, Prompt: app.Interactive(), Progress: showStage(p),
	})
	if err != nil {
		return nil, err
	}
	m, err := readManifest(source.Dir)
	if err != nil {
		_ = source.Close() // the manifest is what is wrong
		return nil, err
	}
	return &fetched{source, m, cmp.Or(o.name, m.Name, source.Name)}, nil
}

// build makes an image of a source. The caller closes it.
func (o *makeOptions) build(ctx context.Context, app *App, p *progress, source *image.Source, name string, platforms []string) (*image.Image, error) {
	dirs, err := app.Dirs()
	if err != nil {
		return nil, err
	}
	module, err := sdk.New(app.SDK)
	if err != nil {
		return nil, err
	}
	proxy, err := filepath.Abs(filepath.Join(dirs.Cache, "sdk-proxy"))
	if err != nil {
		return nil, err
	}
	version, err := module.WriteProxy(proxy)
	if err != nil {
		return nil, err
	}
	return image.Build(ctx, source, image.BuildOptions{
		Name:       name,
		Platforms:  platforms,
		Dockerfile: o.dockerfile,
		Overrides:  []image.Override{{Module: sdk.Path, Version: version, ProxyDir: proxy}},
		CacheDir:   filepath.Join(dirs.Cache, "build"),
		Seed:       o.seed(app, filepath.Join(dirs.Cache, "seeded")),
		Progress:   showStage(p),
	})
}

// buildCache is the repository of a namespace that keeps seeds of the build cache. No
// service can have this name.
const buildCache = "build-cache"

// seed says where a build finds what other machines have compiled: in the environment,
// when somebody is logged in there.
func (o *makeOptions) seed(app *App, dir string) *image.Seed {
	to, err := app.registry(nil, buildCache)
	if err != nil || !app.hasSession() {
		return nil
	}
	to.Progress = nil
	sum := sha256.Sum256(sdk.ProjectSum())
	return &image.Seed{Dir: dir, Key: hex.EncodeToString(sum[:]), Place: to, Share: o.shareCache}
}

// share keeps what had to be compiled for an image, if that was asked for. The image is
// made: what goes wrong here is told, and no failure.
func (o *makeOptions) share(ctx context.Context, p *progress, img *image.Image) {
	if !o.shareCache {
		return
	}
	p.start("sharing", "the build cache")
	n, err := img.ShareSeed(ctx)
	switch {
	case err != nil:
		p.note("warning: " + err.Error())
	case n == 0:
		p.update("the build cache: nothing had to be compiled that others lack")
	default:
		p.update("the build cache (" + words.Size(n) + ")")
	}
}

// buildOptions say what to build and where to put it.
type buildOptions struct {
	makeOptions
	outputs outputs
	sbom    string
}

func newBuildCmd(app *App) *cobra.Command {
	o := buildOptions{outputs: outputs{format: asTable}}
	cmd := &cobra.Command{
		Use:   "build [SOURCE]",
		Short: "Build an image from source, without a server",
		Long: `Build an OCI image from source with your own Go and its caches: no container engine
takes part, and none is needed. The same source gives the same digest on every
machine. Needs no environment and no account.

` + sourceHelp + `

--output says where the image goes, and can be repeated:

  FILE.tar             one file, for "podman load", "docker load", skopeo and crane
  -                    the same on standard output
  oci:DIR[:TAG]        an OCI image layout
  docker-daemon[:NAME[:TAG]]   the docker or podman that is installed
  REGISTRY/REPOSITORY[:TAG]    a registry, as your container tools are logged in;
                       the registry of the current environment as you are
  json, yaml           no place: print names, digests and sizes in this form

Without a place the image is built and only its digest printed. Each place gets one
line on standard output: PLACE@DIGEST.`,
		Example: `  micro build --output helloworld.tar
  micro build github.com/owner/repo --platform linux/amd64,linux/arm64 --output registry.example.com/team/app:v1
  micro build . -o oci:image --sbom sbom.json -o json`,
		Args: atMostOne(),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, app, args) },
	}
	o.flags(cmd)
	f := cmd.Flags()
	f.VarP(&o.outputs, "output", "o", "where the image goes, or how to print; can be repeated")
	f.StringVar(&o.sbom, "sbom", "", "write the list of what is in the image to FILE, as SPDX in JSON; - is standard output")
	return cmd
}

func (o *buildOptions) run(cmd *cobra.Command, app *App, args []string) error {
	source := "."
	if len(args) == 1 {
		source = args[0]
	}
	if err := o.checkStdout(app); err != nil {
		return err
	}
	p := newProgress(app)
	err := o.build(cmd.Context(), app, p, source)
	if err != nil {
		p.fail(err)
		return explainBuild(err)
	}
	return nil
}

// checkStdout makes sure that one thing at most goes to standard output.
func (o *buildOptions) checkStdout(app *App) error {
	n := 0
	for _, d := range o.outputs.places {
		if d.kind == toStdout {
			n++
		}
	}
	if o.sbom == "-" {
		n++
	}
	if n > 0 && o.outputs.format != asTable {
		n++
	}
	switch {
	case n > 1:
		return usage("micro build --help", "only one thing can go to standard output")
	case n == 1 && o.sbom != "-" && o.outputs.format == asTable && app.Terminal.Out:
		return usage("micro build --output NAME.tar", "an image is nothing for a terminal")
	}
	return nil
}

func (o *buildOptions) build(ctx context.Context, app *App, p *progress, ref string) error {
	p.start("building", ref)
	source, err := o.fetch(ctx, app, p, ref)
	if err != nil {
		return err
	}
	defer source.Close()
	if !isServiceName(source.name) {
		return badServiceName(source.name)
	}
	platforms := o.platforms
	if len(platforms) == 0 && source.Program == "" {
		// Where images run that are built alone is not this machine.
		platforms = []string{"linux/" + runtime.GOARCH}
	}
	p.update(source.name + " from " + ref)
	img, err := o.makeOptions.build(ctx, app, p, source.Source, source.name, platforms)
	if err != nil {
		return err
	}
	defer img.Close()
	result := newBuildResult(img, source.Source)
	for _, d := range o.outputs.places {
		p.start("writing", d.String())
		place, err := d.write(ctx, app, p, img)
		if err != nil {
			return err
		}
		result.Outputs = append(result.Outputs, place)
	}
	if o.sbom != "" {
		if err := o.writeSBOM(app, img); err != nil {
			return err
		}
	}
	o.share(ctx, p, img)
	p.finish()
	return o.print(app, result)
}

func (o *buildOptions) writeSBOM(app *App, img *image.Image) error {
	sbom, err := img.SBOM()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, sbom, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	if o.sbom == "-" {
		_, err := app.Out.Write(out.Bytes())
		return err
	}
	return os.WriteFile(o.sbom, out.Bytes(), 0o644)
}

// buildResult is what micro build prints in JSON.
type buildResult struct {
	Name      string          `json:"name"`
	Digest    string          `json:"digest"`
	Size      int64           `json:"size"`
	Platforms []builtPlatform `json:"platforms"`
	Source    builtSource     `json:"source"`
	Outputs   []string        `json:"outputs"`
}

type builtPlatform struct {
	Platform string `json:"platform"`
	Digest   string `json:"digest"`
	Size     int64  `json:"size"`
}

type builtSource struct {
	Address  string `json:"address"`
	Folder   string `json:"folder,omitempty"`
	Ref      string `json:"ref,omitempty"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
}

func newBuildResult(img *image.Image, s *image.Source) *buildResult {
	r := &buildResult{
		Name: img.Name(), Digest: img.Digest(), Size: img.Size(), Outputs: []string{},
		Source: builtSource{s.Address, s.Folder, s.Ref, s.Revision, s.Modified},
	}
	for _, p := range img.Platforms() {
		r.Platforms = append(r.Platforms, builtPlatform(p))
	}
	return r
}

func (o *buildOptions) print(app *App, r *buildResult) error {
	switch {
	case o.outputs.format != asTable:
		b, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if o.outputs.format == asYAML {
			return jsonToYAML(app.Out, b)
		}
		_, err = app.Out.Write(append(b, '\n'))
		return err
	case o.sbom == "-":
	case len(r.Outputs) == 0:
		fmt.Fprintln(app.Out, r.Name+"@"+r.Digest)
		fmt.Fprintln(app.Err, "hint: micro build --output "+r.Name+".tar writes it; see micro build --help")
	default:
		for _, place := range r.Outputs {
			if place != string(toStdout) {
				fmt.Fprintln(app.Out, place+"@"+r.Digest)
			}
		}
	}
	return nil
}

// outputs is the flag --output of micro build: places for the image, and the form of
// what is printed.
type outputs struct {
	format format
	places []place
}

// Type is what help calls the value.
func (*outputs) Type() string { return "place" }

func (o *outputs) String() string {
	var names []string
	for _, p := range o.places {
		names = append(names, p.String())
	}
	return strings.Join(names, ",")
}

// Set takes one value of the flag.
func (o *outputs) Set(s string) error {
	switch f := format(s); f {
	case asTable, asJSON, asYAML:
		o.format = f
		return nil
	}
	p, err := parsePlace(s)
	if err == nil {
		o.places = append(o.places, p)
	}
	return err
}
