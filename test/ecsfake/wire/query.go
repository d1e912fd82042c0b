package wire

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DecodeQuery reads a request of the AWS Query protocol
// (https://smithy.io/2.0/aws/protocols/aws-query-protocol.html) into an Input
// of the SDK: Tags.member.1.Key=k.
func DecodeQuery(form url.Values, in any) error {
	for _, name := range slices.Sorted(maps.Keys(form)) {
		if name == "Action" || name == "Version" {
			continue
		}
		if err := queryValue(form, name, strings.Split(name, "."), reflect.ValueOf(in).Elem()); err != nil {
			return err
		}
	}
	return nil
}

// queryValue puts the parameter at a path where the rest of its steps lead.
func queryValue(form url.Values, path string, steps []string, to reflect.Value) error {
	to = pointed(to)
	text := form.Get(path)
	switch kind := to.Kind(); {
	case kind == reflect.Struct && to.Type() != reflect.TypeFor[time.Time]() && len(steps) > 0:
		field := fieldOf(to, steps[0])
		if !field.IsValid() {
			return fmt.Errorf("%s: no such parameter", path)
		}
		return queryValue(form, path, steps[1:], field)
	case kind == reflect.Slice && len(steps) == 0 && text == "":
		to.Set(reflect.MakeSlice(to.Type(), 0, 0)) // an empty list is sent by its name
		return nil
	case kind == reflect.Slice && len(steps) >= 2 && steps[0] == "member":
		i, err := strconv.Atoi(steps[1])
		// Names come sorted as text, so that 10 comes before 2.
		if err != nil || i < 1 || i > 1000 {
			return fmt.Errorf("%s: no index of a list", path)
		}
		for to.Len() < i {
			to.Set(reflect.Append(to, reflect.Zero(to.Type().Elem())))
		}
		return queryValue(form, path, steps[2:], to.Index(i-1))
	case to.Type() == reflect.TypeFor[map[string]string]() && len(steps) == 3 && steps[0] == "entry":
		// An entry is two parameters, of which the key leads.
		if entry, ok := strings.CutSuffix(path, ".key"); ok {
			if to.IsNil() {
				to.Set(reflect.MakeMap(to.Type()))
			}
			to.SetMapIndex(reflect.ValueOf(text), reflect.ValueOf(form.Get(entry+".value")))
		}
		return nil
	case len(steps) > 0:
		return fmt.Errorf("%s: no such parameter", path)
	}
	return queryScalar(path, text, to)
}

func queryScalar(path, text string, to reflect.Value) error {
	var err error
	switch to.Kind() {
	case reflect.String:
		return setString(path, to, text)
	case reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(text)
		to.SetBool(b)
	case reflect.Int32, reflect.Int64:
		var i int64
		i, err = strconv.ParseInt(text, 10, to.Type().Bits())
		to.SetInt(i)
	case reflect.Float64:
		var f float64
		f, err = strconv.ParseFloat(text, 64)
		to.SetFloat(f)
	case reflect.Struct:
		var t time.Time
		t, err = time.Parse(time.RFC3339, text)
		to.Set(reflect.ValueOf(t))
	default:
		return fmt.Errorf("%s: this codec does not read %s", path, to.Type())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// EncodeQuery writes an Output of the SDK: lists as <member>s, fields that
// are not set not at all.
func EncodeQuery(operation, requestID string, out any) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "<%sResponse><%sResult>", operation, operation)
	if err := queryFields(&b, reflect.ValueOf(out).Elem()); err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	fmt.Fprintf(&b, "</%sResult><ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></%sResponse>", operation, requestID, operation)
	return b.Bytes(), nil
}

// EncodeQueryError writes an error.
func EncodeQueryError(requestID string, e *Error) []byte {
	fault := "Sender"
	if e.StatusCode() >= 500 {
		fault = "Receiver"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "<ErrorResponse><Error><Type>%s</Type><Code>%s</Code><Message>", fault, e.Code)
	escape(&b, e.Message)
	fmt.Fprintf(&b, "</Message></Error><RequestId>%s</RequestId></ErrorResponse>", requestID)
	return b.Bytes()
}

// queryFields writes the fields of a structure that are the service's: not
// the SDK's own metadata.
func queryFields(b *bytes.Buffer, v reflect.Value) error {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() || field.Name == "ResultMetadata" {
			continue
		}
		if err := queryElement(b, field.Name, v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

func queryElement(b *bytes.Buffer, name string, v reflect.Value) error {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if (v.Kind() == reflect.Slice && v.IsNil()) || (v.Kind() == reflect.String && v.Len() == 0) {
		return nil
	}
	fmt.Fprintf(b, "<%s>", name)
	if err := queryContent(b, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(b, "</%s>", name)
	return nil
}

func queryContent(b *bytes.Buffer, v reflect.Value) error {
	if t, ok := v.Interface().(time.Time); ok {
		b.WriteString(t.UTC().Format("2006-01-02T15:04:05Z"))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		escape(b, v.String())
	case reflect.Bool, reflect.Int32, reflect.Int64, reflect.Float64:
		fmt.Fprint(b, v.Interface())
	case reflect.Struct:
		return queryFields(b, v)
	case reflect.Slice:
		for i := range v.Len() {
			if err := queryElement(b, "member", v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			b.WriteString("<entry><key>")
			escape(b, key.String())
			b.WriteString("</key>")
			if err := queryElement(b, "value", v.MapIndex(key)); err != nil {
				return err
			}
			b.WriteString("</entry>")
		}
	default:
		return fmt.Errorf("this codec does not write %s", v.Type())
	}
	return nil
}

func escape(b *bytes.Buffer, s string) { _ = xml.EscapeText(b, []byte(s)) }
