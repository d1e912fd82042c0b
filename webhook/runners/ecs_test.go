package runners

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook/task"
)

// cloud is an ECS and a Parameter Store for the SDK's real clients. Its tasks
// are runners of a fakehub, not containers: a hundred of them cost nothing. It
// outlives the services that use it.
type cloud struct {
	server *httptest.Server
	github *fakehub.Hub
	// work is what runners do with a job.
	work func(context.Context, *fakehub.Job) string
	// slow is how long a task takes to start, hidden how long ListTasks does not
	// know it.
	slow, hidden time.Duration
	// broken tasks end at once; deaf ones do not hear that they were removed.
	broken bool
	deaf   []string

	mu         sync.Mutex
	revisions  map[string][]object // by family
	tasks      []*cloudTask
	parameters map[string]string
	faults     map[string][]fault // by action
	counts     map[string]int
	said       []string // bodies of requests, but those of parameters
	peak       int      // most tasks at once
	running    sync.WaitGroup
}

type object = map[string]any

// fault is what becomes of a call in place of its answer.
type fault struct {
	done bool   // it is carried out
	kind string // of the error; "" is none, the connection ends
	text string
}

type cloudTask struct {
	arn, token, group, name string
	status                  string
	shown                   object
	from                    time.Time // ListTasks knows it
	stop                    context.CancelFunc
}

func newCloud(t *testing.T, github *fakehub.Hub) *cloud {
	c := &cloud{github: github, revisions: map[string][]object{}, parameters: map[string]string{}, faults: map[string][]fault{}, counts: map[string]int{}}
	c.work = func(context.Context, *fakehub.Job) string { return "success" }
	c.server = httptest.NewServer(c)
	t.Cleanup(func() {
		c.mu.Lock()
		for _, one := range c.tasks {
			one.stop()
		}
		c.mu.Unlock()
		c.running.Wait()
		c.server.Close()
	})
	return c
}

// Config is what the SDK's clients are made with. What fails is not tried
// again, so that the service sees it.
func (c *cloud) config() aws.Config {
	return aws.Config{Region: "eu-central-1", BaseEndpoint: &c.server.URL, RetryMaxAttempts: 1, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")}
}

// service is what runs tasks on it.
func (c *cloud) service() *task.Tasks {
	return &task.Tasks{Region: "eu-central-1", ECS: func(string) task.Client { return awsecs.NewFromConfig(c.config()) }, Pace: watch.Pace{First: time.Millisecond, Most: time.Millisecond}}
}

func (c *cloud) store(string) task.Parameters { return ssm.NewFromConfig(c.config()) }

// fail has the next calls of an action go wrong.
func (c *cloud) fail(action string, f fault, times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range times {
		c.faults[action] = append(c.faults[action], f)
	}
}

func (c *cloud) count(action string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts[action]
}

// alive are the names of the tasks that have not stopped.
func (c *cloud) alive() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, one := range c.tasks {
		if one.status != "STOPPED" {
			names = append(names, one.name)
		}
	}
	return names
}

// started is how many tasks there were, ever.
func (c *cloud) started() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.tasks)
}

// ServeHTTP answers the SDK (https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html).
func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	body, err := io.ReadAll(r.Body)
	var in object
	if err != nil || json.Unmarshal(body, &in) != nil {
		http.Error(w, "no JSON", http.StatusBadRequest)
		return
	}
	do := map[string]func(object) (object, error){
		"RegisterTaskDefinition": c.register, "DescribeTaskDefinition": c.definition, "RunTask": c.run, "ListTasks": c.list,
		"DescribeTasks": c.describe, "StopTask": c.stopTask, "PutParameter": c.put,
	}[action]
	if do == nil {
		http.Error(w, action, http.StatusNotImplemented)
		return
	}
	c.mu.Lock()
	c.counts[action]++
	if action != "PutParameter" {
		c.said = append(c.said, string(body))
	}
	var wrong *fault
	if left := c.faults[action]; len(left) > 0 {
		wrong, c.faults[action] = &left[0], left[1:]
	}
	var out object
	if wrong == nil || wrong.done {
		out, err = do(in)
	}
	c.mu.Unlock()
	switch {
	case wrong != nil && wrong.kind == "":
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
		return
	case wrong != nil:
		err = refusal{wrong.kind, wrong.text}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		out = object{"__type": err.(refusal).kind, "message": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(out) // the caller may have gone
}

type refusal struct{ kind, text string }

func (r refusal) Error() string { return r.text }

func (c *cloud) register(in object) (object, error) {
	family := in["family"].(string)
	number := len(c.revisions[family]) + 1
	in["revision"], in["status"], in["taskDefinitionArn"] = number, "ACTIVE", fmt.Sprintf("arn:aws:ecs:eu-central-1:123456789012:task-definition/%s:%d", family, number)
	tags := in["tags"]
	delete(in, "tags")
	c.revisions[family] = append(c.revisions[family], in)
	return object{"taskDefinition": in, "tags": tags}, nil
}

func (c *cloud) definition(in object) (object, error) {
	if d := c.find(in["taskDefinition"].(string)); d != nil {
		return object{"taskDefinition": d}, nil
	}
	return nil, refusal{"ClientException", "Unable to describe task definition."}
}

func (c *cloud) find(name string) object {
	for family, all := range c.revisions {
		for _, d := range slices.Backward(all) {
			if name == family || name == d["taskDefinitionArn"] {
				return d
			}
		}
	}
	return nil
}

// run starts a task once for each token.
func (c *cloud) run(in object) (object, error) {
	for _, one := range c.tasks {
		if one.token == in["clientToken"] {
			return object{"tasks": []object{one.shown}}, nil
		}
	}
	d := c.find(in["taskDefinition"].(string))
	if d == nil {
		return nil, refusal{"ClientException", "TaskDefinition not found."}
	}
	id := fmt.Sprintf("%032x", len(c.tasks)+1)
	one := &cloudTask{
		arn: "arn:aws:ecs:eu-central-1:123456789012:task/default/" + id, token: in["clientToken"].(string), group: in["startedBy"].(string), status: "PENDING",
		from: time.Now().Add(c.hidden),
	}
	one.shown = object{
		"taskArn": one.arn, "taskDefinitionArn": d["taskDefinitionArn"], "lastStatus": "PENDING", "desiredStatus": "RUNNING", "startedBy": one.group,
		"createdAt": seconds(), "overrides": in["overrides"], "containers": []object{{"name": "run", "lastStatus": "PENDING"}},
	}
	config := ""
	for _, part := range in["overrides"].(object)["containerOverrides"].([]any) {
		for _, v := range part.(object)["environment"].([]any) {
			if v.(object)["name"] == nameVariable {
				one.name = v.(object)["value"].(string)
			}
		}
	}
	for _, part := range d["containerDefinitions"].([]any) {
		for _, s := range part.(object)["secrets"].([]any) {
			if s.(object)["name"] == configVariable {
				config = c.parameters[s.(object)["valueFrom"].(string)]
			}
		}
	}
	c.tasks = append(c.tasks, one)
	n := 0
	for _, other := range c.tasks {
		if other.status != "STOPPED" {
			n++
		}
	}
	c.peak = max(c.peak, n)
	ctx, cancel := context.WithCancel(context.Background())
	one.stop = cancel
	c.running.Go(func() { c.live(ctx, one, config) })
	return object{"tasks": []object{maps.Clone(one.shown)}}, nil
}

func seconds() float64 { return float64(time.Now().UnixMilli()) / 1000 }

// live is a task's life.
func (c *cloud) live(ctx context.Context, one *cloudTask, config string) {
	sleep(ctx, c.slow, nil)
	c.set(one, object{"lastStatus": "RUNNING", "startedAt": seconds()})
	code := 0
	if c.broken || c.github.RunAgent(ctx, config, c.work) != nil {
		code = 1
	}
	c.mu.Lock()
	if slices.Contains(c.deaf, one.name) {
		c.mu.Unlock()
		<-ctx.Done()
		c.mu.Lock()
	}
	stopped := one.shown["stopCode"] != nil
	c.mu.Unlock()
	end := object{"lastStatus": "STOPPED", "desiredStatus": "STOPPED", "stoppedAt": seconds(), "containers": []object{{"name": "run", "lastStatus": "STOPPED", "exitCode": code}}}
	if !stopped {
		end["stopCode"], end["stoppedReason"] = "EssentialContainerExited", "Essential container in task exited"
	}
	c.set(one, end)
}

func (c *cloud) set(one *cloudTask, members object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	shown := maps.Clone(one.shown)
	maps.Copy(shown, members)
	one.shown, one.status = shown, shown["lastStatus"].(string)
}

func (c *cloud) list(in object) (object, error) {
	arns := []string{}
	for _, one := range c.tasks {
		if one.group == in["startedBy"] && one.shown["desiredStatus"] == "RUNNING" && !time.Now().Before(one.from) {
			arns = append(arns, one.arn)
		}
	}
	return object{"taskArns": arns}, nil
}

func (c *cloud) describe(in object) (object, error) {
	found := []object{}
	for _, one := range c.tasks {
		if slices.Contains(in["tasks"].([]any), any(one.arn)) {
			found = append(found, one.shown)
		}
	}
	return object{"tasks": found, "failures": []object{}}, nil
}

func (c *cloud) stopTask(in object) (object, error) {
	for _, one := range c.tasks {
		if one.arn == in["task"] {
			one.shown = maps.Clone(one.shown)
			one.shown["desiredStatus"], one.shown["stopCode"], one.shown["stoppedReason"] = "STOPPED", "UserInitiated", in["reason"]
			one.stop()
			return object{"task": one.shown}, nil
		}
	}
	return nil, refusal{"InvalidParameterException", "The referenced task was not found."}
}

func (c *cloud) put(in object) (object, error) {
	value := in["Value"].(string)
	if in["Type"] != "SecureString" || in["Overwrite"] != true || len(value) > 4096 && in["Tier"] != "Intelligent-Tiering" {
		return nil, refusal{"ValidationException", fmt.Sprintf("%v %v %v %d", in["Type"], in["Overwrite"], in["Tier"], len(value))}
	}
	c.parameters[in["Name"].(string)] = value
	return object{"Version": 1}, nil
}

// secrets fails the test where a runner's configuration was said in a request.
func (c *cloud) secrets(t *testing.T, log string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, value := range c.parameters {
		for _, said := range append(c.said, log) {
			if strings.Contains(said, value[:64]) {
				t.Error("a configuration is in a request or in the log")
			}
		}
	}
}
