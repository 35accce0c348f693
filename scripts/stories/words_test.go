package stories_test

import (
	"regexp"
	"strings"
)

// mentions reports whether a text has a word, or a number, as one of its own.
func mentions(text, word string) bool {
	return regexp.MustCompile(`(^|\W)` + regexp.QuoteMeta(word) + `($|\W)`).MatchString(text)
}

// nonEmpty are the lines of a text that say something.
func nonEmpty(text string) (out []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}
