package applet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sleep waits for the sum of its arguments, as GNU's and busybox's do.
func sleep(ctx context.Context, _ Streams, args []string) error {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}
	var total time.Duration
	for _, arg := range args {
		unit := time.Second
		if arg == "infinity" {
			<-ctx.Done()
			return ctx.Err()
		}
		if n := len(arg) - 1; n > 0 && units[arg[n]] > 0 {
			unit, arg = units[arg[n]], arg[:n]
		}
		n, err := strconv.ParseFloat(arg, 64)
		if err != nil || n < 0 {
			return usage("sleep NUMBER[smhd]…")
		}
		total += time.Duration(n * float64(unit))
	}
	if len(args) == 0 {
		return usage("sleep NUMBER[smhd]…")
	}
	select {
	case <-time.After(total):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// env runs a command in a changed environment, or prints the environment.
func env(_ context.Context, s Streams, args []string) error {
	environ := os.Environ()
	unset := func(name string) {
		environ = slices.DeleteFunc(environ, func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
	}
	args, ok := options(args, "u", func(letter byte, value string) bool {
		switch letter {
		case 'i':
			environ = nil
		case 'u':
			unset(value)
		default:
			return false
		}
		return true
	})
	if !ok {
		return usage("env [-i] [-u NAME] [NAME=VALUE…] [COMMAND [ARGUMENT…]]")
	}
	for len(args) > 0 {
		name, _, ok := strings.Cut(args[0], "=")
		if !ok {
			break
		}
		unset(name)
		environ = append(environ, args[0])
		args = args[1:]
	}
	if len(args) == 0 {
		for _, kv := range environ {
			fmt.Fprintln(s.Out, kv)
		}
		return nil
	}
	path, err := exec.LookPath(args[0])
	if err == nil {
		err = syscall.Exec(path, args, environ)
	}
	fmt.Fprintf(s.Err, "env: %v\n", err)
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, syscall.ENOENT) {
		return exitCode(127)
	}
	return exitCode(126)
}

func uname(_ context.Context, s Streams, args []string) error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	fields := map[byte]string{
		's': unix.ByteSliceToString(u.Sysname[:]), 'n': unix.ByteSliceToString(u.Nodename[:]),
		'r': unix.ByteSliceToString(u.Release[:]), 'v': unix.ByteSliceToString(u.Version[:]),
		'm': unix.ByteSliceToString(u.Machine[:]), 'o': "GNU/Linux",
	}
	show := ""
	rest, ok := options(args, "", func(letter byte, _ string) bool {
		if letter == 'a' {
			show = "snrvmo"
			return true
		}
		show += string(letter)
		return fields[letter] != ""
	})
	if !ok || len(rest) > 0 {
		return usage("uname [-amnorsv]")
	}
	if show == "" {
		show = "s"
	}
	var out []string
	for _, letter := range []byte("snrvmo") {
		if strings.IndexByte(show, letter) >= 0 {
			out = append(out, fields[letter])
		}
	}
	fmt.Fprintln(s.Out, strings.Join(out, " "))
	return nil
}

// id prints the effective ids of this process.
func id(_ context.Context, s Streams, args []string) error {
	show := map[byte]bool{}
	rest, ok := options(args, "", func(letter byte, _ string) bool {
		show[letter] = true
		return strings.IndexByte("ugGn", letter) >= 0
	})
	if !ok || len(rest) > 0 {
		return usage("id [-u | -g | -G] [-n]")
	}
	groups, err := os.Getgroups()
	if err != nil {
		return err
	}
	gid := os.Getegid()
	groups = slices.DeleteFunc(groups, func(g int) bool { return g == gid })
	groups = append([]int{gid}, groups...)

	userName := func(uid int) string {
		if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
			return u.Username
		}
		return ""
	}
	groupName := func(gid int) string {
		if g, err := user.LookupGroupId(strconv.Itoa(gid)); err == nil {
			return g.Name
		}
		return ""
	}
	// one writes an id alone: as a name where that was asked for and is known.
	one := func(n int, name func(int) string) string {
		if text := name(n); text != "" && show['n'] {
			return text
		}
		return strconv.Itoa(n)
	}
	both := func(n int, name func(int) string) string {
		if text := name(n); text != "" {
			return fmt.Sprintf("%d(%s)", n, text)
		}
		return strconv.Itoa(n)
	}
	each := func(write func(int, func(int) string) string, separator string) string {
		var out []string
		for _, g := range groups {
			out = append(out, write(g, groupName))
		}
		return strings.Join(out, separator)
	}
	switch uid := os.Geteuid(); {
	case show['u']:
		fmt.Fprintln(s.Out, one(uid, userName))
	case show['g']:
		fmt.Fprintln(s.Out, one(gid, groupName))
	case show['G']:
		fmt.Fprintln(s.Out, each(one, " "))
	default:
		fmt.Fprintf(s.Out, "uid=%s gid=%s groups=%s\n", both(uid, userName), both(gid, groupName), each(both, ","))
	}
	return nil
}

const statUsage = usage("stat [-L] -c FORMAT PATH…, with %a %A %b %B %d %F %g %h %i %n %s %u %X %Y %Z in FORMAT")

// stat prints what -c asks for. The form for people, which nothing can read
// reliably, is not offered.
func stat(_ context.Context, s Streams, args []string) error {
	format, follow := "", false
	rest, ok := options(args, "c", func(letter byte, value string) bool {
		if letter == 'c' {
			format = value
		} else {
			follow = true
		}
		return letter == 'c' || letter == 'L'
	})
	if !ok || format == "" || len(rest) == 0 {
		return statUsage
	}
	look := unix.Lstat
	if follow {
		look = unix.Stat
	}
	for _, path := range rest {
		var st unix.Stat_t
		if err := look(path, &st); err != nil {
			return &os.PathError{Op: "stat", Path: path, Err: err}
		}
		line, ok := formatStat(format, path, st)
		if !ok {
			return statUsage
		}
		fmt.Fprintln(s.Out, line)
	}
	return nil
}

func formatStat(format, path string, st unix.Stat_t) (string, bool) {
	kinds := map[uint32]string{
		unix.S_IFREG: "regular file", unix.S_IFDIR: "directory", unix.S_IFLNK: "symbolic link",
		unix.S_IFCHR: "character special file", unix.S_IFBLK: "block special file", unix.S_IFIFO: "fifo", unix.S_IFSOCK: "socket",
	}
	kind := kinds[st.Mode&unix.S_IFMT]
	if kind == "regular file" && st.Size == 0 {
		kind = "regular empty file"
	}
	info, err := os.Lstat(path)
	if err != nil {
		return "", false
	}
	values := map[byte]any{
		'a': fmt.Sprintf("%o", st.Mode&0o7777), 'A': info.Mode(), 'b': st.Blocks, 'B': 512, 'd': st.Dev, 'F': kind,
		'g': st.Gid, 'h': st.Nlink, 'i': st.Ino, 'n': path, 's': st.Size, 'u': st.Uid,
		'X': st.Atim.Sec, 'Y': st.Mtim.Sec, 'Z': st.Ctim.Sec, '%': "%",
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		i++
		if i == len(format) || values[format[i]] == nil {
			return "", false
		}
		fmt.Fprint(&b, values[format[i]])
	}
	return b.String(), true
}
