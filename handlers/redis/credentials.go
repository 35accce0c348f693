package redis

import (
	"slices"
	"strings"
	"sync"
)

// Login is a user name and a password. Without a password there is no authentication.
type Login struct{ Username, Password string }

// StaticLogin returns a Login function for credentials that never change.
func StaticLogin(username, password string) func() Login {
	return func() Login { return Login{username, password} }
}

// login is what a new connection authenticates with. It is read each time, because a password may change.
func (o Options) login() Login {
	if o.Login == nil {
		return Login{}
	}
	l := o.Login()
	o.sent.add(l.Password)
	return l
}

// Replicating is what a replica authenticates with to its master.
func (o Options) Replicating() Login {
	if o.Replication == nil {
		return o.login()
	}
	l := o.Replication()
	o.sent.add(l.Password)
	return l
}

// replicationConfig are the commands that prepare a server to replicate: read-only as a replica, TLS if we use it, and its
// credentials.
func (o Options) replicationConfig() [][]string {
	commands := [][]string{setReadOnly}
	if o.TLS != nil {
		commands = append(commands, []string{"CONFIG", "SET", "tls-replication", "yes"})
	}
	if l := o.Replicating(); l.Password != "" {
		commands = append(commands, []string{"CONFIG", "SET", "masteruser", l.Username},
			[]string{"CONFIG", "SET", "masterauth", l.Password})
	}
	return commands
}

// sentPasswords are the last passwords that were sent to one server. An error reply may repeat them: a Redis that does not
// know a command quotes its arguments, and so may any other program at its address. Remembering them keeps files out of error
// handling.
type sentPasswords struct {
	mu   sync.Mutex
	last []string // the newest last
}

const (
	maxSentPasswords  = 4 // two logins, each before and after a change
	minPasswordLength = 4 // bytes; a shorter one would mutilate other text
)

// add remembers a password. It is a no-op on nil.
func (p *sentPasswords) add(password string) {
	if p == nil || len(password) < minPasswordLength {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = slices.DeleteFunc(p.last, func(known string) bool { return known == password })
	p.last = append(p.last, password)
	p.last = p.last[max(0, len(p.last)-maxSentPasswords):]
}

// remove returns the text without the passwords. The longest is replaced first, because it may contain another one.
func (p *sentPasswords) remove(text string) string {
	if p == nil {
		return text
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	longestFirst := slices.SortedFunc(slices.Values(p.last), func(a, b string) int { return len(b) - len(a) })
	for _, password := range longestFirst {
		text = strings.ReplaceAll(text, password, "…")
	}
	return text
}

// redact keeps passwords out of an error: those that were sent, and the arguments that Redis quotes of an unknown command.
func (o Options) redact(err error) error {
	text, _, _ := strings.Cut(err.Error(), ", with args beginning with")
	text = o.sent.remove(text)
	if text == err.Error() {
		return err
	}
	return redactedError{err, text}
}

// redactedError is an error with another text.
type redactedError struct {
	error
	text string
}

func (e redactedError) Error() string { return e.text }
func (e redactedError) Unwrap() error { return e.error }
