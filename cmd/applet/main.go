// Command applet is every small command of the runner image but the runner:
// the name it is called by says which. It has no flags of its own.
package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/clipperregistry/runner/runnerimage/applet"
)

func main() {
	name := filepath.Base(os.Args[0])
	os.Exit(applet.Main(context.Background(), name, os.Args[1:], applet.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
