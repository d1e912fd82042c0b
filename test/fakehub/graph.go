package fakehub

import (
	"slices"
	"time"
)

// graph is the commits of a repository and its forks.
type graph struct {
	commits map[string]*commit
}

type commit struct {
	sha, message string
	author       string
	at           time.Time
	parents      []*commit
	depth        int               // the longest way to a commit without parents
	files        map[string]string // all, by path
}

// walk visits commits from two on, what is before others after them, and says
// from which of the two they are reached: first, second, or both. It ends when
// visit says so, or where both have all that follows.
func walk(a, b *commit, visit func(c *commit, from int) (more bool)) {
	from := map[*commit]int{}
	if a != nil {
		from[a] |= first
	}
	if b != nil {
		from[b] |= second
	}
	for len(from) > 0 {
		var deepest *commit
		for c := range from {
			if deepest == nil || c.depth > deepest.depth {
				deepest = c
			}
		}
		shared := true // all that is left is before what both have
		for _, side := range from {
			shared = shared && side == both
		}
		if !visit(deepest, from[deepest]) || shared {
			return
		}
		for _, parent := range deepest.parents {
			from[parent] |= from[deepest]
		}
		delete(from, deepest)
	}
}

const (
	first  = 1
	second = 2
	both   = first | second
)

// mergeBase is the newest commit that both have.
func mergeBase(a, b *commit) (base *commit) {
	walk(a, b, func(c *commit, from int) bool {
		if from == both {
			base = c
		}
		return base == nil
	})
	return base
}

// between lists the commits of head that base has not, the oldest first.
func between(base, head *commit) (new []*commit) {
	walk(base, head, func(c *commit, from int) bool {
		if from == second {
			new = append(new, c)
		}
		return true
	})
	slices.Reverse(new)
	return new
}

// diff says of each path what became of it.
func diff(from, to *commit) map[string]string {
	var before map[string]string
	if from != nil {
		before = from.files
	}
	changes := map[string]string{}
	for path, content := range to.files {
		if old, ok := before[path]; !ok {
			changes[path] = "added"
		} else if old != content {
			changes[path] = "modified"
		}
	}
	for path := range before {
		if _, ok := to.files[path]; !ok {
			changes[path] = "removed"
		}
	}
	return changes
}
