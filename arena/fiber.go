package main

import (
	"net"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"
	"github.com/gofiber/fiber/v3/middleware/limiter"
)

// fiberServer is Fiber's own limiter, by address. It counts in whole seconds of
// the clock, and a denial says no more than Retry-After.
func fiberServer(slide bool) func(job) (*site, error) {
	return func(j job) (*site, error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		config := limiter.Config{Max: j.limit, Expiration: j.per}
		if slide {
			config.LimiterMiddleware = limiter.SlidingWindow{}
		}
		app := fiber.New()
		app.Use(limiter.New(config))
		app.All("/*", adaptor.HTTPHandler(j.backend()))
		go app.Listener(l, fiber.ListenConfig{DisableStartupMessage: true})
		return &site{url: "http://" + l.Addr().String(), stop: func() { app.ShutdownWithTimeout(time.Second) }}, nil
	}
}
