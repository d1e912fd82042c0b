package fakehub

import "slices"

// Problem is something that is not as GitHub describes it.
type Problem struct {
	// Operation is GitHub's name for the call, "checks/create", or for the
	// event, "push".
	Operation string
	// Fake: it is the fake's own fault. Else the caller's.
	Fake bool
	Text string
}

func (p Problem) String() string {
	side := "caller"
	if p.Fake {
		side = "fake"
	}
	return p.Operation + " (" + side + "): " + p.Text
}

// Problems lists what was wrong so far.
func (h *Hub) Problems() []Problem {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.problems)
}

// TakeProblems lists what was wrong, and forgets it: for tests that are wrong
// on purpose.
func (h *Hub) TakeProblems() []Problem {
	h.mu.Lock()
	defer h.mu.Unlock()
	taken := h.problems
	h.problems = nil
	return taken
}

func (h *Hub) problem(operation string, fake bool, text string) {
	h.problems = append(h.problems, Problem{operation, fake, text})
}
