package sentinel

import (
	"cmp"
	"crypto/subtle"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// defaultUser is the user of a client that names none.
const defaultUser = "default"

func (c *conn) ping(args []string) reply {
	switch {
	case c.subscribedInRESP2() && len(args) == 0:
		return texts("pong", "")
	case c.subscribedInRESP2():
		return texts("pong", args[0])
	case len(args) == 1:
		return text(args[0])
	}
	return simple("PONG")
}

// hello is HELLO [2|3] [AUTH user password] [SETNAME name]. It changes nothing unless all of it is right.
func (c *conn) hello(args []string) reply {
	proto := 0
	if len(args) > 0 {
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return failure("ERR Protocol version is not an integer or out of range")
		}
		if n != 2 && n != 3 {
			return failure("NOPROTO unsupported protocol version")
		}
		proto, args = n, args[1:]
	}
	authenticated, name := false, ""
	for len(args) > 0 {
		switch option := strings.ToUpper(args[0]); {
		case option == "AUTH" && len(args) >= 3:
			if refused := c.check(args[1], args[2]); refused != nil {
				return refused
			}
			authenticated, args = true, args[3:]
		case option == "SETNAME" && len(args) >= 2:
			if refused := checkName(args[1]); refused != nil {
				return refused
			}
			name, args = args[1], args[2:]
		default:
			return failure(fmt.Sprintf("ERR Syntax error in HELLO option '%s'", shortened(args[0])))
		}
	}
	if !authenticated && !c.permitted() {
		return failure("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> " +
			"<pass> option can be used to authenticate the client and select the RESP protocol version at the same time")
	}
	c.authenticated = c.authenticated || authenticated
	return c.greet(proto, name)
}

// greet takes what HELLO has set, and answers it.
func (c *conn) greet(proto int, name string) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	if proto != 0 {
		c.resp3 = proto == 3
	}
	c.name = cmp.Or(name, c.name)
	proto = 2
	if c.resp3 {
		proto = 3
	}
	return pairs{{"server", text("redis")}, {"version", text(c.server.redisVersion())}, {"proto", number(proto)},
		{"id", number(c.id)}, {"mode", text("sentinel")}, {"modules", array{}}}
}

func (c *conn) auth(args []string) reply {
	user, password := defaultUser, args[len(args)-1]
	if len(args) == 2 {
		user = args[0]
	}
	if _, wanted := c.server.Login(); wanted == "" && len(args) == 1 {
		return failure("ERR AUTH <password> called without any password configured for the default user. Are you sure your " +
			"configuration is correct?")
	}
	if refused := c.check(user, password); refused != nil {
		return refused
	}
	c.authenticated = true
	return ok
}

// check returns why a login is refused; nil: it is right. Without a password any password of the default user is.
func (c *conn) check(user, password string) reply {
	wantedUser, wanted := c.server.Login()
	right := subtle.ConstantTimeCompare([]byte(user), []byte(cmp.Or(wantedUser, defaultUser))) == 1
	if wanted != "" {
		right = subtle.ConstantTimeCompare([]byte(password), []byte(wanted)) == 1 && right
	}
	if !right {
		return failure("WRONGPASS invalid username-password pair or user is disabled.")
	}
	return nil
}

func (c *conn) quit([]string) reply {
	c.closing = true
	return ok
}

// reset makes the connection as a new one is.
func (c *conn) reset([]string) reply {
	c.authenticated, c.silent, c.anonymousSince = false, false, time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resp3, c.name, c.subs = false, "", newSubscriptions()
	return simple("RESET")
}

// clientCommands are the subcommands of CLIENT. Tracking and the like mean nothing to an endpoint without keys, and rueidis fails
// if they are refused.
var clientCommands = map[string]command{
	"SETNAME":  {min: 1, max: 1, run: (*conn).setName},
	"GETNAME":  {run: (*conn).getName},
	"SETINFO":  {min: 2, max: 2, run: (*conn).setInfo},
	"ID":       {run: func(c *conn, _ []string) reply { return number(c.id) }},
	"INFO":     {run: func(c *conn, _ []string) reply { return verbatim(c.describe(time.Now()) + "\n") }},
	"LIST":     {max: -1, run: (*conn).list},
	"REPLY":    {min: 1, max: 1, run: (*conn).setReply},
	"TRACKING": {min: 1, max: -1, run: accepted},
	"CACHING":  {min: 1, max: 1, run: accepted},
	"NO-EVICT": {min: 1, max: 1, run: accepted},
	"NO-TOUCH": {min: 1, max: 1, run: accepted},
}

func accepted(*conn, []string) reply { return ok }

func (c *conn) setName(args []string) reply {
	if refused := checkName(args[0]); refused != nil {
		return refused
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.name = args[0]
	return ok
}

// maxName bounds the name of a client, and those of its library and its version, in bytes.
const maxName = 128

// checkName returns why a name is refused: it would be ambiguous in CLIENT LIST, or it is too long.
func checkName(name string) reply {
	if len(name) > maxName {
		return failure(fmt.Sprintf("ERR a name has at most %d bytes", maxName))
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r < '!' || r > '~' }) {
		return failure("ERR Client names cannot contain spaces, newlines or special characters.")
	}
	return nil
}

func (c *conn) getName([]string) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.name == "" {
		return null{}
	}
	return text(c.name)
}

func (c *conn) setInfo(args []string) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(args[1]) > maxName || checkName(args[1]) != nil {
		return failure(fmt.Sprintf("ERR %s cannot contain spaces, newlines or special characters.",
			strings.ToLower(shortened(args[0]))))
	}
	switch strings.ToUpper(args[0]) {
	case "LIB-NAME":
		c.library = args[1]
	case "LIB-VER":
		c.version = args[1]
	default:
		return failure(fmt.Sprintf("ERR Unrecognized option '%s'", shortened(args[0])))
	}
	return ok
}

func (c *conn) setReply(args []string) reply {
	switch strings.ToUpper(args[0]) {
	case "ON":
		c.silent = false
	case "OFF":
		c.silent = true
	case "SKIP":
		c.skipNext = true
	default:
		return failure("ERR syntax error")
	}
	return ok
}

// list is CLIENT LIST; its options are not read. It shows as many clients as half of what a client may have pending.
func (c *conn) list([]string) reply {
	all := c.server.clients()
	slices.SortFunc(all, func(a, b *conn) int { return cmp.Compare(a.id, b.id) })
	var out strings.Builder
	for _, other := range all {
		if out.Len() > maxPending/2 {
			break
		}
		out.WriteString(other.describe(time.Now()) + "\n")
	}
	return verbatim(out.String())
}

// describe is a client's line in CLIENT LIST: the fields of Redis that are known here.
func (c *conn) describe(now time.Time) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	flags, resp := "N", 2
	if c.subs.count() > 0 {
		flags = "P"
	}
	if c.resp3 {
		resp = 3
	}
	return fmt.Sprintf("id=%d addr=%s laddr=%s name=%s age=%d idle=%d flags=%s db=0 sub=%d psub=%d cmd=%s user=%s resp=%d "+
		"lib-name=%s lib-ver=%s", c.id, c.net.RemoteAddr(), c.net.LocalAddr(), c.name, int(now.Sub(c.since).Seconds()),
		int(now.Sub(c.lastAt).Seconds()), flags, len(c.subs.channels), len(c.subs.patterns), c.last, defaultUser, resp, c.library,
		c.version)
}
