package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/go-github/v60/github"
)

// Deployment is a deployment as it is to be.
type Deployment struct {
	// ID is what GitHub calls it, 0 if that is not known: then it is found by its
	// Run, or created.
	ID          int64
	Run         string // goes into the payload
	Commit      string
	Environment string
	Production  bool

	State       string // queued, in_progress, success, failure, error or inactive
	Description string // cut to what GitHub takes
	LogURL      string
	URL         string // of the environment
}

// maxDescription is that of a status's, in characters; here they are bytes.
const maxDescription = 140

// payload is what a deployment of the service's has for its payload.
type payload struct {
	Run string `json:"clipper_run"`
}

// PutDeployment makes a deployment have a state, and returns its ID. Called
// again, after whatever error or crash, it neither makes a second one nor adds
// a state that is there.
func (h *Hub) PutDeployment(ctx context.Context, r Repo, d Deployment) (id int64, err error) {
	if d.ID == 0 {
		if d.ID, err = h.findDeployment(ctx, r, d); err == nil && d.ID == 0 {
			d.ID, err = h.createDeployment(ctx, r, d)
		}
		if err != nil {
			return 0, fmt.Errorf("deploy %s to %s: %w", r.FullName, d.Environment, err)
		}
	}
	if err := h.putStatus(ctx, r, d); err != nil {
		return d.ID, fmt.Errorf("say how the deployment of %s to %s does: %w", r.FullName, d.Environment, err)
	}
	return d.ID, nil
}

func (h *Hub) findDeployment(ctx context.Context, r Repo, d Deployment) (int64, error) {
	if err := r.valid(); err != nil {
		return 0, err
	}
	type deployment struct {
		ID      int64           `json:"id"`
		Payload json.RawMessage `json:"payload"` // an object, or a text
	}
	q := request{scope: r.in("deployments:write"), path: r.of("/deployments"), query: url.Values{"sha": {d.Commit}, "environment": {d.Environment}}}
	for page, err := range pages[[]deployment](ctx, h, q) {
		if err != nil {
			return 0, err
		}
		for _, one := range page {
			var p payload
			if json.Unmarshal(one.Payload, &p) == nil && p.Run == d.Run {
				return one.ID, nil
			}
		}
	}
	return 0, nil
}

// createDeployment asks for no checks to be green, since the run is one of
// them, and for no merge.
func (h *Hub) createDeployment(ctx context.Context, r Repo, d Deployment) (int64, error) {
	in := github.DeploymentRequest{
		Ref: &d.Commit, AutoMerge: new(bool), RequiredContexts: &[]string{}, Payload: payload{d.Run},
		Environment: &d.Environment, ProductionEnvironment: &d.Production,
	}
	var got struct {
		ID int64 `json:"id"`
	}
	err := h.repo(ctx, r, request{scope: r.in("deployments:write"), method: http.MethodPost, path: r.of("/deployments"), in: in, out: &got})
	if err == nil && got.ID == 0 {
		err = fmt.Errorf("%w: GitHub's answer has no id", ErrLost)
	}
	return got.ID, err
}

// putStatus adds a state to those that a deployment has had, unless it is the
// latest.
func (h *Hub) putStatus(ctx context.Context, r Repo, d Deployment) error {
	where := r.of("/deployments/%s/statuses", strconv.FormatInt(d.ID, 10))
	wanted := status{State: d.State, Description: cut(d.Description, maxDescription), LogURL: d.LogURL, URL: d.URL}
	var latest []status
	err := h.repo(ctx, r, request{scope: r.in("deployments:write"), method: http.MethodGet, path: where, query: url.Values{"per_page": {"1"}}, out: &latest})
	if err != nil || len(latest) == 1 && latest[0] == wanted {
		return err
	}
	return h.repo(ctx, r, request{scope: r.in("deployments:write"), method: http.MethodPost, path: where, in: wanted})
}

// status is one of a deployment's.
type status struct {
	State       string `json:"state"`
	Description string `json:"description"`
	LogURL      string `json:"log_url,omitempty"`
	URL         string `json:"environment_url,omitempty"`
}
