package commands

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/lock"
	"resec/commands/watch"
)

// patience is how a client of Consul treats a request that Consul refuses.
type patience struct {
	tries  int           // so often a request is sent
	pause  time.Duration // after the first try; it doubles with each further one
	failed bool          // a read that failed otherwise (5xx) is sent again, too: Consul has no leader for a moment
}

var (
	// agentPatience is that of agent, elect and follow. An election makes some ten calls, and each that Consul's rate limit refuses
	// would otherwise end it. The tries end with the deadline of the call, too. They have their own answer to an outage.
	agentPatience = patience{tries: 6, pause: 50 * time.Millisecond}
	// operatorPatience is that of a command that an operator waits for.
	operatorPatience = patience{tries: 5, pause: 100 * time.Millisecond, failed: true}
)

// operatorClient is client for a command that an operator waits for.
func (c *config) operatorClient() (*api.Client, error) { return c.patientClient(operatorPatience) }

// patientTransport sends a request again while Consul refuses it, unless the request's deadline comes before. It returns the last
// answer.
type patientTransport struct {
	http.RoundTripper
	patience
}

func (t patientTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	for try := 1; ; try++ {
		res, err := t.RoundTripper.RoundTrip(r)
		if err != nil || try == t.tries || !t.mayRepeat(r, res) {
			return res, err
		}
		pause := t.pause << (try - 1)
		if end, bounded := r.Context().Deadline(); bounded && time.Until(end) <= pause {
			return res, nil
		}
		again := r.Clone(r.Context())
		if r.GetBody != nil {
			if again.Body, err = r.GetBody(); err != nil {
				return res, nil
			}
		}
		if !watch.Sleep(r.Context(), pause) {
			return res, nil
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<10)) // so that the connection is used again
		_ = res.Body.Close()
		r = again
	}
}

// mayRepeat reports whether a request was refused, and may be sent again: what it asked for was not carried out.
func (p patience) mayRepeat(r *http.Request, res *http.Response) bool {
	replayable := r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
	failed := p.failed && r.Method == http.MethodGet && res.StatusCode >= http.StatusInternalServerError
	return replayable && (failed || rateLimited(res))
}

// rateLimited reports whether Consul refused a request because too many came. The body of the answer can still be read.
func rateLimited(res *http.Response) bool {
	if res.StatusCode != http.StatusServiceUnavailable {
		return lock.IsRateLimit(res.StatusCode, "")
	}
	begin, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(begin), res.Body), res.Body}
	return err == nil && lock.IsRateLimit(res.StatusCode, string(begin))
}

func (t patientTransport) CloseIdleConnections() { closeIdle(t.RoundTripper) }
