package redis

// Counters counts what is done to servers. A command that changes nothing is not counted.
type Counters interface {
	Fenced()
	Parked()
	RedisError() // a command failed, or its reply was lost
}

func (o Options) counters() Counters {
	if o.Counters == nil {
		return noCounters{}
	}
	return o.Counters
}

// noCounters counts nothing.
type noCounters struct{}

func (noCounters) Fenced()     {}
func (noCounters) Parked()     {}
func (noCounters) RedisError() {}
