package runnerimage

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// HostName is a name that the program shall reach at an address.
type HostName struct {
	Name    string
	Address netip.Addr
}

// hostName is what RFC 1123 takes for a name.
var hostName = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)

// parseHosts reads name=address,….
func parseHosts(s *Settings, value string) error {
	for item := range strings.SplitSeq(value, ",") {
		name, text, _ := strings.Cut(strings.TrimSpace(item), "=")
		address, err := netip.ParseAddr(text)
		if err != nil || !hostName.MatchString(name) || len(name) > 253 {
			return fmt.Errorf("%q is not of the form name=address", item)
		}
		s.Hosts = append(s.Hosts, HostName{name, address})
	}
	return nil
}

// mostHosts bounds how much of /etc/hosts is read.
const mostHosts = 1 << 20

// addHosts writes names into the root's /etc/hosts, for places that have no
// --add-host, as tasks of Fargate. Those that it has already stay as they are:
// every start of a container comes here, and the engine's file may be a new one
// or the last. The file is a mount as a rule, so that it is written to and not
// replaced.
func addHosts(dir string, hosts []HostName) error {
	if len(hosts) == 0 {
		return nil
	}
	// The image is not trusted: none of its links leads out.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	name := filepath.Join("etc", "hosts")
	info, err := root.Stat(name)
	if err == nil && info.Size() > mostHosts {
		return fmt.Errorf("/etc/hosts has %d bytes", info.Size())
	}
	before, err := root.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var lines strings.Builder
	if n := len(before); n > 0 && before[n-1] != '\n' {
		lines.WriteByte('\n')
	}
	for _, h := range hosts {
		line := h.Address.String() + "\t" + h.Name
		if !slices.Contains(strings.Split(string(before), "\n"), line) {
			lines.WriteString(line + "\n")
		}
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(lines.String())
	return errors.Join(err, f.Close())
}
