package main

import "github.com/go-chi/httprate"

// httprateServer is go-chi/httprate as its README uses it, by address.
func httprateServer(j job) (*site, error) {
	return serve(httprate.LimitByIP(j.limit, j.per)(j.backend()))
}
