package sentinel

import (
	"strconv"
	"strings"
)

// reply is a value that can be written in RESP2 and in RESP3.
// Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
type reply interface {
	append(out []byte, resp3 bool) []byte
}

// The kinds of reply. Within the records of Sentinel a number is a text, too.
type (
	simple    string   // a status, such as OK
	failure   string   // an error, with its code
	text      string   // a bulk string
	verbatim  string   // a text for people
	number    int64    //
	null      struct{} // no value
	nullArray struct{} // no value where an array is expected
	array     []reply
	record    []field // a map in RESP3
	push      []reply // a message that answers no request
	pair      struct {
		key   string
		value reply
	}
	pairs []pair // a map whose values are not all texts
)

// field is one field of a record of Sentinel.
type field struct{ name, value string }

const ok = simple("OK")

func (v simple) append(out []byte, _ bool) []byte  { return line(out, '+', string(v)) }
func (v failure) append(out []byte, _ bool) []byte { return line(out, '-', string(v)) }

func (v text) append(out []byte, _ bool) []byte {
	out = header(out, '$', len(v))
	return append(append(out, v...), "\r\n"...)
}

func (v verbatim) append(out []byte, resp3 bool) []byte {
	if !resp3 {
		return text(v).append(out, resp3)
	}
	const format = "txt:"
	out = append(header(out, '=', len(format)+len(v)), format...)
	return append(append(out, v...), "\r\n"...)
}

func (v number) append(out []byte, _ bool) []byte {
	return line(out, ':', strconv.FormatInt(int64(v), 10))
}

func (null) append(out []byte, resp3 bool) []byte { return orNull(out, resp3, "$-1\r\n") }

func (nullArray) append(out []byte, resp3 bool) []byte { return orNull(out, resp3, "*-1\r\n") }

func (v array) append(out []byte, resp3 bool) []byte {
	return appendAll(header(out, '*', len(v)), v, resp3)
}

func (v push) append(out []byte, resp3 bool) []byte {
	kind := byte('*')
	if resp3 {
		kind = '>'
	}
	return appendAll(header(out, kind, len(v)), v, resp3)
}

func (v record) append(out []byte, resp3 bool) []byte {
	out = mapHeader(out, len(v), resp3)
	for _, f := range v {
		out = text(f.value).append(text(f.name).append(out, resp3), resp3)
	}
	return out
}

func (v pairs) append(out []byte, resp3 bool) []byte {
	out = mapHeader(out, len(v), resp3)
	for _, p := range v {
		out = p.value.append(text(p.key).append(out, resp3), resp3)
	}
	return out
}

// texts is an array of texts.
func texts(all ...string) array {
	out := make(array, len(all))
	for i, t := range all {
		out[i] = text(t)
	}
	return out
}

func appendAll(out []byte, all []reply, resp3 bool) []byte {
	for _, v := range all {
		out = v.append(out, resp3)
	}
	return out
}

func mapHeader(out []byte, n int, resp3 bool) []byte {
	if resp3 {
		return header(out, '%', n)
	}
	return header(out, '*', 2*n)
}

func header(out []byte, kind byte, n int) []byte {
	return append(strconv.AppendInt(append(out, kind), int64(n), 10), "\r\n"...)
}

// line is a value of one line. A line break within it would begin another value.
func line(out []byte, kind byte, value string) []byte {
	value = strings.NewReplacer("\r", " ", "\n", " ").Replace(value)
	return append(append(append(out, kind), value...), "\r\n"...)
}

func orNull(out []byte, resp3 bool, resp2 string) []byte {
	if resp3 {
		resp2 = "_\r\n"
	}
	return append(out, resp2...)
}
