// Package wire speaks AWS's protocols from the server's side. A request's body
// comes in and becomes the SDK's own Input; the SDK's own Output goes out as the
// body of a response. The shapes are the SDK's: of services that have schemas
// (JSON 1.1) the codecs read and write by them, of the others (Query) by the
// fields of the SDK's types, so that neither can drift from what a client of
// the same version sends and expects.
//
// Inputs are read strictly: a member that the SDK does not know, a value of
// another type or outside an enumeration is an error that names its path.
package wire

import (
	"fmt"
	"net/http"
	"reflect"
	"unicode"
	"unicode/utf8"

	"github.com/aws/smithy-go"
)

// Error is what a service answers in place of an output.
type Error struct {
	// Code is the name of the error as its documentation has it.
	Code    string
	Message string
	// Status is the HTTP status. Default: 400.
	Status int
	// Detail, if not nil, is the SDK's error with all its members, for errors
	// that say more than a message.
	Detail smithy.Serializable
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// StatusCode is the HTTP status of the answer.
func (e *Error) StatusCode() int {
	if e.Status == 0 {
		return http.StatusBadRequest
	}
	return e.Status
}

// Errorf makes an Error of status 400.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// fieldOf finds the field of an SDK type that holds a member: its name with a
// capital in front.
func fieldOf(v reflect.Value, member string) reflect.Value {
	first, size := utf8.DecodeRuneInString(member)
	return v.FieldByName(string(unicode.ToUpper(first)) + member[size:])
}

// pointed gives a nil pointer something to point at and returns that.
func pointed(v reflect.Value) reflect.Value {
	if v.Kind() != reflect.Pointer {
		return v
	}
	if v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
	}
	return v.Elem()
}

// setString sets a string or enumeration. Enumerations of the SDK are string
// types that list their values.
func setString(path string, v reflect.Value, s string) error {
	if v.Kind() != reflect.String {
		return fmt.Errorf("%s: no field for a string", path)
	}
	if values := v.MethodByName("Values"); values.IsValid() {
		list := values.Call(nil)[0]
		known := false
		for i := range list.Len() {
			known = known || list.Index(i).String() == s
		}
		if !known {
			return fmt.Errorf("value '%s' at '%s' failed to satisfy constraint: Member must satisfy enum value set: %v", s, path, list.Interface())
		}
	}
	v.SetString(s)
	return nil
}
