package main

// webhookCommand is the service that turns GitHub's events into runs, and what
// helps with its rules.
type webhookCommand struct {
	Serve      webhookServe      `cmd:"" help:"Take deliveries in, and do what follows from them: webhook serve"`
	Setup      webhookSetup      `cmd:"" help:"Make the GitHub App that the service is: webhook setup --organization acme --url https://clipper.example"`
	Doctor     webhookDoctor     `cmd:"" help:"Say whether the service would work as it is set up: webhook doctor --repository acme/app"`
	Healthy    webhookHealthy    `cmd:"" help:"Ask the service on this machine whether it lives, as a container's health check: webhook healthy"`
	Deliveries webhookDeliveries `cmd:"" help:"What GitHub has sent: webhook deliveries list"`
	Runs       webhookRuns       `cmd:"" help:"What followed from it: webhook runs list"`
	DB         webhookDB         `cmd:"" name:"db" help:"Copy the service's database, back it up: webhook db backup FILE"`
	Config     webhookConfig     `cmd:"" help:"Check rules and say what they make of an event: webhook config lint"`
	Checkout   webhookCheckout   `cmd:"" help:"Fetch a commit's files, as the service's tasks do: webhook checkout owner/name COMMIT"`
}
