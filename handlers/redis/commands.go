package redis

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/rueidis"
)

// MissingCommand is a command that a server refuses to our user, or does not know.
type MissingCommand struct {
	Command string
	Unknown bool // it was renamed or removed by rename-command; otherwise an ACL denies it
	ToLead  bool // without it the server's member cannot be made master, or replaced as one
}

// MissingCommands are the commands that we need and a server refuses. The zero value: none is known to be refused.
type MissingCommands []MissingCommand

// tries are the commands that we need, each with arguments that have no effect: Redis looks a command up, then checks the ACL,
// then the arguments. ACL DRYRUN would need a permission of its own, and Redis 7. CLIENT UNPAUSE has no arguments, so it cannot
// be tried; what it ends, ends by itself.
var tries = []struct {
	MissingCommand
	args []string
}{
	{MissingCommand{Command: "REPLICAOF", ToLead: true}, []string{"REPLICAOF", "resec", "no-port"}},
	{MissingCommand{Command: "CONFIG SET", ToLead: true}, []string{"CONFIG", "SET", "resec-no-setting", "resec"}},
	{MissingCommand{Command: "CLIENT PAUSE", ToLead: true}, []string{"CLIENT", "PAUSE", "no-time", "WRITE"}},
	{MissingCommand{Command: "CLIENT LIST"}, []string{"CLIENT", "LIST", "ID", "no-id"}},
	{MissingCommand{Command: "CLIENT KILL"}, []string{"CLIENT", "KILL", "ID", "no-id"}},
}

// TryCommands tries each command that we need without an effect, and returns those that the server refuses. It returns an error
// if the server does not say so of each: it does not answer, is loading, or rejects our login.
func (s *Server) TryCommands(ctx context.Context) (MissingCommands, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opt.Timeout)
	defer cancel()
	var refused MissingCommands
	built := make([]rueidis.Completed, len(tries))
	for i, try := range tries {
		built[i] = s.client.B().Arbitrary(try.args...).Build()
	}
	for i, result := range s.client.DoMulti(ctx, built...) {
		err, is := result.Error(), tries[i].MissingCommand
		is.Unknown = unknownCommand(err)
		switch {
		case is.Unknown, hasReplyCode(err, "NOPERM"):
			refused = append(refused, is)
		case err != nil && !plainError(err):
			return nil, fmt.Errorf("try %s on redis %s: %w", is.Command, s.opt.Addr, s.opt.redact(err))
		}
	}
	return refused, nil
}

// CommandRefused reports whether err says that a server denies a command to our user, or does not know the command.
func CommandRefused(err error) bool { return hasReplyCode(err, "NOPERM") || unknownCommand(err) }

// unknownCommand reports whether err is the reply to a command or a subcommand that a server does not know.
func unknownCommand(err error) bool {
	text := strings.ToLower(replyText(err))
	return strings.HasPrefix(text, "unknown command") || strings.HasPrefix(text, "unknown subcommand")
}

// plainError reports whether err is an error reply without a code of its own: rueidis removes the code ERR.
func plainError(err error) bool {
	code, _, _ := strings.Cut(replyText(err), " ")
	return code != "" && code != strings.ToUpper(code)
}

// Lead returns what is refused that a member needs to lead, in words; empty: nothing.
func (r MissingCommands) Lead() string {
	var needed MissingCommands
	for _, is := range r {
		if is.ToLead {
			needed = append(needed, is)
		}
	}
	return needed.String()
}

// String returns in words what is refused; empty: nothing.
func (r MissingCommands) String() string {
	var denied, unknown []string
	for _, is := range r {
		if is.Unknown {
			unknown = append(unknown, is.Command)
		} else {
			denied = append(denied, is.Command)
		}
	}
	var out []string
	if len(denied) > 0 {
		out = append(out, "its ACL denies "+strings.Join(denied, ", ")+" to resec's user")
	}
	if len(unknown) > 0 {
		out = append(out, "it does not know "+strings.Join(unknown, ", ")+" (rename-command)")
	}
	return strings.Join(out, "; ")
}
