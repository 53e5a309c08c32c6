package main

import "github.com/didip/tollbooth/v7"

// tollboothServer is didip/tollbooth as its README uses it, by address and path.
// Its rate is per second, its burst a setting of its own.
func tollboothServer(j job) (*site, error) {
	limiter := tollbooth.NewLimiter(j.rate(), nil).SetBurst(j.limit)
	return serve(tollbooth.LimitHandler(limiter, j.backend()))
}
