package sentinel

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRequestReader(t *testing.T) {
	big := strings.Repeat("x", maxRequest)
	for _, tt := range []struct {
		name, in string
		want     [][]string
		fault    string // empty: the end of the input
	}{
		{"an array", "*2\r\n$4\r\nPING\r\n$2\r\nhi\r\n", [][]string{{"PING", "hi"}}, ""},
		{"an empty string", "*2\r\n$4\r\nPING\r\n$0\r\n\r\n", [][]string{{"PING", ""}}, ""},
		{"binary text", "*1\r\n$4\r\na\r\nb\r\n", [][]string{{"a\r\nb"}}, ""},
		{"several", "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nROLE\r\n", [][]string{{"PING"}, {"ROLE"}}, ""},
		{"a line", "PING  hi \r\n", [][]string{{"PING", "hi"}}, ""},
		{"a line without a carriage return", "PING\n", [][]string{{"PING"}}, ""},
		{"empty requests", "\r\n*0\r\n*-1\r\n*-9\r\nPING\r\n", [][]string{{"PING"}}, ""},
		{"the longest string", "*1\r\n$16384\r\n" + big + "\r\n", [][]string{{big}}, ""},
		{"a string that is too long", "*1\r\n$16385\r\n", nil, "invalid bulk length"},
		{"strings that are too long together", "*2\r\n$16384\r\n" + big + "\r\n$1\r\n", nil, "invalid bulk length"},
		{"a length that overflows", "*1\r\n$9223372036854775807\r\n", nil, "invalid bulk length"},
		{"a negative length", "*1\r\n$-1\r\n", nil, "invalid bulk length"},
		{"too many strings", "*65\r\n", nil, "invalid multibulk length"},
		{"a number that is none", "*x\r\n", nil, "invalid multibulk length"},
		{"no string", "*1\r\n:1\r\n", nil, "expected '$'"},
		{"no header", "*1\r\n\r\n", nil, "expected '$'"},
		{"a string that goes on", "*1\r\n$1\r\nabc\r\n", nil, "a string is longer than its length"},
		{"a line that is too long", big, nil, "too big inline request"},
		{"a header that is too long", "*" + big, nil, "too big multibulk length"},
		{"half a request", "*2\r\n$4\r\nPING\r\n", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRequestReader(strings.NewReader(tt.in))
			var got [][]string
			var err error
			for err == nil {
				var args []string
				if args, err = r.read(); err == nil {
					got = append(got, args)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF); tt.fault == "" && !ended {
				t.Errorf("got %v", err)
			}
			if want := "ERR Protocol error: " + tt.fault; tt.fault != "" && (!errors.Is(err, errProtocol) || err.Error() != want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

// Whatever is sent, a request has arguments within the limits, and reading it takes no more input than it may.
func FuzzRequestReader(f *testing.F) {
	for _, seed := range []string{"*1\r\n$4\r\nPING\r\n", "PING\r\n", "*0\r\n", "*-1\r\n", "*1\r\n$9223372036854775807\r\n", "$", "*2\r\n$1\r\na"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := newRequestReader(strings.NewReader(string(in)))
		for {
			args, err := r.read()
			if err != nil {
				return
			}
			size := 0
			for _, a := range args {
				size += len(a)
			}
			if len(args) == 0 || size > maxRequest || strings.HasPrefix(string(in), "*") && len(args) > max(maxArgs, maxLine) {
				t.Fatalf("%d arguments, %d bytes", len(args), size)
			}
		}
	})
}

func TestReply(t *testing.T) {
	for _, tt := range []struct {
		v            reply
		resp2, resp3 string
	}{
		{ok, "+OK\r\n", "+OK\r\n"},
		{failure("ERR a\r\n+b"), "-ERR a  +b\r\n", "-ERR a  +b\r\n"},
		{text("a\r\n"), "$3\r\na\r\n\r\n", "$3\r\na\r\n\r\n"},
		{verbatim("a\n"), "$2\r\na\n\r\n", "=6\r\ntxt:a\n\r\n"},
		{number(-7), ":-7\r\n", ":-7\r\n"},
		{null{}, "$-1\r\n", "_\r\n"},
		{nullArray{}, "*-1\r\n", "_\r\n"},
		{texts("a", ""), "*2\r\n$1\r\na\r\n$0\r\n\r\n", "*2\r\n$1\r\na\r\n$0\r\n\r\n"},
		{push{text("a"), number(1)}, "*2\r\n$1\r\na\r\n:1\r\n", ">2\r\n$1\r\na\r\n:1\r\n"},
		{record{{"a", "1"}}, "*2\r\n$1\r\na\r\n$1\r\n1\r\n", "%1\r\n$1\r\na\r\n$1\r\n1\r\n"},
		{pairs{{"a", number(1)}}, "*2\r\n$1\r\na\r\n:1\r\n", "%1\r\n$1\r\na\r\n:1\r\n"},
		{answers{ok, number(1)}, "+OK\r\n:1\r\n", "+OK\r\n:1\r\n"},
	} {
		t.Run(fmt.Sprintf("%T", tt.v), func(t *testing.T) {
			if d := cmp.Diff([]string{tt.resp2, tt.resp3}, []string{string(tt.v.append(nil, false)), string(tt.v.append(nil, true))}); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"*", "", true}, {"*", "+sdown", true}, {"", "", true}, {"", "a", false},
		{"[-+]sdown", "+sdown", true}, {"[-+]sdown", "-sdown", true}, {"[-+]sdown", "sdown", false},
		{"switch-master", "+switch-master", false}, {"*switch-master", "+switch-master", true},
		{"?odown", "+odown", true}, {"?odown", "odown", false}, {"a*b*c", "axxbyyc", true}, {"a*b*c", "axxbyy", false},
		{"[a-c]", "b", true}, {"[c-a]", "b", true}, {"[^a-c]", "b", false}, {"[^a-c]", "d", true}, {"[a-c]", "", false},
		{`\*`, "*", true}, {`\*`, "a", false}, {`[\]]`, "]", true}, {`a\`, `a\`, true}, {"[ab", "b", true}, {"[ab", "c", false},
		{"**", "ab", true}, {"a**", "a", true}, {"a?", "a", false},
	} {
		if got := match(tt.pattern, tt.s); got != tt.want {
			t.Errorf("%q matches %q: %t", tt.pattern, tt.s, got)
		}
	}
}

// A pattern of many stars takes no time that grows with their number beyond the product of the lengths.
func TestMatch_ManyStars(t *testing.T) {
	if match(strings.Repeat("*a", maxChannel/2)+"b", strings.Repeat("a", 4096)) {
		t.Error("it matches")
	}
}

// No pattern makes match panic.
func FuzzMatch(f *testing.F) {
	for _, seed := range []string{"[", "[^", "[a-", `\`, "*", "[a-]", "[^]"} {
		f.Add(seed, "abc")
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) <= maxChannel && len(s) <= maxChannel {
			match(pattern, s)
		}
		if !match("*", s) {
			t.Errorf("* does not match %q", s)
		}
	})
}
