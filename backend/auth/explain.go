package auth

import (
	"context"
	"fmt"
)

// Decision says what the rules of a namespace make of a call.
type Decision struct {
	Allowed bool
	Rule    *Rule // that decides; nil when none applies
	Reason  string
	Passed  []Passed // rules for the resource that do not decide, in their order
}

// Passed is a rule for a resource that does not decide.
type Passed struct {
	Rule   Rule
	Reason string
}

// Explain returns what [Auth.Authorize] would decide, and why. [ErrNotFound] means that
// there is no such namespace.
func (a *Auth) Explain(ctx context.Context, caller Identity, ns string, r Resource) (Decision, error) {
	view, err := a.rules.Get(ctx, ns)
	if err != nil {
		return Decision{}, err
	}
	member, scopes := caller.in(ns)
	rules := view.inOrder()
	decides := decider(rules, member, scopes, r)
	var d Decision
	for i, rule := range rules {
		switch {
		case i == decides:
			d.Rule, d.Allowed = &rule, !rule.Deny
			d.Reason = fmt.Sprintf("the rule %q %s it to %s", rule.ID, rule.verb(), rule.audience())
		case !matchResource(rule.Resource, r):
		case !rule.appliesTo(member, scopes):
			d.Passed = append(d.Passed, Passed{rule, "it is for " + rule.audience()})
		default:
			d.Passed = append(d.Passed, Passed{rule, behind(rule, rules[decides])})
		}
	}
	if d.Rule == nil {
		d.Reason = "no rule applies, and what no rule grants is denied"
	}
	return d, nil
}

func (r Rule) verb() string {
	if r.Deny {
		return "denies"
	}
	return "grants"
}

// audience says to whom a rule applies.
func (r Rule) audience() string {
	switch r.Scope {
	case "":
		return "everybody"
	case "*":
		return "every account of the namespace"
	default:
		return fmt.Sprintf("accounts with the scope %q", r.Scope)
	}
}

// behind says why a rule that applies comes after another one.
func behind(rule, first Rule) string {
	switch {
	case rule.Priority < first.Priority:
		return fmt.Sprintf("the rule %q has a higher priority", first.ID)
	case rule.Deny != first.Deny:
		return fmt.Sprintf("the rule %q denies, which wins among rules of the same priority", first.ID)
	default:
		return fmt.Sprintf("the rule %q says the same", first.ID)
	}
}
