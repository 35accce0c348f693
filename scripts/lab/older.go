package lab

import (
	"fmt"

	"github.com/hashicorp/consul/api"
)

// Older holds the lock and registers its Redis as the program did that was called resec before: by Consul's own lock, with nothing
// next to it.
type Older struct {
	client *api.Client
	lock   *api.Lock // nil: of a replica
	id     string
}

// NewOlder registers the i-th Redis, as master (which takes the lock) or as slave.
func (k *Cluster) NewOlder(i int, role string) (*Older, error) {
	o := &Older{client: k.Consul.Client, id: fmt.Sprint(k.Name, "-old", i)}
	err := o.client.Agent().ServiceRegister(&api.AgentServiceRegistration{ID: o.id, Name: k.Name + "-" + role, Address: k.Redis[i].Host, Port: 6379,
		Check: &api.AgentServiceCheck{TTL: "1h", Status: "passing"}})
	if err != nil || role != "master" {
		return o, err
	}
	o.lock, err = o.client.LockOpts(&api.LockOptions{Key: k.Name + "/.lock", Value: []byte(k.Redis[i].Addr), SessionName: "resec", SessionTTL: "15s"})
	if err == nil {
		_, err = o.lock.Lock(nil)
	}
	return o, err
}

// Leave ends it as SIGQUIT did: deregistered, and the lock given back.
func (o *Older) Leave() error {
	if err := o.client.Agent().ServiceDeregister(o.id); err != nil || o.lock == nil {
		return err
	}
	return o.lock.Unlock()
}
