package main

import (
	"fmt"

	"github.com/clipperregistry/runner/webhook/doctor"
	"github.com/clipperregistry/runner/webhook/serve"
)

// webhookDoctor looks at a service before it is started, and beside it.
type webhookDoctor struct {
	webhookServe
	JSON       bool     `help:"Print one JSON object."`
	Repository []string `placeholder:"OWNER/NAME" help:"Repository to look at, too: is it served, and may its rules do what they want?"`
}

// checked is what the doctor tells; its JSON is for machines.
type checked struct {
	Healthy  bool             `json:"healthy"`
	Findings []doctor.Finding `json:"findings"`
}

// Run ends with exit code 1 if the service would not do what its settings say.
func (c *webhookDoctor) Run(exit *int) error {
	ctx, stop := untilSignal()
	defer stop()
	settings, err := c.settings()
	if err != nil {
		return badArguments{err}
	}
	aws, err := serve.LoadAWS(ctx)
	if err != nil {
		return badArguments{err}
	}
	told := checked{Healthy: true, Findings: doctor.Checkup{Settings: settings, AWS: aws, Repositories: c.Repository}.Look(ctx)}
	for _, f := range told.Findings {
		if f.Level == doctor.Bad {
			told.Healthy, *exit = false, 1
		}
	}
	if c.JSON {
		return printJSON(told)
	}
	for _, f := range told.Findings {
		fmt.Println(finding{level(f.Level), f.What, f.Seen, f.Mend})
	}
	return nil
}
