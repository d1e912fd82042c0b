package fakehub

import "testing"

// New starts a hub for a test, which fails for what the hub has against its
// clients, and takes it away when the test ends.
func New(t testing.TB, config Config) *Hub {
	t.Helper()
	h, err := Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, p := range h.Problems() {
			t.Error(p)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}
