package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
)

// Login is who authenticates, and how. Without a password nobody does.
type Login struct{ Username, Password string }

// StaticLogin is a login that stays the same.
func StaticLogin(username, password string) func() Login {
	return func() Login { return Login{username, password} }
}

// login is what a connection authenticates with. It is asked for anew each time: a password may be changed while we run.
func (o Options) login() Login {
	if o.Login == nil {
		return Login{}
	}
	return o.Login()
}

// Replicating is what a server authenticates with to its master.
func (o Options) Replicating() Login {
	if o.Replication == nil {
		return o.login()
	}
	return o.Replication()
}

// redact keeps passwords out of an error: a Redis without a command, and whatever else listens, repeats what it was told.
func (o Options) redact(err error) error {
	text, _, _ := strings.Cut(err.Error(), ", with args beginning with")
	for _, l := range []Login{o.login(), o.Replicating()} {
		if len(l.Password) > 3 { // or nothing could be read any more
			text = strings.ReplaceAll(text, l.Password, "…")
		}
	}
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

func (h redactedError) Error() string { return h.text }
func (h redactedError) Unwrap() error { return h.error }

// dial connects, by TLS where that is wanted; the handshake is under the dialer's timeout, too.
func (o Options) dial(ctx context.Context, d *net.Dialer) (conn net.Conn, err error) {
	if o.TLS == nil {
		conn, err = d.DialContext(ctx, "tcp", o.Addr)
	} else {
		conn, err = (&tls.Dialer{NetDialer: d, Config: o.TLS()}).DialContext(ctx, "tcp", o.Addr)
	}
	if err != nil {
		return nil, err
	}
	return &limitedConn{Conn: conn}, nil
}

// tlsRejected tells whether err is of a TLS handshake that one of both refused: who is there lives, as one that refuses a password does.
func tlsRejected(err error) bool {
	var cert *tls.CertificateVerificationError
	var alert *net.OpError // one that was received: crypto/tls has no other name for it
	return errors.As(err, &cert) || errors.As(err, &alert) && alert.Op == "remote error"
}

// replicationConfig is what our server needs to replicate: TLS where we use that, our credentials, and read-only as a replica.
func (o Options) replicationConfig() [][]string {
	set := [][]string{readOnly}
	if o.TLS != nil {
		set = append(set, []string{"CONFIG", "SET", "tls-replication", "yes"})
	}
	if l := o.Replicating(); l.Password != "" {
		set = append(set, []string{"CONFIG", "SET", "masteruser", l.Username}, []string{"CONFIG", "SET", "masterauth", l.Password})
	}
	return set
}
