package fakehub_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/actions/scaleset"

	"github.com/clipperregistry/runner/test/fakehub"
)

// scaling is a world whose workflow wants runners of a scale set, and the real
// client of scale sets.
type scaling struct {
	*world
	*scaleset.Client
	set *scaleset.RunnerScaleSet
}

func startScaling(t *testing.T, config fakehub.Config) *scaling {
	t.Helper()
	w := start(t, config)
	w.repo.Commit(map[string]string{".github/workflows/deploy.yml": strings.ReplaceAll(workflow, "[self-hosted, clipper]", "[clipper, linux]")})
	s := &scaling{world: w}
	value, err := w.installed(t, w.install, nil).Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Client, err = scaleset.NewClientWithPersonalAccessToken(scaleset.NewClientWithPersonalAccessTokenConfig{
		GitHubConfigURL: w.URL + "/acme", PersonalAccessToken: value}, scaleset.WithRetryMax(0))
	if err != nil {
		t.Fatal(err)
	}
	s.set, err = s.CreateRunnerScaleSet(t.Context(), &scaleset.RunnerScaleSet{Name: "linux", RunnerGroupID: 1,
		Labels: []scaleset.Label{{Name: "clipper"}, {Name: "linux"}}, RunnerSetting: scaleset.RunnerSetting{DisableUpdate: true}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// dispatch queues a job.
func (s *scaling) dispatch(ctx context.Context, t *testing.T) {
	t.Helper()
	in := map[string]any{"ref": "main", "inputs": map[string]string{"image": "app:1"}}
	if _, err := call(ctx, s.client, http.MethodPost, "repos/acme/app/actions/workflows/deploy.yml/dispatches", in, nil); err != nil {
		t.Fatal(err)
	}
}

// TestScaleSet goes through all of the protocol: jobs are offered as far as
// there is room, taken on, and done by runners that take one each.
func TestScaleSet(t *testing.T) {
	s := startScaling(t, fakehub.Config{Poll: 100 * time.Millisecond})
	ctx := t.Context()
	found, err := s.GetRunnerScaleSet(ctx, 1, "linux")
	if err != nil || found == nil || found.ID != s.set.ID || len(found.Labels) != 2 {
		t.Fatal(found, err)
	}
	if group, err := s.GetRunnerGroupByName(ctx, "default"); err != nil || group.ID != 1 || !group.IsDefault {
		t.Error(group, err)
	}
	if _, err := s.UpdateRunnerScaleSet(ctx, s.set.ID, &scaleset.RunnerScaleSet{Name: "linux", RunnerGroupID: 1, Labels: found.Labels}); err != nil {
		t.Error(err)
	}
	messages, err := s.MessageSessionClient(ctx, s.set.ID, "here")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.MessageSessionClient(ctx, s.set.ID, "there"); err == nil || !strings.Contains(err.Error(), "409") {
		t.Errorf("a second session: %v", err)
	}
	if m, err := messages.GetMessage(ctx, 0, 2); m != nil || err != nil {
		t.Errorf("nothing is up, and there is %v, %v", m, err)
	}
	for range 3 {
		s.dispatch(ctx, t)
	}
	m, err := messages.GetMessage(ctx, 0, 2)
	if err != nil || len(m.JobAvailableMessages) != 2 || m.Statistics.TotalAvailableJobs != 3 {
		t.Fatalf("with room for two: %+v, %v", m, err)
	}
	if again, err := messages.GetMessage(ctx, 0, 2); err != nil || again.MessageID != m.MessageID {
		t.Errorf("what was not deleted: %+v, %v", again, err)
	}
	var ids []int64
	for _, j := range m.JobAvailableMessages {
		ids = append(ids, j.RunnerRequestID)
	}
	s.Advance(31 * time.Minute) // the session's token ends, and is renewed
	if got, err := messages.AcquireJobs(ctx, ids); err != nil || !slices.Equal(got, ids) {
		t.Errorf("acquired %v of %v, %v", got, ids, err)
	}
	if err := messages.DeleteMessage(ctx, m.MessageID); err != nil {
		t.Error(err)
	}
	config, err := s.GenerateJitRunnerConfig(ctx, &scaleset.RunnerScaleSetJitRunnerSetting{Name: "linux-1", WorkFolder: "_work"}, s.set.ID)
	if err != nil || len(config.EncodedJITConfig) < 4096 {
		t.Fatal(config, err)
	}
	if _, err := s.GenerateJitRunnerConfig(ctx, &scaleset.RunnerScaleSetJitRunnerSetting{Name: "linux-1"}, s.set.ID); !errors.Is(err, scaleset.RunnerExistsError) {
		t.Errorf("the same name again: %v", err)
	}
	if r, err := s.GetRunnerByName(ctx, "linux-1"); err != nil || r == nil || r.ID != config.Runner.ID {
		t.Error(r, err)
	}
	working := 0
	err = s.RunAgent(ctx, config.EncodedJITConfig, func(context.Context, *fakehub.Job) string {
		working++
		if err := s.RemoveRunner(ctx, int64(config.Runner.ID)); !errors.Is(err, scaleset.JobStillRunningError) {
			t.Errorf("a runner at work is removed: %v", err)
		}
		return "success"
	})
	if err != nil || working != 1 {
		t.Errorf("the runner: %d jobs, %v", working, err)
	}
	if err := s.RunAgent(ctx, config.EncodedJITConfig, nil); !errors.Is(err, fakehub.ErrAgent) {
		t.Errorf("a second use: %v", err)
	}
	if _, err := s.GetRunner(ctx, config.Runner.ID); !errors.Is(err, scaleset.RunnerNotFoundError) {
		t.Errorf("after its job: %v", err)
	}
	m, err = messages.GetMessage(ctx, m.MessageID, 2)
	if err != nil || len(m.JobAssignedMessages) != 2 || len(m.JobStartedMessages) != 1 || len(m.JobCompletedMessages) != 1 || len(m.JobAvailableMessages) != 1 ||
		m.Statistics.TotalAssignedJobs != 1 || m.JobCompletedMessages[0].Result != "success" || m.JobStartedMessages[0].RunnerName != "linux-1" {
		t.Errorf("then: %+v, %v", m, err)
	}
	if set, err := s.GetRunnerScaleSetByID(ctx, s.set.ID); err != nil || set.Statistics.TotalAssignedJobs != 1 || set.Statistics.TotalAvailableJobs != 1 {
		t.Errorf("%+v, %v", set, err)
	}
	if err := messages.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := s.DeleteRunnerScaleSet(ctx, s.set.ID); err != nil {
		t.Error(err)
	}
	if all := s.ScaleSets(); len(all) != 0 {
		t.Error(all)
	}
}

// TestRemovedAgent: a runner that is removed while it waits ends without a job.
func TestRemovedAgent(t *testing.T) {
	s := startScaling(t, fakehub.Config{})
	config, err := s.GenerateJitRunnerConfig(t.Context(), &scaleset.RunnerScaleSetJitRunnerSetting{Name: "linux-1"}, s.set.ID)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.RunAgent(context.Background(), config.EncodedJITConfig, nil) }()
	for s.ScaleSets()[0].Runners == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := s.RemoveRunner(t.Context(), int64(config.Runner.ID)); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, fakehub.ErrRemoved) && !errors.Is(err, fakehub.ErrAgent) {
		t.Errorf("it ended with %v", err)
	}
}

// TestLostSession: who is gone without a word keeps others out for a while, and
// what it was told is told to its successor.
func TestLostSession(t *testing.T) {
	s := startScaling(t, fakehub.Config{Poll: time.Second, SessionLife: time.Minute})
	s.dispatch(t.Context(), t)
	first, err := s.MessageSessionClient(t.Context(), s.set.ID, "first")
	if err != nil {
		t.Fatal(err)
	}
	m, err := first.GetMessage(t.Context(), 0, 1)
	if err != nil || first.DeleteMessage(t.Context(), m.MessageID) != nil {
		t.Fatal(m, err)
	}
	s.Advance(2 * time.Minute)
	second, err := s.MessageSessionClient(t.Context(), s.set.ID, "second")
	if err != nil {
		t.Fatal(err)
	}
	if m, err = second.GetMessage(t.Context(), 0, 1); err != nil || len(m.JobAvailableMessages) != 1 {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := first.GetMessage(t.Context(), 0, 1); err == nil {
		t.Error("the session that was replaced goes on")
	}
	s.Fail("scalesets/acquire-jobs", fakehub.LateServerError, 1)
	if _, err := second.AcquireJobs(t.Context(), []int64{m.JobAvailableMessages[0].RunnerRequestID}); err == nil {
		t.Error("the fault is not seen")
	}
	if set := s.ScaleSets()[0]; set.Assigned != 1 || set.Available != 0 {
		t.Errorf("after a lost answer: %+v", set)
	}
}
