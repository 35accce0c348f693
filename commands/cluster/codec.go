package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// StateVersion is the version of the state's JSON that this program reads and writes. A program with a higher version may
// change the meaning of fields; within one version fields may only be added.
const StateVersion = 1

// ErrNewerVersion is returned for a state whose version is newer than StateVersion. Such a state is neither interpreted nor
// replaced.
var ErrNewerVersion = errors.New("the state was written by a newer resec")

// UnknownFields is a JSON object of the fields of a state, a master or a member that this program does not know. They are
// kept and written again. It is a string so that a MemberRecord stays comparable. Empty: there are none.
type UnknownFields string

// stateFields is State without its JSON methods.
type stateFields State

// UnmarshalJSON reads a state and keeps the fields that it does not know. It returns ErrNewerVersion for a newer version,
// or the error of encoding/json; the state is unchanged then.
func (s *State) UnmarshalJSON(data []byte) error {
	var fields stateFields
	strict := json.NewDecoder(bytes.NewReader(data))
	strict.DisallowUnknownFields()
	err := strict.Decode(&fields)
	if err != nil { // a field is unknown, or the shape is another: rare, so it may take two more passes
		fields, err = decodeLenient(data)
	}
	if err == nil {
		err = checkVersion(fields.Version)
	}
	if err != nil {
		return err
	}
	*s = State(fields)
	return nil
}

// checkVersion returns ErrNewerVersion, with what to do about it, if a version is newer than this program knows.
func checkVersion(version int) error {
	if version <= StateVersion {
		return nil
	}
	return fmt.Errorf("%w: its version is %d, this resec knows version %d; upgrade resec on this host",
		ErrNewerVersion, version, StateVersion)
}

// decodeLenient reads a state and collects its unknown fields. The version is checked first, because a newer version may have
// fields of another shape.
func decodeLenient(data []byte) (stateFields, error) {
	var fields stateFields
	var header struct {
		Version int `json:"version"`
	}
	if json.Unmarshal(data, &header) == nil {
		if err := checkVersion(header.Version); err != nil {
			return fields, err
		}
	}
	var objects struct {
		Master  json.RawMessage            `json:"master"`
		Members map[string]json.RawMessage `json:"record"`
	}
	if err := json.Unmarshal(data, &fields); err != nil {
		return fields, err
	}
	if err := json.Unmarshal(data, &objects); err != nil {
		return fields, err
	}
	fields.UnknownFields = unknownFields(data, stateNames)
	if fields.Master != nil {
		fields.Master.UnknownFields = unknownFields(objects.Master, masterNames)
	}
	for id, record := range fields.Members {
		record.UnknownFields = unknownFields(objects.Members[id], recordNames)
		fields.Members[id] = record
	}
	return fields, nil
}

var (
	stateNames  = fieldNames(reflect.TypeFor[State]())
	masterNames = fieldNames(reflect.TypeFor[Master]())
	recordNames = fieldNames(reflect.TypeFor[MemberRecord]())
)

// fieldNames returns the JSON names of a struct's fields.
func fieldNames(t reflect.Type) (names []string) {
	for _, field := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// unknownFields returns the fields of a JSON object that have none of the known names. Like encoding/json it ignores case.
func unknownFields(object []byte, known []string) UnknownFields {
	var all map[string]json.RawMessage
	if json.Unmarshal(object, &all) != nil {
		return ""
	}
	maps.DeleteFunc(all, func(name string, _ json.RawMessage) bool {
		return slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, name) })
	})
	text, err := json.Marshal(all)
	if err != nil || len(all) == 0 {
		return ""
	}
	return UnknownFields(text)
}

// MarshalJSON writes the state with the unknown fields that it was read with.
func (s State) MarshalJSON() ([]byte, error) {
	if !s.hasUnknownFields() {
		return json.Marshal(stateFields(s))
	}
	object := struct {
		stateFields
		Master  json.RawMessage            `json:"master,omitempty"` // instead of those of stateFields
		Members map[string]json.RawMessage `json:"record,omitempty"`
	}{stateFields: stateFields(s), Members: map[string]json.RawMessage{}}
	var failed error
	if s.Master != nil {
		object.Master, failed = marshalWith(s.Master.UnknownFields, s.Master)
	}
	for id, record := range s.Members {
		text, err := marshalWith(record.UnknownFields, record)
		object.Members[id], failed = text, errors.Join(failed, err)
	}
	if failed != nil {
		return nil, failed
	}
	return marshalWith(s.UnknownFields, object)
}

func (s State) hasUnknownFields() bool {
	if s.UnknownFields != "" || s.Master != nil && s.Master.UnknownFields != "" {
		return true
	}
	for _, record := range s.Members {
		if record.UnknownFields != "" {
			return true
		}
	}
	return false
}

// marshalWith returns the JSON object of a struct that has at least one field, with the unknown fields appended.
func marshalWith(unknown UnknownFields, known any) (json.RawMessage, error) {
	text, err := json.Marshal(known)
	if err != nil || unknown == "" {
		return text, err
	}
	return slices.Concat(text[:len(text)-1], []byte(","), []byte(unknown[1:])), nil
}
