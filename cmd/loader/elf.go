package main

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
)

// Offsets in the headers of a 64-bit program of this machine's byte order;
// package debug/elf would be a third of this binary.
//
// https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html
const (
	headerSize = 64
	phoff      = 32 // of the program headers, 8 bytes
	phentsize  = 54 // of one of them, 2 bytes
	phnum      = 56 // of them, 2 bytes

	partSize   = 56
	partType   = 0  // 4 bytes
	partOffset = 8  // 8 bytes
	partFilesz = 32 // 8 bytes
	interp     = 3  // PT_INTERP

	maxPath = 4096
)

// interpreter is the dynamic loader that a program names, "" if it names none.
func interpreter(program string) (string, error) {
	f, err := os.Open(program)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return readInterpreter(f)
}

func readInterpreter(r io.ReaderAt) (string, error) {
	bad := errors.New("it is not a program of this machine")
	var header [headerSize]byte
	if _, err := r.ReadAt(header[:], 0); err != nil || string(header[:5]) != "\x7fELF\x02" || binary.LittleEndian.Uint16(header[phentsize:]) != partSize {
		return "", bad
	}
	at := binary.LittleEndian.Uint64(header[phoff:])
	for range binary.LittleEndian.Uint16(header[phnum:]) {
		var part [partSize]byte
		if _, err := r.ReadAt(part[:], int64(at)); err != nil {
			return "", bad
		}
		at += partSize
		if binary.LittleEndian.Uint32(part[partType:]) != interp {
			continue
		}
		size := binary.LittleEndian.Uint64(part[partFilesz:])
		if size > maxPath {
			return "", bad
		}
		path := make([]byte, size)
		if _, err := r.ReadAt(path, int64(binary.LittleEndian.Uint64(part[partOffset:]))); err != nil {
			return "", bad
		}
		name, _, _ := strings.Cut(string(path), "\x00")
		return name, nil
	}
	return "", nil
}
