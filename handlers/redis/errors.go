package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"syscall"

	"github.com/redis/rueidis"
)

// ErrLoading is returned for a server that is reading its data set from disk: it replies, but serves no data.
var ErrLoading = errors.New("redis is loading its data set")

// ErrTooOld is returned for a server without CLIENT PAUSE WRITE.
var ErrTooOld = errors.New("redis 6.2 or newer is needed")

// ErrClusterMode is returned for a server that refuses REPLICAOF, and that Redis Cluster makes a master or a replica.
var ErrClusterMode = errors.New("redis is in cluster mode, which elects its own masters: resec needs cluster-enabled no")

// Unsupported reports whether err is ErrTooOld or ErrClusterMode: no retry helps before the server is started otherwise.
func Unsupported(err error) bool { return errors.Is(err, ErrTooOld) || errors.Is(err, ErrClusterMode) }

// errBadInfo is returned for a reply to INFO that lacks what every Redis says.
var errBadInfo = errors.New("its answer cannot be understood")

// errProtected is returned for a server in protected mode, on another host.
var errProtected = errors.New("it is in protected mode and refuses connections from other hosts; set a password there, or " +
	"`CONFIG SET protected-mode no`")

// errMaxClients is returned for a server that has as many clients as its maxclients allows.
var errMaxClients = errors.New("it refuses new clients: maxclients is reached")

// errNotIdentified is returned for a server that is busy and has not sent its INFO yet.
var errNotIdentified = errors.New("it is busy, and its INFO is not known yet")

// Replied reports whether err came from Redis itself: a server that replies -BUSY, -NOAUTH or -LOADING is alive.
func Replied(err error) bool {
	if err == nil || replyText(err) != "" || tlsRejected(err) {
		return true
	}
	return errors.Is(err, ErrLoading) || Unsupported(err) || errors.Is(err, errBadInfo) || rejectedInWords(err)
}

// RefusesClients reports whether the server has as many clients as its maxclients allows. It may take the next connection.
func RefusesClients(err error) bool { return errors.Is(err, errMaxClients) }

// rejectedInWords reports whether the server has said why it takes no connection of ours.
func rejectedInWords(err error) bool {
	return errors.Is(err, errProtected) || errors.Is(err, errMaxClients)
}

// replyText is the text of an error reply; it is empty for an error of any other kind.
func replyText(err error) string {
	var reply *rueidis.RedisError
	if !errors.As(err, &reply) || reply.IsNil() {
		return ""
	}
	return reply.Error()
}

// hasReplyCode reports whether err is an error reply with one of the codes.
func hasReplyCode(err error, codes ...string) bool {
	for _, code := range codes {
		if strings.HasPrefix(replyText(err), code) {
			return true
		}
	}
	return false
}

// Refused reports whether nothing listens at the server's address.
func Refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// Unreachable reports whether a server neither replied nor refused the connection: it hangs, or the network drops its packets. An
// error of this host's own says nothing of the kind.
func Unreachable(err error) bool {
	return err != nil && !Replied(err) && !Refused(err) && !LocalFault(err)
}

// AccessDenied reports whether a live server denies access to its status: our server with another password, ACL or
// certificate, or another server at its address.
func AccessDenied(err error) bool {
	if err == nil || !Replied(err) || busy(err) {
		return false
	}
	return !errors.Is(err, ErrLoading) && !hasReplyCode(err, "LOADING")
}

// accessRejected reports whether a live server rejects our credentials, because its password, its ACL or a certificate was
// changed, or our connection, because it has too many. The clients that it has may still be served.
func accessRejected(err error) bool {
	return tlsRejected(err) || hasReplyCode(err, "NOAUTH", "WRONGPASS", "NOPERM") || rejectedInWords(err)
}

// busy reports whether err is a reply of a usable server that cannot execute this command now.
func busy(err error) bool { return hasReplyCode(err, "BUSY", "MISCONF") }

// tlsRejected reports whether one side rejected the other's certificate. Then the server is alive, as one that rejects a
// password is.
func tlsRejected(err error) bool {
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return true
	}
	var alert *net.OpError // crypto/tls returns an alert of the other side as one with this operation
	return errors.As(err, &alert) && alert.Op == "remote error"
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// Summary says in a few words what is wrong with a server, and is empty if nothing is. The text stays the same while the
// cause does: an error's own text may name ports and times that differ each time.
func Summary(err error) string {
	switch {
	case err == nil:
		return ""
	case Refused(err):
		return "it refuses connections"
	case LocalFault(err):
		return localFaultText(err)
	case unresolved(err):
		return "its name does not resolve"
	case Unreachable(err):
		return "it does not answer"
	case errors.Is(err, errProtected):
		return errProtected.Error()
	case errors.Is(err, errMaxClients):
		return errMaxClients.Error()
	case hasReplyCode(err, "NOAUTH"):
		return "it needs a password: set REDIS_PASSWORD (NOAUTH)"
	case hasReplyCode(err, "WRONGPASS"):
		return "it rejects the user or the password: correct REDIS_USERNAME or REDIS_PASSWORD (WRONGPASS)"
	case certificateExpired(err):
		return "its certificate has expired or is not valid yet"
	}
	return err.Error()
}

// unresolved reports whether the name in the server's address leads to no address.
func unresolved(err error) bool {
	var unresolved *net.DNSError
	return errors.As(err, &unresolved)
}

// certificateExpired reports whether a certificate is outside of its time. That error's own text names the current second.
func certificateExpired(err error) bool {
	var invalid x509.CertificateInvalidError
	return errors.As(err, &invalid) && invalid.Reason == x509.Expired
}
