package webhook

import "time"

// Delivery is one request of GitHub's to the service, or the same fetched from
// GitHub's own list of deliveries.
type Delivery struct {
	// App and GUID name it: GitHub keeps the GUID when it delivers again.
	App  int64
	GUID string

	Event  string // the kind, as X-GitHub-Event has it
	HookID int64
	Source Source
	// Received is when the service had it.
	Received time.Time
	// Body is the JSON that was signed; where the delivery was fetched, the
	// same value in GitHub's own spelling.
	Body []byte
	Head
}

// Head is what is read from a body before it is stored, to find and to file
// deliveries by. A member that the body lacks is zero: no body is refused for
// its form.
type Head struct {
	Action       string
	Installation int64
	Repository   int64
	FullName     string // of the repository
	Sender       string
}

// Source is the way that a delivery took.
type Source string

// The ways.
const (
	Pushed   Source = "push"   // GitHub called
	Pulled   Source = "pull"   // found in GitHub's list
	Replayed Source = "replay" // a person asked for it
)
