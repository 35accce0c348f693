package redis

import (
	"bufio"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Whoever listens where a Redis should be can say what he likes: it is an error, and nothing else becomes of it.
func TestBounded(t *testing.T) {
	for name, says := range map[string]string{
		"a string longer than any memory":  "$9223372036854775807\r\n",
		"one of more than a Redis has":     "$1000000000\r\n",
		"a negative length":                "$-7\r\n",
		"an array longer than any memory":  "*9223372036854775807\r\n",
		"one of a negative length":         "*-7\r\n",
		"one that does not end":            "*2000000\r\n",
		"arrays of arrays":                 strings.Repeat("*1\r\n", 100_000),
		"a line that does not end":         "+" + strings.Repeat("x", 1<<20),
		"a reply to what was not asked":    strings.Repeat("+OK\r\n", 50),
		"no number":                        "$x\r\n",
		"a push message":                   ">2\r\n+a\r\n+b\r\n",
		"a string that comes by and by":    "$?\r\n;4\r\nabcd\r\n;0\r\n",
		"a line without end of line's two": "\n\n\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var serving sync.WaitGroup
			defer serving.Wait()
			defer func() { _ = l.Close() }()
			serving.Go(func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					serving.Go(func() { // says it at the first word, and leaves with the other
						defer func() { _ = conn.Close() }()
						in := bufio.NewReader(conn)
						for _, err := in.ReadString('\n'); err == nil; _, err = in.ReadString('\n') {
							if _, err := conn.Write([]byte(says)); err != nil {
								return
							}
						}
					})
				}
			})
			ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
			defer stop()
			s, err := Open(ctx, Options{Addr: l.Addr().String(), Timeout: time.Second})
			if err == nil {
				defer s.Close()
				_, err = s.Status(ctx)
			}
			if !Unreachable(err) || ctx.Err() != nil {
				t.Errorf("it says %v", err)
			}
		})
	}
}

// A reply's end is found wherever the network cuts it.
func FuzzFrame(f *testing.F) {
	f.Add("+OK\r\n$3\r\nabc\r\n*2\r\n:1\r\n*1\r\n$-1\r\n-ERR no\r\n", 3)
	f.Fuzz(func(t *testing.T, text string, every int) {
		var whole, cut respReader
		err := whole.consume([]byte(text))
		var err2 error
		for rest := text; rest != "" && err2 == nil; {
			n := min(max(every, 1), len(rest))
			err2 = cut.consume([]byte(rest[:n]))
			rest = rest[n:]
		}
		if (err == nil) != (err2 == nil) || err == nil && whole.complete != cut.complete {
			t.Errorf("%d and %v at once, %d and %v by parts", whole.complete, err, cut.complete, err2)
		}
		if len(whole.arrays) > maxDepth || whole.pending > maxReply+2 || whole.size > maxReply && err == nil {
			t.Errorf("%d open, %d bytes to come, %d in all", len(whole.arrays), whole.pending, whole.size)
		}
	})
}
