package steadyhttp

// status is what a status code alone says.
type status struct {
	class     Class
	retryable bool
}

// statuses are the codes that differ from the others of their hundred.
var statuses = map[int]status{
	400: {ClassInvalidRequest, false},
	401: {ClassAuth, false},
	402: {ClassQuotaExhausted, false},
	403: {ClassPermission, false},
	404: {ClassNotFound, false},
	407: {ClassAuth, false},
	408: {ClassTimeout, true},
	409: {ClassConflict, false},
	410: {ClassNotFound, false},
	413: {ClassInvalidRequest, false},
	422: {ClassInvalidRequest, false},
	425: {ClassClientError, true}, // Too Early: not before the handshake is complete
	429: {ClassRateLimited, true},
	430: {ClassRateLimited, true}, // Shopify
	431: {ClassInvalidRequest, false},
	449: {ClassClientError, true}, // Retry With, as Azure's Cosmos DB has it
	451: {ClassPermission, false},
	501: {ClassServerError, false},
	503: {ClassOverloaded, true},
	504: {ClassTimeout, true},
	505: {ClassServerError, false},
	522: {ClassTimeout, true},    // Cloudflare: the origin accepts no connection
	524: {ClassTimeout, true},    // Cloudflare: the origin does not answer
	529: {ClassOverloaded, true}, // Anthropic, Notion
}

// statusOf says what a status code means if nothing else is known.
func statusOf(code int) status {
	if code < 400 {
		return status{ClassSuccess, false}
	}
	s, ok := statuses[code]
	switch {
	case ok:
		return s
	case code < 500:
		return status{ClassClientError, false}
	}
	return status{ClassServerError, true}
}
