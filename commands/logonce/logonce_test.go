package logonce

import "testing"

func TestOnce(t *testing.T) {
	var o Once
	changed := func(summary string, want bool) {
		t.Helper()
		if got := o.Changed(summary); got != want {
			t.Errorf("%q: changed is %t, want %t", summary, got, want)
		}
	}
	if o.Active() {
		t.Error("active before the first summary")
	}
	changed("", true) // an empty summary is one, too
	changed("", false)
	changed("refused", true)
	changed("refused", false)
	changed("timeout", true)
	changed("refused", true)
	if !o.Active() {
		t.Error("not active after a summary")
	}
	o.Reset()
	if o.Active() {
		t.Error("active after the reset")
	}
	changed("refused", true)
	changed("refused", false)
}
