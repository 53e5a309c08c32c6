package steadyhttp

import "net/http"

// Tokens is an estimate of what a request to a language model will use. A
// "tokens" budget takes the sum.
type Tokens struct{ Input, Output int64 }

// EstimateTokens …
func EstimateTokens(req *http.Request) Tokens { return Tokens{} }

// bodyFacts is what one pass over a request's body found.
type bodyFacts struct {
	read   bool
	model  string
	tokens Tokens
}
