package runners

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"golang.org/x/sync/errgroup"

	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/task"
)

// act does what was decided. What fails does not keep the rest from being
// done.
func (s *set) act(ctx context.Context, p plan) error {
	var errs []error
	for _, m := range p.dismiss {
		errs = append(errs, s.dismiss(ctx, m))
	}
	for _, one := range p.stop {
		s.log.Warn("a runner's task is stopped", "runner", one.Name, "task", one.ARN, "reason", one.text)
		err := s.config.Tasks.Stop(ctx, one.ARN, one.cause, one.text)
		one.leaves = err == nil
		errs = append(errs, err)
	}
	for _, r := range p.remove {
		s.log.Warn("a runner without a task is removed", "runner", r.Name)
		err := s.github.RemoveRunner(ctx, s.owner, r.ID)
		if !errors.Is(err, hub.ErrInvalid) { // it is at work
			errs = append(errs, err)
		}
	}
	for _, m := range p.forget {
		delete(s.members, m.Name) // its runner is a stray
	}
	return errors.Join(append(errs, s.begin(ctx, p))...)
}

// dismiss ends a runner that has no job. GitHub is asked first: it does not
// remove one that has got a job meanwhile.
func (s *set) dismiss(ctx context.Context, m *member) error {
	if err := s.github.RemoveRunner(ctx, s.owner, m.runner.ID); errors.Is(err, hub.ErrInvalid) {
		return nil
	} else if err != nil {
		return err
	}
	s.log.Info("a runner is not needed", "runner", m.Name)
	err := s.config.Tasks.Stop(ctx, m.ARN, task.Cancel, "there was no job for the runner")
	m.leaves = err == nil // else it is found to have no runner
	return err
}

// atOnce is how many runners are started at the same time.
const atOnce = 5

// begin starts runners. That they are begun is stored before anything is done.
func (s *set) begin(ctx context.Context, p plan) error {
	now, begun := s.config.Now(), []*member(nil)
	for _, slot := range p.start {
		m := &member{Name: s.newName(slot), Slot: slot, At: now}
		s.members[m.Name] = m
		begun = append(begun, m)
	}
	for _, m := range p.resume {
		m.At = now
		begun = append(begun, m)
	}
	if len(begun) == 0 && len(p.forget) == 0 {
		return nil
	}
	if err := s.store(ctx); err != nil {
		return err
	}
	var mu sync.Mutex
	var failed error
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, m := range begun {
		group.Go(func() error {
			mu.Lock()
			stopped := failed != nil || ctx.Err() != nil
			mu.Unlock()
			err := errNotBegun
			if !stopped {
				err = s.start(ctx, m)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil && !errors.Is(err, errNotBegun) && failed == nil {
				failed = fmt.Errorf("start %s: %w", m.Name, err)
			}
			if err != nil && !unsure(err) {
				delete(s.members, m.Name)
			}
			return nil
		})
	}
	_ = group.Wait() // they give no errors
	return errors.Join(failed, s.store(ctx))
}

// errNotBegun is of a start that was left for later, since another one failed.
var errNotBegun = errors.New("it was not begun")

// unsure says whether a task may be there after an error of start.
func unsure(err error) bool {
	return errors.Is(err, task.ErrLost) || errors.Is(err, errAtWork) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// store keeps what was begun, unless another replica has the set by now: what
// that one has begun is there then.
func (s *set) store(ctx context.Context) error {
	if err := s.keep(ctx); err != nil {
		return err
	}
	text, err := s.encode()
	if err != nil {
		return err
	}
	return s.config.Store.SetCursor(ctx, s.lease(), text)
}

// start makes a runner and starts its task. The start of a name that was
// started before finds that task: ECS knows it by its token.
func (s *set) start(ctx context.Context, m *member) error {
	if err := s.keep(ctx); err != nil {
		return err
	}
	id, config, err := s.source.register(ctx, m.Name)
	if err != nil {
		return err
	}
	arn := ""
	if err = s.handOver(ctx, m.Slot, config); err == nil {
		arn, err = s.config.Tasks.Start(ctx, s.job(m))
	}
	if err != nil {
		if !unsure(err) {
			_ = s.github.RemoveRunner(ctx, s.owner, id) // else it is found as a stray
		}
		return err
	}
	m.ARN = arn
	s.log.Info("a runner is started", "runner", m.Name, "task", arn)
	return nil
}

// handOver puts what a runner is started with where its task finds it. It is
// larger than a standard parameter takes, or not.
func (s *set) handOver(ctx context.Context, slot int, config string) error {
	name := s.parameter(slot)
	_, err := s.config.Parameters(s.Region).PutParameter(ctx, &ssm.PutParameterInput{
		Name: &name, Value: &config, Type: ssmtypes.ParameterTypeSecureString, Tier: ssmtypes.ParameterTierIntelligentTiering, Overwrite: aws.Bool(true),
	})
	if err != nil {
		return fmt.Errorf("parameter %s: %w", name, err)
	}
	return nil
}

// parameter is where a slot's secret is. A definition names it, so that each
// slot has its own: it is written anew once the slot's task is gone.
func (s *set) parameter(slot int) string {
	return path.Join("/clipper/runners", s.key, strconv.Itoa(slot))
}

const (
	// configVariable is what GitHub's runner reads its configuration from. It
	// takes it out of the environment that its job has
	// (https://github.com/actions/runner/blob/main/src/Runner.Listener/CommandSettings.cs).
	configVariable = "ACTIONS_RUNNER_INPUT_JITCONFIG"
	// nameVariable says whose task it is.
	nameVariable = "EPHEMERAL_RUNNER"
)

// job is the task of a member.
func (s *set) job(m *member) task.Job {
	t := s.Task()
	t.Secrets = map[string]string{configVariable: s.parameter(m.Slot)}
	return task.Job{
		Task: t, Token: m.Name, Group: "clipper-runners/" + s.key, Name: fmt.Sprintf("runners-%s-%d", s.key, m.Slot),
		Given: map[string]string{nameVariable: m.Name},
	}
}
