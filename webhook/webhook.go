// Package webhook is the service that turns deliveries of GitHub's webhooks
// into runs. It has the words that its rooms share:
//
//   - a [Delivery] is what GitHub sent, stored before anybody looks inside;
//   - an [Event] is what a delivery says, as far as rules ask for it;
//   - a [Run] is the one effect that a rule has on an event: a task on ECS or a
//     run of a workflow, with a state that only moves forward.
//
// The package does no I/O. Its rooms do, each with one technology.
package webhook
