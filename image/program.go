package image

import (
	"bytes"
	"context"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Errors of a program that was built by somebody else.
var (
	// ErrProgram is returned for a file that cannot be the program of an image.
	ErrProgram = errors.New("no program for an image")
	// ErrDynamic is an [ErrProgram]: the program needs shared libraries.
	ErrDynamic = fmt.Errorf("%w: it is linked to shared libraries, which would not be in the image", ErrProgram)
)

// program is a program that becomes an image.
type program struct {
	*os.File
	name     string // in the image, without a suffix
	platform v1.Platform
	created  time.Time
	labels   map[string]string
	contents contents
}

// image makes the image of a program.
func (p *program) image() (part, error) {
	base, err := baseLayer(p.created)
	if err != nil {
		return part{}, fmt.Errorf("base layer: %w", err)
	}
	file := p.name
	if p.platform.OS == "windows" {
		file += ".exe"
	}
	layer, err := programLayer(file, p.File, p.created)
	if err != nil {
		return part{}, fmt.Errorf("layer of %s: %w", p.name, err)
	}
	created := v1.Time{Time: p.created}
	config, err := json.Marshal(v1.ConfigFile{
		OS: p.platform.OS, Architecture: p.platform.Architecture, Variant: p.platform.Variant,
		Created: created,
		Config: v1.Config{
			Entrypoint: []string{path.Join("/app", file)},
			Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SSL_CERT_FILE=/" + certificatesFile},
			WorkingDir: "/",
			User:       nobody + ":" + nobody,
			Labels:     p.labels,
		},
		RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{base.digest, layer.digest}},
		History: []v1.History{
			{Created: created, CreatedBy: "micro", Comment: "certificates, nobody, /tmp"},
			{Created: created, CreatedBy: "micro", Comment: p.name},
		},
	})
	if err != nil {
		return part{}, err
	}
	m, err := newManifest(v1.Manifest{Annotations: p.labels}, types.OCIConfigJSON, config, base, layer)
	if err != nil {
		return part{}, err
	}
	return part{m, p.platform, p.contents}, nil
}

// buildProgram makes the image of a program that was built by somebody else.
func buildProgram(ctx context.Context, s *Source, o BuildOptions) (*Image, error) {
	p := &program{name: o.Name, labels: map[string]string{}}
	if p.name == "" {
		p.name = s.Name
	}
	if err := checkName(p.name); err != nil {
		return nil, err
	}
	p.labels[titleLabel] = p.name
	var err error
	if p.created, err = created(); err != nil {
		return nil, err
	}
	if p.File, err = os.Open(s.Program); err != nil {
		return nil, err
	}
	fail := func(err error) (*Image, error) { return nil, errors.Join(err, p.Close()) }
	p.contents = readContents(p.File)
	if p.platform, err = platformOf(p.File, p.contents); err != nil {
		return fail(fmt.Errorf("%s: %w", s.Program, err))
	}
	if len(o.Platforms) > 0 {
		wanted, err := ParsePlatforms(o.Platforms)
		if err != nil {
			return fail(err)
		}
		if len(wanted) != 1 || wanted[0].OS != p.platform.OS || wanted[0].Architecture != p.platform.Architecture {
			return fail(fmt.Errorf("%s: %w: it is made for %s, and %s is wanted",
				s.Program, ErrProgram, p.platform.String(), strings.Join(o.Platforms, ", ")))
		}
		p.platform = wanted[0]
	}
	if err := ctx.Err(); err != nil {
		return fail(context.Cause(ctx))
	}
	report(o.Progress, Event{Stage: Packaging, Message: p.name})
	made, err := p.image()
	if err != nil {
		return fail(err)
	}
	i, err := combine(p.name, p.labels, nil, []part{made})
	if err != nil {
		return fail(err)
	}
	i.close = p.Close
	return i, nil
}

// platformOf returns what a program runs on. The error is [ErrProgram] for what is no
// program, and for one that needs others to load it, which an image of ours does not
// have.
func platformOf(f io.ReaderAt, c contents) (v1.Platform, error) {
	head := make([]byte, 8)
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return v1.Platform{}, err
	}
	p := v1.Platform{OS: c.settings["GOOS"], Architecture: c.settings["GOARCH"]}
	switch {
	case bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		return elfPlatform(f, p)
	case bytes.HasPrefix(head, []byte("#!")):
		return p, fmt.Errorf("%w: it is a script; --dockerfile builds an image with what it needs", ErrProgram)
	case p.OS == "" && bytes.HasPrefix(head, []byte("MZ")):
		p.OS = "windows"
		if x, err := pe.NewFile(f); err == nil {
			p.Architecture = map[uint16]string{pe.IMAGE_FILE_MACHINE_AMD64: "amd64", pe.IMAGE_FILE_MACHINE_ARM64: "arm64"}[x.Machine]
		}
	case p.OS == "":
		if x, err := macho.NewFile(f); err == nil {
			p.OS = "darwin"
			p.Architecture = map[macho.Cpu]string{macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64"}[x.Cpu]
		}
	}
	if p.OS == "" || p.Architecture == "" {
		return p, fmt.Errorf("%w: it is no executable file", ErrProgram)
	}
	return p, nil
}

// elfPlatform completes the platform of an ELF file.
func elfPlatform(f io.ReaderAt, p v1.Platform) (v1.Platform, error) {
	x, err := elf.NewFile(f)
	if err != nil {
		return p, fmt.Errorf("%w: it is damaged: %w", ErrProgram, err)
	}
	for _, prog := range x.Progs {
		if prog.Type == elf.PT_INTERP {
			return p, ErrDynamic
		}
	}
	if x.Type != elf.ET_EXEC && x.Type != elf.ET_DYN {
		return p, fmt.Errorf("%w: it is no executable file", ErrProgram)
	}
	if p.OS == "" {
		p.OS = "linux"
		if x.OSABI == elf.ELFOSABI_FREEBSD {
			p.OS = "freebsd"
		}
	}
	little := x.ByteOrder.String() == "LittleEndian"
	switch x.Machine { //nolint:exhaustive // what Go builds for
	case elf.EM_X86_64:
		p.Architecture = "amd64"
	case elf.EM_AARCH64:
		p.Architecture = "arm64"
	case elf.EM_386:
		p.Architecture = "386"
	case elf.EM_ARM:
		p.Architecture = "arm"
	case elf.EM_RISCV:
		p.Architecture = "riscv64"
	case elf.EM_S390:
		p.Architecture = "s390x"
	case elf.EM_PPC64:
		p.Architecture = "ppc64"
		if little {
			p.Architecture = "ppc64le"
		}
	}
	if p.Architecture == "" {
		return p, fmt.Errorf("%w: it is made for an unknown machine, %s", ErrProgram, x.Machine)
	}
	return p, nil
}

// fetchProgram returns the source that is a program already.
func fetchProgram(abs string, info os.FileInfo) (*Source, error) {
	base := filepath.Base(abs)
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is neither a directory nor a file", abs)
	case filepath.Ext(base) == ".go":
		return nil, fmt.Errorf("%s is a file of Go; a source is the directory of a package", abs)
	}
	name := serviceName(strings.TrimSuffix(base, ".exe"))
	return &Source{Dir: filepath.Dir(abs), Program: abs, Name: name, Address: base}, nil
}
