package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"resec/scripts/lab"
)

// agree returns nil if each agent's `resec status` and HTTP paths say of the cluster what a client of Redis sees. The catalogue is
// what Settled looks at. Without addresses there is nothing to compare.
func agree(ctx context.Context, k *lab.Cluster, listen []string) error {
	if len(listen) == 0 {
		return nil
	}
	m, err := k.Linked()
	if err != nil {
		return err
	}
	for i := range k.Redis {
		is, not := "/replica", "/master"
		if i == m {
			is, not = not, is
		}
		if err := answers200(ctx, listen[i], is, true); err != nil {
			return err
		}
		if err := answers200(ctx, listen[i], not, false); err != nil {
			return err
		}
		if err := reports(k, i, m); err != nil {
			return err
		}
	}
	return nil
}

// answers200 returns nil if a path is answered with 200, or is not, as it should be.
func answers200(ctx context.Context, addr, path string, should bool) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://"+addr+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if is := resp.StatusCode == http.StatusOK; is != should {
		return fmt.Errorf("%s%s answers %d", addr, path, resp.StatusCode)
	}
	return nil
}

// reports returns nil if `resec status` on the i-th member calls the cluster healthy with the m-th as its master. That a Redis was
// restarted often, as the walk does it, is true and degrades it.
func reports(k *lab.Cluster, i, m int) error {
	out, stderr, code, err := k.Run(i, "", "status", "-json")
	if err != nil {
		return err
	}
	var status struct {
		Members []struct{ ID, Role, Note string }
	}
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return fmt.Errorf("status on m%d: %w: %s %s", i, err, out, stderr)
	}
	seen, other := map[string]string{}, false
	for _, member := range status.Members {
		seen[member.ID] = member.Role
		other = other || member.Note != "" && !strings.HasPrefix(member.Note, "its redis was restarted")
	}
	if code == 1 && !other {
		code = 0
	}
	for j := range k.Redis {
		role := "replica"
		if j == m {
			role = "master"
		}
		if id := fmt.Sprint("m", j); seen[id] != role || code != 0 || len(seen) != len(k.Redis) {
			return fmt.Errorf("status on m%d exits with %d and calls %s a %q: %s", i, code, id, seen[id], out)
		}
	}
	return nil
}
