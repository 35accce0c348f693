package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// replyError is the error that an error reply of a server becomes.
func replyError(t *testing.T, line string) error {
	t.Helper()
	p := newPeer(t, nil)
	p.fail("CONFIG SET", "-"+line)
	_, err := p.open(t, Options{}).do(t.Context(), []string{"CONFIG", "SET", "a", "b"})
	if err == nil {
		t.Fatal("an error reply is no error")
	}
	return err
}

func TestErrors_Kind(t *testing.T) {
	type kind struct {
		Replied, Refused, Unreachable, AccessDenied, LoginRejected, Busy, Timeout bool
	}
	expired := x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired, Detail: "now"}
	denied := kind{Replied: true, AccessDenied: true, LoginRejected: true}
	unreachable := kind{Unreachable: true}
	for _, tt := range []struct {
		name string
		err  error
		want kind
	}{
		{"no error", nil, kind{Replied: true}},
		{"a refused connection",
			fmt.Errorf("dial: %w", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), kind{Refused: true}},
		{"a reset connection", fmt.Errorf("read: %w", syscall.ECONNRESET), unreachable},
		{"an unreachable host", fmt.Errorf("dial: %w", syscall.EHOSTUNREACH), unreachable},
		{"a deadline", fmt.Errorf("INFO: %w", context.DeadlineExceeded), kind{Unreachable: true, Timeout: true}},
		{"a deadline of a connection",
			&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, kind{Unreachable: true, Timeout: true}},
		{"a cancelled context", context.Canceled, unreachable},
		{"an unknown error", errors.New("broken"), unreachable},
		{"a server that is loading", fmt.Errorf("a: %w", ErrLoading), kind{Replied: true}},
		{"a server that is too old", fmt.Errorf("a: %w", ErrTooOld), kind{Replied: true, AccessDenied: true}},
		{"a server in cluster mode", fmt.Errorf("a: %w", ErrClusterMode), kind{Replied: true, AccessDenied: true}},
		{"an INFO without an identity", fmt.Errorf("a: %w", errBadInfo), kind{Replied: true, AccessDenied: true}},
		{"a certificate that we reject", fmt.Errorf("a: %w", &tls.CertificateVerificationError{Err: expired}), denied},
		{"a certificate that the server rejects",
			fmt.Errorf("a: %w", &net.OpError{Op: "remote error", Err: errors.New("tls: bad")}), denied},
		{"NOAUTH", replyError(t, "NOAUTH Authentication required."), denied},
		{"WRONGPASS", replyError(t, "WRONGPASS invalid username-password pair"), denied},
		{"NOPERM", replyError(t, "NOPERM this user has no permissions"), denied},
		{"BUSY", replyError(t, "BUSY Redis is busy running a script"), kind{Replied: true, Busy: true}},
		{"MISCONF", replyError(t, "MISCONF Redis is configured to save RDB snapshots"), kind{Replied: true, Busy: true}},
		{"LOADING", replyError(t, "LOADING Redis is loading the dataset in memory"), kind{Replied: true}},
		{"maxclients", replyError(t, "ERR max number of clients reached"), denied},
		{"any other reply", replyError(t, "ERR value is not an integer"), kind{Replied: true, AccessDenied: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := kind{Replied(tt.err), Refused(tt.err), Unreachable(tt.err), AccessDenied(tt.err),
				accessRejected(tt.err), busy(tt.err), isTimeout(tt.err)}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// Log lines are repeated when the summary changes, so ports and times must not be in it.
func TestSummary_SameTextForTheSameCause(t *testing.T) {
	expired := func(now time.Time) error {
		invalid := x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired, Detail: now.String()}
		return fmt.Errorf("INFO on redis: %w", &tls.CertificateVerificationError{Err: invalid})
	}
	unauthorized := x509Error(x509.NotAuthorizedToSign)
	from := func(port int, err error) error {
		return &net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{Port: port}, Err: err}
	}
	for _, tt := range []struct {
		name      string
		one, next error
		want      string
	}{
		{"nothing is wrong", nil, nil, ""},
		{"a refused connection", from(1, syscall.ECONNREFUSED), from(2, syscall.ECONNREFUSED), "it refuses connections"},
		{"a reset connection", from(1, syscall.ECONNRESET), from(2, syscall.ECONNRESET), "it does not answer"},
		{"a timeout", from(1, os.ErrDeadlineExceeded), context.DeadlineExceeded, "it does not answer"},
		{"an expired certificate",
			expired(time.Unix(1, 0)), expired(time.Unix(2, 0)), "its certificate has expired or is not valid yet"},
		{"any other certificate",
			unauthorized, unauthorized, unauthorized.Error()},
		{"loading", fmt.Errorf("a: %w", ErrLoading), fmt.Errorf("a: %w", ErrLoading), "a: redis is loading its data set"},
		{"too old", fmt.Errorf("a: %w", ErrTooOld), fmt.Errorf("a: %w", ErrTooOld), "a: redis 6.2 or newer is needed"},
		{"no INFO", fmt.Errorf("a: %w", errBadInfo), fmt.Errorf("a: %w", errBadInfo), "a: its answer cannot be understood"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if one, next := Summary(tt.one), Summary(tt.next); one != tt.want || next != tt.want {
				t.Errorf("got %q, then %q; want %q", one, next, tt.want)
			}
		})
	}
}

func x509Error(reason x509.InvalidReason) error {
	return &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: reason}}
}
