package work

import "testing"

// TestForced: a push that takes commits away changes what they had changed.
func TestForced(t *testing.T) {
	docs := map[string]string{"README.md": "more"}
	for name, tt := range map[string]struct {
		drops, adds map[string]string // in commits on main
		runs        int
	}{
		"back":               {change, nil, 1},
		"aside":              {change, docs, 1},
		"back, of documents": {docs, nil, 0},
		"aside, to a change": {docs, change, 1},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, nil, func(t *testing.T, w *world) {
				to := w.repo.Commit(map[string]string{"a": ""})
				if tt.adds != nil {
					to = w.repo.CommitTo("aside", tt.adds)
				}
				w.repo.Commit(tt.drops)
				w.serve()
				w.repo.ForcePush("mona", "main", to)
				w.rest()
				if runs := w.runs("deploy"); len(runs) != tt.runs || tt.runs > 0 && runs[0].Commit != to {
					t.Errorf("%d runs, want %d\n%s", len(runs), tt.runs, w.state())
				}
			})
		})
	}
}
