// Command peak prints the most memory that its process ever held, in KiB. The
// kernel counts for the process, not for the program: executed by the runner,
// it prints the peak of the runner before it.
package main

import (
	"fmt"
	"os"
	"syscall"
)

func main() {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fmt.Fprintln(os.Stderr, "peak:", err)
		os.Exit(1)
	}
	fmt.Println(usage.Maxrss)
}
