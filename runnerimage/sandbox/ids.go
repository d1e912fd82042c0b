package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"github.com/moby/sys/user"
)

// mapIDs makes the caller root in the user namespace of the process pid. Where
// /etc/subuid and /etc/subgid lend the caller more ids and newuidmap can map
// them, those are the other users; else there are none, which single reports.
func mapIDs(pid int) (single bool, err error) {
	if !mapLentIDs(pid, "newuidmap", "/etc/subuid", os.Geteuid()) {
		return true, mapOwnIDs(pid)
	}
	if !mapLentIDs(pid, "newgidmap", "/etc/subgid", os.Getegid()) {
		return false, fmt.Errorf("%w: /etc/subuid lends %s user ids, but newgidmap cannot map groups; add a line for it to /etc/subgid too", ErrRefused, accountName())
	}
	return false, nil
}

// SingleID reports whether a sandbox of the caller has one user only: the
// caller is not root and has no other ids lent. Whether they can be mapped
// shows when it is tried.
func SingleID() bool {
	return os.Geteuid() != 0 && (len(lentIDs("/etc/subuid")) == 0 || len(lentIDs("/etc/subgid")) == 0)
}

// lentIDs are the ids that file lends to the caller.
func lentIDs(file string) []user.SubID {
	name, id := accountName(), strconv.Itoa(os.Geteuid())
	ranges, err := user.ParseSubIDFileFilter(file, func(entry user.SubID) bool {
		return entry.Name == name || entry.Name == id
	})
	if err != nil {
		return nil // no such file, mostly
	}
	return ranges
}

// mapLentIDs reports whether tool mapped the ids that file lends to the caller.
func mapLentIDs(pid int, tool, file string, own int) bool {
	ranges := lentIDs(file)
	if len(ranges) == 0 {
		return false
	}
	args := []string{strconv.Itoa(pid), "0", strconv.Itoa(own), "1"}
	next := int64(1)
	for _, r := range ranges {
		args = append(args, strconv.FormatInt(next, 10), strconv.FormatInt(r.SubID, 10), strconv.FormatInt(r.Count, 10))
		next += r.Count
	}
	return exec.Command(tool, args...).Run() == nil
}

// accountName is the name of the caller in /etc/passwd, or "".
func accountName() string {
	account, err := user.LookupUid(os.Geteuid())
	if err != nil {
		return ""
	}
	return account.Name
}

// mapOwnIDs maps the caller alone. The kernel then forbids to change groups.
func mapOwnIDs(pid int) error {
	for _, file := range []struct{ name, content string }{
		{"setgroups", "deny"},
		{"uid_map", fmt.Sprintf("0 %d 1", os.Geteuid())},
		{"gid_map", fmt.Sprintf("0 %d 1", os.Getegid())},
	} {
		name := fmt.Sprintf("/proc/%d/%s", pid, file.name)
		// One write, and no creation, as the kernel wants it.
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString(file.content)
			f.Close()
		}
		if err != nil {
			return fmt.Errorf("%w: map the user: %w", ErrRefused, err)
		}
	}
	return nil
}
