package steadyhttp_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

// A call that asks for more tokens than there ever are waits until all are there, and
// is denied. It takes nothing from those who wait behind it.
func TestNobodyIsRefusedForTheTokensOfACallThatIsTooLarge(t *testing.T) {
	t.Parallel()
	large, small := strings.Repeat("word", 250_000), strings.Repeat("word", 500)
	for _, workers := range []int{10, 100} {
		t.Run(fmt.Sprint(workers, " workers"), func(t *testing.T) {
			p := &steadytest.Provider{Dialect: steadytest.IETF, Latency: 2 * time.Second, Limits: []steadytest.Limit{
				{N: 3000, Scope: "requests"}, {Resource: "tokens", N: 200_000, Scope: "tokens"},
			}}
			o := simulate(t, job{calls: 400, workers: workers, body: func(i int) string {
				text := small
				if i%40 == 20 {
					text = large
				}
				return fmt.Sprintf(`{"model":"m","max_tokens":200,"messages":[{"role":"user","content":%q}]}`, text)
			}}, p, 1)
			if o.failed > 10 {
				t.Errorf("%d of 400 calls failed, want the 10 that are too large", o.failed)
			}
		})
	}
}
