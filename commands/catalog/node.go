package catalog

import (
	"context"
	"fmt"

	"github.com/hashicorp/consul/api"

	"resec/commands/pace"
)

// Node returns the name and the address of the node on which Consul's agent runs, as that agent says now. It returns an error if
// the agent does not answer within pace.Timeout, or the token lacks agent:read.
func Node(ctx context.Context, client *api.Client) (name, addr string, err error) {
	ctx, cancel := context.WithTimeout(ctx, pace.Timeout(ctx)) // Consul's agent answers by itself, and says nothing about servers
	defer cancel()
	var out struct {
		Config struct{ NodeName string }
		Member struct{ Addr string }
	}
	if _, err := client.Raw().Query("/v1/agent/self", &out, (&api.QueryOptions{}).WithContext(ctx)); err != nil {
		return "", "", fmt.Errorf("read the node of the consul agent: %w", err)
	}
	return out.Config.NodeName, out.Member.Addr, nil
}
