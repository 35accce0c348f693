package lock

import "regexp"

// variable matches the parts of an error's text that differ each time: ports, indexes, durations and UUIDs.
var variable = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]+`)

// ErrorKind returns a summary of an error that stays the same if the same fault occurs again, so that a fault which lasts can be
// logged once. Behind a proxy that resets connections each error's own text names another port. The kind of nil is empty.
func ErrorKind(err error) string {
	if err == nil {
		return ""
	}
	return variable.ReplaceAllString(err.Error(), "#")
}
