package steadyhttp

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestClientTimeoutInTheQueueIsNoCancellation: http.Client tells its Timeout by Cancel
// and by a deadline, in any order, and puts its name behind what the error says.
func TestClientTimeoutInTheQueueIsNoCancellation(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			slow := roundTripFunc(func(req *http.Request) (*http.Response, error) {
				time.Sleep(time.Minute)
				return replyWith(200)(req)
			})
			c := &http.Client{Transport: &Limiter{Base: slow, InFlight: 1}, Timeout: 5 * time.Second}
			go (&http.Client{Transport: c.Transport}).Get("http://a.test/")
			synctest.Wait()
			_, err := c.Get("http://a.test/")
			if err == nil || strings.Contains(err.Error(), "canceled") {
				t.Errorf("got %v", err)
			}
			time.Sleep(time.Hour)
		})
	}
}
