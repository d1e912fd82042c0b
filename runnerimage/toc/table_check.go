package toc

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

const (
	maxXattr = 64 << 10  // XATTR_SIZE_MAX
	maxMajor = 1<<12 - 1 // of a Linux device number
	maxMinor = 1<<20 - 1
	// maxLead bounds a lead and a Skip: no limit of layers lets more than 4
	// TiB of an archive pass.
	maxLead = 4 << 40
)

// checkEntry holds an entry to what layer.Entry promises: a table is as
// hostile as an archive.
func checkEntry(e *layer.Entry) error {
	if err := checkName(e.Name); err != nil {
		return err
	}
	if strings.HasPrefix(e.Name[strings.LastIndexByte(e.Name, '/')+1:], ".wh.") && e.Type != layer.Opaque {
		return errors.New("name of a whiteout")
	}
	if err := checkType(e); err != nil {
		return err
	}
	if isWhiteout(e.Type) {
		if e.Mode|e.UID|e.GID != 0 || !e.ModTime.IsZero() || e.Xattrs != nil {
			return errors.New("whiteout with attributes")
		}
		return nil
	}
	if e.Mode > 0o7777 || e.UID == math.MaxUint32 || e.GID == math.MaxUint32 {
		return fmt.Errorf("mode %#o, owner %d:%d", e.Mode, e.UID, e.GID)
	}
	if earliest := time.Unix(0, 0); e.ModTime.After(time.Unix(0, math.MaxInt64)) ||
		e.ModTime.Before(earliest) && (e.Type != layer.Symlink || e.ModTime.Before(time.Unix(0, math.MinInt64))) {
		return fmt.Errorf("time %s", e.ModTime)
	}
	return checkXattrs(e.Xattrs)
}

// checkType checks the type and what belongs to it alone.
func checkType(e *layer.Entry) error {
	if e.Type < layer.Regular || e.Type > layer.Opaque {
		return fmt.Errorf("type %d", e.Type)
	}
	if e.Name == "" && e.Type != layer.Directory && e.Type != layer.Opaque {
		return errors.New("the root is a directory")
	}
	if e.Size < 0 || e.Size > 0 && e.Type != layer.Regular {
		return fmt.Errorf("size %d", e.Size)
	}
	switch e.Type {
	case layer.CharDevice, layer.BlockDevice:
		if e.Major > maxMajor || e.Minor > maxMinor || e.Type == layer.CharDevice && e.Major|e.Minor == 0 {
			return fmt.Errorf("device number %d:%d", e.Major, e.Minor)
		}
	default:
		if e.Major|e.Minor != 0 {
			return errors.New("device number of no device")
		}
	}
	switch e.Type {
	case layer.Symlink:
		if e.Link == "" || len(e.Link) > maxPath || strings.IndexByte(e.Link, 0) >= 0 {
			return fmt.Errorf("symlink target %.200q", e.Link)
		}
	case layer.HardLink:
		if e.Link == "" {
			return errors.New("hard link to the root")
		}
		return checkName(e.Link)
	default:
		if e.Link != "" {
			return errors.New("target of no link")
		}
	}
	return nil
}

// checkName checks that a name is clean and bound to the root.
func checkName(name string) error {
	if name == "" {
		return nil
	}
	if len(name) > maxPath || strings.IndexByte(name, 0) >= 0 {
		return fmt.Errorf("name of %d bytes", len(name))
	}
	for rest, more := name, true; more; {
		var element string
		element, rest, more = strings.Cut(rest, "/")
		if element == "" || element == "." || element == ".." || len(element) > maxName {
			return fmt.Errorf("element %.20q of a name", element)
		}
	}
	return nil
}

func checkXattrs(all map[string]string) error {
	if all != nil && len(all) == 0 {
		return errors.New("no extended attributes, and a map of them")
	}
	for name, value := range all {
		if name == "" || len(name) > maxName || strings.IndexByte(name, 0) >= 0 || strings.HasPrefix(name, "trusted.") || len(value) > maxXattr {
			return fmt.Errorf("extended attribute %.200q of %d bytes", name, len(value))
		}
	}
	return nil
}

// checkLead checks a lead; before is the size of the content before. Content
// begins at a block, behind the padding of that content and a header.
func checkLead(lead int64, e *layer.Entry, before int64) error {
	if lead == 0 {
		return nil
	}
	if blocks := lead - padding(before); e.Size == 0 || blocks < tarBlock || blocks%tarBlock != 0 || lead > maxLead {
		return fmt.Errorf("content %d bytes behind other content of %d", lead, before)
	}
	return nil
}

func checkChunk(c Chunk, format byte) error {
	switch {
	case c.Size <= 0 || c.Size > MaxChunk:
		return fmt.Errorf("chunk of %d bytes", c.Size)
	case c.Length < 0 || c.Length > MaxSpan || c.Offset < 0 || c.Offset > math.MaxInt64-c.Length || c.Skip < 0 || c.Skip > maxLead:
		return fmt.Errorf("chunk in a span of %d bytes at %d, behind %d", c.Length, c.Offset, c.Skip)
	case c.Length == 0 && c.Offset|c.Skip != 0, c.Length > 0 && format == 0:
		return fmt.Errorf("chunk at %d in a table of format %d", c.Offset, format)
	}
	return nil
}

// metadata is what an entry counts for limits.metadata.
func metadata(e *layer.Entry) int64 {
	n := len(e.Name) + len(e.Link)
	for name, value := range e.Xattrs {
		n += len(name) + len(value)
	}
	return int64(n)
}
