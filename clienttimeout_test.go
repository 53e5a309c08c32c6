package steadyhttp

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"
)

// noticing is a context whose deadline has passed, which notices once it was asked.
type noticing struct {
	context.Context
	asked bool
}

func (c *noticing) Deadline() (time.Time, bool) { return time.Now().Add(-time.Second), true }

func (c *noticing) Err() error {
	if !c.asked {
		c.asked = true
		return nil
	}
	return context.DeadlineExceeded
}

func TestDeadlineThatIsNoticedMeanwhileIsNoCancellation(t *testing.T) {
	ctx := &noticing{Context: t.Context()}
	if err := ended(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ended: %v", err)
	}
	req, _ := http.NewRequestWithContext(&noticing{Context: t.Context()}, "GET", "http://a.test/", nil)
	cancel := make(chan struct{})
	close(cancel)
	req.Cancel = cancel //lint:ignore SA1019 http.Client sets it
	canceled := errors.New("net/http: request canceled")
	if err := clientTimeout(req, canceled); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("clientTimeout: %v", err)
	}
}
