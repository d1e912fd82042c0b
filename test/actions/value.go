package actions

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// toText is a value as it stands in a text.
func toText(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case int:
		return strconv.Itoa(v)
	case []any:
		return "Array"
	default:
		return "Object"
	}
}

func truthy(value any) bool {
	switch v := value.(type) {
	case nil:
		return false
	case string:
		return v != ""
	case bool:
		return v
	case float64:
		return v != 0 && !math.IsNaN(v)
	default:
		return true
	}
}

// equal compares as GitHub does: texts without their case, and values of two
// kinds as numbers.
func equal(a, b any) bool {
	textA, okA := a.(string)
	textB, okB := b.(string)
	if okA && okB {
		return strings.EqualFold(textA, textB)
	}
	return toNumber(a) == toNumber(b)
}

func toNumber(value any) float64 {
	switch v := value.(type) {
	case nil:
		return 0
	case bool:
		if v {
			return 1
		}
		return 0
	case float64:
		return v
	case int:
		return float64(v)
	case string:
		if strings.TrimSpace(v) == "" {
			return 0
		}
		if number, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err == nil {
			return number
		}
	}
	return math.NaN()
}

// property is a value's property, nil where it has none of that name.
func property(value any, name string) any {
	switch v := value.(type) {
	case envContext:
		if text, ok := v[name]; ok {
			return text
		}
	case map[string]any:
		if found, ok := v[name]; ok {
			return found
		}
		for key, found := range v {
			if strings.EqualFold(key, name) {
				return found
			}
		}
	case []any:
		if n, err := strconv.Atoi(name); err == nil && n >= 0 && n < len(v) {
			return v[n]
		}
	}
	return nil
}

// texts makes a context of named texts.
func texts[M ~map[string]string](values M) map[string]any {
	context := map[string]any{}
	for name, value := range values {
		context[name] = value
	}
	return context
}

var errArguments = errors.New("wrong number of arguments")

// functions are those that ask for nothing but their arguments.
var functions = map[string]func(args []any) (any, error){
	"contains": two(func(all, part string) any {
		return strings.Contains(strings.ToLower(all), strings.ToLower(part))
	}),
	"startswith": two(func(all, part string) any {
		return strings.HasPrefix(strings.ToLower(all), strings.ToLower(part))
	}),
	"endswith": two(func(all, part string) any {
		return strings.HasSuffix(strings.ToLower(all), strings.ToLower(part))
	}),
	"format": format,
	"tojson": func(args []any) (any, error) {
		if len(args) != 1 {
			return nil, errArguments
		}
		var text strings.Builder
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		err := encoder.Encode(args[0])
		return strings.TrimSuffix(text.String(), "\n"), err
	},
	"fromjson": func(args []any) (value any, err error) {
		if len(args) != 1 {
			return nil, errArguments
		}
		err = json.Unmarshal([]byte(toText(args[0])), &value)
		return value, err
	},
}

func two(f func(a, b string) any) func([]any) (any, error) {
	return func(args []any) (any, error) {
		if len(args) != 2 {
			return nil, errArguments
		}
		if _, list := args[0].([]any); list {
			return nil, errors.New("the replay searches texts only")
		}
		return f(toText(args[0]), toText(args[1])), nil
	}
}

// format fills {0}, {1}…; {{ and }} are braces.
func format(args []any) (any, error) {
	if len(args) == 0 {
		return nil, errArguments
	}
	var b strings.Builder
	for text := toText(args[0]); text != ""; {
		switch {
		case strings.HasPrefix(text, "{{"), strings.HasPrefix(text, "}}"):
			b.WriteByte(text[0])
			text = text[2:]
		case text[0] == '{':
			number, rest, _ := strings.Cut(text[1:], "}")
			n, err := strconv.Atoi(number)
			if err != nil || n < 0 || n+1 >= len(args) {
				return nil, fmt.Errorf("{%s} names no argument", number)
			}
			b.WriteString(toText(args[n+1]))
			text = rest
		case text[0] == '}':
			return nil, errors.New("a lone }")
		default:
			b.WriteByte(text[0])
			text = text[1:]
		}
	}
	return b.String(), nil
}
