package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// process is a server that is a program of its own, in front of a backend in
// this one. Everything that it writes is in a directory that goes with it.
type process struct {
	program string
	install string
	env     []string // besides this process's
	config  func(j job, listen, backend string) string
	args    func(dir, config string) []string
}

// start brings the program up on a free port of loopback.
func (p process) start(j job) (*site, error) {
	// Debian keeps daemons in directories that only root has in PATH.
	program, err := exec.LookPath(p.program)
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/" + p.program); err != nil {
			return nil, fmt.Errorf("%s: %w; to install it: %s", p.program, errMissing, p.install)
		}
	}
	backend, err := serve(j.backend())
	if err != nil {
		return nil, err
	}
	// The port is free when it is chosen; another program may take it before
	// this one does, so try again.
	for range 5 {
		var s *site
		if s, err = p.launch(j, program, backend); err == nil {
			return s, nil
		}
	}
	backend.stop()
	return nil, err
}

func (p process) launch(j job, program string, backend *site) (*site, error) {
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "arena-"+p.program+"-")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, p.program+".conf")
	if err := os.WriteFile(config, []byte(p.config(j, listen, backend.url)), 0o600); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	var said bytes.Buffer
	cmd := exec.Command(program, p.args(dir, config)...)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Env = append(os.Environ(), p.env...)
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	halt := func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(3 * time.Second):
			cmd.Process.Kill()
			<-ended
		}
		os.RemoveAll(dir)
	}
	if err := awaitListener(listen, ended); err != nil {
		halt()
		return nil, fmt.Errorf("%s: %w: %s", p.program, err, bytes.TrimSpace(said.Bytes()))
	}
	return &site{url: "http://" + listen, stop: func() { halt(); backend.stop() }}, nil
}

// freeAddress is a port of loopback on which nobody listens now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// awaitListener returns when somebody listens at address, or the program ended.
func awaitListener(address string, ended <-chan struct{}) error {
	for range 250 {
		select {
		case <-ended:
			return errors.New("ended at once")
		case <-time.After(20 * time.Millisecond):
		}
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return nil
		}
	}
	return errors.New("does not listen after 5 s")
}
