package steadyhttp

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestHostKeyNormalises(t *testing.T) {
	for raw, want := range map[string]string{
		"https://api.example.com/v1":       "https://api.example.com",
		"HTTPS://API.Example.COM:443/":     "https://api.example.com",
		"http://api.example.com:80":        "http://api.example.com",
		"http://api.example.com:443":       "http://api.example.com:443",
		"https://api.example.com.:8443/?x": "https://api.example.com:8443",
		"https://api.example.com./":        "https://api.example.com",
		"http://[::1]:8080/":               "http://[::1]:8080",
		"http://[FE80::1]:80/":             "http://[fe80::1]",
		"https://user:secret@h/":           "https://h",
		"/relative":                        "",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := HostKey(&http.Request{URL: u, Host: "other"}); got != want {
			t.Errorf("%s: got %q, want %q", raw, got, want)
		}
	}
}

// A scheme in capitals is not as the key has it, so that nothing is taken as it
// stands: all short hosts are spelled the same either way.
func TestHostKeyIsTheSameHoweverItIsWritten(t *testing.T) {
	var hosts func(host string)
	hosts = func(host string) {
		for _, scheme := range []string{"http", "https"} {
			for _, port := range []string{"", ":80", ":443", ":8080", "80"} {
				got := HostKey(&http.Request{URL: &url.URL{Scheme: scheme, Host: host + port}})
				want := HostKey(&http.Request{URL: &url.URL{Scheme: strings.ToUpper(scheme), Host: host + port}})
				if got != want {
					t.Fatalf("%s://%s%s: got %q, want %q", scheme, host, port, got, want)
				}
			}
		}
		if len(host) < 4 {
			for _, c := range "aZ.:-0[ %" {
				hosts(host + string(c))
			}
		}
	}
	hosts("")
}

func TestKeysTolerateAnEmptyRequest(t *testing.T) {
	req := new(http.Request)
	for name, key := range map[string]KeyFunc{
		"HostKey": HostKey, "CredentialKey": CredentialKey, "ModelKey": ModelKey, "RequestKey": RequestKey, "JoinKeys": JoinKeys(HostKey, ModelKey),
	} {
		if got := key(req); got != "" {
			t.Errorf("%s: got %q", name, got)
		}
		if got := key(req.WithContext(WithScope(context.Background(), "s"))); got != "" {
			t.Errorf("%s with a scope: got %q", name, got)
		}
	}
}

// credential returns the CredentialKey of a request to rawURL with the headers.
func credential(t *testing.T, rawURL string, headers ...string) string {
	t.Helper()
	req := httptest.NewRequest("GET", rawURL, nil)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	return CredentialKey(req)
}

func TestCredentialKeyTellsCredentialsApart(t *testing.T) {
	seen := map[string]int{}
	for i, key := range []string{
		credential(t, "https://h/", "Authorization", "Bearer secret"),
		credential(t, "https://h/", "Authorization", "Bearer secret2"),
		credential(t, "https://h/", "Authorization", "secret"),
		credential(t, "https://h/", "Api-Key", "secret"),
		credential(t, "https://h/", "X-Api-Key", "secret"),
		credential(t, "https://h/", "X-Goog-Api-Key", "secret"),
		credential(t, "https://h/?key=secret"),
		credential(t, "https://h/?x=1&key=other"),
		credential(t, "https://h/", "Authorization", "Bearer secret", "Api-Key", "secret"),
		credential(t, "https://h/", "Authorization", "Basic dTpw"),
		credential(t, "https://h/", "Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20261120/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=1"),
		credential(t, "https://h/", "Authorization", "AWS4-HMAC-SHA256 Credential=AKID2/20261120/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=1"),
		credential(t, "https://h/?X-Amz-Credential=AKID%2F20261120%2Fus-east-1&X-Amz-Signature=1"),
		credential(t, "https://h/", "Authorization", `OAuth oauth_consumer_key="a", oauth_token="b", oauth_nonce="1"`),
		credential(t, "https://h/", "Authorization", `OAuth oauth_consumer_key="a", oauth_token="c", oauth_nonce="1"`),
	} {
		if j, dup := seen[key]; dup {
			t.Errorf("%d and %d share the key %q", i, j, key)
		}
		if seen[key] = i; len(key) != digestLen || strings.Contains(key, "secret") {
			t.Errorf("%d: key %q", i, key)
		}
	}
}

func TestCredentialKeyIsWhatStaysTheSame(t *testing.T) {
	for name, pair := range map[string][2]string{
		"SigV4": {
			credential(t, "https://h/", "Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20261120/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=1"),
			credential(t, "https://h/", "Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20261121/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-date,Signature=2"),
		},
		"a descendant of SigV4": {
			credential(t, "https://h/", "Authorization", "TC3-HMAC-SHA256 Credential=AKID/2026-11-20/cvm/tc3_request, SignedHeaders=host, Signature=1"),
			credential(t, "https://h/", "Authorization", "TC3-HMAC-SHA256 Credential=AKID/2026-11-21/cvm/tc3_request, SignedHeaders=host, Signature=2"),
		},
		"presigned": {
			credential(t, "https://h/a?X-Amz-Credential=AKID%2F20261120%2Fus-east-1%2Fs3&X-Amz-Date=1&X-Amz-Signature=1"),
			credential(t, "https://h/b?X-Amz-Date=2&X-Amz-Credential=AKID/20261121/us-east-1/s3&X-Amz-Signature=2"),
		},
		"SigV2": {
			credential(t, "https://h/", "Authorization", "AWS AKID:sig1"),
			credential(t, "https://h/", "Authorization", "AWS AKID:sig2"),
		},
		"OAuth 1": {
			credential(t, "https://h/", "Authorization", `OAuth realm="x",oauth_consumer_key="a",oauth_nonce="1",oauth_token="b",oauth_signature="1%3D"`),
			credential(t, "https://h/", "Authorization", `OAuth oauth_nonce="2", oauth_consumer_key="a", oauth_token="b", oauth_signature="2%3D"`),
		},
		"Digest": {
			credential(t, "https://h/", "Authorization", `Digest username="u", realm="r", nonce="1", nc=00000001, response="1"`),
			credential(t, "https://h/", "Authorization", `Digest username="u", realm="r", nonce="1", nc=00000002, response="2"`),
		},
		"HTTP signature": {
			credential(t, "https://h/", "Authorization", `Signature keyId="k",algorithm="rsa",signature="1"`),
			credential(t, "https://h/", "Authorization", `Signature keyId="k",algorithm="rsa",signature="2"`),
		},
		"case of the scheme": {
			credential(t, "https://h/", "Authorization", "Bearer x"),
			credential(t, "https://h/", "Authorization", "bearer  x"),
		},
		"userinfo is Basic": {
			credential(t, "https://u:p@h/"),
			credential(t, "https://h/", "Authorization", "Basic dTpw"),
		},
		"the rest of the URL": {
			credential(t, "https://h/a?page=1&key=k"),
			credential(t, "https://h/b?key=k&page=2#x"),
		},
		"cookies": {
			credential(t, "https://h/", "Authorization", "Bearer x", "Cookie", "a=1"),
			credential(t, "https://h/", "Authorization", "Bearer x", "Cookie", "a=2"),
		},
	} {
		if pair[0] != pair[1] || pair[0] == "" {
			t.Errorf("%s: %q and %q", name, pair[0], pair[1])
		}
	}
	if got := credential(t, "https://h/?q=1", "Cookie", "a=1", "Authorization", ""); got != "" {
		t.Errorf("no credential: got %q", got)
	}
}

func TestModelKeyIsInThePathOrElseInTheBody(t *testing.T) {
	for _, c := range []struct{ method, url, body, want string }{
		{"POST", "https://h/v1/chat/completions", `{"model":"gpt-5"}`, "gpt-5"},
		{"POST", "https://h/v1/chat/completions", `{"model":"meta/llama 3"}`, "meta/llama%203"},
		{"POST", "https://h/v1/chat/completions", `{}`, ""},
		{"POST", "https://x.openai.azure.com/openai/deployments/prod-4o/chat/completions?api-version=1", `{"model":"gpt-4o"}`, "prod-4o"},
		{"POST", "https://h/v1beta/models/gemini-3-pro:generateContent?key=k", `{}`, "gemini-3-pro"},
		{"POST", "https://h/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse", `{}`, "gemini-3-pro"},
		{"POST", "https://h/v1/projects/p/locations/l/publishers/google/models/gemini-3:predict", ``, "gemini-3"},
		{"POST", "https://h/model/anthropic.claude-5%3A0/invoke", `{}`, "anthropic.claude-5:0"},
		{"POST", "https://h/model/arn:aws:bedrock:us-east-1:1:inference-profile%2Fx.y/converse-stream", `{}`, "arn:aws:bedrock:us-east-1:1:inference-profile/x.y"},
		{"GET", "https://h/v1/models/gpt-5", ``, ""},
		{"GET", "https://h/v1/models/a:b", ``, ""},
		{"POST", "https://api.github.com/repos/o/r/deployments/42/statuses", `{"state":"success"}`, ""},
		{"POST", "https://h/models/", ``, ""},
	} {
		req, err := http.NewRequest(c.method, c.url, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if got := ModelKey(req); got != c.want {
			t.Errorf("%s %s %s: got %q, want %q", c.method, c.url, c.body, got, c.want)
		}
	}
}

func TestKeysAreBoundedAndPrintable(t *testing.T) {
	long := strings.Repeat("m", 900)
	keys := map[string]bool{}
	for _, model := range []string{long, long + "2", `a\u0000b`, `a\nb`, `a b`, `a@b`, "a\u202eb", "é"} {
		req := post(t, "https://h/", "", strings.NewReader(`{"model":"`+model+`"}`))
		req = req.WithContext(WithScope(context.Background(), strings.Repeat("tenant\n", 1000)))
		key := RequestKey(req)
		if keys[key] || len(key) > 4*maxName+100 {
			t.Errorf("%.20q: key of %d bytes, seen before: %v", model, len(key), keys[key])
		}
		if keys[key] = true; strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%.20q: key %q", model, key)
		}
	}
	hostile := &http.Request{URL: &url.URL{Scheme: "https", Host: strings.Repeat("h\n", 5000)}}
	if key := HostKey(hostile); len(key) > 4*maxName || strings.Contains(key, "\n") {
		t.Errorf("host: key of %d bytes", len(key))
	}
}

func TestRequestKeyJoinsHostCredentialAndModel(t *testing.T) {
	req := post(t, "https://api.openai.com/v1/chat/completions", "application/json", strings.NewReader(chat))
	if got := RequestKey(req); got != "https://api.openai.com gpt-5" {
		t.Errorf("without a credential: %q", got)
	}
	req.Header.Set("Authorization", "Bearer sk-secret")
	want := "https://api.openai.com " + CredentialKey(req) + " gpt-5"
	if got := RequestKey(req); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := JoinKeys(HostKey, CredentialKey, ModelKey)(req); got != want {
		t.Errorf("JoinKeys: got %q, want %q", got, want)
	}
	scoped := req.WithContext(WithScope(req.Context(), "team a"))
	want += "@team%20a"
	if got := RequestKey(scoped); got != want {
		t.Errorf("with a scope: got %q, want %q", got, want)
	}
	if got := JoinKeys(HostKey, CredentialKey, ModelKey)(scoped); got != want {
		t.Errorf("JoinKeys with a scope: got %q, want %q", got, want)
	}
	if got := RequestKey(scoped.WithContext(WithScope(scoped.Context(), ""))); strings.Contains(got, "team") {
		t.Errorf("with the scope taken back: %q", got)
	}
}

func TestPriorityIsInteractiveUnlessSaid(t *testing.T) {
	ctx := context.Background()
	if priorityOf(ctx) != PriorityInteractive || priorityOf(WithPriority(ctx, PriorityBatch)) != PriorityBatch {
		t.Error("wrong priority")
	}
}

func BenchmarkRequestKey(b *testing.B) {
	req := post(b, "https://api.openai.com/v1/chat/completions", "application/json", strings.NewReader(chat))
	req.Header.Set("Authorization", "Bearer sk-proj-0123456789012345678901234567890123456789")
	for name, key := range map[string]KeyFunc{"host": HostKey, "credential": CredentialKey, "model": ModelKey, "request": RequestKey} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				key(req)
			}
		})
	}
}

func TestRequestThatIsSentElsewhereHasTheKeyOfThatHost(t *testing.T) {
	byHost := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		if req.URL.Host == "b.example" {
			return answer(req, 500), nil
		}
		return answer(req, 200), nil
	})
	b := &Breaker{Failures: 1, Base: &Limiter{Base: &Classifier{Base: byHost}}}
	elsewhere := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		moved := *req
		moved.URL.Host = "b.example" // in place, which breaks the contract and is done
		return b.RoundTrip(&moved)
	})
	for name, call := range map[string]func(){
		"a request is used again": func() {
			resp, err := (&Retrier{Base: b}).RoundTrip(get(t, "a.example"))
			if err != nil {
				t.Fatal(err)
			}
			again := resp.Request
			again.URL.Host = "b.example"
			if got := HostKey(again); got != "https://b.example" {
				t.Errorf("key %q", got)
			}
			send(t, &Retrier{MaxAttempts: 1, Base: b}, again)
		},
		"a layer between": func() { send(t, &Retrier{MaxAttempts: 1, Base: elsewhere}, get(t, "a.example")) },
	} {
		b.circuits = lru[*circuit]{make: b.circuits.make, busy: b.circuits.busy}
		call()
		if a, other := b.State(get(t, "a.example")), b.State(get(t, "b.example")); a != StateClosed || other != StateOpen {
			t.Errorf("%s: the circuit of the one host is %v, that of the failing one %v", name, a, other)
		}
	}
}
