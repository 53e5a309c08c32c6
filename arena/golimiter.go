package main

import (
	"context"

	"github.com/sethvargo/go-limiter/httplimit"
	"github.com/sethvargo/go-limiter/memorystore"
)

// goLimiterServer is sethvargo/go-limiter as its README uses it, by address.
func goLimiterServer(j job) (*site, error) {
	store, err := memorystore.New(&memorystore.Config{Tokens: uint64(j.limit), Interval: j.per})
	if err != nil {
		return nil, err
	}
	m, err := httplimit.NewMiddleware(store, httplimit.IPKeyFunc())
	if err != nil {
		return nil, err
	}
	s, err := serve(m.Handle(j.backend()))
	if err != nil {
		return nil, err
	}
	stop := s.stop
	s.stop = func() { stop(); store.Close(context.Background()) }
	return s, nil
}
