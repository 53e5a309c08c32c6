package clients

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"
	"github.com/steadyhttp/steadyhttp"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type text = wrapperspb.StringValue

// echo is a service written by hand: of every kind of call one.
type echo struct {
	*http.ServeMux
	fails atomic.Int32 // so many unary calls fail first, with code
	code  connect.Code
	calls atomic.Int32
}

func newEcho() *echo {
	e := &echo{ServeMux: http.NewServeMux()}
	e.Handle("/echo.Echo/Say", connect.NewUnaryHandler("/echo.Echo/Say", e.say, connect.WithIdempotency(connect.IdempotencyNoSideEffects)))
	e.Handle("/echo.Echo/Count", connect.NewServerStreamHandler("/echo.Echo/Count", e.count))
	e.Handle("/echo.Echo/Talk", connect.NewBidiStreamHandler("/echo.Echo/Talk", e.talk))
	return e
}

func (e *echo) say(_ context.Context, req *connect.Request[text]) (*connect.Response[text], error) {
	if e.calls.Add(1) <= e.fails.Load() {
		return nil, connect.NewError(e.code, errors.New("not now"))
	}
	resp := connect.NewResponse(wrapperspb.String("Steady, " + req.Msg.Value))
	resp.Trailer().Set("Words", "2")
	return resp, nil
}

func (e *echo) count(_ context.Context, req *connect.Request[text], stream *connect.ServerStream[text]) error {
	for _, word := range strings.Fields(req.Msg.Value) {
		if err := stream.Send(wrapperspb.String(word)); err != nil {
			return err
		}
	}
	return nil
}

func (e *echo) talk(_ context.Context, stream *connect.BidiStream[text, text]) error {
	for {
		msg, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.Send(wrapperspb.String("Steady, " + msg.Value)); err != nil {
			return err
		}
	}
}

func newConnect(base http.RoundTripper, url string, options ...connect.ClientOption) *connect.Client[text, text] {
	return connect.NewClient[text, text](steady(base), url, options...)
}

func Example_connect() {
	service := newEcho()
	service.code = connect.CodeUnavailable
	service.fails.Store(1)
	hc := &http.Client{Transport: steadyhttp.NewTransport(inMemory(service))}
	client := connect.NewClient[text, text](hc, "http://echo.test/echo.Echo/Say",
		connect.WithIdempotency(connect.IdempotencyNoSideEffects), connect.WithHTTPGet()) // what is a GET may be repeated
	answer, err := client.CallUnary(context.Background(), connect.NewRequest(wrapperspb.String("crew")))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.Msg.Value)
	fmt.Println(service.calls.Load(), "requests")
	// Output:
	// Steady, crew
	// 2 requests
}

func TestConnectCallsOfEachProtocolWork(t *testing.T) {
	for _, protocol := range []struct {
		name    string
		options []connect.ClientOption
	}{
		{"connect", nil},
		{"gRPC", []connect.ClientOption{connect.WithGRPC()}},
		{"gRPC-Web", []connect.ClientOption{connect.WithGRPCWeb()}},
	} {
		t.Run(protocol.name, func(t *testing.T) {
			url, base := serve(t, "HTTP/2", newEcho())

			resp, err := newConnect(base, url+"/echo.Echo/Say", protocol.options...).
				CallUnary(t.Context(), connect.NewRequest(wrapperspb.String("crew")))
			if err != nil || resp.Msg.Value != "Steady, crew" || resp.Trailer().Get("Words") != "2" {
				t.Errorf("unary: got %v, %v", resp, err)
			}

			stream, err := newConnect(base, url+"/echo.Echo/Count", protocol.options...).
				CallServerStream(t.Context(), connect.NewRequest(wrapperspb.String("steady as she goes")))
			if err != nil {
				t.Fatal(err)
			}
			var words []string
			for stream.Receive() {
				words = append(words, stream.Msg().Value)
			}
			if err := stream.Err(); err != nil || strings.Join(words, " ") != "steady as she goes" {
				t.Errorf("server stream: got %q, %v", words, err)
			}
			stream.Close()

			// Each message waits for the answer to the one before.
			talk := newConnect(base, url+"/echo.Echo/Talk", protocol.options...).CallBidiStream(t.Context())
			for _, name := range []string{"crew", "captain", "ship"} {
				if err := talk.Send(wrapperspb.String(name)); err != nil {
					t.Fatal(err)
				}
				if msg, err := talk.Receive(); err != nil || msg.Value != "Steady, "+name {
					t.Fatalf("bidi: got %v, %v", msg, err)
				}
			}
			if err := talk.CloseRequest(); err != nil {
				t.Error(err)
			}
			if _, err := talk.Receive(); !errors.Is(err, io.EOF) {
				t.Errorf("bidi: got %v, want EOF", err)
			}
			if err := talk.CloseResponse(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestConnectRepeatsWhatMayBeRepeated: an error of a POST stands, unless it says
// that nothing was done; a GET is repeated.
func TestConnectRepeatsWhatMayBeRepeated(t *testing.T) {
	for _, tt := range []struct {
		name    string
		code    connect.Code
		options []connect.ClientOption
		want    int32
		fails   bool
	}{
		{"unavailable, POST", connect.CodeUnavailable, nil, 1, true},
		{"unavailable, GET", connect.CodeUnavailable, []connect.ClientOption{connect.WithHTTPGet(), connect.WithIdempotency(connect.IdempotencyNoSideEffects)}, 2, false},
		{"resource exhausted, POST", connect.CodeResourceExhausted, nil, 2, false},
		{"invalid argument, POST", connect.CodeInvalidArgument, nil, 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			virtually(t, func(t *testing.T) {
				service := newEcho()
				service.code = tt.code
				service.fails.Store(1)
				client := newConnect(inMemory(service), "http://echo.test/echo.Echo/Say", tt.options...)
				_, err := client.CallUnary(t.Context(), connect.NewRequest(wrapperspb.String("crew")))
				if got := connect.CodeOf(err); (err != nil) != tt.fails || tt.fails && got != tt.code {
					t.Errorf("got %v", err)
				}
				if got := service.calls.Load(); got != tt.want {
					t.Errorf("got %d requests, want %d", got, tt.want)
				}
			})
		})
	}
}

// TestConnectSeesOurErrors: connect gives them the code unavailable.
func TestConnectSeesOurErrors(t *testing.T) {
	virtually(t, func(t *testing.T) {
		client := connect.NewClient[text, text](&http.Client{Transport: opened(t, "http://echo.test/")}, "http://echo.test/echo.Echo/Say")
		_, err := client.CallUnary(t.Context(), connect.NewRequest(wrapperspb.String("crew")))
		var open *steadyhttp.OpenError
		if connect.CodeOf(err) != connect.CodeUnavailable || !errors.As(err, &open) {
			t.Errorf("got %v (%v), want an *OpenError that is unavailable", err, connect.CodeOf(err))
		}
	})
}
