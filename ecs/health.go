package ecs

import "time"

// DefaultPullRate is how many compressed bytes a second a task is taken to
// pull and unpack: 10 MB, on the safe side of what people measure on Fargate
// (413 MB in 57 s, 2.7 GB in 55 s).
const DefaultPullRate = 10_000_000

// startSlack is the time that the runner image itself and the program take to
// start.
const startSlack = 30 * time.Second

// Budget is how long it takes until the program of an image of this compressed
// size runs, at rate bytes a second (0: DefaultPullRate).
func Budget(size, rate int64) time.Duration {
	if rate <= 0 {
		rate = DefaultPullRate
	}
	return time.Duration((size+rate-1)/rate)*time.Second + startSlack
}

// budget is that of the container's image in seconds, 0 if its size is not
// known.
func (m *move) budget() int64 {
	if m.image == nil || m.image.Size <= 0 {
		return 0
	}
	return int64(Budget(m.image.Size, m.options.PullRate) / time.Second)
}

// What ECS takes in a health check, in seconds, and what it fills in
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html).
const (
	maxStartPeriod = 300
	maxRetries     = 10
	maxInterval    = 300
	maxGrace       = maxStartPeriod + maxRetries*maxInterval

	defaultInterval = 30
	defaultRetries  = 3
)

// wrapHealthCheck lets the check run as the image's user, in its environment,
// once the image is there, and gives it the time that takes.
func (m *move) wrapHealthCheck() {
	path := m.Path + ".healthCheck"
	check := m.Object.Object("healthCheck")
	if check == nil {
		if check = m.newHealthCheck(path); check == nil {
			return
		}
	}
	command := check.Texts("command")
	switch {
	case len(command) > 0 && command[0] == "NONE":
		return
	case len(command) > 1 && command[0] == "CMD" && command[1] == HealthcheckPath: // wrapped
	case len(command) > 1 && (command[0] == "CMD" || command[0] == "CMD-SHELL"):
		wrapped := append([]string{"CMD", HealthcheckPath, "--"}, command...)
		check.Set("command", stringList(wrapped...))
		m.tell(Adapt, ruleHealthCheck, path+".command", "it runs as the image's user and in its environment, and not before the image is there")
	default:
		m.refuse(ruleHealthCheck, path+".command", `it is to begin with "CMD" or "CMD-SHELL" and to name a command`)
		return
	}
	m.giveTime(check, path)
}

// newHealthCheck gives a container the runner's own check if the options want
// one, else nil.
func (m *move) newHealthCheck(path string) *Object {
	if !m.options.HealthCheck {
		if m.Essential() {
			m.tell(Warn, ruleHealthCheck, path, "without a health check ECS takes a deployment for good once the runner runs, before the image is pulled: add one")
		}
		return nil
	}
	check := NewObject(Member{"command", stringList("CMD", HealthcheckPath)}, Member{"timeout", number(30)})
	m.Set("healthCheck", check)
	m.tell(Adapt, ruleHealthCheck, path, "the runner runs the test of the image; without one, it is healthy once the program started")
	return check
}

// giveTime makes the time long enough in which failed checks do not count, or
// not yet: startPeriod, then retries, then interval. Nothing is shortened.
func (m *move) giveTime(check *Object, path string) {
	budget := m.budget()
	period, _ := check.Int("startPeriod")
	interval, retries := orDefault(check, "interval", defaultInterval), orDefault(check, "retries", defaultRetries)
	why := "pull and start need about"
	if budget == 0 {
		budget, why = maxStartPeriod, "the size of the image is not known, so it is given"
	}
	if budget > maxGrace && !m.refuse(ruleHealthCheck, path, "%s %d s, and a health check waits for %d s at most: make the image smaller, or leave the check out", why, budget, maxGrace) {
		return
	}
	raise := func(member string, from, to, most int64) int64 {
		to = min(to, most)
		if from >= to {
			return from
		}
		check.Set(member, number(to))
		m.tell(Adapt, ruleHealthCheck, path+"."+member, "%d, because %s %d s", to, why, budget)
		return to
	}
	period = raise("startPeriod", period, budget, maxStartPeriod)
	rest := budget - period
	retries = raise("retries", retries, ceil(rest, max(interval, 1)), maxRetries)
	raise("interval", interval, ceil(rest, max(retries, 1)), maxInterval)
}

func orDefault(o *Object, member string, otherwise int64) int64 {
	if n, ok := o.Int(member); ok {
		return n
	}
	return otherwise
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }
