package stack

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Containerd describes a containerd to start.
type Containerd struct {
	// Bin is where its programs are; "" is the PATH.
	Bin string
	// Config is its configuration, in TOML; "" is version 2 with the defaults.
	Config string
}

// Built is the directory of the programs that test/setup/install.sh has built.
func (s *Stack) Built(t testing.TB) string {
	t.Helper()
	bin, err := filepath.Abs(filepath.Join(s.root, ".setup", "bin"))
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// StartContainerd starts a containerd that shares nothing with an engine's,
// stops it when the test ends, and returns its command line.
func (s *Stack) StartContainerd(t testing.TB, c Containerd) Client {
	t.Helper()
	run, err := os.MkdirTemp("", "clipper-containerd-") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	socket, config := filepath.Join(run, "containerd.sock"), filepath.Join(run, "config.toml")
	text := c.Config
	if text == "" {
		text = "version = 2\n"
	}
	// The plugin would listen where all containerds do.
	text = "disabled_plugins = ['io.containerd.nri.v1.nri']\n" + text
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(run, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	daemon := exec.Command(filepath.Join(c.Bin, "containerd"), "--config", config, "--address", socket, "--root", s.Scratch(t), "--state", filepath.Join(run, "state"))
	if c.Bin != "" {
		daemon.Env = append(os.Environ(), "PATH="+c.Bin+":"+os.Getenv("PATH")) // for its own shim
	}
	daemon.Stdout, daemon.Stderr = log, log
	if err := daemon.Start(); err != nil {
		t.Fatalf("start containerd (run `make test`, which installs it): %v", err)
	}
	t.Cleanup(func() {
		if err := daemon.Process.Signal(os.Interrupt); err == nil {
			_ = daemon.Wait() // interrupted, so its status says nothing
		}
	})
	awaitSocket(t, socket, log.Name())
	return Client{filepath.Join(c.Bin, "ctr"), []string{"--address", socket}}
}

func awaitSocket(t testing.TB, socket, log string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		connection, err := net.Dial("unix", socket)
		if err == nil {
			connection.Close()
			return
		}
		select {
		case <-deadline:
			text, _ := os.ReadFile(log)
			t.Fatalf("nothing listens at %s: %v\n%s", socket, err, text)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
