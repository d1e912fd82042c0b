// Command clipper-runner is the command line for people. Its commands, flags
// and their variables:
//
//	run IMAGE [CMD…]    runs an image without a container engine
//	    -e, --env NAME[=VALUE]   -v, --volume SRC:DST[:ro]   -w, --workdir DIR
//	    -u, --user USER   --entrypoint PROGRAM   --hostname NAME
//	    --network host|none   --store DIR|none   --root DIR
//	inspect IMAGE       tells what an image is without pulling its layers
//	    --json
//	store ls            lists the images whose content the store keeps
//	store verify        reads the whole store and drops what is damaged
//	store prune         removes what was not used for longest
//	    --max SIZE   --all
//	    of all three: --store DIR   --root DIR   --json
//	publish SRC DST     copies an image in the form that updates best
//	    --from PREVIOUS   --json
//	ecs render FILE|-   moves a task definition of Amazon ECS onto the runner image
//	    --credentials [CONTAINER=]ARN   --runner-image REF   --container NAME
//	    --store efs:FS|s3files:ARN|host:DIR|docker:NAME   --health-check
//	    --no-resolve   --pull-rate SIZE   --allow RULE   -e, --env NAME[=VALUE]
//	    --family NAME[:REV]   --output json|yaml   --report FILE
//	ecs diff FILE|-     compares it with what is registered; the same, and
//	    --against FILE   --no-render   --exit-code   --json
//	ecs verify FILE|-   says whether it would work, before it is registered; as
//	    render, and --read-credentials   --accept RULE   --no-render   --no-aws
//	    --offline   --json
//	ecs register FILE|-  registers it, unless the newest revision is the same; as
//	    verify, but for --read-credentials, --no-aws, --offline
//	ecs deploy FILE|-   registers it and brings a service to it; as register, and
//	    --service NAME   --service-file FILE   --desired-count N   --force
//	    --rollback   --rollback-on-cancel   --on-pause ACTION   --give-up N
//	    --no-wait   --timeout TIME   --dry-run
//	ecs rollback SERVICE, ecs continue SERVICE [--rollback]
//	                    takes a deployment back, goes on with one that pauses
//	    --no-wait   --timeout TIME   --dry-run   --json
//	ecs run FAMILY [CMD…]  runs one task, and ends as it does
//	    --image REF   --no-resolve   --container NAME   -e, --env NAME[=VALUE]
//	    --like SERVICE   --launch-type TYPE   --subnet ID   --security-group ID
//	    --public-ip   --token TEXT   --started-by TEXT   --timeout TIME
//	    --no-wait   --save FILE   --json
//	ecs status [SERVICE…], ecs tasks, ecs logs TASK, ecs exec TASK CMD…
//	                    look at what runs; their flags are in their --help
//	    of all that ask AWS: --region REGION   --profile NAME; of those that ask
//	    for services and tasks: --cluster NAME   --poll TIME
//	webhook serve       takes GitHub's deliveries in, and does what follows
//	    --listen ADDRESS   --admin-listen ADDRESS   --database FILE|URL
//	    --app-id ID   --private-key-file FILE   --private-key-kms ARN
//	    --private-key-secret ARN   --api-url URL   --github-url URL
//	    --client-id ID   --apps FILE   --url URL   --policy FILE   --pull
//	    --reconcile TIME   --watch TIME   --report TIME   --lease TIME
//	    --search TIME   --networks CIDR,…   --proxies CIDR,…   --image REF
//	    --runner-image REF   --runners FILE   --no-resolve; OTEL_… for traces;
//	    each also as the variable in its --help; secrets are variables alone:
//	    CLIPPER_WEBHOOK_SECRETS, CLIPPER_GITHUB_PRIVATE_KEY,
//	    CLIPPER_GITHUB_CLIENT_SECRET, CLIPPER_WEBHOOK_COOKIE_KEY
//	webhook setup       makes the GitHub App that the service is
//	    --organization NAME   --url URL   --pull   --name NAME   --for FEATURE
//	    --public   --dir DIR   --force   --listen ADDRESS   --wait
//	    --api-url URL   --github-url URL
//	webhook doctor      says whether the service would work as it is set up; as
//	                    serve, and
//	    --repository OWNER/NAME   --json
//	webhook healthy     is the health check of the service's image
//	    --listen ADDRESS   --admin-listen ADDRESS
//	webhook deliveries list, webhook runs list
//	                    lists what GitHub has sent, and what followed, the newest
//	                    first; of both: --limit N   --since TIME   --json
//	                    --repository NAME|ID   --app ID   --state NAME
//	    deliveries: --event NAME   runs: --rule ID   --delivery GUID   --unended
//	webhook deliveries show GUID, webhook runs show ID
//	                    shows one, and what belongs to it
//	    --json   deliveries: --app ID   --body   runs: --lines N   --url URL
//	    --github-url URL
//	webhook runs start REPOSITORY RULE
//	                    has a rule run that has on: manual; with the flags and
//	                    variables of serve that say which App it is, and
//	    --policy FILE   --app ID
//	webhook deliveries replay GUID…, webhook runs cancel ID…, webhook runs rerun ID…
//	                    has a server decide again, end runs, do them again
//	webhook deliveries reconcile
//	                    fetches what GitHub has sent and is not here; with the
//	                    flags and variables of serve that say which App it is
//	webhook db backup FILE
//	                    copies the SQLite database while a server uses it
//	    of all these: --database FILE|URL (CLIPPER_WEBHOOK_DATABASE), beside a
//	    running server or without one
//	webhook db copy FROM TO
//	                    moves to another database, that no server uses
//	webhook config lint [FILE]
//	                    tells what is wrong with a configuration of the service
//	    --policy   --json
//	webhook config explain EVENT.json
//	                    says which rules an event matches, and why
//	    --config FILE   --organisation FILE   --policy FILE   --event NAME
//	    --path PATH   --permission NAME   --pull-request FILE   --json
//	    --commit SHA   --approved-by LOGIN   --bot LOGIN
//	webhook config schema
//	                    prints the JSON Schema of configurations, for editors
//	    --policy
//	webhook checkout REPOSITORY COMMIT
//	                    fetches a commit's files, as the service's tasks do, with
//	                    the token SOURCE_TOKEN, or without one
//	    --api URL   --into DIR
//	doctor [IMAGE]      checks this machine or container
//	    --store DIR   --root DIR
//	version
//	action              what action.yml calls in a job without a container of
//	                    ours; its inputs are INPUT_… (see package action), the
//	                    workflow's env context is CLIPPER_STEP_ENV
//	    --cache FILE
//	ecs action          what ecs/action.yml calls; its inputs are INPUT_…, under
//	                    the names of the ecs commands' flags (ecs_inputs.go)
//
// All that talk to a registry take --platform and --credentials-file. Those
// two, --log, -w, -u and --entrypoint are the settings of the runner image
// under other names, and every variable of runnerimage.Usage works here too.
// Without CLIPPER_CREDENTIALS, the credentials are those of `docker login`
// (DOCKER_CONFIG, else ~/.docker/config.json, its helpers included) and then
// what the runner image would find by itself. XDG_CACHE_HOME, else ~/.cache,
// holds what `run` needs on disk; put it, or --root, on a fast file system.
// There the store is too, at most 10 GiB unless CLIPPER_STORE_MAX says
// otherwise; in a container with a volume at /.clipper-runner/store it is that.
// SSL_CERT_FILE names the CA certificates of the machine. For publish,
// DOCKER_HOST says where the engine of docker-daemon:IMAGE listens, and TMPDIR
// is where layers wait to be sent; CLIPPER_CREDENTIALS are DST's, and other
// registries get those of docker login. The ecs commands find AWS as its own
// CLI does (AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_ECS and so on), and append
// what they report to GITHUB_STEP_SUMMARY; exec needs AWS's
// session-manager-plugin on the PATH.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/alecthomas/kong"
	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/process"
	"github.com/clipperregistry/runner/runnerimage/sandbox"
)

// version is set when a release is linked.
var version = "dev"

func init() {
	// A program executed by any other thread than the first is seen as a
	// zombie for a moment.
	runtime.LockOSThread()
}

func main() {
	switch {
	case os.Args[0] == process.InitName:
		code, err := process.Init(os.Args)
		if err != nil {
			code = runnerimage.Fail(os.Stderr, runnerimage.LogText, err)
		}
		os.Exit(code)
	case sandbox.Entered(os.Args):
		os.Exit(sandbox.Enter(os.Args, sandbox.Hooks{Start: start, Fail: failInside}))
	}
	os.Exit(run(os.Args[1:]))
}

type commands struct {
	Run     runCommand     `cmd:"" help:"Run an image without a container engine: run debian:12 cat /etc/os-release"`
	Inspect inspectCommand `cmd:"" help:"Tell what an image is, without pulling its layers: inspect --json nginx"`
	Store   storeCommand   `cmd:"" help:"Look at what is kept for the next run, check it, remove it: store ls"`
	Publish publishCommand `cmd:"" help:"Copy an image in the form that updates best: publish docker-daemon:app ghcr.io/me/app:2"`
	ECS     ecsCommand     `cmd:"" name:"ecs" help:"Task definitions of Amazon ECS and Fargate on the runner image: ecs render task.json"`
	Webhook webhookCommand `cmd:"" help:"The GitHub App that turns events into runs: webhook serve"`
	Doctor  doctorCommand  `cmd:"" help:"Check this machine or container, and an image's registry: doctor ghcr.io/me/app"`
	Action  actionCommand  `cmd:"" hidden:""`
	Version versionCommand `cmd:"" help:"Print the version: version"`
}

// pullFlags are the flags of all that talks to a registry.
type pullFlags struct {
	Platform        string `placeholder:"OS/ARCH" help:"Platform to choose from an index; default: this machine's."`
	CredentialsFile path   `placeholder:"FILE" help:"A token, user:password or docker config.json; default: CLIPPER_CREDENTIALS, then docker login's."`
}

// path is a flag's file or directory, made absolute. An empty one would be the
// current directory, which nobody means who writes --root "$UNSET".
type path string

func (p *path) Decode(ctx *kong.DecodeContext) error {
	var value string
	if err := ctx.Scan.PopValueInto("path", &value); err != nil {
		return err
	}
	if value == "" {
		return errors.New("the path is empty: name one (. is this directory), or leave the flag away")
	}
	*p = path(kong.ExpandPath(value))
	return nil
}

type versionCommand struct{}

func (versionCommand) Run(exit *int) error {
	fmt.Println("clipper-runner", version)
	return nil
}

func run(args []string) (code int) {
	var c commands
	parser, err := kong.New(&c,
		kong.Name("clipper-runner"),
		kong.Description("Clipper Runner for people: run any OCI image here, look at one, check this machine."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}),
		kong.Bind(&code),
	)
	if err != nil {
		return fail(err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	context, err := parser.Parse(args)
	if err != nil {
		return fail(fmt.Errorf("%w: %w; see clipper-runner --help", runnerimage.ErrSettings, err))
	}
	if err := context.Run(); err != nil {
		return fail(err)
	}
	return code
}

// fail tells an error in the form that CLIPPER_LOG asks for.
func fail(err error) int {
	format := runnerimage.LogText
	if os.Getenv("CLIPPER_LOG") == string(runnerimage.LogJSON) {
		format = runnerimage.LogJSON
	}
	return failAs(format, err)
}

func failAs(format runnerimage.LogFormat, err error) int {
	if errors.Is(err, sandbox.ErrRefused) {
		err = fmt.Errorf("%w: %w", runnerimage.ErrCannotRun, err)
	}
	return runnerimage.Fail(os.Stderr, format, err)
}

// failInside tells an error that stands between the command and its program.
func failInside(payload []byte, err error) int {
	var j job
	if json.Unmarshal(payload, &j) != nil {
		return failAs(runnerimage.LogText, err)
	}
	if j.Step != nil {
		return j.Step.fail(err)
	}
	return failAs(j.Log, err)
}
