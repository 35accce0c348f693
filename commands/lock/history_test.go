package lock

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
)

func TestHistory(t *testing.T) {
	changes := make([]json.RawMessage, maxHistoryChanges+3)
	for i := range changes {
		changes[i] = json.RawMessage(strconv.Itoa(i))
	}
	kept := latestChanges(changes)
	if len(kept) != maxHistoryChanges || string(kept[0]) != "3" {
		t.Errorf("%d are kept, from %s", len(kept), kept[0])
	}
	if kept := latestChanges(changes[:2]); len(kept) != 2 {
		t.Errorf("%d of 2 are kept", len(kept))
	}
	stored := list(api.KVPair{Key: "k/history", Value: []byte(`[{"term":1}]`), ModifyIndex: 4})
	damaged := list(api.KVPair{Key: "k/history", Value: []byte(`{`), ModifyIndex: 4})
	for body, want := range map[string]int{stored: 1, damaged: 0} {
		l, _ := fake(t, scripted(body))
		if all, err := l.History(t.Context()); err != nil || len(all) != want {
			t.Errorf("%d changes, want %d: %v", len(all), want, err)
		}
	}
	l, c := fake(t, scripted(http.StatusNotFound, committed))
	if err := l.AppendHistory(t.Context(), cluster.Change{}); err != nil {
		t.Error(err)
	}
	c.expect(t, "GET kv/k/history", "PUT txn: cas k/history")
	// Another master writes at the same time, each time.
	l, c = fake(t, func(call string, _ int) (int, string) {
		if strings.HasPrefix(call, "GET") {
			return http.StatusOK, stored
		}
		return http.StatusConflict, rolledBack
	})
	if err := l.AppendHistory(t.Context(), cluster.Change{}); !errors.Is(err, ErrChanged) || len(c.calls) != 2*appendTries {
		t.Errorf("%v after %d calls", err, len(c.calls))
	}
	l, c = fake(t, scripted(http.StatusInternalServerError))
	if err := l.AppendHistory(t.Context(), cluster.Change{}); err == nil || len(c.calls) != 1 {
		t.Errorf("%v after %d calls", err, len(c.calls))
	}
}
