package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/moby/sys/user"
)

// Held gives the real ids of this process, which are those the engine started
// the container with, and whether it lacks the privilege to take others.
func Held() (ids IDs, unprivileged bool, err error) {
	groups, err := os.Getgroups()
	if err != nil {
		return IDs{}, false, fmt.Errorf("read own groups: %w", err)
	}
	return IDs{UID: os.Getuid(), GID: os.Getgid(), Groups: groups}, os.Geteuid() != 0, nil
}

// UserID is the uid that an image's USER stands for in the tree at root.
func UserID(root, spec string) (int, error) {
	found, err := lookUpUser(root, spec, nil)
	if err != nil {
		return 0, fmt.Errorf("%w %q: %w", ErrUser, spec, err)
	}
	return found.Uid, nil
}

// settleIDs gives the ids of the program; Groups has GID first.
//
// Docker resolved --user with the passwd of the runner image, so here only its
// numbers are left. A group 0 beside another user means that none was given:
// the user's entry in the image's passwd then has its say, as it would have in
// Docker (an explicit --user 1000:0 looks the same). --user 0 cannot be told
// from the default; the User override says it. Groups beyond the primary one
// come from --group-add, for the runner image puts nobody into a second group.
func settleIDs(root string, c Config, o Overrides) (IDs, error) {
	started := o.Started
	byFlag := started.UID != 0 || started.GID != 0
	if o.User != "" && (byFlag || o.Unprivileged) {
		return IDs{}, fmt.Errorf("%w: a user %q is set and the container was started with --user %d:%d; use one of them",
			ErrSettings, o.User, started.UID, started.GID)
	}
	if o.Unprivileged {
		return IDs{started.UID, started.GID, started.Groups}, nil
	}

	spec := c.User
	switch {
	case o.User != "":
		spec = o.User
	case byFlag && started.GID == 0:
		spec = strconv.Itoa(started.UID)
	case byFlag:
		spec = fmt.Sprintf("%d:%d", started.UID, started.GID)
	}
	found, err := lookUpUser(root, spec, nil)
	if err != nil {
		return IDs{}, fmt.Errorf("%w %q: %w; name one that the image's /etc/passwd and /etc/group have, or use numbers", ErrUser, spec, err)
	}
	ids := IDs{UID: found.Uid, GID: found.Gid, Groups: []int{found.Gid}}
	for _, gid := range slices.Concat(found.Sgids, started.Groups) {
		if gid == started.GID && !slices.Contains(found.Sgids, gid) {
			continue
		}
		if !slices.Contains(ids.Groups, gid) {
			ids.Groups = append(ids.Groups, gid)
		}
	}
	return ids, nil
}

// withoutEngine takes away what the engine has added by the image's own passwd
// and group for the user that it started this process as.
func withoutEngine(root string, o Overrides) Overrides {
	found, err := lookUpUser(root, strconv.Itoa(o.Started.UID), &user.ExecUser{Home: "/"})
	if err != nil {
		return o // without an entry nothing was added
	}
	o.Env = slices.DeleteFunc(slices.Clone(o.Env), func(kv string) bool { return kv == "HOME="+found.Home })
	if !o.Unprivileged { // without privilege the groups stay what they are
		o.Started.Groups = slices.DeleteFunc(slices.Clone(o.Started.Groups), func(gid int) bool {
			return slices.Contains(found.Sgids, gid)
		})
	}
	return o
}

// home is the home of the first entry in passwd with the uid, as it stands
// there; "/" without an entry.
func home(root string, uid int) string {
	found, err := lookUpUser(root, strconv.Itoa(uid), &user.ExecUser{Home: "/"})
	if err != nil {
		return "/"
	}
	return found.Home
}

func lookUpUser(root, spec string, defaults *user.ExecUser) (*user.ExecUser, error) {
	passwd := openAccounts(root, "/etc/passwd")
	defer passwd.Close()
	group := openAccounts(root, "/etc/group")
	defer group.Close()
	return user.GetExecUser(spec, defaults, passwd, group)
}

// openAccounts opens passwd or group. As for Docker a file that cannot be read
// is an empty one: an image need not have any.
func openAccounts(root, name string) io.ReadCloser {
	none := io.NopCloser(strings.NewReader(""))
	file, err := inRoot(root, name)
	if err != nil {
		return none
	}
	// Without O_NONBLOCK a FIFO of that name would wait for a writer.
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return none
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return none
	}
	return f
}

var errTooManyLinks = errors.New("too many symlinks")

// inRoot resolves the symlinks of name as a process sees them whose root is
// the directory root. What does not exist stands for itself, so the result of
// a dangling symlink is the place it points to.
func inRoot(root, name string) (string, error) {
	done := "/"
	for links := 0; name != ""; {
		var elem string
		elem, name, _ = strings.Cut(name, "/")
		if elem == "" || elem == "." {
			continue
		}
		next := path.Join(done, elem) // also right for "..": done has no symlinks
		target, err := os.Readlink(filepath.Join(root, next))
		if err != nil {
			done = next
			continue
		}
		if links++; links > 255 {
			return "", &os.PathError{Op: "resolve", Path: next, Err: errTooManyLinks}
		}
		if path.IsAbs(target) {
			done = "/"
		}
		name = target + "/" + name
	}
	return filepath.Join(root, done), nil
}
