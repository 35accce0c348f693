package cluster

import "time"

// Pause is maintenance: nobody is promoted, re-pointed, parked or fenced while it stands.
type Pause struct {
	Until  time.Time `json:"until"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason,omitempty"`
}

// Active tells whether it stands, by this machine's clock.
func (p *Pause) Active(now time.Time) bool { return p != nil && now.Before(p.Until) }

func (p *Pause) String() string {
	text := "paused until " + p.Until.Local().Format(time.RFC3339)
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}
