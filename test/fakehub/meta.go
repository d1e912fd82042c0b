package fakehub

import (
	"net/http"
	"time"
)

// getMeta says where deliveries come from: this machine.
func (c *call) getMeta() (any, error) {
	local := []string{"127.0.0.0/8", "::1/128"}
	return object{"verifiable_password_authentication": false, "hooks": local, "web": local, "api": local}, nil
}

// getLimits costs nothing.
func (c *call) getLimits() (any, error) {
	h := c.hub
	if h.config.Enterprise {
		return nil, refuse(http.StatusNotFound, "Rate limiting is not enabled.")
	}
	core := object{"limit": 60, "used": 0, "remaining": 60, "reset": h.now().Add(time.Hour).Unix()}
	if caller := c.caller(); caller != "" {
		b, limit := h.budget(caller), h.config.Limits.Hourly
		if limit < 0 {
			limit = 1 << 30
		}
		core = object{"limit": limit, "used": min(b.requests, limit), "remaining": max(0, limit-b.requests), "reset": b.reset.Unix()}
	}
	return object{"resources": object{"core": core, "search": core}, "rate": core}, nil
}
