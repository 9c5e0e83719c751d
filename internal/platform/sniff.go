package platform

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
)

// HeaderSize is how many of a file's first bytes Of wants to see. A shorter file may be handed over whole.
const HeaderSize = 64

// ErrNotProgram is in the error of a file that no kernel starts: neither an ELF executable nor a script.
var ErrNotProgram = errors.New("neither an ELF executable nor a script: one starts with #! and its interpreter")

// Of tells from a file's first bytes which platform it was made for. A script (#!) is neutral; for an ELF file see
// OfELF; anything else is ErrNotProgram.
func Of(header []byte) (Platform, error) {
	switch {
	case bytes.HasPrefix(header, []byte("#!")):
		return Platform{}, nil
	case bytes.HasPrefix(header, []byte(elf.ELFMAG)):
		return OfELF(header)
	default:
		return Platform{}, ErrNotProgram
	}
}

// OfELF tells from the first bytes of an ELF executable which platform it was made for. The error of a file that is
// no ELF executable (an object file, a core dump, a text) wraps ErrNotProgram; that of one for a machine which weft
// has no name for says its number.
func OfELF(header []byte) (Platform, error) {
	const typeAt, machineAt, need = 16, 18, 20
	if len(header) < need || !bytes.HasPrefix(header, []byte(elf.ELFMAG)) {
		return Platform{}, ErrNotProgram
	}
	class, data := elf.Class(header[elf.EI_CLASS]), elf.Data(header[elf.EI_DATA])
	var order binary.ByteOrder
	switch data {
	case elf.ELFDATA2LSB:
		order = binary.LittleEndian
	case elf.ELFDATA2MSB:
		order = binary.BigEndian
	default:
		return Platform{}, fmt.Errorf("ELF file with byte order %d: %w", header[elf.EI_DATA], ErrNotProgram)
	}
	if kind := elf.Type(order.Uint16(header[typeAt:])); kind != elf.ET_EXEC && kind != elf.ET_DYN {
		return Platform{}, fmt.Errorf("ELF file of type %v: %w", kind, ErrNotProgram)
	}
	machine := elf.Machine(order.Uint16(header[machineAt:]))
	arch := archOf(machine, class, data)
	if arch == "" {
		return Platform{}, fmt.Errorf("ELF file for machine %v (%d, %v, %v): weft has no name for it", machine, uint16(machine), class, data)
	}
	return Platform{OS: osOf(elf.OSABI(header[elf.EI_OSABI])), Arch: arch}, nil
}

// archOf returns Go's name of a machine, or "" where there is none.
func archOf(m elf.Machine, c elf.Class, d elf.Data) string {
	type key struct {
		machine elf.Machine
		class   elf.Class
		data    elf.Data
	}
	const c32, c64, le, be = elf.ELFCLASS32, elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ELFDATA2MSB
	switch (key{m, c, d}) {
	case key{elf.EM_X86_64, c64, le}:
		return "amd64"
	case key{elf.EM_386, c32, le}:
		return "386"
	case key{elf.EM_AARCH64, c64, le}:
		return "arm64"
	case key{elf.EM_ARM, c32, le}:
		return "arm"
	case key{elf.EM_RISCV, c64, le}:
		return "riscv64"
	case key{elf.EM_MIPS, c32, be}:
		return "mips"
	case key{elf.EM_MIPS, c32, le}:
		return "mipsle"
	case key{elf.EM_MIPS, c64, be}:
		return "mips64"
	case key{elf.EM_MIPS, c64, le}:
		return "mips64le"
	case key{elf.EM_PPC64, c64, be}:
		return "ppc64"
	case key{elf.EM_PPC64, c64, le}:
		return "ppc64le"
	case key{elf.EM_S390, c64, be}:
		return "s390x"
	case key{elf.EM_LOONGARCH, c64, le}:
		return "loong64"
	default:
		return ""
	}
}

// osOf returns the operating system that a file says it is for; one that says nothing is taken for Linux's.
func osOf(abi elf.OSABI) string {
	switch abi {
	case elf.ELFOSABI_FREEBSD:
		return "freebsd"
	case elf.ELFOSABI_NETBSD:
		return "netbsd"
	case elf.ELFOSABI_OPENBSD:
		return "openbsd"
	default:
		return "linux"
	}
}
