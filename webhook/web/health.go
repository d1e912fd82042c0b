package web

import "github.com/clipperregistry/runner/webhook/database"

// health says whether the service does well, and what waits of the repositories
// that the person can read: how busy others are is not for them.
func (s *Server) health(v *visit) error {
	h, err := s.Books.HealthOf(v.ctx(), s.App, v.view.ids())
	if err != nil {
		s.Log.Error("ask the database how it does", "error", err)
	}
	waits := ""
	if !h.Oldest.IsZero() {
		waits = max(0, s.Now().Sub(h.Oldest)).Round(1e9).String()
	}
	return v.show("health", "Health", struct {
		database.Health
		OK    bool
		Waits string
	}{h, err == nil, waits})
}
