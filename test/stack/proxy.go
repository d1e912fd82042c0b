package stack

import (
	"testing"

	"github.com/clipperregistry/runner/test/faultproxy"
)

// Proxy starts a proxy before the registry that ends with the test.
func (s *Stack) Proxy(t testing.TB, rules ...faultproxy.Rule) *faultproxy.Proxy {
	t.Helper()
	return faultproxy.Start(t, "http://"+s.Registry, rules...)
}
