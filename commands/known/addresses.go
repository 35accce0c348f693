package known

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"resec/commands/cluster"
)

// wrongAddressLogInterval is the shortest time between two lines about one member's address.
const wrongAddressLogInterval = 5 * time.Minute

// Addresses notes which members' announced addresses lead to another member's Redis, and logs each of them. Any goroutine may
// call it.
type Addresses struct {
	Known *Value
	Log   *slog.Logger

	mu     sync.Mutex
	logged map[string]time.Time // by member id
}

// Note takes what a probe at a member's address has shown: nil, cluster.ErrWrongAddress, or another error, which shows nothing.
func (a *Addresses) Note(id, addr string, err error) {
	wrong := errors.Is(err, cluster.ErrWrongAddress)
	if err != nil && !wrong || a.Known.Load().WrongAddresses.Has(id, addr) == wrong {
		return
	}
	a.Known.Update(func(k *Snapshot) { k.WrongAddresses = k.WrongAddresses.With(id, addr, wrong) })
	if wrong && a.mayLog(id, time.Now()) {
		a.Log.Warn("another redis answers at a member's announced address; that member is neither recorded nor followed there "+
			"until its address is corrected", "event", "wrong_address", "member", id, "addr", addr, "why", err)
	}
}

// mayLog reports whether a line about the member is due, and notes that it is written.
func (a *Addresses) mayLog(id string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if last, logged := a.logged[id]; logged && now.Sub(last) < wrongAddressLogInterval {
		return false
	}
	if a.logged == nil {
		a.logged = map[string]time.Time{}
	}
	a.logged[id] = now
	return true
}
