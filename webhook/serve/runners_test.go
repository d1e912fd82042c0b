package serve

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const runnersYAML = `version: 1
sets:
- name: linux
  owner: acme
  labels: [clipper, linux]
  subnets: [subnet-0a1b2c3d]
  execution_role: arn:aws:iam::123456789012:role/clipper
`

// TestRunners: the sets of the file are kept, and their figures shown.
func TestRunners(t *testing.T) {
	tasks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".ListTasks") {
			_, _ = w.Write([]byte(`{"taskArns": []}`)) // the caller may have gone
			return
		}
		w.WriteHeader(http.StatusNotImplemented)
	}))
	t.Cleanup(tasks.Close)
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": tasks.URL, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"} {
		t.Setenv(name, value)
	}
	s := settings(t)
	s.Runners = filepath.Join(t.TempDir(), "runners.yml")
	if err := os.WriteFile(s.Runners, []byte(runnersYAML), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, s)
	w.until("there is a scale set", func() bool {
		sets := w.ScaleSets()
		return len(sets) == 1 && sets[0].Name == "linux" && strings.Join(sets[0].Labels, " ") == "clipper linux"
	})
	w.until("its figures are shown", func() bool {
		_, text, _ := w.get(w.admin + "/metrics")
		return strings.Contains(text, `clipper_runners_tasks{owner="acme",set="linux"} 0`)
	})
}
