package process

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Capabilities is a set of capabilities, the bit n for the capability n.
type Capabilities uint64

// capabilityNames has the kernel's names at their numbers (capabilities(7)).
var capabilityNames = [...]string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
	"LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
	"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
	"MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
	"CHECKPOINT_RESTORE",
}

// ParseCapabilities reads names in either case, with or without CAP_. ALL is
// every capability, also those without a name here.
func ParseCapabilities(names []string) (Capabilities, error) {
	var set Capabilities
	for _, name := range names {
		short := strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(name)), "CAP_")
		if short == "ALL" {
			return ^Capabilities(0), nil
		}
		bit, ok := capabilityNumber(short)
		if !ok {
			return 0, fmt.Errorf("%w: unknown capability %q; write it as NET_RAW, or ALL", ErrSettings, name)
		}
		set |= 1 << bit
	}
	return set, nil
}

func capabilityNumber(name string) (int, bool) {
	for n, known := range capabilityNames {
		if known == name {
			return n, true
		}
	}
	return 0, false
}

// dropBounding takes the set out of the bounding set of this thread, so that
// no later execve can give it. Without the privilege to do so no_new_privs is
// set, which makes the same promise and keeps all set-uid programs from
// working besides.
func (c Capabilities) dropBounding() error {
	for n := 0; n < 64; n++ {
		if c&(1<<n) == 0 {
			continue
		}
		held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			return nil // beyond the kernel's last capability
		}
		if err != nil {
			return fmt.Errorf("read capability bounding set: %w", err)
		}
		if held == 0 {
			continue
		}
		err = unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(n), 0, 0, 0)
		if errors.Is(err, unix.EPERM) {
			err = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
			if err == nil {
				return nil
			}
		}
		if err != nil {
			return fmt.Errorf("drop capability %d from the bounding set: %w", n, err)
		}
	}
	return nil
}

// dropHeld takes the set out of this thread's permitted, effective and
// inheritable sets. The kernel then lowers the ambient set by itself.
func (c Capabilities) dropHeld() error {
	if c == 0 {
		return nil
	}
	sets, err := readCapabilities()
	if err != nil {
		return err
	}
	for i := range sets {
		keep := ^uint32(c >> (32 * i))
		sets[i].Effective &= keep
		sets[i].Permitted &= keep
		sets[i].Inheritable &= keep
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capset(&header, &sets[0]); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

// readCapabilities gives this thread's sets, the lower 32 bits first.
func readCapabilities() (sets [2]unix.CapUserData, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return sets, fmt.Errorf("read capabilities: %w", err)
	}
	return sets, nil
}
