package ecs

// RuleNames are the names of all rules.
func RuleNames() []string {
	var names []string
	for _, rule := range append(append([]rule{}, beforeImages...), withImages...) {
		names = append(names, rule.name)
	}
	return names
}

// Row is what the table says of a member.
type Row struct {
	Path, Kind, Rule string
	Verb             Verb
}

// Rows are the table.
func Rows() []Row {
	var rows []Row
	for _, r := range table {
		rows = append(rows, Row{r.path, r.kind.String(), r.rule, r.verb})
	}
	return rows
}

// Described are the members that only describe-task-definition has.
func Described() []string { return described }
