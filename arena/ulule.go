package main

import (
	"github.com/ulule/limiter/v3"
	"github.com/ulule/limiter/v3/drivers/middleware/stdlib"
	"github.com/ulule/limiter/v3/drivers/store/memory"
)

// ululeServer is ulule/limiter as its README uses it, by address.
func ululeServer(j job) (*site, error) {
	rate := limiter.Rate{Period: j.per, Limit: int64(j.limit)}
	return serve(stdlib.NewMiddleware(limiter.New(memory.NewStore(), rate)).Handler(j.backend()))
}
