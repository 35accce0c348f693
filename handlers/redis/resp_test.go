package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Another program at the address may send any bytes. They are an error, and Redis counts as unreachable.
func TestLimitedConn(t *testing.T) {
	for name, bytes := range map[string]string{
		"a string longer than any memory":         "$9223372036854775807\r\n",
		"a string longer than any reply of Redis": "$1000000000\r\n",
		"a negative length":                       "$-7\r\n",
		"an array longer than any memory":         "*9223372036854775807\r\n",
		"an array of a negative length":           "*-7\r\n",
		"an array larger than any reply of Redis": "*2000000\r\n",
		"deeply nested arrays":                    strings.Repeat("*1\r\n", 100_000),
		"a line without an end":                   "+" + strings.Repeat("x", 1<<20),
		"more replies than commands":              strings.Repeat("+OK\r\n", 50),
		"a length that is no number":              "$x\r\n",
		"a push message":                          ">2\r\n+a\r\n+b\r\n",
		"a streamed string of RESP3":              "$?\r\n;4\r\nabcd\r\n;0\r\n",
		"empty lines":                             "\n\n\n\n",
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
					serving.Go(func() {
						defer func() { _ = conn.Close() }()
						in := bufio.NewReader(conn)
						for _, err := in.ReadString('\n'); err == nil; _, err = in.ReadString('\n') {
							if _, err := conn.Write([]byte(bytes)); err != nil {
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
				t.Errorf("got %v, want an unreachable server before the deadline", err)
			}
		})
	}
}

// The end of a reply is found however the network splits it.
func FuzzRespReader(f *testing.F) {
	f.Add("+OK\r\n$3\r\nabc\r\n*2\r\n:1\r\n*1\r\n$-1\r\n-ERR no\r\n", 3)
	f.Fuzz(func(t *testing.T, text string, every int) {
		var whole, split respReader
		err := whole.consume([]byte(text))
		var err2 error
		for rest := text; rest != "" && err2 == nil; {
			n := min(max(every, 1), len(rest))
			err2 = split.consume([]byte(rest[:n]))
			rest = rest[n:]
		}
		if (err == nil) != (err2 == nil) || err == nil && whole.complete != split.complete {
			t.Errorf("%d replies, %v at once; %d, %v when split", whole.complete, err, split.complete, err2)
		}
		if len(whole.arrays) > maxDepth || whole.pending > maxReply+2 || whole.size > maxReply && err == nil {
			t.Errorf("%d open arrays, %d pending bytes, size %d", len(whole.arrays), whole.pending, whole.size)
		}
	})
}

func TestRespReader(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		complete   int64
		err        bool
	}{
		{"a simple string", "+OK\r\n", 1, false},
		{"an error", "-ERR no\r\n", 1, false},
		{"an integer", ":1\r\n", 1, false},
		{"a negative integer", ":-7\r\n", 1, false},
		{"an integer that is no number", ":x\r\n", 0, true},
		{"a string", "$3\r\nabc\r\n", 1, false},
		{"an empty string", "$0\r\n\r\n", 1, false},
		{"a string that is not complete", "$3\r\nabc\r", 0, false},
		{"null", "$-1\r\n", 1, false},
		{"a null array", "*-1\r\n", 1, false},
		{"a length of -2", "$-2\r\n", 0, true},
		{"an array length of -2", "*-2\r\n", 0, true},
		{"an empty array", "*0\r\n", 1, false},
		{"an array", "*2\r\n:1\r\n$1\r\na\r\n", 1, false},
		{"an array that is not complete", "*2\r\n:1\r\n", 0, false},
		{"nested arrays", "*2\r\n*1\r\n:1\r\n*0\r\n+OK\r\n", 2, false},
		{"two replies", "+OK\r\n+OK\r\n", 2, false},
		{"a line of one byte", "+\n", 0, true},
		{"an empty simple string", "+\r\n", 1, false},
		{"a type of RESP3", "_1\r\n", 0, true},
		{"the deepest array", strings.Repeat("*1\r\n", maxDepth) + ":1\r\n", 1, false},
		{"a deeper array", strings.Repeat("*1\r\n", maxDepth+1), 0, true},
		{"the longest line", "+" + strings.Repeat("x", maxHeader-3) + "\r\n", 1, false},
		{"a longer line", "+" + strings.Repeat("x", maxHeader-2) + "\r\n", 0, true},
		{"the longest string", fmt.Sprintf("$%d\r\n", maxReply-len("$67108853\r\n")), 0, false},
		{"a longer string", fmt.Sprintf("$%d\r\n", maxReply-len("$67108853\r\n")+1), 0, true},
		{"the largest array", fmt.Sprintf("*%d\r\n", maxReply/perElement-1), 0, false},
		{"a larger array", fmt.Sprintf("*%d\r\n", maxReply/perElement), 0, true},
		{"the size counts anew for each reply",
			strings.Repeat("*2\r\n$1\r\na\r\n:1\r\n", 3) + fmt.Sprintf("$%d\r\n", maxReply-20), 3, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r respReader
			err := r.consume([]byte(tt.text))
			if r.complete != tt.complete || (err != nil) != tt.err {
				t.Errorf("got %d replies, %v; want %d, error %t", r.complete, err, tt.complete, tt.err)
			}
			if err != nil && !errors.Is(err, errBadReply) {
				t.Errorf("got %v, want errBadReply", err)
			}
		})
	}
}

// All headers of a reply count towards its size.
func TestRespReader_LimitsTheHeadersOfOneReply(t *testing.T) {
	var r respReader
	err := r.consume(fmt.Appendf(nil, "*%d\r\n", 2000))
	for line := []byte("+" + strings.Repeat("x", maxHeader-3) + "\r\n"); err == nil && r.complete == 0 && r.size <= maxReply; {
		err = r.consume(line)
	}
	if !errors.Is(err, errBadReply) {
		t.Errorf("got %v at size %d, want errBadReply", err, r.size)
	}
}

func TestReadSimpleReply(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"success", "+OK\r\n", ""},
		{"an error", "-NOPERM no\r\n", "NOPERM no"},
		{"an end", "+OK", "EOF"},
	} {
		err := readSimpleReply(bufio.NewReader(strings.NewReader(tt.text)))
		if (err == nil) != (tt.want == "") || err != nil && err.Error() != tt.want {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}
