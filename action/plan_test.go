package action

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/process"
)

const baked = process.BakedPath

func names(notices []Notice) string {
	var all []string
	for _, n := range notices {
		all = append(all, n.Name)
	}
	return strings.Join(all, " ")
}

func TestPlanEnv(t *testing.T) {
	big := strings.Repeat("x", maxEntry)
	for _, tt := range []struct {
		name                   string
		image                  []string
		job                    map[string]string
		env                    []Pair
		kept, filtered, warned string
	}{
		{name: "nothing"},
		{name: "as it is",
			image: []string{"A=1", "EMPTY=", "LINES=a\nb\r\n", "a.b-c=2", "LD_LIBRARY_PATH=/opt/lib", "QUOTE='\"${{ x }}", "EQ=a=b"},
			env:   []Pair{{"A", "1"}, {"EMPTY", ""}, {"LINES", "a\nb\r\n"}, {"a.b-c", "2"}, {"LD_LIBRARY_PATH", "/opt/lib"}, {"QUOTE", "'\"${{ x }}"}, {"EQ", "a=b"}}},
		{name: "the last of duplicates counts", image: []string{"A=1", "B=2", "A=3"}, env: []Pair{{"A", "3"}, {"B", "2"}}},
		{name: "a name alone", image: []string{"A", "B=2"}, env: []Pair{{"B", "2"}}},
		{name: "the workflow wins",
			image: []string{"A=image", "B=image", "SAME=x", "NONE=image"},
			job:   map[string]string{"A": "job", "B": "", "SAME": "x"},
			env:   []Pair{{"NONE", "image"}}, kept: "A B"},
		{name: "what every container has of its own",
			image: []string{"HOME=/home/app", "HOSTNAME=h", "PWD=/", "SHLVL=1", "OLDPWD=/", "_=/bin/sh"}, job: map[string]string{"HOME": "/github/home"}},
		{name: "the runner's names",
			image:    []string{"CI=false", "GITHUB_SHA=1", "RUNNER_TEMP=/x", "ACTIONS_RUNTIME_TOKEN=x", "INPUT_A=1", "STATE_a=1", "CIRCLE=1", "github_sha=1"},
			env:      []Pair{{"CIRCLE", "1"}, {"github_sha", "1"}},
			filtered: "CI GITHUB_SHA RUNNER_TEMP ACTIONS_RUNTIME_TOKEN INPUT_A STATE_a"},
		{name: "poison for the host's docker command",
			image: []string{"DOCKER_HOST=tcp://x", "DOCKER_CONTEXT=x", "DOCKER_CONFIG=/x", "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=/x", "DOCKER_API_VERSION=1.20",
				"GOMEMLIMIT=bad", "GOGC=1", "GODEBUG=gctrace=1", "GOTRACEBACK=all", "GOMAXPROCS=1", "LD_PRELOAD=/x.so", "LD_AUDIT=/x.so",
				"http_proxy=http://x", "HTTPS_PROXY=http://x", "No_Proxy=*", "OTEL_EXPORTER_OTLP_ENDPOINT=http://x", "GOPATH=/go"},
			env: []Pair{{"GOPATH", "/go"}},
			filtered: "DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG DOCKER_TLS_VERIFY DOCKER_CERT_PATH DOCKER_API_VERSION " +
				"GOMEMLIMIT GOGC GODEBUG GOTRACEBACK GOMAXPROCS LD_PRELOAD LD_AUDIT http_proxy HTTPS_PROXY No_Proxy OTEL_EXPORTER_OTLP_ENDPOINT"},
		{name: "poison that the workflow wants is the workflow's", image: []string{"DOCKER_HOST=tcp://x"}, job: map[string]string{"DOCKER_HOST": "tcp://y"}},
		{name: "an image chooses no credentials",
			image:    []string{"CLIPPER_CREDENTIALS_REGISTRY=evil.example", "CLIPPER_OIDC_URL=https://evil.example", "CLIPPER_MAGIC_IMAGE=x", "CLIPPER_OTHER=1"},
			env:      []Pair{{"CLIPPER_OTHER", "1"}},
			filtered: "CLIPPER_CREDENTIALS_REGISTRY CLIPPER_OIDC_URL CLIPPER_MAGIC_IMAGE"},
		{name: "what GitHub refuses", image: []string{"NODE_OPTIONS=--x", "node_options=--x", "NODE_PATH=/x"}, env: []Pair{{"NODE_PATH", "/x"}}, warned: "NODE_OPTIONS node_options"},
		{name: "what cannot be said",
			image:  []string{"=x", "A\nB=1", "A<<B=1", "\ufeffA=1", "BYTES=\xff", "NUL=a\x00b", "TAB\t=1", "BIG=" + big, "GOOD=\u00e9"},
			env:    []Pair{{"GOOD", "\u00e9"}},
			warned: `"" "A\nB" "A<<B" "\ufeffA" "BYTES" "NUL" "TAB\t" BIG`},
		{name: "the largest", image: []string{"A=" + big[:maxEntry-len("A=\x00")]}, env: []Pair{{"A", big[:maxEntry-len("A=\x00")]}}},
		{name: "a container's token is taken back",
			job: map[string]string{"CLIPPER_CREDENTIALS": "clp_x"}, env: []Pair{{"CLIPPER_CREDENTIALS", "-"}}},
		{name: "once", job: map[string]string{"CLIPPER_CREDENTIALS": "-"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := NewPlan(tt.image, tt.job)
			if !slices.Equal(p.Env, tt.env) {
				t.Errorf("env: %.200q\nwant %.200q", p.Env, tt.env)
			}
			if got := strings.Join(p.Kept, " "); got != tt.kept {
				t.Errorf("kept: %s, want %s", got, tt.kept)
			}
			if got := names(p.Filtered); got != tt.filtered {
				t.Errorf("filtered: %s\nwant %s", got, tt.filtered)
			}
			if got := names(p.Warned); got != tt.warned {
				t.Errorf("warned: %s\nwant %s", got, tt.warned)
			}
			for _, n := range slices.Concat(p.Filtered, p.Warned) {
				if n.Reason == "" {
					t.Errorf("%s: no reason", n.Name)
				}
			}
			// A step that runs it again finds what is there.
			job := map[string]string{}
			for name, value := range tt.job {
				job[name] = value
			}
			for _, v := range p.Env {
				job[v.Name] = v.Value
			}
			if again := NewPlan(tt.image, job); len(again.Env) > 0 || strings.Join(again.Kept, " ") != tt.kept {
				t.Errorf("the second run sets %.200q, keeps %q", again.Env, again.Kept)
			}
		})
	}
}

func TestPlanBound(t *testing.T) {
	var image []string
	for i := range 40 {
		image = append(image, fmt.Sprintf("V%02d=%s", i, strings.Repeat("x", 100<<10)))
	}
	p := NewPlan(image, nil)
	var total int
	for _, v := range p.Env {
		total += len(v.Name) + len(v.Value) + 2
	}
	if total > maxEnv || total < maxEnv-101<<10 || len(p.Env)+len(p.Warned) != 40 {
		t.Errorf("%d variables of %d bytes, %d warned", len(p.Env), total, len(p.Warned))
	}
}

// TestPlanPath follows PATH through the runner, whose container has the runner
// image's, into the environment of the next step.
func TestPlanPath(t *testing.T) {
	const golang = "/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, tt := range []struct {
		name   string
		image  string
		before []string // GITHUB_PATH of earlier steps, the last one first
		want   string   // in front of the runner image's
		writes bool
		warned string
	}{
		{name: "an image's own", image: golang, want: golang, writes: true},
		{name: "Docker's default", image: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		{name: "no PATH"},
		{name: "empty elements and duplicates", image: ":/b::/a:/b:", want: "/b:/a", writes: true},
		{name: "after a step that added to PATH", image: "/a:/b", before: []string{"/two", "/one"}, want: "/two:/one:/a:/b", writes: true},
		{name: "after a step that added one of the image's", image: "/a:/b", before: []string{"/x", "/b"}, want: "/x:/a:/b", writes: true},
		{name: "once more", image: "/a:/b", before: []string{"/a", "/b"}, want: "/a:/b"},
		{name: "once more, after another step", image: "/a:/b", before: []string{"/x", "/a", "/b"}, want: "/x:/a:/b"},
		{name: "a relative element", image: "bin:/a", want: "bin:/a", writes: true},
		{name: "what is no line", image: "/a\n/evil:/b:/c\r:/d\xff", want: "/b", writes: true,
			warned: `directory "/a\n/evil" of PATH directory "/c\r" of PATH directory "/d\xff" of PATH`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var image []string
			if tt.image != "" {
				image = []string{"PATH=" + tt.image}
			}
			job := map[string]string{"PATH": strings.Join(append(slices.Clone(tt.before), baked), ":")}
			p := NewPlan(image, job)
			if len(p.Path) > 0 != tt.writes || len(p.Env) > 0 || names(p.Warned) != tt.warned {
				t.Errorf("writes %q, env %q, warned %s", p.Path, p.Env, names(p.Warned))
			}
			file := []byte(strings.Join(p.Path, "\n") + "\n")
			want := strings.TrimPrefix(tt.want+":"+baked, ":")
			after := readPath(file, tt.before, baked)
			if after != want {
				t.Errorf("PATH is %s\nwant    %s", after, want)
			}
			if again := NewPlan(image, map[string]string{"PATH": after}); len(again.Path) > 0 {
				t.Errorf("the second run writes %q", again.Path)
			}
		})
	}
}

func TestPlanPathOfTheWorkflow(t *testing.T) {
	p := NewPlan([]string{"PATH=/a"}, map[string]string{"PATH": "/own:/bin"})
	if len(p.Path) > 0 || !slices.Equal(p.Kept, []string{"PATH"}) {
		t.Errorf("writes %q, keeps %q", p.Path, p.Kept)
	}
}

func TestUserNotice(t *testing.T) {
	for _, tt := range []struct {
		user       string
		wants, uid int
		says       string
	}{
		{"", 0, 0, ""},
		{"root", 0, 0, ""},
		{"node", 1000, 0, `the image's user is "node" (1000), and steps run as 0; give the job's container "options: --user 1000"`},
		{"1000:1000", 1000, 1000, ""},
		{"", 0, 1000, ""},
	} {
		n, ok := UserNotice(tt.user, tt.wants, tt.uid)
		if ok != (tt.says != "") || !strings.HasPrefix(n.Reason, tt.says) {
			t.Errorf("%q as %d: %v", tt.user, tt.uid, n)
		}
	}
}
