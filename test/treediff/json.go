package treediff

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// wire is a Node as a line of JSON. JSON has no place for names that are not
// UTF-8, so names are quoted as Go quotes them, and values are base64.
type wire struct {
	Path   string            `json:"path"`
	Type   string            `json:"type"`
	Mode   string            `json:"mode"`
	UID    uint32            `json:"uid"`
	GID    uint32            `json:"gid"`
	Size   int64             `json:"size,omitempty"`
	Digest string            `json:"sha256,omitempty"`
	Target string            `json:"target,omitempty"`
	Group  string            `json:"group,omitempty"`
	Major  uint32            `json:"major,omitempty"`
	Minor  uint32            `json:"minor,omitempty"`
	Xattrs map[string][]byte `json:"xattrs,omitempty"`
	MTime  int64             `json:"mtime"`
}

// Write prints nodes, one line of JSON each, for Read.
func Write(w io.Writer, nodes []Node) error {
	buffered := bufio.NewWriter(w)
	encoder := json.NewEncoder(buffered)
	for _, node := range nodes {
		line := wire{
			Path: quote(node.Path), Type: node.Type, Mode: octal(node.Mode), UID: node.UID, GID: node.GID,
			Size: node.Size, Digest: node.Digest, Target: quote(node.Target), Group: quote(node.Group),
			Major: node.Major, Minor: node.Minor, MTime: node.MTime,
		}
		for name, value := range node.Xattrs {
			if line.Xattrs == nil {
				line.Xattrs = map[string][]byte{}
			}
			line.Xattrs[quote(name)] = []byte(value)
		}
		if err := encoder.Encode(line); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

// Read reads what Write has printed.
func Read(r io.Reader) ([]Node, error) {
	var nodes []Node
	decoder := json.NewDecoder(bufio.NewReader(r))
	for {
		var line wire
		err := decoder.Decode(&line)
		if errors.Is(err, io.EOF) {
			return nodes, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read snapshot: line %d: %w", len(nodes)+1, err)
		}
		node, err := line.node()
		if err != nil {
			return nil, fmt.Errorf("read snapshot: line %d: %w", len(nodes)+1, err)
		}
		nodes = append(nodes, node)
	}
}

func (line wire) node() (Node, error) {
	mode, err := strconv.ParseUint(line.Mode, 8, 32)
	if err != nil {
		return Node{}, err
	}
	node := Node{
		Type: line.Type, Mode: uint32(mode), UID: line.UID, GID: line.GID, Size: line.Size, Digest: line.Digest,
		Major: line.Major, Minor: line.Minor, MTime: line.MTime,
	}
	for _, name := range []struct {
		from string
		to   *string
	}{{line.Path, &node.Path}, {line.Target, &node.Target}, {line.Group, &node.Group}} {
		if *name.to, err = unquote(name.from); err != nil {
			return Node{}, err
		}
	}
	for name, value := range line.Xattrs {
		if node.Xattrs == nil {
			node.Xattrs = map[string]string{}
		}
		if name, err = unquote(name); err != nil {
			return Node{}, err
		}
		node.Xattrs[name] = string(value)
	}
	return node, nil
}

// quote is strconv.Quote without the quotation marks.
func quote(s string) string {
	q := strconv.QuoteToASCII(s)
	return q[1 : len(q)-1]
}

func unquote(s string) (string, error) {
	u, err := strconv.Unquote(`"` + s + `"`)
	if err != nil {
		return "", fmt.Errorf("unquote %s: %w", s, err)
	}
	return u, nil
}
