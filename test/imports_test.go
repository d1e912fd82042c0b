// Package test proves the project from the outside. This file is its floor
// plan: which room may know which, and what the runner's binary may hold.
package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/clipperregistry/runner"

// wall is what stands around one room. It speaks of the room's own code; its
// tests may import what they like.
type wall struct {
	room string
	// rooms are all rooms that it may import. Nobody may import cmd/… or test/….
	rooms []string
	// imports and links are what it must not import itself, and what must not
	// come in through anybody. A name ends what it names: "os" is os alone,
	// "net/..." is net and all beneath it.
	imports, links []string
	because        string
}

// Things that several walls keep out.
var (
	network    = []string{"net/..."}
	registries = []string{"net/http/...", "github.com/google/go-containerregistry/..."}
	inOut      = []string{"net/...", "os/...", "io/fs", "io/ioutil", "syscall", "golang.org/x/sys/..."}
	heavy      = []string{
		"github.com/aws/...", "github.com/Azure/...", "github.com/google/go-github/...", "github.com/bradleyfalzon/...",
		"database/sql/...", "modernc.org/...", "github.com/jackc/...", "github.com/riverqueue/...",
		"github.com/alecthomas/kong/...", "github.com/spf13/...",
		"github.com/docker/docker/...", "github.com/docker/cli/...", "github.com/moby/moby/...",
		"testing/...",
	}
)

// templates come into the runner with go-githubactions, for a function that
// nothing calls: 27 µs of every start, and 290 kB. Nobody else lets them in.
var templates = []string{"html/template", "text/template/..."}

// dockerConfig is the one part of docker/cli that is let through to the
// runner: go-containerregistry's authn and transport import it, and nothing
// here calls it.
const dockerConfig = "github.com/docker/cli/cli/config/..."

var walls = []wall{
	{room: "runnerimage/oci", imports: inOut,
		because: "references, digests and platforms are words: whoever parses one waits for nobody and cannot fail for outer reasons"},
	{room: "runnerimage/registry", rooms: []string{"runnerimage/oci"},
		because: "it hands out verified bytes; what layers hold is the layer room's, and who may pull is asked through an interface, so no credential can slip into the protocol"},
	{room: "runnerimage/credentials", imports: []string{"os/...", "syscall", "github.com/google/go-containerregistry/pkg/v1/..."},
		links:   []string{"github.com/aws/..."},
		because: "it answers which credentials go to which host and speaks no registry protocol; it opens no file, because a set-uid runner must open them with the real ids"},
	{room: "runnerimage/inflate", imports: inOut, links: append([]string{"github.com/..."}, network...),
		because: "every byte of a gzip layer is hostile and passes through it: it knows a reader and a format, and of the rest nothing"},
	{room: "runnerimage/layer", rooms: []string{"runnerimage/inflate"}, imports: []string{"os/...", "syscall", "golang.org/x/sys/..."}, links: append([]string{"github.com/google/go-containerregistry/..."}, network...),
		because: "a blob is hostile input: the code that reads it can neither write nor call out"},
	{room: "runnerimage/toc", rooms: []string{"runnerimage/layer"}, imports: append([]string{"golang.org/..."}, inOut...), links: append([]string{"github.com/google/go-containerregistry/..."}, network...),
		because: "the waist of the corridor: whether a tree comes from layers or from a published table, the merge is a pure function"},
	{room: "runnerimage/chunk", imports: inOut, links: append([]string{"github.com/google/go-containerregistry/..."}, network...),
		because: "bytes in, bytes out: whoever publishes, fetches or verifies cuts and decodes alike, wherever chunks are kept"},
	{room: "runnerimage/store", links: append([]string{"github.com/klauspost/compress/..."}, append(registries, network...)...),
		because: "it keeps bytes under names: how a chunk is encoded and what a TOC says is not its business, so that nothing it reads from a shared disk is ever interpreted"},
	{room: "runnerimage/stock", rooms: []string{"runnerimage/chunk", "runnerimage/oci", "runnerimage/store"}, imports: []string{"os/..."}, links: []string{"net/http/..."},
		because: "it gives the store's blobs their names and chunks their encoding, and asks nobody"},
	{room: "runnerimage/published", rooms: []string{"runnerimage/chunk", "runnerimage/inflate", "runnerimage/layer", "runnerimage/oci", "runnerimage/toc"}, imports: inOut,
		because: "what a publisher says is hostile input: the code that reads it gets bytes from its caller and can neither write nor call out"},
	{room: "runnerimage/pull", rooms: []string{
		"runnerimage/chunk", "runnerimage/layer", "runnerimage/oci", "runnerimage/published", "runnerimage/registry", "runnerimage/stock", "runnerimage/toc"},
		imports: []string{"net/...", "os/...", "io/fs"},
		because: "it decides from where a layer comes, and leaves each source to its own room"},
	{room: "runnerimage/publish", rooms: []string{
		"runnerimage/inflate", "runnerimage/layer", "runnerimage/oci", "runnerimage/published", "runnerimage/registry", "runnerimage/toc"},
		because: "it makes images for runners on a developer's machine and is in no binary that runs in a container"},
	{room: "runnerimage/rootfs", rooms: []string{"runnerimage/layer", "runnerimage/toc"}, links: registries,
		because: "it writes a tree wherever the bytes come from; a network fault is not its story"},
	{room: "runnerimage/process", links: registries,
		because: "what becomes of an image's config is decided without asking anybody; it runs again at every restart, without a network"},
	{room: "runnerimage/layout", imports: append([]string{"fmt", "encoding/...", "golang.org/x/sys/..."}, network...), links: append([]string{"fmt"}, registries...),
		because: "the waiting loader and every shell of a job begin with it: it is small, and knows no other room"},
	{room: "runnerimage/libc", imports: append([]string{"fmt", "debug/...", "syscall", "golang.org/x/sys/..."}, network...), links: registries,
		because: "it reads a few files for the waiting loader, which must stay small"},
	{room: "runnerimage/state", imports: network, links: registries,
		because: "what a container remembers is read at every restart and by every health check; it knows no other room's types"},
	{room: "runnerimage/applet", rooms: []string{"runnerimage/layout", "runnerimage/oci", "runnerimage/process", "runnerimage/state"}, links: []string{"net/http/...", "github.com/google/go-containerregistry/pkg/authn", "github.com/google/go-containerregistry/pkg/v1/remote/..."},
		because: "the small commands act inside the container and never pull"},
	{room: "runnerimage/image", rooms: []string{"runnerimage/applet", "runnerimage/libc"},
		because: "the image's builder works on a developer's machine, from finished programs; of their code it knows the names of the small commands and the places of loaders only, and it is in no binary that runs in a container"},
	{room: "runnerimage/sandbox", links: registries,
		because: "it gives a program namespaces; the image in them is the runner's business"},
	{room: "runnerimage", rooms: []string{
		"runnerimage/credentials", "runnerimage/layer", "runnerimage/layout", "runnerimage/oci", "runnerimage/process", "runnerimage/pull",
		"runnerimage/registry", "runnerimage/rootfs", "runnerimage/state", "runnerimage/stock", "runnerimage/store", "runnerimage/toc"},
		because: "the pipeline: the parent imports its stations and tells their order; image, applet and sandbox are no stations"},

	{room: "action", rooms: []string{"action/oidc", "runnerimage", "runnerimage/credentials", "runnerimage/layout", "runnerimage/libc", "runnerimage/process"}, imports: []string{"os/exec", "syscall", "golang.org/x/sys/..."},
		because: "what a job's step is told and tells is decided in pure functions and written to the step's files; whoever pulls and lays out is handed settings"},
	{room: "action/oidc", rooms: []string{"runnerimage/credentials"}, imports: []string{"os/...", "syscall"}, links: []string{"github.com/aws/...", "github.com/Azure/...", "golang.org/x/oauth2/..."},
		because: "it trades one token for another over HTTP, opens no file, and is small enough for the runner's binary"},
	{room: "action/cache", rooms: []string{"runnerimage/oci", "runnerimage/store"}, imports: []string{"os/exec", "os/signal"},
		because: "it moves a store's files as they are, and what they mean is not its business; only the command line links it, for Azure's library is heavy"},

	{room: "ecs", rooms: []string{"runnerimage/oci"}, imports: inOut, links: []string{"net/http/...", "github.com/aws/..."},
		because: "it rewrites foreign JSON and asks nobody: what registries and AWS say comes in as values, so that a rendered definition follows from what was given alone"},
	{room: "ecs/rules", rooms: []string{"ecs", "runnerimage/oci"}, imports: inOut, links: []string{"net/http/..."},
		because: "what ECS takes follows from its documentation alone: whoever checks a definition, a command or a fake of ECS, gets the same findings without a network; of the SDK it has ECS's enumerations"},
	{room: "ecs/verify", rooms: []string{"ecs", "ecs/rules", "runnerimage/credentials", "runnerimage/oci", "runnerimage/registry"}, imports: []string{"net/http/...", "os/..."},
		because: "it asks AWS through the few calls that it declares and registries through its caller, so that a test sees every question; of the registry room it knows what refusals mean"},
	{room: "ecs/watch", rooms: []string{"ecs"}, imports: []string{"net/http", "os/..."},
		because: "it observes through the calls that it declares, none of which changes anything; whoever deploys or runs reads what it saw"},
	{room: "ecs/deploy", rooms: []string{"ecs", "ecs/watch"}, imports: []string{"os/..."},
		because: "it changes services through the few calls that it declares, and leaves the watching to its own room"},
	{room: "ecs/run", rooms: []string{"ecs", "ecs/watch", "runnerimage/oci"}, imports: []string{"net/http/...", "os/..."},
		because: "it starts and stops one task through the few calls that it declares, asks registries through its caller, and leaves the watching to its own room"},

	{room: "webhook", imports: append([]string{"golang.org/..."}, inOut...), links: append([]string{"github.com/..."}, network...),
		because: "the words that all rooms of the service share wait for nobody and need nothing but Go"},
	{room: "webhook/mask", imports: []string{"net", "net/http/...", "os/...", "io/..."}, links: []string{"github.com/..."},
		because: "it turns one text into another, and whoever has a secret to hide can use it"},
	{room: "webhook/rules", rooms: []string{"ecs", "ecs/rules", "runnerimage/oci", "webhook"}, imports: inOut, links: []string{"net/http/...", "github.com/google/go-github/...", "database/sql/..."},
		because: "what follows from an event is decided without asking anybody, so that it can be decided again and explained; of the ecs rooms it knows what Fargate takes"},
	{room: "webhook/database", rooms: []string{"webhook"}, imports: []string{"net/http/...", "os/exec"}, links: []string{"github.com/google/go-github/...", "github.com/aws/..."},
		because: "it keeps rows and decides nothing: what a delivery means and whom a run is shown to is its callers', so that both databases are one"},
	{room: "webhook/accept", rooms: []string{"webhook"}, imports: []string{"os/exec", "os/signal"}, links: []string{"database/sql/...", "modernc.org/...", "github.com/jackc/...", "github.com/riverqueue/...", "github.com/google/go-github/...", "github.com/aws/..."},
		because: "strangers talk to it: it checks signatures with the standard library, calls nobody, and stores through an interface"},
	{room: "webhook/hub", rooms: []string{"webhook"}, imports: []string{"os/..."}, links: []string{"database/sql/...", "modernc.org/...", "github.com/jackc/...", "github.com/riverqueue/..."},
		because: "it asks GitHub and remembers nothing that could be wrong tomorrow: what is done about an answer is its callers', and its errors say what they may do"},
	{room: "webhook/reconcile", rooms: []string{"webhook", "webhook/hub"}, imports: []string{"net/...", "os/..."}, links: []string{"database/sql/...", "modernc.org/...", "github.com/jackc/...", "github.com/riverqueue/..."},
		because: "it compares two lists through interfaces: a delivery that was lost has one way into the inbox, which is that of all others"},
	{room: "webhook/web", rooms: []string{"webhook", "webhook/database", "webhook/rules"}, imports: []string{"os/..."}, links: []string{"github.com/google/go-github/..."},
		because: "it shows what is in the books and passes on what people ask for, through interfaces: of GitHub it asks one thing, with the person's own token, which is what that person may read"},
	{room: "webhook/setup", rooms: []string{"webhook/hub", "webhook/rules"}, imports: []string{"os/exec", "os/signal"}, links: []string{"database/sql/...", "modernc.org/...", "github.com/jackc/...", "github.com/riverqueue/..."},
		because: "it holds secrets that are given once: it serves one browser of this machine, asks GitHub for one thing and writes three files"},
	{room: "webhook/doctor", rooms: []string{"webhook/database", "webhook/hub", "webhook/rules", "webhook/serve", "webhook/setup"}, imports: []string{"os/exec", "os/signal", "github.com/google/go-github/..."},
		because: "it looks at a whole service from outside and changes nothing, so nothing of the service knows it"},
	{room: "webhook/checkout", imports: []string{"os/exec", "syscall", "golang.org/x/sys/..."}, links: []string{"github.com/..."},
		because: "it runs in tasks beside code that nobody knows, with an archive that anybody made: it has Go's standard library, a directory and one host"},
	{room: "webhook/task", rooms: []string{"ecs", "ecs/deploy", "ecs/rules", "ecs/run", "ecs/watch", "runnerimage/oci", "webhook", "webhook/mask", "webhook/rules"}, imports: []string{"net/http/...", "os/..."}, links: []string{"github.com/google/go-github/...", "database/sql/...", "github.com/riverqueue/..."},
		because: "it runs jobs that are decided, through the few calls that it declares; what becomes of a run in the service's books and on GitHub is its callers'"},
	{room: "webhook/work", rooms: []string{"ecs", "ecs/watch", "webhook", "webhook/database", "webhook/hub", "webhook/mask", "webhook/rules", "webhook/task"}, imports: []string{"net/http/...", "os/...", "database/sql/...", "github.com/google/go-github/...", "github.com/aws/..."},
		because: "it is the story of a run, told with the words of the rooms: it asks GitHub, ECS and the database through them alone"},
	{room: "webhook/runners", rooms: []string{"webhook", "webhook/database", "webhook/hub", "webhook/rules", "webhook/task"}, imports: []string{"net/http/...", "os/...", "database/sql/...", "github.com/google/go-github/...", "github.com/riverqueue/..."},
		because: "it keeps sets of tasks as large as GitHub wants them, and asks GitHub, ECS and the database through their rooms; scale sets alone have their own client, which is given a token and no key"},
	{room: "webhook/serve", rooms: []string{"ecs", "ecs/watch", "runnerimage/oci", "webhook", "webhook/accept", "webhook/database", "webhook/hub", "webhook/mask", "webhook/reconcile", "webhook/rules", "webhook/runners", "webhook/task", "webhook/web", "webhook/work"}, imports: []string{"os/exec", "os/signal", "database/sql/...", "github.com/google/go-github/...", "github.com/riverqueue/..."},
		because: "it is where the service's rooms meet: it makes them from settings and ends them in order, and what they do is theirs; a process's environment and signals are its caller's"},

	{room: "cmd/runner", rooms: []string{"action", "runnerimage", "runnerimage/layout", "runnerimage/libc", "runnerimage/process", "runnerimage/rootfs"}, imports: templates, links: heavy,
		because: "every package is paid for at every start of every container: in bytes to pull, in memory, in initialisers"},
	{room: "cmd/applet", rooms: []string{"runnerimage/applet"}, links: slices.Concat([]string{"net/http/...", "crypto/tls"}, templates, heavy),
		because: "a health check starts it every few seconds; it never talks to a registry"},
	{room: "cmd/loader", rooms: []string{"runnerimage/layout", "runnerimage/libc"}, links: slices.Concat([]string{"fmt", "net/...", "encoding/json", "debug/...", "regexp/..."}, heavy),
		because: "the kernel starts it in place of a loader, in every program that waits, and it is pulled with every container"},
	{room: "cmd/build-image", rooms: []string{"runnerimage/image"},
		because: "it parses flags and calls the builder"},
	{room: "cmd/clipper-runner", rooms: []string{
		"action", "action/cache", "ecs", "ecs/deploy", "ecs/rules", "ecs/run", "ecs/verify", "ecs/watch", "runnerimage", "runnerimage/credentials", "runnerimage/image", "runnerimage/layer", "runnerimage/oci", "runnerimage/process",
		"runnerimage/chunk", "runnerimage/publish", "runnerimage/registry", "runnerimage/rootfs", "runnerimage/sandbox", "runnerimage/state",
		"runnerimage/stock", "runnerimage/store", "runnerimage/toc", "webhook", "webhook/checkout", "webhook/database", "webhook/doctor", "webhook/hub", "webhook/rules", "webhook/serve", "webhook/setup", "webhook/task", "webhook/work"},
		because: "the command line for people is the only place in which every room meets"},
}

// budget says, for every module of other people that cmd/runner links, what
// it is for and what it costs: its symbols in a binary of 9.3 MB (linux/amd64,
// -s -w), rounded. The linker drops what is never called.
var budget = map[string]string{
	"github.com/klauspost/compress":          "300 kB: zstd and S2, which standard Go has not",
	"golang.org/x/crypto/x509roots/fallback": "150 kB: Mozilla's certificates; the bare image has none",
	"github.com/google/go-containerregistry": "50 kB: a registry's token exchange, names and manifest types",
	"golang.org/x/sys":                       "15 kB: system calls that package syscall lacks",
	"github.com/moby/sys/user":               "7 kB: users and groups from the image's own files",
	"github.com/moby/sys/mountinfo":          "4 kB: the container's mount points",
	"github.com/sethvargo/go-githubactions":  "300 kB, most of it html/template: masks, groups, annotations and the job's identity; a job's steps need them, and a second binary would cost more",
	"golang.org/x/sync":                      "3 kB: errgroup and semaphore",
	"golang.org/x/term":                      "0.1 kB: does a person watch the progress?",

	"github.com/docker/cli":                       "0.1 kB: only cli/config, which go-containerregistry's authn imports; never called",
	"github.com/docker/docker-credential-helpers": "0 kB: through docker/cli; never called",
	"github.com/sirupsen/logrus":                  "2 kB, its initialiser: through docker/cli; never called",
	"github.com/opencontainers/go-digest":         "1 kB, its initialiser: through go-containerregistry's name",
}

// pkg is what the tests ask of `go list -json`.
type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
	Module     *struct{ Path string }
}

// room is the package's folder in this module, "." for the module's root; not
// ok for packages of others.
func (p pkg) room() (string, bool) {
	if p.ImportPath == module {
		return ".", true
	}
	return strings.CutPrefix(p.ImportPath, module+"/")
}

var architectures = []string{"amd64", "arm64"}

// packages lists the packages of this module and all they link, by import
// path, as the image's binaries are built. Tests share one listing.
var packages = sync.OnceValues(func() (map[string]map[string]pkg, error) {
	if err := touchSources(); err != nil {
		return nil, err
	}
	byArch := map[string]map[string]pkg{}
	for _, arch := range architectures {
		cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports,Deps,Module", "./...")
		cmd.Dir = ".."
		cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0", "GOWORK=off")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, errors.New("go list: " + err.Error() + "\n" + stderr.String())
		}
		list := map[string]pkg{}
		for dec := json.NewDecoder(bytes.NewReader(out)); ; {
			var p pkg
			if err := dec.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, err
			}
			list[p.ImportPath] = p
		}
		byArch[arch] = list
	}
	return byArch, nil
})

// touchSources looks at every source file, because `go test` keeps a result
// until a file changes that the test itself has looked at; what go list reads
// would not count.
func touchSources() error {
	return filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return filepath.SkipDir
		}
		if name := d.Name(); strings.HasSuffix(name, ".go") || name == "go.mod" {
			_, err = os.Stat(path)
		}
		return err
	})
}

func listed(t *testing.T, arch string) map[string]pkg {
	t.Helper()
	byArch, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	return byArch[arch]
}

// matches reports whether a pattern of a wall names the package.
func matches(pattern, path string) bool {
	if parent, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == parent || strings.HasPrefix(path, parent+"/")
	}
	return path == pattern
}

func named(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, path) })
}

// breaches lists what a room has that its wall keeps out.
func (w wall) breaches(p pkg) []string {
	var found []string
	for _, path := range p.Imports {
		room, ours := pkg{ImportPath: path}.room()
		switch {
		case ours && !slices.Contains(w.rooms, room):
			found = append(found, "imports the room "+room)
		case named(w.imports, path):
			found = append(found, "imports "+path)
		}
	}
	for _, path := range p.Deps {
		if named(w.links, path) && !matches(dockerConfig, path) {
			found = append(found, "links "+path)
		}
	}
	return found
}

func TestWalls(t *testing.T) {
	for _, arch := range architectures {
		list := listed(t, arch)
		for _, w := range walls {
			p, ok := list[module+"/"+w.room]
			if !ok {
				continue // TestEveryRoomHasAWall has seen to its folder
			}
			for _, breach := range w.breaches(p) {
				t.Errorf("%s %s (linux/%s)\n\tthe wall stands because %s", w.room, breach, arch, w.because)
			}
		}
	}
}

// TestEveryRoomHasAWall finds packages without a row, and rows without a room
// or a reason.
func TestEveryRoomHasAWall(t *testing.T) {
	var rooms []string
	for _, w := range walls {
		if slices.Contains(rooms, w.room) {
			t.Errorf("%s has two rows", w.room)
		}
		rooms = append(rooms, w.room)
		if w.because == "" {
			t.Errorf("the wall of %s has no reason", w.room)
		}
		for _, room := range append([]string{w.room}, w.rooms...) {
			if info, err := os.Stat(filepath.Join("..", room)); err != nil || !info.IsDir() {
				t.Errorf("the row of %s names %s, which is no folder", w.room, room)
			}
			if room != w.room && (strings.HasPrefix(room, "cmd/") || strings.HasPrefix(room, "test/")) {
				t.Errorf("the row of %s lets %s in; commands and tests are nobody's library", w.room, room)
			}
		}
	}
	for _, p := range listed(t, architectures[0]) {
		room, ours := p.room()
		if ours && !strings.HasPrefix(room, "test/") && room != "test" && !slices.Contains(rooms, room) {
			t.Errorf("%s has no wall: add a row with its reason", room)
		}
	}
}

// TestBudget holds the runner's modules against the list of those that are
// worth their price.
func TestBudget(t *testing.T) {
	linked := map[string]bool{}
	for _, arch := range architectures {
		list := listed(t, arch)
		for _, path := range list[module+"/cmd/runner"].Deps {
			if m := list[path].Module; m != nil && m.Path != module {
				linked[m.Path] = true
			}
		}
	}
	for path := range linked {
		if budget[path] == "" {
			t.Errorf("cmd/runner now links %s: leave it out, or say in the budget what it is for and what it costs", path)
		}
	}
	for path := range budget {
		if !linked[path] {
			t.Errorf("cmd/runner no longer links %s: take it off the budget", path)
		}
	}
}

// TestWallsHold breaks walls on purpose: a table that lets everything pass
// would look the same as one that is kept.
func TestWallsHold(t *testing.T) {
	w := wall{rooms: []string{"runnerimage/oci"}, imports: []string{"os/..."}, links: []string{"net/http", "github.com/docker/cli/..."}}
	for _, tt := range []struct {
		name string
		p    pkg
		want string
	}{
		{"what is let in", pkg{Imports: []string{"fmt", "osx", module + "/runnerimage/oci"}, Deps: []string{"os", "net/http/httptrace"}}, ""},
		{"a room", pkg{Imports: []string{module + "/runnerimage/layer"}}, "imports the room runnerimage/layer"},
		{"a command", pkg{Imports: []string{module + "/cmd/runner"}}, "imports the room cmd/runner"},
		{"a package", pkg{Imports: []string{"os"}}, "imports os"},
		{"a package beneath", pkg{Imports: []string{"os/exec"}}, "imports os/exec"},
		{"a link", pkg{Deps: []string{"net/http"}}, "links net/http"},
		{"docker/cli", pkg{Deps: []string{"github.com/docker/cli/cli/command"}}, "links github.com/docker/cli/cli/command"},
		{"its config", pkg{Deps: []string{"github.com/docker/cli/cli/config/types"}}, ""},
	} {
		if got := strings.Join(w.breaches(tt.p), ", "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
