package main

import "github.com/go-chi/httprate"

// httprateServer is go-chi/httprate with one limit for all, as its README uses
// it. A denial asks to wait for a whole window, however soon the next call would
// be admitted.
func httprateServer(j job) (*site, error) {
	return serve(httprate.LimitBy(j.limit, j.per, httprate.Key("*"))(j.backend()))
}
