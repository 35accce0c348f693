package lab

import (
	"errors"

	"github.com/hashicorp/consul/api"
)

// Policy makes a policy of the cluster's name.
func (k *Cluster) Policy(rules string) error {
	_, _, err := k.Consul.Client.ACL().PolicyCreate(&api.ACLPolicy{Name: k.Name, Rules: rules}, nil)
	return err
}

// NewToken makes a token with that policy; its secret is the one given, or one of Consul's.
func (k *Cluster) NewToken(secret string) (string, error) {
	t, _, err := k.Consul.Client.ACL().TokenCreate(&api.ACLToken{SecretID: secret, Policies: []*api.ACLTokenPolicyLink{{Name: k.Name}}}, nil)
	if err != nil {
		return "", err
	}
	return t.SecretID, nil
}

// Revoke takes a token away.
func (k *Cluster) Revoke(secret string) error {
	acl := k.Consul.Client.ACL()
	all, _, err := acl.TokenList(nil)
	for _, t := range all {
		if t.SecretID == secret {
			_, err := acl.TokenDelete(t.AccessorID, nil)
			return err
		}
	}
	return errors.Join(err, errors.New("there is no such token"))
}
