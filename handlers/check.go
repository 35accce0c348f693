package handlers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Check is a check of a service instance, or of its node.
type Check struct {
	CheckID, Name string
	ServiceID     string // empty: it is a check of the node
	Status        string
	Output        string
	Notes         string // of who registered it; Consul's maintenance has its reason here
}

// The states of a check, from best to worst.
// Source: https://developer.hashicorp.com/consul/docs/services/usage/checks
const (
	CheckPassing  = "passing"
	CheckWarning  = "warning"
	CheckCritical = "critical"
)

// TTLExpired begins the output of a check that Consul itself has called critical, because it was not updated within its TTL.
const TTLExpired = "TTL expired"

// SerfCheck is the id of the check with which Consul's servers say whether they reach the Consul agent of a node.
const SerfCheck = "serfHealth"

// AgentCheckID is the id of the check that an agent of ours keeps for a service instance.
func AgentCheckID(serviceID string) string { return "service:" + serviceID }

// worst is the worst state of checks.
func worst(checks []Check) string {
	is := CheckPassing
	for _, c := range checks {
		switch c.Status {
		case CheckCritical:
			return CheckCritical
		case CheckWarning:
			is = CheckWarning
		}
	}
	return is
}

// AgentStatus is what the checks say of the instance's agent: its own check, and that of Consul for the node. What others check
// says nothing of it. It is the worst of all checks for an instance without a check of an agent.
func (e Entry) AgentStatus() string {
	if !e.hasAgentCheck() {
		return e.Status()
	}
	return worst(slices.DeleteFunc(slices.Clone(e.Checks), func(c Check) bool {
		return c.CheckID != AgentCheckID(e.Service.ID) && c.CheckID != SerfCheck
	}))
}

func (e Entry) hasAgentCheck() bool {
	return slices.ContainsFunc(e.Checks, func(c Check) bool { return c.CheckID == AgentCheckID(e.Service.ID) })
}

// HiddenBy is the check, not its agent's, that keeps clients from finding the instance, as HiddenBy says it. It is empty for an
// instance without a check of an agent.
func (e Entry) HiddenBy() string {
	if !e.hasAgentCheck() {
		return ""
	}
	text, _ := HiddenBy(e.Checks, e.Service.ID)
	return text
}

// maxCheckOutput bounds how much of a check's output is quoted, in bytes.
const maxCheckOutput = 200

// HiddenBy returns whose check keeps clients from finding a service instance, and what that check says; empty if none does. The
// check of our own agent is none of them. A client that asks for passing instances finds no other one, so a warning counts. The
// worst check is named, and the first of those. serf: no other check than SerfCheck does.
func HiddenBy(checks []Check, serviceID string) (text string, serf bool) {
	var hiding []Check
	serf = true
	for _, c := range checks {
		ours := c.CheckID == AgentCheckID(serviceID)
		if (c.ServiceID == "" || c.ServiceID == serviceID) && c.Status != CheckPassing && !ours {
			hiding = append(hiding, c)
			serf = serf && c.CheckID == SerfCheck
		}
	}
	if len(hiding) == 0 {
		return "", false
	}
	first := slices.MinFunc(hiding, func(a, b Check) int {
		return cmp.Or(cmp.Compare(a.Status, b.Status), cmp.Compare(a.CheckID, b.CheckID)) // "critical" is less than "warning"
	})
	whose := "the node's"
	if first.ServiceID != "" {
		whose = "the service's"
	}
	text = fmt.Sprintf("%s check %s (%s) is %s", whose, first.CheckID, first.Name, first.Status)
	if output := oneLine(cmp.Or(first.Output, first.Notes)); output != "" {
		text += ": " + output
	}
	return text, serf
}

// oneLine returns a text without line breaks, cut to maxCheckOutput.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxCheckOutput {
		text = strings.ToValidUTF8(text[:maxCheckOutput], "") + "…"
	}
	return text
}
