package sentinel

// match reports whether a text matches a pattern of PSUBSCRIBE: * is any text, ? any byte, [a-z] and [^a-z] are one of a
// class, and a backslash quotes. It takes time in proportion to the product of both lengths at most.
// Source: https://redis.io/docs/latest/commands/psubscribe/
func match(pattern, s string) bool {
	star, from := -1, 0 // of the last star: what follows it in the pattern, and where the text after it was tried last
	p, i := 0, 0
	for i < len(s) {
		if p < len(pattern) && pattern[p] == '*' {
			p++
			star, from = p, i
			continue
		}
		if fits, next := matchByte(pattern, p, s[i]); fits {
			p, i = next, i+1
			continue
		}
		if star < 0 {
			return false
		}
		from++
		p, i = star, from
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchByte reports whether a byte fits the pattern at p, and where the pattern continues.
func matchByte(pattern string, p int, b byte) (fits bool, next int) {
	if p >= len(pattern) {
		return false, p
	}
	switch pattern[p] {
	case '?':
		return true, p + 1
	case '[':
		return matchClass(pattern, p+1, b)
	case '\\':
		if p+1 < len(pattern) {
			p++
		}
	}
	return pattern[p] == b, p + 1
}

// matchClass is matchByte for a class whose first byte is at p. A class without an end lasts to the end of the pattern, as in
// Redis.
func matchClass(pattern string, p int, b byte) (fits bool, next int) {
	not := p < len(pattern) && pattern[p] == '^'
	if not {
		p++
	}
	found := false
	for p < len(pattern) && pattern[p] != ']' {
		if pattern[p] == '\\' && p+1 < len(pattern) {
			p++
		}
		low, high := pattern[p], pattern[p]
		if p+2 < len(pattern) && pattern[p+1] == '-' {
			p += 2
			high = pattern[p]
		}
		found = found || min(low, high) <= b && b <= max(low, high)
		p++
	}
	return found != not, min(p+1, len(pattern))
}
