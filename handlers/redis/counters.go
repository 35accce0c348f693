package redis

// Counters counts what is done to servers: a command that changed something, not one that found it done.
type Counters interface {
	Fenced()
	Parked()
	RedisError() // a command was not carried out, or its answer is lost
}

// counters is the one given, or one that counts nothing.
func (o Options) counters() Counters {
	if o.Counters == nil {
		return noCounters{}
	}
	return o.Counters
}

type noCounters struct{}

func (noCounters) Fenced()     {}
func (noCounters) Parked()     {}
func (noCounters) RedisError() {}
