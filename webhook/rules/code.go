package rules

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// interpreters are programs of which some argument is a program: which one, and
// behind which options, each has its own ways to say.
var interpreters = regexp.MustCompile(`^(` + strings.Join([]string{
	"sh|ash|bash|dash|fish|ksh|mksh|rbash|tcsh|csh|zsh|busybox|pwsh|powershell", // shells
	"awk|gawk|mawk|nawk|bun|deno|elixir|erl|expect|ghci|groovy|guile|jshell|julia|lua|luajit|node|nodejs|perl|php|pypy|python|raku|rscript|ruby|irb|scala|sed|tclsh|tsx|wish",
	"eval|g?make|parallel|ssh|su|runuser|xargs", // which have a shell read some
}, "|") + `)[0-9.]*(-[0-9.]+)?(\.exe)?$`)

// program is an argument behind which the next one is a program in most that
// have such an option.
var program = regexp.MustCompile(`^(-[a-zA-Z]*[ce]|--eval|--command|eval)$`)

// checkCommand refuses what strangers write where a program may be expected.
func checkCommand(d *decoder, at string, entrypoint []string, command []Template) {
	words := entrypoint
	for i, argument := range command {
		if free := argument.free(); free != "" {
			if why := readAsCode(words, len(entrypoint) > 0); why != "" {
				d.tell(fmt.Sprintf("%s[%d]", at, i), fmt.Sprintf("strangers choose what is in %s, and %s", free, why),
					"put it into a variable of env, and have the program read that: in a shell, \"$NAME\"")
			}
		}
		words = append(words[:len(words):len(words)], argument.text)
	}
}

// readAsCode says why what comes behind these words may be read as code, or "".
func readAsCode(words []string, entrypoint bool) string {
	switch {
	case len(words) == 0:
		return "it would be the program itself, or one that the image's ENTRYPOINT reads"
	case !entrypoint && strings.HasPrefix(words[0], "-"):
		return "what reads it is the image's ENTRYPOINT: name the program, in entrypoint"
	}
	last := ""
	for _, word := range words {
		if name := strings.ToLower(path.Base(word)); interpreters.MatchString(name) {
			return name + " may read it as code"
		}
		if word != "--" {
			last = word
		}
	}
	if program.MatchString(last) {
		return "behind " + last + " a program would read it as code"
	}
	return ""
}
