package sentinel

import (
	"fmt"
	"strings"
	"time"
)

// answers are several replies to one request.
type answers []reply

func (v answers) append(out []byte, resp3 bool) []byte { return appendAll(out, v, resp3) }

// command is one that an endpoint knows.
type command struct {
	min, max int // arguments after the name, or after the subcommand's; max -1: any number
	run      func(c *conn, args []string) reply
	// sub are the subcommands of a command that has some.
	sub map[string]command
	// open: it is answered before the authentication, too. subscribed: it is answered to a subscriber in RESP2, too.
	open, subscribed bool
}

// commandTable are all commands, by name in capitals.
var commandTable map[string]command

func init() { // the table's functions look up the table
	commandTable = map[string]command{
		"PING":         {max: 1, run: (*conn).ping, subscribed: true},
		"HELLO":        {max: -1, run: (*conn).hello, open: true},
		"AUTH":         {min: 1, max: 2, run: (*conn).auth, open: true},
		"QUIT":         {max: -1, run: (*conn).quit, open: true, subscribed: true},
		"RESET":        {run: (*conn).reset, open: true, subscribed: true},
		"ROLE":         {run: (*conn).role},
		"INFO":         {max: -1, run: (*conn).info},
		"COMMAND":      {max: -1, run: commandInfo},
		"SUBSCRIBE":    {min: 1, max: -1, run: subscribing(subscriptions.subscribe), subscribed: true},
		"PSUBSCRIBE":   {min: 1, max: -1, run: subscribing(subscriptions.psubscribe), subscribed: true},
		"UNSUBSCRIBE":  {max: -1, run: subscribing(subscriptions.unsubscribe), subscribed: true},
		"PUNSUBSCRIBE": {max: -1, run: subscribing(subscriptions.punsubscribe), subscribed: true},
		"PUBLISH": {min: 2, max: 2, run: func(*conn, []string) reply {
			return failure("ERR Only HELLO messages are accepted by Sentinel instances.")
		}},
		"CLIENT":   {sub: clientCommands},
		"SENTINEL": {sub: sentinelCommands},
	}
}

// answer carries a request out, and returns the reply; nil is none.
func (c *conn) answer(args []string) reply {
	name := strings.ToUpper(args[0])
	cmd, known := commandTable[name]
	c.note(name, known, cmd, args)
	skip := c.skipNext
	c.skipNext = false
	r := c.dispatch(cmd, known, args)
	if skip || c.silent || c.skipNext {
		return nil
	}
	return r
}

// note keeps the command for CLIENT LIST, if there is such a command.
func (c *conn) note(name string, known bool, cmd command, args []string) {
	shown := "NULL"
	if known {
		shown = strings.ToLower(name)
	}
	if len(args) > 1 {
		if _, known := cmd.sub[strings.ToUpper(args[1])]; known {
			shown += "|" + strings.ToLower(args[1])
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last, c.lastAt = shown, time.Now()
}

func (c *conn) dispatch(cmd command, known bool, args []string) reply {
	switch {
	case !c.permitted() && !cmd.open:
		return failure("NOAUTH Authentication required.")
	case !known:
		return unknownCommand(args)
	case !cmd.subscribed && c.subscribedInRESP2():
		return failure(fmt.Sprintf("ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "+
			"allowed in this context", strings.ToLower(args[0])))
	}
	name, args := strings.ToLower(args[0]), args[1:]
	if cmd.sub != nil {
		if len(args) == 0 {
			return wrongNumber(name)
		}
		sub, known := cmd.sub[strings.ToUpper(args[0])]
		if !known {
			return failure(fmt.Sprintf("ERR unknown subcommand '%s'. Try %s HELP.", shortened(args[0]), strings.ToUpper(name)))
		}
		cmd, name, args = sub, name+"|"+strings.ToLower(args[0]), args[1:]
	}
	if len(args) < cmd.min || cmd.max >= 0 && len(args) > cmd.max {
		return wrongNumber(name)
	}
	return cmd.run(c, args)
}

// maxShown is how much of an argument an error repeats, in bytes, as in Redis.
const maxShown = 128

func shortened(s string) string { return s[:min(len(s), maxShown)] }

func wrongNumber(name string) reply {
	return failure(fmt.Sprintf("ERR wrong number of arguments for '%s' command", name))
}

func unknownCommand(args []string) reply {
	var shown strings.Builder
	for _, a := range args[1:] {
		if shown.Len() >= maxShown {
			break
		}
		fmt.Fprintf(&shown, "'%s' ", a[:min(len(a), maxShown-shown.Len())])
	}
	return failure(fmt.Sprintf("ERR unknown command '%s', with args beginning with: %s", shortened(args[0]), shown.String()))
}

// permitted reports whether the client may use all commands. After a change of the password it stays permitted, as in Redis.
func (c *conn) permitted() bool {
	if c.authenticated {
		return true
	}
	_, password := c.server.Login()
	return password == ""
}

// subscribedInRESP2 reports whether the client gets messages between its replies, so that it cannot tell them apart.
func (c *conn) subscribedInRESP2() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.resp3 && c.subs.count() > 0
}

// commandInfo answers COMMAND as redis-cli and others ask it, which take no answer for what they do not find.
func commandInfo(_ *conn, args []string) reply {
	switch {
	case len(args) == 0:
		return array{}
	case strings.EqualFold(args[0], "COUNT"):
		return number(len(commandTable))
	case strings.EqualFold(args[0], "DOCS"):
		return record{}
	}
	return array{}
}

// subscribing is a command that changes the subscriptions. It answers by itself, so that no message comes before the answer.
func subscribing(change func(subscriptions, []string) answers) func(*conn, []string) reply {
	return func(c *conn, names []string) reply {
		c.mu.Lock()
		defer c.mu.Unlock()
		r := change(c.subs, names)
		c.closing = c.out.add(func(b []byte) []byte { return r.append(b, c.resp3) }) != nil
		return nil
	}
}
