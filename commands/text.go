package commands

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/consul/api"
)

// textFault says what a value must be without, empty if nothing is wrong with it. Files of variables that a tool reads in its own
// way leave such things in a value: `docker --env-file` keeps quotes, and an end of line of Windows leaves a \r.
func textFault(v string) string {
	if i := strings.IndexFunc(v, isControl); i >= 0 {
		r, _ := utf8.DecodeRuneInString(v[i:])
		return fmt.Sprintf("the control character %q", r)
	}
	if strings.TrimSpace(v) != v {
		return "blanks at an end"
	}
	if n := len(v); n > 1 && v[0] == v[n-1] && (v[0] == '"' || v[0] == '\'') {
		return "the quotes around it"
	}
	return ""
}

// isControl reports whether a character is not seen: a control character, or one of Unicode's format characters, such as a byte
// order mark.
func isControl(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

// hidden reports whether a setting's value is not shown. A file's path may be the secret itself, given to the wrong variable.
func (s setting) hidden() bool {
	return s.env == api.HTTPAuthEnvName || slices.Contains(secretFlags, strings.TrimSuffix(s.name, "-file"))
}

// parse checks the text of a value, and takes the value in. Its error says what the setting takes.
func (s setting) parse(v string) error {
	if fault := textFault(v); fault != "" && !s.free {
		return fmt.Errorf("takes %s, without %s", s.takes, fault)
	}
	if err := s.set(v); err != nil {
		return fmt.Errorf("takes %s", s.takes)
	}
	return nil
}

// invalid is the error of a bad value. from is the variable or the flag that has it.
func (s setting) invalid(v, from string, err error) error {
	if s.hidden() {
		return fmt.Errorf("invalid value for %s: %w", from, err)
	}
	return fmt.Errorf("invalid value %q for %s: %w", withoutLogin(v), from, err)
}

// ownName reports whether Consul keeps a key, or finds a service, under this very name. A transaction takes a key as it is. A
// read goes by the path of a URL, of which Consul cleans empty parts, "." and "..": it would read another key.
func ownName(v string) bool {
	outside := v == "." || v == ".." || strings.HasPrefix(v, "/") || strings.HasPrefix(v, "../")
	return v != "" && utf8.ValidString(v) && path.Clean(v) == v && !outside
}

// consulAddress checks the address of Consul's agent: host:port, a URL or unix://path. It takes the slashes off the end of a URL,
// because the API would put them before its own paths. It returns an error for an address that can never work.
func consulAddress(v string) (string, error) {
	scheme, rest, isURL := strings.Cut(v, "://")
	scheme = strings.ToLower(scheme)
	if scheme == "unix" && isURL {
		if !strings.HasPrefix(rest, "/") {
			return "", errBad
		}
		return scheme + "://" + rest, nil
	}
	if isURL && scheme != "http" && scheme != "https" {
		return v, nil // the API names a scheme that it does not know
	}
	if !isURL {
		rest = v
	}
	rest = strings.TrimRight(rest, "/")
	host, below, hasPath := strings.Cut(rest, "/")
	// The path of a proxy before Consul; the API adds /v1 itself.
	badPath := hasPath && (!isURL || !ownName(below) || path.Base(below) == "v1")
	if badPath || strings.ContainsAny(rest, "@?# \t") || !validHostPort(host) {
		return "", errBad
	}
	if !isURL {
		return rest, nil
	}
	return scheme + "://" + rest, nil
}

// validHostPort reports whether a host can be connected to, with or without a port. An IPv6 host is in brackets.
func validHostPort(v string) bool {
	host, port, hasPort := strings.Cut(v, ":")
	if strings.HasPrefix(v, "[") {
		inner, after, closed := strings.Cut(v[1:], "]")
		if !closed || inner == "" || after != "" && !strings.HasPrefix(after, ":") {
			return false
		}
		host, port, hasPort = inner, strings.TrimPrefix(after, ":"), after != ""
	}
	if !hasPort {
		return host != ""
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// checkConsulEnvironment returns an error for a bad value of a variable that only Consul's API reads. The API would ignore it,
// and connect in another way than it was configured to.
func checkConsulEnvironment() error {
	for _, s := range []setting{
		{env: api.HTTPSSLEnvName, takes: trueFalse, set: boolean(new(bool))},
		{env: api.HTTPSSLVerifyEnvName, takes: trueFalse, set: boolean(new(bool))},
		{env: api.HTTPAuthEnvName, takes: "user:password", set: text(new(string))},
		{env: api.HTTPNamespaceEnvName, takes: "a name", set: text(new(string))},
		{env: api.HTTPPartitionEnvName, takes: "a name", set: text(new(string))},
	} {
		v := os.Getenv(s.env)
		if v == "" {
			continue
		}
		if err := s.parse(v); err != nil {
			return s.invalid(v, s.env, err)
		}
	}
	return nil
}
