package ecsfake

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// target is a task's port in a target group. Its health is found out by real
// requests.
type target struct {
	group              *targetGroup
	port               int32
	healthy, unhealthy bool
	leaving            bool
	quit               context.CancelFunc
}

// enlist registers a task with its service's target groups.
func (f *Fake) enlist(t *task) {
	for _, b := range t.revision.balancers {
		g := f.groups[aws.ToString(b.TargetGroupArn)]
		if g == nil {
			continue
		}
		ctx, quit := context.WithCancel(f.life)
		one := &target{group: g, port: aws.ToInt32(b.ContainerPort), quit: quit}
		g.targets = append(g.targets, one)
		t.targets = append(t.targets, one)
		f.running.Go(func() { f.probe(ctx, one) })
	}
}

// delist takes a task out of its target groups.
func (f *Fake) delist(t *task) {
	for _, one := range t.targets {
		one.leaving = true
		one.quit()
		one.group.targets = slices.DeleteFunc(one.group.targets, func(other *target) bool { return other == one })
	}
	t.targets = nil
}

// probe checks a target's health until it leaves
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html:
// "HealthyThresholdCount – The number of consecutive successful health checks required before
// considering an unhealthy target healthy"; a new target is initial until then).
func (f *Fake) probe(ctx context.Context, t *target) {
	f.mu.Lock()
	g := t.group.TargetGroup
	f.mu.Unlock()
	good, bad := int32(0), int32(0)
	for {
		if f.reaches(ctx, g, t.port) {
			good, bad = good+1, 0
		} else {
			good, bad = 0, bad+1
		}
		f.mu.Lock()
		// A target that is new needs one success only.
		if good >= *g.HealthyThresholdCount || good > 0 && !t.unhealthy {
			t.healthy, t.unhealthy = true, false
		}
		if bad >= *g.UnhealthyThresholdCount {
			t.healthy, t.unhealthy = false, true
		}
		f.mu.Unlock()
		if !f.pause(ctx, f.scaled(time.Duration(*g.HealthCheckIntervalSeconds)*time.Second)) {
			return
		}
	}
}

// reaches makes one health check.
func (f *Fake) reaches(ctx context.Context, g types.TargetGroup, port int32) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(*g.HealthCheckTimeoutSeconds)*time.Second)
	defer cancel()
	if p, err := strconv.ParseInt(aws.ToString(g.HealthCheckPort), 10, 32); err == nil {
		port = int32(p)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))
	if g.HealthCheckProtocol == types.ProtocolEnumTcp {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+*g.HealthCheckPath, nil)
	if err != nil {
		return false
	}
	req.Close = true
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return matches(aws.ToString(g.Matcher.HttpCode), resp.StatusCode)
}

// matches reads a matcher: "200,202" or "200-299".
func matches(codes string, status int) bool {
	for code := range strings.SplitSeq(codes, ",") {
		from, to, ranged := strings.Cut(code, "-")
		if !ranged {
			to = from
		}
		low, err1 := strconv.Atoi(strings.TrimSpace(from))
		high, err2 := strconv.Atoi(strings.TrimSpace(to))
		if err1 == nil && err2 == nil && low <= status && status <= high {
			return true
		}
	}
	return false
}

func (t *target) describe() types.TargetHealthDescription {
	health := &types.TargetHealth{State: types.TargetHealthStateEnumInitial}
	switch {
	case t.healthy:
		health.State = types.TargetHealthStateEnumHealthy
	case t.unhealthy:
		health.State, health.Reason = types.TargetHealthStateEnumUnhealthy, types.TargetHealthReasonEnumFailedHealthChecks
	}
	return types.TargetHealthDescription{
		Target: &types.TargetDescription{Id: aws.String("127.0.0.1"), Port: &t.port}, TargetHealth: health, HealthCheckPort: aws.String(strconv.Itoa(int(t.port))),
	}
}
