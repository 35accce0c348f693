package takeover

import (
	"time"

	"resec/handlers/redis"
)

// demotion is what must be done about an old master while our Redis is the master.
type demotion int

const (
	demotionDone   demotion = iota // it is down, or another instance: nothing
	demotionFailed                 // it could not be asked: try again, or leave it to its agent
	demotePark                     // it is a master: fence it, park it, and make it follow our Redis
	demoteFollow                   // it is parked: make it follow our Redis
	demoteCleanUp                  // it follows a master: only unfence it, end its pause and its clients' connections
)

func demotionVerdict(st redis.Status, err error, oldRun string) demotion {
	if redis.Refused(err) {
		return demotionDone
	}
	if err != nil {
		return demotionFailed
	}
	if st.RunID != oldRun && oldRun != anyInstance {
		return demotionDone
	}
	if st.Master {
		return demotePark
	}
	if st.Parked() {
		return demoteFollow
	}
	return demoteCleanUp
}

// maxDeniedRetry is the longest wait before a Redis that denies access is asked again: it may be another cluster's, whose log
// must not be flooded.
const maxDeniedRetry = 10 * time.Second

// nextDemotionRetry returns the wait before the next try to demote the old master.
func nextDemotionRetry(last time.Duration, err error) time.Duration {
	if redis.AccessDenied(err) {
		return min(2*last, maxDeniedRetry)
	}
	return ProbeInterval
}
