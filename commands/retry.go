package commands

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/hashicorp/consul/api"
)

// refusedTries is how often an operator's command reads from a Consul that refuses, refusedPause the pause between two tries.
const refusedTries, refusedPause = 4, 250 * time.Millisecond

// whileConsulRefuses reads again while Consul refuses the read: its rate is limited (429), or it has no leader for a moment
// (5xx). It returns the last error.
func whileConsulRefuses(ctx context.Context, read func() error) error {
	for try := 1; ; try++ {
		err := read()
		var status api.StatusError
		answered := errors.As(err, &status)
		refused := status.Code == http.StatusTooManyRequests || status.Code >= http.StatusInternalServerError
		if !answered || !refused || try == refusedTries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(refusedPause):
		}
	}
}
