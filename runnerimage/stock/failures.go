package stock

import (
	"encoding/json"
	"time"

	"github.com/clipperregistry/runner/runnerimage/oci"
)

// failures are the starts of a reference on a platform that failed one after
// the other; the digest in the name is that of a reference's blob.
const failures Kind = "fail"

// Failures are starts that failed one after the other.
type Failures struct {
	// First is when the first of them failed, Until when the last of them lets
	// its container go.
	First time.Time `json:"first"`
	Until time.Time `json:"until"`
}

// Failures returns what was noted last; without a note it is zero.
func (s *Stock) Failures(ref oci.Reference, platform oci.Platform) Failures {
	var f Failures
	if content, ok := s.Get(failures, referenceDigest(ref, platform)); !ok || json.Unmarshal(content, &f) != nil {
		return Failures{}
	}
	return f
}

// NoteFailures keeps them for the next start.
func (s *Stock) NoteFailures(ref oci.Reference, platform oci.Platform, f Failures) {
	// Times before the year 10000 always marshal.
	content, _ := json.Marshal(f)
	s.Put(failures, referenceDigest(ref, platform), content)
}
