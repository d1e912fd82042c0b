package web

import "github.com/clipperregistry/runner/webhook/database"

func (s *Server) health(v *visit) error {
	h, err := s.Books.Health(v.ctx())
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
