package steadyhttp

import "strings"

// judge decides the class, in the order of what is told by: numbers in the text
// that can never fit; codes and types; details; phrases; quotas; the status. It
// looks at retryable separately, which a header of the API may overrule.
func judge(code int, h *headerFacts, b *errorBody) (class Class, retryable bool) {
	base := statusOf(code)
	if tooLarge(b.text) {
		return ClassContextLength, false // whatever a header says
	}
	class = classOf(base.class, h, b)
	retryable = base.retryable
	if class != base.class {
		retryable = transient.has(class)
	}
	if class == ClassConflict && !retryable {
		retryable = locked(b)
	}
	switch strings.ToLower(h.shouldRetry.value) {
	case "true":
		retryable = true
	case "false":
		retryable = false
	}
	return class, retryable
}

// transient are the classes of errors that pass.
var transient = setOf(ClassRateLimited, ClassOverloaded, ClassServerError, ClassTimeout)

// classOf decides the class, given that of the status.
func classOf(base Class, h *headerFacts, b *errorBody) Class {
	class, rank := base, len(codeRows)
	try := func(code string) {
		if r := codeRank(code, base); r >= 0 && r < rank {
			class, rank = codeRows[r].class, r
		}
	}
	try(b.code)
	try(b.typ)
	for _, m := range b.marks {
		try(m)
	}
	switch {
	case rank < len(codeRows) && class != ClassRateLimited:
		return class
	case b.flagged && deniedStatus.has(class):
		return ClassContentPolicy
	case b.exhausted && class == ClassRateLimited:
		return ClassQuotaExhausted
	}
	if row := phraseIn(clip(b.text, maxMessage), class, b.scheduled || b.hasDelay || b.hasProse); row != nil {
		if !(rank < len(codeRows) && row.class != ClassQuotaExhausted) {
			return row.class
		}
	}
	if class == ClassPermission {
		for _, q := range h.quotas {
			if q.Remaining == 0 {
				return ClassRateLimited
			}
		}
	}
	return class
}

// locked tells whether a conflict ends by itself.
func locked(b *errorBody) bool {
	var buf [maxWordName]byte
	for _, code := range append([]string{b.code, b.typ}, b.marks...) {
		if locks[string(plainCode(buf[:0], code))] {
			return true
		}
	}
	return false
}

// tooLarge tells whether a text says that a single request asks for more than
// the limit: "Limit 30000, Requested 30601". Waiting does not help it.
func tooLarge(text string) bool {
	limit, ok := numberAfter(text, "Limit ")
	requested, ok2 := numberAfter(text, "Requested ")
	return ok && ok2 && requested > limit
}

// numberAfter is the number that follows the first place where word is followed
// by one. Its digits may be grouped: here they are in a sentence, not a list.
func numberAfter(text, word string) (int64, bool) {
	for {
		_, rest, found := strings.Cut(text, word)
		if !found {
			return 0, false
		}
		var n int64
		digits := 0
		for i := 0; i < len(rest) && digits < 15; i++ {
			if c := rest[i]; '0' <= c && c <= '9' {
				n = 10*n + int64(c-'0')
				digits++
			} else if c != ',' || i+1 == len(rest) || rest[i+1] < '0' || rest[i+1] > '9' {
				break
			}
		}
		if digits > 0 {
			return n, true
		}
		text = rest
	}
}
