package actions

import "fmt"

// said is an error in the words of GitHub's runner, which are no Go error's.
type said string

func saidf(format string, args ...any) error { return said(fmt.Sprintf(format, args...)) }

func (s said) Error() string { return string(s) }
