package steadyhttp_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadyhttp/steadyhttp"
)

// secret stands for a credential, wherever it may be in a request.
const secret = "s3cr3t-0123456789abcdef"

// secrets are the forms in which it may come out again.
var secrets = []string{
	secret, url.QueryEscape("u:" + secret), base64.StdEncoding.EncodeToString([]byte("u:" + secret)),
	base64.StdEncoding.EncodeToString([]byte(secret)), secret[:12], secret[12:],
}

// planted are requests with the secret in each of the places where APIs want it.
func planted(t *testing.T, ctx context.Context) map[string]*http.Request {
	requests := make(map[string]*http.Request)
	add := func(name, url string, set func(*http.Request)) {
		req, err := http.NewRequestWithContext(ctx, "POST", url, strings.NewReader(`{"model":"m","messages":[{"content":"`+secret+`"}],"user":"`+secret+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if set != nil {
			set(req)
		}
		requests[name] = req
	}
	const path = "https://api.test/v1/chat/completions"
	for _, name := range []string{"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "Proxy-Authorization", "X-Auth-Token", "Cookie"} {
		for _, scheme := range []string{"", "Bearer ", "AWS4-HMAC-SHA256 Credential=", "OAuth oauth_consumer_key="} {
			add(name+": "+scheme, path, func(r *http.Request) { r.Header.Set(name, scheme+secret) })
		}
	}
	add("basic", path, func(r *http.Request) { r.SetBasicAuth("u", secret) })
	for _, name := range []string{"key", "api_key", "access_token", "token", "sig", "X-Amz-Signature", "X-Amz-Credential"} {
		add("?"+name, path+"?a=b&"+name+"="+secret, nil)
	}
	add("userinfo", strings.Replace(path, "//", "//u:"+secret+"@", 1), nil)
	add("userinfo without a name", strings.Replace(path, "//", "//"+secret+"@", 1), nil)
	add("path", "https://api.test/bot"+secret+"/chat/completions", nil)
	add("fragment", path+"#"+secret, nil)
	return requests
}

// echoes are servers that repeat what they were told, and bases that fail.
func echoes() map[string]roundTrip {
	answer := func(status int, header http.Header) roundTrip {
		return func(req *http.Request) (*http.Response, error) {
			body := fmt.Sprintf(`{"error":{"message":"not with %s, %s","type":"denied","code":"nope"}}`, secret, req.URL)
			h := http.Header{"Set-Cookie": {"session=" + secret}, "X-Echo": {secret}, "Content-Type": {"application/json"}}
			for name, values := range header {
				h[name] = values
			}
			return &http.Response{
				StatusCode: status, Status: fmt.Sprint(status, " ", secret), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
				Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req,
			}, nil
		}
	}
	return map[string]roundTrip{
		"200": answer(200, http.Header{"X-Ratelimit-Limit": {"100"}, "X-Ratelimit-Remaining": {"50"}, "X-Ratelimit-Reset": {"60"}}),
		"400 with a sentence for a code": func(req *http.Request) (*http.Response, error) {
			resp, err := answer(400, nil)(req)
			resp.Body = io.NopCloser(strings.NewReader(`{"code":"Incorrect key ` + secret + `","error":"no"}`))
			return resp, err
		},
		"401": answer(401, nil), "429": answer(429, http.Header{"Retry-After": {"1"}}), "429 for long": answer(429, http.Header{"Retry-After": {"600"}}),
		"500": answer(500, nil), "503": answer(503, http.Header{"Retry-After": {"1"}}),
		"an error": func(req *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Post", URL: req.URL.String(), Err: errors.New("no " + secret)}
		},
	}
}

// emitted gathers all that comes out of the package by itself.
type emitted struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (e *emitted) add(what string, v any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err, is := v.(error); is { // not %#v, which shows even what the API said
		text, _ := json.Marshal(err)
		fmt.Fprintf(&e.all, "%s: %v %+v %s\n", what, err, err, text)
		return
	}
	fmt.Fprintf(&e.all, "%s: %+v %#v %v\n", what, v, v, v)
}

func (e *emitted) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all.Write(p)
}

// attempt is what a hook is told, but for what the API said and the base's own
// error, which are the caller's to see.
func (e *emitted) attempt(what string, i steadyhttp.AttemptInfo) {
	i.Outcome.Message, i.Err = "", nil
	if strings.Contains(i.Outcome.Code, " ") {
		i.Outcome.Code = "" // a message too
	}
	e.add(what, i)
}

func TestSecretsAreNotEmitted(t *testing.T) {
	var out emitted
	before, writer := slog.Default(), log.Writer()
	log.SetOutput(&out)
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer func() { slog.SetDefault(before); log.SetOutput(writer) }()
	hooks := &steadyhttp.Trace{
		Attempted:    func(i steadyhttp.AttemptInfo) { out.attempt("Attempted", i) },
		Retrying:     func(i steadyhttp.RetryInfo) { out.attempt("Retrying", i.AttemptInfo); out.add("Delay", i.Delay) },
		Waiting:      func(i steadyhttp.WaitInfo) { out.add("Waiting", i) },
		Learned:      func(i steadyhttp.LearnedInfo) { out.add("Learned", i) },
		StateChanged: func(i steadyhttp.StateInfo) { out.add("StateChanged", i) },
	}
	for server, base := range echoes() {
		for name := range planted(t, t.Context()) {
			synctest.Test(t, func(t *testing.T) {
				limiter := &steadyhttp.Limiter{Base: &steadyhttp.Classifier{Base: base}, Requests: []steadyhttp.Rate{{N: 5, Per: time.Minute, Burst: 3}}, MaxWait: 20 * time.Second}
				stack := &steadyhttp.Retrier{Base: &steadyhttp.Breaker{Failures: 3, Base: limiter}}
				rt := steadyhttp.Traced(steadyhttp.Traced(stack, hooks), steadyhttp.LogTrace(nil))
				for n := range 8 {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
					if n == 0 || n == 5 {
						time.AfterFunc(time.Millisecond, cancel)
					}
					req := planted(t, ctx)[name]
					for fn, key := range map[string]steadyhttp.KeyFunc{
						"HostKey": steadyhttp.HostKey, "CredentialKey": steadyhttp.CredentialKey, "ModelKey": steadyhttp.ModelKey,
						"RequestKey": steadyhttp.RequestKey, "JoinKeys": steadyhttp.JoinKeys(steadyhttp.CredentialKey, steadyhttp.HostKey),
					} {
						out.add(fn, key(req))
					}
					if n%2 == 1 { // an SDK's, to which refusals are responses
						req.Header.Set("X-Stainless-Retry-Count", "0")
					}
					resp, err := rt.RoundTrip(req)
					switch {
					case err != nil && server == "an error" && !refusedBy(err): // the base's own
					case err != nil:
						out.add("error", err)
					case steadyhttp.OutcomeOf(resp, nil).Class == steadyhttp.ClassRefused:
						dump, _ := httputil.DumpResponse(resp, true)
						out.add("refusal", string(dump))
						out.add("refusal", steadyhttp.OutcomeOf(resp, nil))
					}
					if resp != nil {
						resp.Body.Close()
					}
					out.add("Quotas", limiter.Quotas(req))
					cancel()
				}
			})
		}
	}
	text := out.all.String()
	for _, what := range []string{
		"Attempted:", "Retrying:", "Waiting:", "Learned:", "StateChanged:", "HostKey:", "refusal:", "steadyhttp_limit", "steadyhttp_open",
		"error: steadyhttp: rate limit", "error: steadyhttp: circuit", "while waiting to retry", "steadyhttp: attempt ended", "steadyhttp: circuit changed", "steadyhttp: quota learned",
	} {
		if !strings.Contains(text, what) {
			t.Errorf("there was no %q to look at", what)
		}
	}
	found := 0
	for line := range strings.Lines(text) {
		for _, s := range secrets {
			if strings.Contains(line, s) {
				if found++; found <= 10 {
					t.Errorf("%.400s", line)
				}
				break
			}
		}
	}
}

func refusedBy(err error) bool {
	return errors.As(err, new(*steadyhttp.LimitError)) || errors.As(err, new(*steadyhttp.OpenError))
}

// hostile are headers of a server that wants to be waited for.
func hostile() (all []http.Header) {
	for _, value := range []string{
		"89", "90", "91", "3600", "86400", "9223372036", "9223372037", "9223372036854775807", "1e300", "99999999999999999999",
		"Fri, 31 Dec 9999 23:59:59 GMT", "9999-12-31T23:59:59Z", "1000h", "365d",
	} {
		for _, name := range []string{"Retry-After", "Retry-After-Ms", "X-Ratelimit-Reset", "X-Ratelimit-Reset-After", "X-Ratelimit-Reset-Requests"} {
			h := http.Header{name: {value}}
			if name != "Retry-After" && name != "Retry-After-Ms" {
				h.Set("X-Ratelimit-Remaining", "0")
				h.Set("X-Ratelimit-Limit", "10")
			}
			all = append(all, h)
		}
	}
	return all
}

func TestServerCannotMakeACallSleep(t *testing.T) {
	bodies := []string{"", `{"error":{"message":"Please try again in 100000h"},"retry_after":1e12}`, `{"error":{"details":[{"retryDelay":"999999999s"}]}}`}
	arrange := map[string]func(base http.RoundTripper) http.RoundTripper{
		"stack":   steadyhttp.NewTransport,
		"Limiter": func(base http.RoundTripper) http.RoundTripper { return &steadyhttp.Limiter{Base: base} },
		"Retrier": func(base http.RoundTripper) http.RoundTripper { return &steadyhttp.Retrier{Base: base} },
		"Breaker": func(base http.RoundTripper) http.RoundTripper { return &steadyhttp.Breaker{Base: base} },
	}
	const most = 90 * time.Second // MaxDelay and MaxWait
	for name, stack := range arrange {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC)))
			for i, h := range hostile() {
				for _, status := range []int{429, 503, 500, 403} {
					last := time.Now()
					rt := stack(roundTrip(func(req *http.Request) (*http.Response, error) {
						if d := time.Since(last); d > most+time.Second {
							t.Errorf("%s: %d with %v: slept for %v", name, status, h, d)
						}
						last = time.Now()
						return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(bodies[i%len(bodies)])), Request: req}, nil
					}))
					for range 3 {
						start := time.Now()
						last = start
						resp, err := rt.RoundTrip(getFrom(t, t.Context(), "https://hostile.test/"))
						if err == nil {
							resp.Body.Close()
						}
						if d := time.Since(last); d > most+time.Second {
							t.Errorf("%s: %d with %v: returned after %v of sleep", name, status, h, d)
						}
						if d := time.Since(start); d > 4*most+4*time.Second { // jitter is upwards, by a second at most
							t.Errorf("%s: %d with %v: returned after %v", name, status, h, d)
						}
					}
				}
			}
		})
	}
}

func TestServerIsAskedAgainWithinTheHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC)))
		for _, h := range hostile() {
			asked := time.Now()
			rt := &steadyhttp.Limiter{Base: roundTrip(func(req *http.Request) (*http.Response, error) {
				if d := time.Since(asked); d > time.Hour+time.Second {
					t.Errorf("%v: not asked for %v", h, d)
				}
				asked = time.Now()
				return &http.Response{StatusCode: 429, Header: h, Body: http.NoBody, Request: req}, nil
			})}
			for range 5 {
				ctx, cancel := context.WithTimeout(steadyhttp.WithPriority(t.Context(), steadyhttp.PriorityBatch), 100*time.Hour)
				resp, err := rt.RoundTrip(getFrom(t, ctx, "https://hostile.test/"))
				if err != nil {
					t.Errorf("%v: %v", h, err)
				} else {
					resp.Body.Close()
				}
				cancel()
			}
		}
	})
}

func TestServerCannotStopAnotherHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, h := range hostile() {
			for _, status := range []int{429, 503, 500} {
				served := 0
				rt := steadyhttp.NewTransport(roundTrip(func(req *http.Request) (*http.Response, error) {
					if req.URL.Hostname() != "hostile.test" {
						served++
						return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
					}
					h := h.Clone()
					h.Set("X-Ratelimit-Scope", "global")
					h.Set("X-Ratelimit-Global", "true")
					h.Set("X-Ratelimit-Resource", "https://api.test")
					h.Set("Ratelimit-Policy", `"https://api.test";q=1;w=86400;pk=:aHR0cHM6Ly9hcGkudGVzdA==:`)
					h.Set("Location", "https://api.test/")
					return &http.Response{StatusCode: status, Header: h, Body: http.NoBody, Request: req}, nil
				}))
				for range 12 {
					if resp, err := rt.RoundTrip(getFrom(t, t.Context(), "https://hostile.test/")); err == nil {
						resp.Body.Close()
					}
				}
				start := time.Now()
				for _, other := range []string{"https://api.test/", "http://hostile.test.api.test/", "https://api.test:8443/"} {
					if resp, err := rt.RoundTrip(getFrom(t, t.Context(), other)); err != nil || resp.StatusCode != 200 {
						t.Errorf("%d with %v: %s: %v", status, h, other, err)
					}
				}
				if took := time.Since(start); took > 0 || served != 3 {
					t.Errorf("%d with %v: another host waited for %v and served %d of 3", status, h, took, served)
				}
			}
		}
	})
}

// endless is a body that does not end, and counts what is read of it.
type endless struct {
	unit string
	read int64
	off  int
}

func (b *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = b.unit[b.off%len(b.unit)]
		b.off++
	}
	b.read += int64(len(p))
	return len(p), nil
}

func (b *endless) Close() error { return nil }

func TestServerCannotMakeAClientReadOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, unit := range []string{"x", " ", "[", `{"error":`, `{"error":{"message":"a",`, `"a\`, "data: x\n", "<Error>", "\x1f\x8b", "9"} {
			for _, status := range []int{400, 401, 403, 429, 500, 503} {
				var bodies []*endless
				rt := steadyhttp.NewTransport(roundTrip(func(req *http.Request) (*http.Response, error) {
					b := &endless{unit: unit}
					bodies = append(bodies, b)
					return &http.Response{StatusCode: status, ProtoMajor: 1, Header: http.Header{}, Body: b, ContentLength: -1, Request: req}, nil
				}))
				resp, err := rt.RoundTrip(getFrom(t, t.Context(), "https://hostile.test/"))
				if err != nil {
					t.Fatal(err)
				}
				o := steadyhttp.OutcomeOf(resp, nil)
				if n := len(o.Message) + len(o.Code) + len(o.Type) + len(o.Param) + len(o.RequestID); n > 10<<10 {
					t.Errorf("%d of %q: an Outcome of %d bytes", status, unit, n)
				}
				resp.Body.Close()
				for i, b := range bodies {
					// 64 KiB to classify it; if it is dropped, 256 KiB to save the connection.
					if b.read > 64<<10+256<<10+64<<10 {
						t.Errorf("%d of %q: %d bytes were read of response %d", status, unit, b.read, i+1)
					}
				}
			}
		}
	})
}

func TestServerCannotMakeAClientHoldItsHeaders(t *testing.T) {
	const keys, padding = 64, 256 << 10
	n := 0
	rt := &steadyhttp.Limiter{
		Base: roundTrip(func(req *http.Request) (*http.Response, error) {
			n++
			long := strings.Repeat("p", padding)
			return &http.Response{StatusCode: 200, Body: http.NoBody, Request: req, Header: http.Header{
				"Ratelimit-Policy":     {fmt.Sprintf(`"a%d";q=100;w=60;pk=:s%d:;x="%s"`, n, n, long)},
				"Ratelimit":            {fmt.Sprintf(`"a%d";r=99;t=60;pk=:s%d:;x="%s"`, n, n, long)},
				"X-Ratelimit-Resource": {fmt.Sprintf("r%d%s", n, strings.Repeat(" ", padding))},
				"X-Request-Id":         {long},
				"X-Ratelimit-Limit":    {"100, 100;w=60;x=\"" + long + "\""},
			}}, nil
		}),
		Key: func(req *http.Request) string { return req.URL.Path },
	}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for i := range keys {
		resp, err := rt.RoundTrip(getFrom(t, t.Context(), fmt.Sprintf("https://hostile.test/%d", i)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if held := (heap() - before) / keys; held > 32<<10 {
		t.Errorf("%d bytes are held per key, after headers of %d", held, 5*padding)
	}
	runtime.KeepAlive(rt)
}

func getFrom(t *testing.T, ctx context.Context, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}
