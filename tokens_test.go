package steadyhttp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

const chat = `{"model":"gpt-5","messages":[{"role":"user","content":"hello"}],"max_tokens":5}`

func post(t testing.TB, url, contentType string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequest("POST", url, body)
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return req
}

func TestEstimateTokensReadsJSONOnly(t *testing.T) {
	for _, c := range []struct {
		contentType, body string
		found             bool
	}{
		{"application/json", chat, true},
		{"application/json; charset=utf-8", chat, true},
		{"Application/JSON;charset", chat, true},
		{"application/vnd.api+json", chat, true},
		{"", chat, true},
		{"", " \n" + chat, true},
		{"text/plain", chat, false},
		{"multipart/form-data; boundary=x", chat, false},
		{"application/json", "[" + chat + "]", false},
		{"application/json", "", false},
	} {
		got := EstimateTokens(post(t, "https://h/v1/x", c.contentType, strings.NewReader(c.body)))
		want := Tokens{}
		if c.found {
			want = Tokens{4, 5}
		}
		if got != want {
			t.Errorf("%q, %.20q: got %+v, want %+v", c.contentType, c.body, got, want)
		}
	}
}

func TestCompressedBodyIsNotScanned(t *testing.T) {
	req := post(t, "https://h/", "application/json", strings.NewReader(chat))
	req.Header.Set("Content-Encoding", "gzip")
	if got := EstimateTokens(req); got != (Tokens{}) {
		t.Errorf("got %+v", got)
	}
}

// body counts what becomes of it.
type countedBody struct {
	io.Reader
	closed *int
}

func (b countedBody) Close() error { *b.closed++; return nil }

func TestBodyWithoutGetBodySaysNothing(t *testing.T) {
	closed := 0
	req := post(t, "https://h/", "application/json", nil)
	req.Body, req.ContentLength = countedBody{strings.NewReader(chat), &closed}, int64(len(chat))
	if got := EstimateTokens(req); got != (Tokens{}) || closed != 0 {
		t.Errorf("got %+v, closed %d times", got, closed)
	}
}

func TestBodyInMemoryIsScannedWhereItLies(t *testing.T) {
	closed := 0
	for name, r := range map[string]io.Reader{
		"bytes.Reader":   bytes.NewReader([]byte(chat)),
		"strings.Reader": strings.NewReader(chat),
		"bytes.Buffer":   bytes.NewBufferString(chat),
	} {
		for wraps, body := range map[string]io.ReadCloser{
			"nothing around it":   io.NopCloser(r),
			"a counter around it": countedBody{r, &closed},
			"several around it":   &onceCloser{ReadCloser: countedBody{io.NopCloser(r), &closed}},
			"a Retrier's loan":    new(loan).lend(io.NopCloser(r), -1, nil),
		} {
			req := post(t, "https://h/", "application/json", nil)
			req.Body, req.ContentLength = body, int64(len(chat))
			req.GetBody = func() (io.ReadCloser, error) { t.Error("GetBody was called"); return nil, io.EOF }
			if got := EstimateTokens(req); got != (Tokens{4, 5}) {
				t.Errorf("%s, %s: got %+v", name, wraps, got)
			}
		}
		if rest, _ := io.ReadAll(r); string(rest) != chat || closed != 0 {
			t.Errorf("%s: %d bytes left, closed %d times", name, len(rest), closed)
		}
	}
}

func TestBodyThatWasReadIsAskedForAgain(t *testing.T) {
	req := post(t, "https://h/", "application/json", strings.NewReader(chat))
	io.ReadAll(req.Body)
	if got := ModelKey(req); got != "gpt-5" {
		t.Errorf("got %q", got)
	}
}

func TestStackAsksForNoCopyOfABodyInMemory(t *testing.T) {
	server := &http.Client{Transport: NewTransport(tracedBase(func(req *http.Request) (*http.Response, error) {
		io.Copy(io.Discard, req.Body)
		req.Body.Close()
		return canned(200, nil, "")(req)
	}))}
	req := post(t, "https://h/v1/chat/completions", "application/json", strings.NewReader(chat))
	req.GetBody = func() (io.ReadCloser, error) { t.Error("GetBody was called"); return nil, io.EOF }
	resp, err := server.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

func TestBodyElsewhereIsReadFromCopiesThatAreClosed(t *testing.T) {
	var opened, copiesClosed, closed int
	req := post(t, "https://h/", "application/json", nil)
	req.Body, req.ContentLength = opaque(strings.NewReader(chat), &closed), int64(len(chat))
	req.GetBody = func() (io.ReadCloser, error) {
		opened++
		return opaque(strings.NewReader(chat), &copiesClosed), nil
	}
	if got := EstimateTokens(req); got != (Tokens{4, 5}) {
		t.Errorf("got %+v", got)
	}
	if rest, _ := io.ReadAll(req.Body); string(rest) != chat || closed != 0 || opened == 0 || opened != copiesClosed {
		t.Errorf("%d bytes left, %d closed; %d copies, %d closed", len(rest), closed, opened, copiesClosed)
	}
}

// opaque is a body that nobody can look into.
func opaque(r io.Reader, closed *int) io.ReadCloser { return hiddenBody{r, closed} }

type hiddenBody struct {
	r      io.Reader
	closed *int
}

func (b hiddenBody) Read(p []byte) (int, error) { return b.r.Read(p) }
func (b hiddenBody) Close() error               { *b.closed++; return nil }

// sharedReader sets Body and GetBody as openai-go does with a *bytes.Reader, and
// anthropic-sdk-go for Bedrock and Vertex: each copy is the one reader, rewound.
func sharedReader(req *http.Request, body []byte) {
	reader := bytes.NewReader(body)
	req.ContentLength = int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) {
		_, err := reader.Seek(0, 0)
		return io.NopCloser(reader), err
	}
	req.Body, _ = req.GetBody()
}

// onceCloser is how openai-go wraps the body of each attempt.
type onceCloser struct {
	io.ReadCloser
	once sync.Once
}

func (b *onceCloser) Close() (err error) {
	b.once.Do(func() { err = b.ReadCloser.Close() })
	return err
}

func TestScanLeavesASharedReaderWhereItWas(t *testing.T) {
	big := bytes.Replace([]byte(chat), []byte("hello"), bytes.Repeat([]byte("words "), 100_000), 1)
	for name, body := range map[string][]byte{"object": []byte(chat), "list": []byte("[" + chat + "]"), "big": big} {
		req := post(t, "https://h/", "application/json", nil)
		sharedReader(req, body)
		closed, getBody, plain := 0, req.GetBody, req.Body
		for how, hide := range map[string]func(io.ReadCloser) io.ReadCloser{
			"as it is":    func(b io.ReadCloser) io.ReadCloser { return b },
			"once closed": func(b io.ReadCloser) io.ReadCloser { return &onceCloser{ReadCloser: b} },
			"opaque":      func(b io.ReadCloser) io.ReadCloser { return opaque(b, &closed) },
		} {
			req.Body = hide(plain)
			req.GetBody = func() (io.ReadCloser, error) {
				b, err := getBody()
				return hide(b), err
			}
			RequestKey(req)
			EstimateTokens(req)
			if got, err := io.ReadAll(req.Body); err != nil || !bytes.Equal(got, body) {
				t.Errorf("%s, %s: %d of %d bytes left to send, %v", name, how, len(got), len(body), err)
			}
			getBody()
		}
	}
}

func TestSharedReaderArrivesWholeThroughTheStack(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, string(body))
	}))
	defer server.Close()
	client := &http.Client{Transport: NewTransport(&http.Transport{})}
	defer client.CloseIdleConnections()
	req := post(t, server.URL+"/v1/chat/completions", "application/json", nil)
	sharedReader(req, []byte(chat))
	if RequestKey(req) == HostKey(req) {
		t.Error("the model was not found")
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if len(got) != 1 || got[0] != chat {
		t.Errorf("the server got %q", got)
	}
}

func TestFailingGetBodySaysNothing(t *testing.T) {
	var closed int
	for name, getBody := range map[string]func() (io.ReadCloser, error){
		"error": func() (io.ReadCloser, error) { return nil, errors.New("gone") },
		"error, body": func() (io.ReadCloser, error) {
			return countedBody{strings.NewReader(chat), &closed}, errors.New("gone")
		},
		"nil":          func() (io.ReadCloser, error) { return nil, nil },
		"panic":        func() (io.ReadCloser, error) { panic("gone") },
		"panicking":    func() (io.ReadCloser, error) { return countedBody{nil, &closed}, nil },
		"another body": func() (io.ReadCloser, error) { return countedBody{strings.NewReader(chat + " "), &closed}, nil },
		"no object":    func() (io.ReadCloser, error) { return countedBody{strings.NewReader("null"), &closed}, nil },
		"broken reader": func() (io.ReadCloser, error) {
			return countedBody{io.MultiReader(strings.NewReader(chat), broken{}), &closed}, nil
		},
	} {
		req := post(t, "https://h/", "application/json", strings.NewReader(chat))
		req.Body = opaque(req.Body, new(int))
		req.GetBody = getBody
		for _, brief := range []bool{true, false} {
			if got := readFacts(req, brief); got != (found{}) {
				t.Errorf("%s: got %+v", name, got)
			}
		}
		if rest, _ := io.ReadAll(req.Body); string(rest) != chat {
			t.Errorf("%s: Body was touched", name)
		}
	}
	if closed == 0 {
		t.Error("no copy was closed")
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestEmptyBodyNeverAsksAStaleGetBody(t *testing.T) {
	for _, body := range []io.ReadCloser{nil, http.NoBody} {
		req := post(t, "https://h/", "application/json", nil)
		req.Body = body
		req.GetBody = func() (io.ReadCloser, error) { t.Error("asked"); return nil, io.EOF }
		RequestKey(req)
	}
}

func TestBodyIsScannedOnceForAllAttemptsOfACall(t *testing.T) {
	req := post(t, "https://h/", "application/json", strings.NewReader(chat))
	scans, getBody := 0, req.GetBody
	req.Body = opaque(req.Body, new(int))
	req.GetBody = func() (io.ReadCloser, error) { scans++; return getBody() }
	first, a, _ := joinAttempt(req, roleLimiter, time.Now())
	again := &attempt{Context: req.Context(), call: a.call, number: 2}
	for _, req := range []*http.Request{first, first, req.WithContext(again)} {
		if ModelKey(req) != "gpt-5" || EstimateTokens(req) != (Tokens{4, 5}) {
			t.Errorf("got %q, %+v", ModelKey(req), EstimateTokens(req))
		}
	}
	if scans != 1 {
		t.Errorf("GetBody was called %d times", scans)
	}

	other := post(t, "https://h/", "application/json", strings.NewReader(strings.Replace(chat, "gpt-5", "gpt-6", 1)))
	if got := ModelKey(other.WithContext(first.Context())); got != "gpt-6" {
		t.Errorf("another request with the same context: got %q", got)
	}
}

func TestFactsAreSafeForConcurrentAttempts(t *testing.T) {
	req, _, _ := joinAttempt(post(t, "https://h/", "", strings.NewReader(chat)), roleLimiter, time.Now())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if ModelKey(req) != "gpt-5" {
				t.Error("model not found")
			}
		})
	}
	wg.Wait()
}

func TestScanningABigBodyHoldsLittle(t *testing.T) {
	body := string(chatBody(1 << 20))
	req := post(t, "https://h/", "application/json", opaque(nil, nil))
	req.GetBody = func() (io.ReadCloser, error) { return opaque(strings.NewReader(body), new(int)), nil }
	allocated := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			EstimateTokens(req)
		}
	}).AllocedBytesPerOp()
	if allocated > 4<<10 {
		t.Errorf("%d bytes allocated for a body of %d", allocated, len(body))
	}
}

func BenchmarkFacts(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			body := bytes.Replace([]byte(chat), []byte("hello"), bytes.Repeat([]byte("words and "), size/10-8), 1)
			req := post(b, "https://api.openai.com/v1/chat/completions", "application/json", bytes.NewReader(body))
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				EstimateTokens(req)
			}
		})
	}
}
