package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// PutBlob stores content under a name, in place of what is there, and keeps
// the store within its limit. A name has letters, digits and . _ - + = @ (not
// first: .), at most 200 of them.
func (d *Dir) PutBlob(name string, content []byte) error {
	if !validName(name) {
		return fmt.Errorf("put blob %q: a blob cannot have that name", name)
	}
	if len(content) > MaxBlob {
		return fmt.Errorf("put blob %s: %d bytes: a blob has at most %d", name, len(content), MaxBlob)
	}
	if size := int64(len(content)) + blobHeaderSize; d.max > 0 && size > d.max {
		return fmt.Errorf("put blob %s: %w: its limit is %d bytes", name, ErrNoSpace, d.max)
	}
	if err := d.replace(filepath.Join(blobsDir, name), blobExt, blobHead(name, content), content); err != nil {
		return fmt.Errorf("put blob %s: %w", name, err)
	}
	return d.evict()
}

// Blob is the content of a blob. A damaged one gives ErrCorrupt; PutBlob
// replaces it.
func (d *Dir) Blob(name string) ([]byte, error) {
	content, info, err := d.readBlob(name)
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", name, err)
	}
	d.used(d.join(blobsDir, name), info)
	return content, nil
}

func (d *Dir) readBlob(name string) ([]byte, os.FileInfo, error) {
	if !validName(name) {
		return nil, nil, ErrNotFound
	}
	f, err := os.OpenFile(d.join(blobsDir, name), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		if vanished(err) {
			return nil, nil, ErrNotFound
		}
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, readError(err)
	}
	if !info.Mode().IsRegular() || info.Size() > MaxBlob+blobHeaderSize {
		return nil, nil, corrupt("the blob")
	}
	b := make([]byte, info.Size())
	if _, err := io.ReadFull(f, b); err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, readError(err)
	}
	content, err := parseBlob(name, b)
	return content, info, err
}

func validName(name string) bool {
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == '-', c == '+', c == '=', c == '@':
		default:
			return false
		}
	}
	return name != "" && name[0] != '.' && len(name) <= 200
}
