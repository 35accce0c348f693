package cluster

import "time"

// Pause is a maintenance window: no Redis is promoted, pointed at another master or fenced while it is active. A replica whose
// master is down is parked all the same, so that it does not follow what answers there next.
type Pause struct {
	Until  time.Time `json:"until"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason,omitempty"`
}

// Active reports whether the pause is active at now. The nil pause is not.
func (p *Pause) Active(now time.Time) bool { return p != nil && now.Before(p.Until) }

// equal reports whether both are the same pause. The nil pause equals only itself.
func (p *Pause) equal(o *Pause) bool {
	if p == nil || o == nil {
		return p == o
	}
	return p.Until.Equal(o.Until) && p.Since.Equal(o.Since) && p.Reason == o.Reason
}

// String returns until when the cluster is paused, in local time, and the reason.
func (p *Pause) String() string {
	text := "paused until " + p.Until.Local().Format(time.RFC3339)
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}
