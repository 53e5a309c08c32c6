package main

import (
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"golang.org/x/time/rate"
)

// echoServer is Echo's own RateLimiter, by address. It sends no header.
func echoServer(j job) (*site, error) {
	e := echo.New()
	e.Use(middleware.RateLimiter(middleware.NewRateLimiterMemoryStoreWithConfig(
		middleware.RateLimiterMemoryStoreConfig{Rate: rate.Limit(j.rate()), Burst: j.limit})))
	e.Any("/*", echo.WrapHandler(j.backend()))
	return serve(e)
}
