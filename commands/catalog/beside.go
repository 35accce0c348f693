package catalog

import (
	"context"
	"fmt"

	"github.com/hashicorp/consul/api"

	"resec/commands/pace"
)

// ManagedBeside says which live agent of another cluster registers our address with our Consul agent: it manages our Redis under
// another lock key and other service names. It is empty if there is none, or if the token may not read that service. An error
// wraps Consul's.
func (r *Registrar) ManagedBeside(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, pace.Calls(ctx, 2))
	defer cancel()
	q := (&api.QueryOptions{}).WithContext(ctx)
	services, err := r.Client.Agent().ServicesWithFilterOpts(fmt.Sprintf("Port == %d", r.Port), q)
	if err != nil {
		return "", fmt.Errorf("read the services of the consul agent: %w", err)
	}
	for _, s := range services {
		_, ofAgent := s.Meta["term"]
		if s.ID == r.ID || s.Address != r.Host || s.Meta["id"] == "" || !ofAgent {
			continue
		}
		checks, err := r.Client.Agent().ChecksWithFilterOpts(fmt.Sprintf("ServiceID == %q", s.ID), q)
		if err != nil {
			return "", fmt.Errorf("read the checks of service %s: %w", s.ID, err)
		}
		if c := checks["service:"+s.ID]; c != nil && c.Status != api.HealthCritical {
			return fmt.Sprintf("the agent of the live member %q manages this redis already, under the service %s: two agents beside "+
				"one redis need one CONSUL_LOCK_KEY and one CONSUL_SERVICE_PREFIX", s.Meta["id"], s.Service), nil
		}
	}
	return "", nil
}
