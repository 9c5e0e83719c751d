package platform

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
)

// header returns the first bytes of an ELF file.
func header(m elf.Machine, c elf.Class, d elf.Data, kind elf.Type, abi elf.OSABI) []byte {
	h := make([]byte, HeaderSize)
	copy(h, elf.ELFMAG)
	h[elf.EI_CLASS], h[elf.EI_DATA], h[elf.EI_VERSION], h[elf.EI_OSABI] = byte(c), byte(d), 1, byte(abi)
	var order binary.ByteOrder = binary.LittleEndian
	if d == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	order.PutUint16(h[16:], uint16(kind))
	order.PutUint16(h[18:], uint16(m))
	return h
}

func TestOfELF(t *testing.T) {
	const c32, c64, le, be = elf.ELFCLASS32, elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ELFDATA2MSB
	for _, tt := range []struct {
		m    elf.Machine
		c    elf.Class
		d    elf.Data
		abi  elf.OSABI
		want string
	}{
		{elf.EM_X86_64, c64, le, elf.ELFOSABI_NONE, "linux/amd64"},
		{elf.EM_X86_64, c64, le, elf.ELFOSABI_LINUX, "linux/amd64"},
		{elf.EM_X86_64, c64, le, elf.ELFOSABI_FREEBSD, "freebsd/amd64"},
		{elf.EM_X86_64, c64, le, elf.ELFOSABI_NETBSD, "netbsd/amd64"},
		{elf.EM_X86_64, c64, le, elf.ELFOSABI_OPENBSD, "openbsd/amd64"},
		{elf.EM_386, c32, le, 0, "linux/386"},
		{elf.EM_AARCH64, c64, le, 0, "linux/arm64"},
		{elf.EM_ARM, c32, le, 0, "linux/arm"},
		{elf.EM_RISCV, c64, le, 0, "linux/riscv64"},
		{elf.EM_MIPS, c32, be, 0, "linux/mips"},
		{elf.EM_MIPS, c32, le, 0, "linux/mipsle"},
		{elf.EM_MIPS, c64, be, 0, "linux/mips64"},
		{elf.EM_MIPS, c64, le, 0, "linux/mips64le"},
		{elf.EM_PPC64, c64, be, 0, "linux/ppc64"},
		{elf.EM_PPC64, c64, le, 0, "linux/ppc64le"},
		{elf.EM_S390, c64, be, 0, "linux/s390x"},
		{elf.EM_LOONGARCH, c64, le, 0, "linux/loong64"},
	} {
		for _, kind := range []elf.Type{elf.ET_EXEC, elf.ET_DYN} {
			p, err := Of(header(tt.m, tt.c, tt.d, kind, tt.abi))
			if err != nil || p.String() != tt.want {
				t.Errorf("%v %v %v %v: %v, %v; want %s", tt.m, tt.c, tt.d, kind, p, err, tt.want)
			}
			if p.Normalise() != p {
				t.Errorf("%v is not normalised", p)
			}
		}
	}
}

func TestOfRefuses(t *testing.T) {
	good := header(elf.EM_X86_64, elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ET_EXEC, 0)
	oddOrder := append([]byte(nil), good...)
	oddOrder[elf.EI_DATA] = 7
	for name, tt := range map[string]struct {
		header  []byte
		program bool // it is a program, if for an odd machine
		says    string
	}{
		"empty":        {nil, false, "#!"},
		"text":         {[]byte("hello, world"), false, "#!"},
		"short":        {good[:19], false, "#!"},
		"magic only":   {good[:4], false, "#!"},
		"object file":  {header(elf.EM_X86_64, elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ET_REL, 0), false, "ET_REL"},
		"core dump":    {header(elf.EM_X86_64, elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ET_CORE, 0), false, "ET_CORE"},
		"byte order":   {oddOrder, false, "byte order 7"},
		"x32":          {header(elf.EM_X86_64, elf.ELFCLASS32, elf.ELFDATA2LSB, elf.ET_EXEC, 0), true, "ELFCLASS32"},
		"odd machine":  {header(elf.EM_SPARCV9, elf.ELFCLASS64, elf.ELFDATA2MSB, elf.ET_EXEC, 0), true, "EM_SPARCV9"},
		"arm big":      {header(elf.EM_ARM, elf.ELFCLASS32, elf.ELFDATA2MSB, elf.ET_EXEC, 0), true, "ELFDATA2MSB"},
		"mach-o magic": {[]byte("\xcf\xfa\xed\xfe0123456789abcdef0123"), false, "#!"},
	} {
		p, err := Of(tt.header)
		if err == nil {
			t.Errorf("%s: %v, want an error", name, p)
			continue
		}
		if errors.Is(err, ErrNotProgram) == tt.program || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v: want it to say %q, and whether it is a program: %v", name, err, tt.says, tt.program)
		}
	}
}

func TestOfScript(t *testing.T) {
	if p, err := Of([]byte("#!/bin/sh\n")); err != nil || !p.IsAny() {
		t.Errorf("a script: %v, %v; want any", p, err)
	}
	if _, err := OfELF([]byte("#!/bin/sh and some more text")); !errors.Is(err, ErrNotProgram) {
		t.Errorf("OfELF of a script: %v", err)
	}
}

// The test's own binary is one that the host runs.
func TestOfOwnBinary(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has /proc/self/exe")
	}
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := make([]byte, HeaderSize)
	if _, err := f.Read(h); err != nil {
		t.Fatal(err)
	}
	if p, err := Of(h); err != nil || p != (Platform{OS: runtime.GOOS, Arch: runtime.GOARCH}) {
		t.Errorf("own binary: %v, %v", p, err)
	}
}

func FuzzOf(f *testing.F) {
	f.Add([]byte("#!/bin/sh"))
	f.Add(header(elf.EM_S390, elf.ELFCLASS64, elf.ELFDATA2MSB, elf.ET_DYN, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Of(b)
		if err != nil {
			return
		}
		if again, err := Parse(p.String()); err != nil || again != p {
			t.Fatalf("%v does not parse back: %v, %v", p, again, err)
		}
	})
}
