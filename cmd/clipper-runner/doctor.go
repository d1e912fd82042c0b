package main

type doctorCommand struct {
	Image string `arg:"" optional:""`
}

func (c *doctorCommand) Run(exit *int) error { return nil }
