package embedded

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/micro/micro/v3/backend/runtime"
)

// elfFile returns the beginning of a program that wants a loader.
func elfFile(tb testing.TB, class elf.Class, order binary.ByteOrder, loader string) string {
	tb.Helper()
	var ident [elf.EI_NIDENT]byte
	copy(ident[:], elf.ELFMAG)
	ident[elf.EI_CLASS] = byte(class)
	ident[elf.EI_DATA] = byte(elf.ELFDATA2LSB)
	if order == binary.BigEndian {
		ident[elf.EI_DATA] = byte(elf.ELFDATA2MSB)
	}
	var head, first, second any
	switch size := len(loader) + 1; class {
	case elf.ELFCLASS64:
		head = elf.Header64{Ident: ident, Phoff: 64, Phentsize: 56, Phnum: 2}
		first, second = elf.Prog64{Type: uint32(elf.PT_LOAD)}, elf.Prog64{Type: uint32(elf.PT_INTERP), Off: 64 + 2*56, Filesz: uint64(size)}
	default:
		head = elf.Header32{Ident: ident, Phoff: 52, Phentsize: 32, Phnum: 2}
		first, second = elf.Prog32{Type: uint32(elf.PT_LOAD)}, elf.Prog32{Type: uint32(elf.PT_INTERP), Off: 52 + 2*32, Filesz: uint32(size)}
	}
	var buf bytes.Buffer
	for _, part := range []any{head, first, second} {
		if err := binary.Write(&buf, order, part); err != nil {
			tb.Fatal(err)
		}
	}
	return buf.String() + loader + "\x00"
}

func TestLoaderOf(t *testing.T) {
	t.Parallel()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	short := elfFile(t, elf.ELFCLASS64, binary.LittleEndian, "/lib/ld.so")
	for _, tt := range []struct {
		name, content, want string
	}{
		{"ELF of 64 bits", short, "/lib/ld.so"},
		{"ELF of 32 bits", elfFile(t, elf.ELFCLASS32, binary.LittleEndian, "/lib/ld.so"), "/lib/ld.so"},
		{"ELF of 64 bits, big end first", elfFile(t, elf.ELFCLASS64, binary.BigEndian, "/lib/ld.so"), "/lib/ld.so"},
		{"ELF, name too long", elfFile(t, elf.ELFCLASS64, binary.LittleEndian, strings.Repeat("x", 5000)), ""},
		{"ELF, cut off", short[:len(short)-5], ""},
		{"ELF, header cut off", short[:40], ""},
		{"ELF, nothing but the beginning", elf.ELFMAG, ""},
		{"script", "#!/bin/sh\nexit", "/bin/sh"},
		{"script with an argument", "#! /usr/bin/env python3\n", "/usr/bin/env"},
		{"script without an end", "#!/bin/sh", "/bin/sh"},
		{"empty script", "#!", ""},
		{"text", "Hello", ""},
		{"empty", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := loaderOf(strings.NewReader(tt.content)); got != tt.want {
				t.Errorf("loaderOf = %q, want %q", got, tt.want)
			}
		})
	}
	// A real one must at least not confuse it.
	if got := loaderOf(bytes.NewReader(self)); got != "" && !strings.HasPrefix(got, "/") {
		t.Errorf("the loader of this test: %q", got)
	}
}

func TestLoaderIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		files layer
		want  error
	}{
		{"script that the machine can run", layer{executable("app", "#!/bin/sh\n")}, nil},
		{"script with the image's shell", layer{executable("app", "#!/bin/sh\n"), executable("bin/sh", "")}, runtime.ErrImage},
		{"script that nobody can run", layer{executable("app", "#!/none/sh\n")}, runtime.ErrImage},
		{"program with the image's loader", layer{executable("app", elfFile(t, elf.ELFCLASS64, binary.LittleEndian, "/lib/ld.so")), file("lib/ld.so", "")}, runtime.ErrImage},
		{"program without a loader", layer{executable("app", elfFile(t, elf.ELFCLASS64, binary.LittleEndian, "/none/ld.so"))}, runtime.ErrImage},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := acquirePlain(t, tt.files, []string{"/app"}).command(nil)
			if !errors.Is(err, tt.want) {
				t.Errorf("command: got error %v, want %v", err, tt.want)
			}
		})
	}
}

func FuzzLoaderOf(f *testing.F) {
	f.Add([]byte(elfFile(f, elf.ELFCLASS64, binary.LittleEndian, "/lib/ld.so")))
	f.Add([]byte(elfFile(f, elf.ELFCLASS32, binary.BigEndian, "/lib/ld.so")))
	f.Add([]byte("#!/bin/sh"))
	f.Fuzz(func(_ *testing.T, content []byte) {
		loaderOf(bytes.NewReader(content))
	})
}
