package ecs

import (
	"bytes"
	"encoding/json"
)

// JSON is the definition as JSON, indented, with a new line at its end.
func (d *Definition) JSON() []byte {
	var b bytes.Buffer
	encode(&b, d.root, "\n")
	b.WriteByte('\n')
	return b.Bytes()
}

// MarshalJSON is the definition as JSON without white space.
func (d *Definition) MarshalJSON() ([]byte, error) { return d.root.MarshalJSON() }

// MarshalJSON is the object as JSON without white space.
func (o *Object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	encode(&b, o, "")
	return b.Bytes(), nil
}

// encode writes a value. newline is what a line begins with, "" for none.
func encode(b *bytes.Buffer, value any, newline string) {
	inner, colon := newline, ":"
	if newline != "" {
		inner, colon = newline+"  ", ": "
	}
	switch value := value.(type) {
	case *Object:
		b.WriteByte('{')
		for i, m := range value.Members() {
			separate(b, i, inner)
			encode(b, m.Name, "")
			b.WriteString(colon)
			encode(b, m.Value, inner)
		}
		if len(value.Members()) > 0 {
			b.WriteString(newline)
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, item := range value {
			separate(b, i, inner)
			encode(b, item, inner)
		}
		if len(value) > 0 {
			b.WriteString(newline)
		}
		b.WriteByte(']')
	default:
		encodeScalar(b, value)
	}
}

func separate(b *bytes.Buffer, i int, newline string) {
	if i > 0 {
		b.WriteByte(',')
	}
	b.WriteString(newline)
}

// encodeScalar is json.Marshal without its escapes for HTML, which people who
// read a definition do not want to see.
func encodeScalar(b *bytes.Buffer, value any) {
	encoder := json.NewEncoder(b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // a nil, bool, string or number that was read as JSON
	}
	b.Truncate(b.Len() - 1) // the new line that Encode adds
}
