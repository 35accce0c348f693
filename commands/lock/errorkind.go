package lock

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"syscall"

	"github.com/hashicorp/consul/api"
)

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

// rateLimitText is in the answer of a Consul whose leader limits the rate.
// Source: https://developer.hashicorp.com/consul/docs/manage/rate-limit
const rateLimitText = "rate limit exceeded"

// RateLimited reports whether Consul answered that too many requests came: with 429, or with 503 and a text, of what only its
// leader can do. Such a Consul is up, and has carried nothing out.
func RateLimited(err error) bool {
	var status api.StatusError
	return errors.As(err, &status) && IsRateLimit(status.Code, status.Body)
}

// IsRateLimit is RateLimited for a status code and the begin of a body.
func IsRateLimit(code int, body string) bool {
	limited := code == http.StatusServiceUnavailable && strings.Contains(body, rateLimitText)
	return limited || code == http.StatusTooManyRequests
}

// Refused reports whether nothing listens at Consul's address: its agent is down, or not yet up.
func Refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
