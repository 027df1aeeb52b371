package embedded

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/micro/micro/v3/backend/runtime/supervisor"
)

// checkLoader refuses a program that needs another program to load it, if that
// is part of the image: this runtime does not change the root, so the kernel
// would take the machine's own, or find none. A program that cannot be read is
// left to the kernel to judge.
func checkLoader(root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	loader := loaderOf(f)
	if loader == "" {
		return nil
	}
	if _, err := root.Stat(local(loader)); err == nil {
		return supervisor.Refuse("its program %q needs the image's own %q, and only a container has that in its place; a static program would run", name, loader)
	}
	if _, err := os.Stat(loader); err != nil {
		return supervisor.Refuse("its program %q needs %q, which neither image nor machine has; a static program would run", name, loader)
	}
	return nil
}

// loaderOf returns the program that loads another: of a script its interpreter,
// of an ELF file its dynamic loader; empty when there is none.
func loaderOf(f io.ReaderAt) string {
	const longest = 4 << 10 // of a path
	head := make([]byte, longest)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	head = head[:n]
	if line, ok := bytes.CutPrefix(head, []byte("#!")); ok {
		line, _, _ = bytes.Cut(line, []byte("\n"))
		interpreter, _, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		return interpreter
	}
	offset, size := elfInterpreter(f, head)
	if size <= 0 || size > longest {
		return ""
	}
	text := make([]byte, size)
	if _, err := f.ReadAt(text, offset); err != nil {
		return ""
	}
	return string(bytes.TrimRight(text, "\x00"))
}

// elfInterpreter returns where in an ELF file the name of its loader is; the
// size is 0 when there is none. Package elf would do it, but is not made for
// files that mean harm.
func elfInterpreter(f io.ReaderAt, head []byte) (offset, size int64) {
	if !bytes.HasPrefix(head, []byte(elf.ELFMAG)) || len(head) < elf.EI_NIDENT {
		return 0, 0
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(head[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	wide := elf.Class(head[elf.EI_CLASS]) == elf.ELFCLASS64
	var start, step int64
	var count int
	if wide {
		var h elf.Header64
		if _, err := binary.Decode(head, order, &h); err != nil {
			return 0, 0
		}
		start, step, count = int64(h.Phoff), int64(h.Phentsize), int(h.Phnum) //nolint:gosec // ReadAt refuses what is negative
	} else {
		var h elf.Header32
		if _, err := binary.Decode(head, order, &h); err != nil {
			return 0, 0
		}
		start, step, count = int64(h.Phoff), int64(h.Phentsize), int(h.Phnum)
	}
	entry := make([]byte, binary.Size(elf.Prog64{}))
	for i := range count {
		if _, err := f.ReadAt(entry, start+int64(i)*step); err != nil && !errors.Is(err, io.EOF) {
			return 0, 0
		}
		if wide {
			var p elf.Prog64
			if _, err := binary.Decode(entry, order, &p); err == nil && elf.ProgType(p.Type) == elf.PT_INTERP {
				return int64(p.Off), int64(p.Filesz) //nolint:gosec // as above
			}
			continue
		}
		var p elf.Prog32
		if _, err := binary.Decode(entry, order, &p); err == nil && elf.ProgType(p.Type) == elf.PT_INTERP {
			return int64(p.Off), int64(p.Filesz)
		}
	}
	return 0, 0
}
