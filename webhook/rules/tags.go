package rules

import (
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// field is one of a struct that can be written in YAML, by its tags:
//
//	yaml:"name"       the member's name
//	doc:"…"           what it means; the schema has it
//	need:"yes"        it cannot be left out
//	default:"…"       what leaving it out means
//	enum:"a,b"        the strings that it can be, or its values
//	format:"id"       a row of formats that it has, or its values
//	longest:"64"      the most bytes of a string, or of its values; 1024
//	min:"1" max:"9"   the bounds of a number
//	least:"1"         the fewest values of a list, or members of an object
//	most:"10"         the most values of a list or members of a map; 100
//	one:"yes"         an object has one member
//	keys:"env"        the row of formats that names in a map have
//	remedy:"…"        what to do where it is wrong
//
// The decoder and the schema go by the same tags.
type field struct {
	index     int
	name, doc string
	need      bool
	byDefault string
	limits
}

// limits bound a value.
type limits struct {
	enum         []string
	format, keys string
	min, max     int64
	least, most  int
	longest      int
	one          bool
	remedy       string
}

// items are the limits of a list's values: those of strings are written at the
// list.
func (l limits) items() limits {
	return limits{enum: l.enum, format: l.format, longest: l.longest, min: l.min, max: l.max, most: 100, remedy: l.remedy}
}

// fieldsOf lists the fields of a struct, those of embedded structs in line.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		name := tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		f := field{index: i, name: name, doc: tag.Get("doc"), need: tag.Get("need") != "", byDefault: tag.Get("default"), limits: limits{
			format: tag.Get("format"), keys: tag.Get("keys"), one: tag.Get("one") != "", remedy: tag.Get("remedy"),
			min: number(tag, "min", 0), max: number(tag, "max", math.MaxInt32),
			least: int(number(tag, "least", 0)), most: int(number(tag, "most", 100)), longest: int(number(tag, "longest", 1024)),
		}}
		if enum := tag.Get("enum"); enum != "" {
			f.enum = strings.Split(enum, ",")
		}
		fields = append(fields, f)
	}
	return fields
}

func number(tag reflect.StructTag, name string, otherwise int64) int64 {
	text, ok := tag.Lookup(name)
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err) // a tag of this package
	}
	return n
}

// formats are the forms of strings that have no type of their own.
var formats = map[string]struct {
	pattern *regexp.Regexp
	says    string
}{
	"id":       {regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`), "name of at most 63 lower-case letters, digits, - and _"},
	"env":      {regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`), "name of a variable"},
	"input":    {regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,127}$`), "name of an input"},
	"host":     {regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`), "host name of at most 63 lower-case letters, digits and -"},
	"workflow": {regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\.ya?ml$`), "file of .github/workflows, as in deploy.yml"},
	"command":  {regexp.MustCompile(`^/[a-z][a-z0-9-]{0,31}$`), "command, as in /bench"},
	"label":    {regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`), "label of a runner"},
	"set":      {regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`), "name of at most 32 lower-case letters, digits and -"},
	"owner":    {regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,38}(/[A-Za-z0-9._-]{1,100})?$`), "organisation, or owner/name of a repository"},
	"arn":      {regexp.MustCompile(`^arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]*:[!-~]+$`), "ARN"},
	"subnet":   {regexp.MustCompile(`^subnet-[0-9a-f]{8,17}$`), "subnet, as in subnet-0a1b2c3d"},
	"group":    {regexp.MustCompile(`^sg-[0-9a-f]{8,17}$`), "security group, as in sg-0a1b2c3d"},
	"region":   {regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`), "region, as in eu-west-1"},
	"name":     {regexp.MustCompile(`^[A-Za-z0-9/][A-Za-z0-9_./:-]{0,254}$`), "name or ARN"},
}
