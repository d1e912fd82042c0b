package e2e

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestECSAct deploys a service and runs a one-off task from the steps of a
// workflow, by act on this machine.
func TestECSAct(t *testing.T) {
	t.Parallel()
	a := newAWSAccount(t)
	a.push(t, "1", false)
	files := map[string]string{"ci.yml": strings.NewReplacer("CREDENTIALS", a.credentials).Replace(`
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
    - uses: actions/checkout@v4
    - id: deploy
      uses: ./ecs
      with:
        command: deploy
        task-definition: task.json
        credentials: CREDENTIALS
        registry-credentials: ${{ env.LOGIN }}
        service: shop
        service-file: service.json
        poll: 200ms
    - run: echo "deployed ${{ steps.deploy.outputs.task-definition-arn }}, ${{ steps.deploy.outputs.status }}, of ${{ steps.deploy.outputs.digest }}"
    - run: echo "the login is $LOGIN, and the password ${LOGIN#*:}"
    - id: job
      uses: ./ecs
      continue-on-error: true
      with:
        command: run
        family: shop
        args: '["sh", "-c", "echo migrated; exit 42"]'
        poll: 200ms
    - run: echo "the job ended in ${{ steps.job.outcome }}, with exit code ${{ steps.job.outputs.exit-code }}"
    - run: grep -o '"exitCode":42' "${{ steps.job.outputs.task }}"
`)}
	for name, value := range map[string]any{"task.json": a.shopDefinition("1"), "service.json": map[string]any{"desiredCount": 1}} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	for name, path := range map[string]string{"ecs/action.yml": "../../ecs/action.yml", "dist/action/linux-amd64": lab.Program(t, "cmd/clipper-runner")} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	args := []string{"--platform", "ubuntu-latest=-self-hosted", "--env", "LOGIN=robot:" + registryPassword}
	for _, variable := range a.aws {
		args = append(args, "--env", variable)
	}
	lines := runAct(t, files, args...)
	img, _ := inRegistry(t, lab.Registry+"/"+a.repository+":1")
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	checkLines(t, lines, "deployed arn:aws:ecs:eu-central-1:123456789012:task-definition/shop:1, SUCCESSFUL, of "+digest.String(),
		"the login is ***, and the password ***", "app | migrated", "the job ended in failure, with exit code 42", `"exitCode":42`)
	if all := strings.Join(lines, "\n"); strings.Contains(all, registryPassword) {
		t.Errorf("the log shows the password:\n%s", all)
	}
}
