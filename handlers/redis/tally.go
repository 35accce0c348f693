package redis

// Tally counts what is done to servers: a command that changed something, not one that found it done.
type Tally interface {
	Fenced()
	Parked()
	RedisError() // a command was not carried out, or its answer is lost
}

// tally is the one given, or one that counts nothing.
func (o Options) tally() Tally {
	if o.Tally == nil {
		return untold{}
	}
	return o.Tally
}

type untold struct{}

func (untold) Fenced()     {}
func (untold) Parked()     {}
func (untold) RedisError() {}
