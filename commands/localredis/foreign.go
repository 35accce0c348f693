package localredis

import (
	"context"
	"strings"
	"time"

	"resec/commands/cluster"
	"resec/commands/known"
	"resec/commands/logonce"
	"resec/handlers/redis"
)

// foreignChangePause is for how long the server must be left alone before the same change of it is logged again.
const foreignChangePause = 5 * time.Minute

// ForeignChanges logs that something else has made the server a master, or another server's replica, while it followed the
// published master. That may be an operator, or a Sentinel that still monitors it and does so again and again. The same change by
// the same clients is logged once, and again if it comes back after foreignChangePause. One goroutine uses it.
type ForeignChanges struct {
	Redis   *Redis
	ID      string                                      // of this member
	Confirm func(context.Context, known.Snapshot) error // nil: the published master still holds the lock

	followed cluster.Followed // the server as it followed a published master
	logged   logonce.Once     // what was made of it, and by which clients
	clients  string           // as they were seen last
	at       time.Time        // when a change was seen last
}

// Forget forgets that the server has followed: a takeover of ours begins, and it may be a master for a moment after that.
func (f *ForeignChanges) Forget() { f.followed = cluster.Followed{} }

// Note takes a snapshot, and logs a change of which it is the first to show it.
func (f *ForeignChanges) Note(ctx context.Context, k known.Snapshot) {
	if m, follows := cluster.FollowedMaster(k.Snapshot, f.ID); follows {
		f.followed = cluster.Followed{RunID: k.Health.Status.RunID, Address: m.Address}
		if f.logged.Active() && time.Since(f.at) > foreignChangePause {
			f.logged.Reset()
			f.clients = ""
		}
	}
	made := cluster.ChangedByOther(k.Snapshot, f.followed)
	if made == "" || f.Confirm(ctx, k) != nil { // a new master may have changed it, and our view may be late
		return
	}
	clients, err := f.Redis.server.Promoters(ctx)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		clients = []string{"unknown: " + redis.Summary(err)}
	case len(clients) == 0 && f.clients == "":
		clients = []string{"none is connected any more"}
	}
	if len(clients) > 0 { // those that have left are not listed
		f.clients = strings.Join(clients, ", ")
	}
	f.at = time.Now()
	if f.logged.Changed(made + " by " + f.clients) {
		f.Redis.log.Warn("something else changed redis while it followed the published master; it follows again. "+
			"End what did so, such as a Sentinel that monitors it", "event", "changed_by_other", "redis", f.Redis.Addr(),
			"made", made, "clients", f.clients)
	}
}
