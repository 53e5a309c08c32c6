package steadytest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadyhttp/steadyhttp"
	"github.com/steadyhttp/steadyhttp/steadytest"
)

func TestEachDialectIsReadAsItIsMeant(t *testing.T) {
	const none = -1
	for _, d := range steadytest.Dialects() {
		want := map[string]struct {
			limit, remaining int64
			slack            time.Duration // by which the reset may be off; none: not told
		}{
			"openai": {100, 99, time.Millisecond}, "openai-assistants": {100, 99, time.Millisecond},
			"anthropic": {100, 99, time.Second}, "github": {100, 99, time.Second},
			"ietf": {100, 99, time.Second}, "ietf-07": {100, 99, time.Second}, "ietf-03": {100, 99, time.Second},
			"assisters": {100, 99, none}, "aiapi.services": {100, 99, time.Second},
			"middleware-epoch": {100, 99, time.Second}, "middleware-delta": {100, 99, time.Second},
		}[d.Name]
		t.Run(d.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wallClock()
				p := &steadytest.Provider{Dialect: d, Limits: []steadytest.Limit{{N: 100, Kind: steadytest.FixedWindow}}}
				end := time.Now().Add(time.Minute)
				out := steadyhttp.Classify(send(t, p, chat), nil)
				if out.Class != steadyhttp.ClassSuccess {
					t.Fatalf("class %v", out.Class)
				}
				if want.limit == 0 {
					if len(out.Quotas) != 0 {
						t.Fatalf("quotas %+v, want none", out.Quotas)
					}
					return
				}
				if len(out.Quotas) != 1 {
					t.Fatalf("quotas %+v, want one", out.Quotas)
				}
				q := out.Quotas[0]
				if q.Resource != "requests" || q.Limit != want.limit || q.Remaining != want.remaining {
					t.Errorf("got %d of %d %s, want %d of %d requests", q.Remaining, q.Limit, q.Resource, want.remaining, want.limit)
				}
				switch off := q.Reset.Sub(end).Abs(); {
				case want.slack == none:
					if !q.Reset.IsZero() {
						t.Errorf("reset %v, want none", q.Reset)
					}
				case off > want.slack:
					t.Errorf("reset %v, want %v", q.Reset, end)
				}
			})
		})
	}
}

func TestEachRefusalIsReadAsWhatItIs(t *testing.T) {
	usual := map[steadytest.Effect]steadyhttp.Class{
		steadytest.RateLimited: steadyhttp.ClassRateLimited, steadytest.SpentQuota: steadyhttp.ClassQuotaExhausted,
		steadytest.Unpaid: steadyhttp.ClassQuotaExhausted, steadytest.Unauthorized: steadyhttp.ClassAuth,
		steadytest.Forbidden: steadyhttp.ClassPermission, steadytest.NotFound: steadyhttp.ClassNotFound,
		steadytest.Invalid: steadyhttp.ClassInvalidRequest, steadytest.ContentFilter: steadyhttp.ClassContentPolicy,
		steadytest.ContextLength: steadyhttp.ClassContextLength, steadytest.Conflict: steadyhttp.ClassConflict,
		steadytest.ServerError: steadyhttp.ClassServerError, steadytest.BadGateway: steadyhttp.ClassServerError,
		steadytest.Unavailable: steadyhttp.ClassOverloaded, steadytest.SlowDown: steadyhttp.ClassRateLimited,
		steadytest.Overloaded: steadyhttp.ClassOverloaded, steadytest.GatewayTimeout: steadyhttp.ClassTimeout,
	}
	// What a dialect has no words of its own for.
	vague := map[string]map[steadytest.Effect]steadyhttp.Class{
		"github": {steadytest.ContentFilter: steadyhttp.ClassInvalidRequest, steadytest.ContextLength: steadyhttp.ClassInvalidRequest},
		"none": {steadytest.ContentFilter: steadyhttp.ClassInvalidRequest, steadytest.ContextLength: steadyhttp.ClassInvalidRequest,
			steadytest.SpentQuota: steadyhttp.ClassPermission},
	}
	vague["nginx"] = map[steadytest.Effect]steadyhttp.Class{steadytest.RateLimited: steadyhttp.ClassOverloaded, steadytest.SlowDown: steadyhttp.ClassOverloaded}
	for e, c := range vague["none"] {
		vague["nginx"][e] = c
	}
	for _, name := range []string{"middleware-epoch", "middleware-delta"} {
		vague[name] = map[steadytest.Effect]steadyhttp.Class{steadytest.ContentFilter: steadyhttp.ClassInvalidRequest,
			steadytest.ContextLength: steadyhttp.ClassInvalidRequest, steadytest.SpentQuota: steadyhttp.ClassRateLimited}
	}
	for _, d := range steadytest.Dialects() {
		t.Run(d.Name, func(t *testing.T) {
			for effect, want := range usual {
				if class, ok := vague[d.Name][effect]; ok {
					want = class
				}
				p := &steadytest.Provider{Dialect: d, Faults: []steadytest.Fault{{Do: effect}}}
				resp := send(t, p, chat)
				if got := steadyhttp.Classify(resp, nil); got.Class != want {
					t.Errorf("%s is read as %v, want %v: %s %s", effect, got.Class, want, resp.Status, bodyOf(t, resp))
				}
			}
		})
	}
}

func TestDenialSaysWhenInEachDialectThatDoes(t *testing.T) {
	silent := map[string]bool{"toprouter": true, "none": true, "nginx": true}
	for _, d := range steadytest.Dialects() {
		t.Run(d.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wallClock()
				p := &steadytest.Provider{Dialect: d, Limits: []steadytest.Limit{{N: 1, Kind: steadytest.FixedWindow}}}
				end := time.Now().Add(time.Minute)
				send(t, p, chat)
				time.Sleep(10 * time.Second)
				resp := send(t, p, chat)
				out := steadyhttp.Classify(resp, nil)
				if silent[d.Name] {
					if !out.RetryAt.IsZero() {
						t.Errorf("retry at %v, want nothing said", out.RetryAt)
					}
					return
				}
				if off := out.RetryAt.Sub(end).Abs(); off >= time.Second {
					t.Errorf("%s: retry at %v, want %v: %v", resp.Status, out.RetryAt, end, resp.Header)
				}
				if got, want := p.Counts().Denied, 1; got != want {
					t.Errorf("%d denied, want %d", got, want)
				}
			})
		})
	}
}
