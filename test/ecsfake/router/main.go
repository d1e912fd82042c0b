// Command router stands for Fluent Bit in the tests' log routers: it listens
// where its configuration says (unix_path), and prints the text of what comes,
// a line each, whatever the records are. It ends with SIGTERM.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/signal"
	"regexp"
	"syscall"
)

func main() {
	if err := run("/fluent-bit/etc/fluent-bit.conf"); err != nil {
		fmt.Fprintln(os.Stderr, "router:", err)
		os.Exit(1)
	}
}

var (
	unixPath = regexp.MustCompile(`(?m)^\s*unix_path (.*)$`)
	words    = regexp.MustCompile(`[[:print:]]{3,}`)
)

func run(config string) error {
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	fmt.Printf("%s\n", text)
	path := unixPath.FindSubmatch(text)
	if path == nil {
		return fmt.Errorf("%s: no unix_path", config)
	}
	listener, err := net.Listen("unix", string(path[1]))
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		listener.Close()
	}()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return nil // the end
		}
		go print(conn)
	}
}

// print prints what can be read of a stream of records.
func print(conn net.Conn) {
	defer conn.Close()
	for r := bufio.NewReader(conn); ; {
		buffer := make([]byte, 64<<10)
		n, err := r.Read(buffer)
		for _, word := range words.FindAll(buffer[:n], -1) {
			fmt.Printf("record: %s\n", word)
		}
		if err != nil {
			return
		}
	}
}
