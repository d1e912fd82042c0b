package wire

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
)

// JSON is the protocol of one service that has schemas, AWS JSON 1.1
// (https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html). It is
// safe for concurrent use.
type JSON struct {
	protocol *awsjson.Protocol
	document func(any) any
}

// NewJSON makes the protocol of a service. document makes the service's
// document type of decoded JSON; a service without documents needs none.
func NewJSON(service *smithy.ServiceSchema, document func(any) any) *JSON {
	return &JSON{protocol: awsjson.New11(service), document: document}
}

// Decode reads a request's body into an Input of the SDK.
func (j *JSON) Decode(body []byte, in smithy.Serializable) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("data behind the value")
	}
	return j.structure("", schemaOf(in), value, reflect.ValueOf(in).Elem())
}

// Encode writes an Output of the SDK.
func (j *JSON) Encode(operation string, out smithy.Serializable) ([]byte, error) {
	schema := schemaOf(out)
	op := smithy.NewSchema(smithy.ShapeID{Name: operation}, smithy.ShapeTypeOperation, 0)
	req := smithyhttp.NewStackRequest().(*smithyhttp.Request)
	// What the SDK writes as a request's input is written the same way as a
	// response's output.
	if err := j.protocol.SerializeRequest(context.Background(), smithy.NewOperationSchema(op, schema, schema), out, req); err != nil {
		return nil, err
	}
	return io.ReadAll(req.GetStream())
}

// EncodeError writes an error.
func (j *JSON) EncodeError(e *Error) ([]byte, error) {
	members := map[string]json.RawMessage{}
	if e.Detail != nil {
		body, err := j.Encode("", e.Detail)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(body, &members); err != nil {
			return nil, err
		}
	}
	for name, value := range map[string]string{"__type": e.Code, "message": e.Message} {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		members[name] = text
	}
	return json.Marshal(members)
}

// schemaOf asks a value of the SDK for its schema. What has no members may
// have none: it gets an empty one.
func schemaOf(v smithy.Serializable) (schema *smithy.Schema) {
	defer func() {
		if r := recover(); r != nil {
			found, ok := r.(found)
			if !ok {
				panic(r)
			}
			schema = found.schema
		}
		if schema == nil {
			schema = smithy.NewSchema(smithy.ShapeID{}, smithy.ShapeTypeStructure, 0)
		}
	}()
	v.Serialize(schemaFinder{})
	return nil
}

// schemaFinder is a serializer that hears one word.
type schemaFinder struct{ smithy.ShapeSerializer }

// found ends the serialization at that word.
type found struct{ schema *smithy.Schema }

func (schemaFinder) WriteStruct(s *smithy.Schema) { panic(found{s}) }

func (j *JSON) structure(path string, schema *smithy.Schema, value any, to reflect.Value) error {
	members, ok := value.(map[string]any)
	if !ok {
		return mismatch(path, "a structure", value)
	}
	if whole, ok := to.Addr().Interface().(smithy.Deserializable); ok && slices.ContainsFunc(slices.Collect(maps.Values(schema.Members())), holdsUnion) {
		return j.union(path, schema, members, whole)
	}
	for name, value := range members {
		member := schema.Member(name)
		at := name
		if path != "" {
			at = path + "." + name
		}
		if member == nil {
			return fmt.Errorf("%s: no such member", at)
		}
		field := fieldOf(to, name)
		if !field.IsValid() {
			return fmt.Errorf("%s: the SDK's type has no such field", at)
		}
		if err := j.value(at, member, value, field); err != nil {
			return err
		}
	}
	return nil
}

// holdsUnion reports whether a member is a union or a list of unions.
func holdsUnion(member *smithy.Schema) bool {
	if member.Type() == smithy.ShapeTypeList {
		member = member.ListMember()
	}
	return member.Type() == smithy.ShapeTypeUnion
}

// union decodes a structure that holds a union: as the SDK does, because
// only its own code knows the types of a union's members.
func (j *JSON) union(path string, schema *smithy.Schema, members map[string]any, to smithy.Deserializable) error {
	for name := range members {
		if schema.Member(name) == nil {
			return fmt.Errorf("%s.%s: no such member", path, name)
		}
	}
	text, err := json.Marshal(members)
	if err != nil {
		return err
	}
	resp := &smithyhttp.Response{Response: &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(text))}}
	op := smithy.NewSchema(smithy.ShapeID{}, smithy.ShapeTypeOperation, 0)
	if err := j.protocol.DeserializeResponse(context.Background(), smithy.NewOperationSchema(op, schema, schema), nil, resp, to); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// value decodes one value by its schema.
func (j *JSON) value(path string, schema *smithy.Schema, value any, to reflect.Value) error {
	if value == nil {
		return nil
	}
	switch schema.Type() {
	case smithy.ShapeTypeStructure:
		return j.structure(path, schema, value, pointed(to))
	case smithy.ShapeTypeList, smithy.ShapeTypeSet:
		return j.list(path, schema, value, to)
	case smithy.ShapeTypeMap:
		return j.mapping(path, schema, value, to)
	case smithy.ShapeTypeDocument:
		if j.document == nil {
			return fmt.Errorf("%s: the service has no documents", path)
		}
		to.Set(reflect.ValueOf(j.document(value)))
		return nil
	default:
		return scalar(path, schema, value, pointed(to))
	}
}

func (j *JSON) list(path string, schema *smithy.Schema, value any, to reflect.Value) error {
	items, ok := value.([]any)
	if !ok {
		return mismatch(path, "a list", value)
	}
	list := reflect.MakeSlice(to.Type(), len(items), len(items))
	for i, item := range items {
		if err := j.value(fmt.Sprintf("%s.%d.member", path, i+1), schema.ListMember(), item, list.Index(i)); err != nil {
			return err
		}
	}
	to.Set(list)
	return nil
}

func (j *JSON) mapping(path string, schema *smithy.Schema, value any, to reflect.Value) error {
	entries, ok := value.(map[string]any)
	if !ok {
		return mismatch(path, "a map", value)
	}
	m := reflect.MakeMap(to.Type())
	for key, entry := range entries {
		element := reflect.New(to.Type().Elem()).Elem()
		if err := j.value(path+"."+key, schema.MapValue(), entry, element); err != nil {
			return err
		}
		m.SetMapIndex(reflect.ValueOf(key).Convert(to.Type().Key()), element)
	}
	to.Set(m)
	return nil
}

func scalar(path string, schema *smithy.Schema, value any, to reflect.Value) error {
	switch v := value.(type) {
	case string:
		switch schema.Type() {
		case smithy.ShapeTypeString, smithy.ShapeTypeEnum:
			return setString(path, to, v)
		case smithy.ShapeTypeBlob:
			data, err := base64.StdEncoding.DecodeString(v)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			to.SetBytes(data)
			return nil
		}
	case bool:
		if schema.Type() == smithy.ShapeTypeBoolean {
			to.SetBool(v)
			return nil
		}
	case json.Number:
		return number(path, schema, v, to)
	}
	return mismatch(path, typeNames[schema.Type()], value)
}

func number(path string, schema *smithy.Schema, n json.Number, to reflect.Value) error {
	switch schema.Type() {
	case smithy.ShapeTypeInteger, smithy.ShapeTypeLong, smithy.ShapeTypeShort, smithy.ShapeTypeByte, smithy.ShapeTypeIntEnum:
		i, err := n.Int64()
		if err != nil || to.OverflowInt(i) {
			return mismatch(path, typeNames[schema.Type()], n)
		}
		to.SetInt(i)
	case smithy.ShapeTypeFloat, smithy.ShapeTypeDouble:
		f, err := n.Float64()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		to.SetFloat(f)
	case smithy.ShapeTypeTimestamp:
		f, err := n.Float64()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		to.Set(reflect.ValueOf(time.UnixMilli(int64(f * 1000)).UTC()))
	default:
		return mismatch(path, typeNames[schema.Type()], n)
	}
	return nil
}

var typeNames = map[smithy.ShapeType]string{
	smithy.ShapeTypeBlob: "a blob", smithy.ShapeTypeBoolean: "a boolean", smithy.ShapeTypeString: "a string", smithy.ShapeTypeEnum: "a string",
	smithy.ShapeTypeTimestamp: "a timestamp", smithy.ShapeTypeInteger: "an integer", smithy.ShapeTypeLong: "a long", smithy.ShapeTypeShort: "a short",
	smithy.ShapeTypeByte: "a byte", smithy.ShapeTypeIntEnum: "an integer", smithy.ShapeTypeFloat: "a number", smithy.ShapeTypeDouble: "a number",
	smithy.ShapeTypeUnion: "a union, which this codec does not read,",
}

func mismatch(path, want string, got any) error {
	kind := "an object"
	switch got.(type) {
	case string:
		kind = "a string"
	case bool:
		kind = "a boolean"
	case json.Number:
		kind = "a number"
	case []any:
		kind = "a list"
	}
	return fmt.Errorf("%s: %s is wanted where %s was sent", path, want, kind)
}
