package steadyhttp

import "strings"

// cost is what a request uses of a key's budgets.
type cost struct {
	requests int64
	tokens   Tokens
}

// of is the share that counts against a resource. What a request uses of a
// resource of another kind is not known, and counts as nothing: such a budget
// holds requests back only while the server says that it is spent.
func (c cost) of(resource string) float64 {
	switch resource {
	case "requests":
		return float64(c.requests)
	case "tokens":
		return float64(c.tokens.Input) + float64(c.tokens.Output)
	case "input_tokens":
		return float64(c.tokens.Input)
	case "output_tokens":
		return float64(c.tokens.Output)
	}
	return 0
}

// countsTokens tells whether a resource is of tokens.
func countsTokens(resource string) bool { return strings.HasSuffix(resource, "tokens") }

func (c cost) plus(o cost) cost {
	return cost{c.requests + o.requests,
		Tokens{c.tokens.Input + o.tokens.Input, c.tokens.Output + o.tokens.Output}}
}

func (c cost) minus(o cost) cost {
	return cost{c.requests - o.requests,
		Tokens{c.tokens.Input - o.tokens.Input, c.tokens.Output - o.tokens.Output}}
}
