package steadyhttp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
)

// scanOf scans body in one write.
func scanOf(body string) *bodyScanner {
	s := new(bodyScanner)
	s.Write([]byte(body))
	return s
}

func TestScannerFindsModelAndTokens(t *testing.T) {
	picture := "data:image/png;base64," + strings.Repeat("A", 40_000)
	mixed := strings.Repeat("iVBORw0KGgoAAAANSUhEUgAA", 400) // 9600 bytes
	text := strings.Repeat("x", 4000)
	for _, c := range []struct {
		name, body, model string
		tokens            Tokens
	}{
		{"chat", `{"model":"gpt-5","messages":[{"role":"user","content":"` + text + `"}],"max_tokens":50}`, "gpt-5", Tokens{1003, 50}},
		{"reasoning", `{"max_completion_tokens":7,"model":"o4"}`, "o4", Tokens{1, 7}},
		{"responses", `{"model":"gpt-5","input":"abcdefgh","max_output_tokens":9}`, "gpt-5", Tokens{4, 9}},
		{"gemini", `{"contents":[{"parts":[{"text":"abcdefgh"}]}],"generationConfig":{"maxOutputTokens":64,"candidateCount":2}}`, "", Tokens{2, 128}},
		{"gemini snake case", `{"generation_config":{"max_output_tokens":64}}`, "", Tokens{0, 64}},
		{"bedrock converse", `{"inferenceConfig":{"maxTokens":11}}`, "", Tokens{0, 11}},
		{"choices", `{"n":3,"max_tokens":10}`, "", Tokens{0, 30}},
		{"choices without end", `{"n":1e300,"max_tokens":10}`, "", Tokens{0, 10 * maxChoices}},
		{"two ceilings: the larger", `{"max_tokens":10,"max_completion_tokens":20}`, "", Tokens{0, 20}},
		{"no ceiling", `{"model":"abcd"}`, "abcd", Tokens{1, 0}},
		{"null ceiling", `{"max_tokens":null,"x":5}`, "", Tokens{}},
		{"negative ceiling", `{"max_tokens":-1}`, "", Tokens{}},
		{"absurd ceiling", `{"max_tokens":1e999}`, "", Tokens{0, maxTokens}},
		{"ceiling in text", `{"x":"\"max_tokens\":77,"}`, "", Tokens{5, 0}},
		{"ceiling elsewhere", `{"metadata":{"max_tokens":77,"model":"no"},"tools":[{"parameters":{"max_tokens":3}}]}`, "", Tokens{1, 0}},
		{"list of ceilings", `{"max_tokens":[5]}`, "", Tokens{}},
		{"pretty", "{\n  \"model\" : \"m\" ,\n\t\"max_tokens\" : 5\r\n}\n", "m", Tokens{1, 5}},
		{"model last", `{"messages":[{"a":[{"model":"no"}]}],"model":"yes"}`, "yes", Tokens{2, 0}},
		{"model twice", `{"model":"a","model":"b"}`, "a", Tokens{1, 0}},
		{"model in a list", `{"model":["a"]}`, "", Tokens{1, 0}},
		{"escaped name", `{"mod\u0065l":"\u0067pt\/5"}`, "gpt/5", Tokens{3, 0}},
		{"backslashes", `{"a":"\\","b":"\\\"","model":"m"}`, "m", Tokens{2, 0}},
		{"token ids", `{"model":"emb0","input":[[1,2,3],[4,5]],"dimensions":256}`, "emb0", Tokens{6, 0}},
		{"picture", `{"content":[{"image_url":{"url":"` + picture + `"}}]}`, "", Tokens{encodedCost, 0}},
		{"inline data", `{"inline_data":{"data":"` + strings.Repeat("A", 40_000) + `"}}`, "", Tokens{encodedCost, 0}},
		{"unnamed data", `{"x":["` + mixed + `","` + mixed + `"]}`, "", Tokens{2 * encodedCost, 0}},
		{"data as PHP writes it", `{"x":"` + strings.ReplaceAll(mixed, "KG", `\/`) + `"}`, "", Tokens{encodedCost, 0}},
		{"little data", `{"data":"` + strings.Repeat("A", 800) + `"}`, "", Tokens{200, 0}},
		{"text under data's name", `{"data":"` + strings.Repeat("some words ", 4000) + `"}`, "", Tokens{11_000, 0}},
		{"text without spaces", `{"content":"` + strings.Repeat("字", 4000) + `"}`, "", Tokens{3000, 0}},
		{"list", `[{"model":"m"}]`, "", Tokens{}},
		{"empty", ``, "", Tokens{}},
		{"text", `hello {"model":"m"}`, "", Tokens{}},
		{"cut off", `{"model":"m","messages":[{"content":"abcd`, "m", Tokens{1, 0}},
		{"something behind", `{"model":"m"} {"model":"n","max_tokens":1}`, "m", Tokens{1, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := scanOf(c.body)
			if s.model != c.model || s.tokens() != c.tokens {
				t.Errorf("got %q, %+v, want %q, %+v", s.model, s.tokens(), c.model, c.tokens)
			}
			for _, size := range []int{1, 2, 3, 7, 500} {
				s := new(bodyScanner)
				for chunk := range chunks(c.body, size) {
					scratch := []byte(chunk)
					s.Write(scratch)
					clear(scratch) // a writer keeps its buffer
				}
				if s.model != c.model || s.tokens() != c.tokens {
					t.Errorf("in chunks of %d: got %q, %+v, want %q, %+v", size, s.model, s.tokens(), c.model, c.tokens)
				}
			}
		})
	}
}

func chunks(s string, size int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for ; s != ""; s = s[min(size, len(s)):] {
			if !yield(s[:min(size, len(s))]) {
				return
			}
		}
	}
}

func TestScannerIsLinear(t *testing.T) {
	const n = 4 << 20
	for name, body := range map[string]string{
		"nesting":     strings.Repeat(`{"a":[`, n/6),
		"closings":    "{" + strings.Repeat("[]", n/2),
		"backslashes": `{"a":"` + strings.Repeat(`\`, n),
		"quotes":      `{"a":"` + strings.Repeat(`\"`, n/2),
		"empty":       `{"a":[` + strings.Repeat(`"",`, n/3),
		"names":       "{" + strings.Repeat(`"model":"a",`, n/12),
		"digits":      `{"max_tokens":` + strings.Repeat("9", n),
		"garbage":     "{" + strings.Repeat("\x00\xff", n/2),
		"long model":  `{"model":"` + strings.Repeat("m", n) + `"}`,
	} {
		s := scanOf(body)
		if len(s.model) > maxRaw || s.tokens().Output > maxTokens*maxChoices || s.tokens().Input > n {
			t.Errorf("%s: model of %d bytes, %+v", name, len(s.model), s.tokens())
		}
	}
}

func TestScannerStopsAtItsBound(t *testing.T) {
	s := new(bodyScanner)
	err := s.readFrom(io.MultiReader(strings.NewReader(`{"model":"m","x":"`), zeros{}))
	if err != errEnough || s.model != "m" || s.size != maxScan {
		t.Errorf("got %v, %q after %d bytes", err, s.model, s.size)
	}
	if err := new(bodyScanner).readFrom(silent{}); err != io.ErrNoProgress {
		t.Errorf("a reader that returns nothing: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

func TestScannerTakesEveryKindOfReader(t *testing.T) {
	body := `{"model":"m","messages":[{"content":"` + strings.Repeat("some words ", 5000) + `"}],"max_tokens":5}`
	for name, r := range map[string]io.Reader{
		"bytes.Reader":   bytes.NewReader([]byte(body)),
		"strings.Reader": strings.NewReader(body),
		"bare":           struct{ io.Reader }{strings.NewReader(body)},
		"one byte":       iotest.OneByteReader(strings.NewReader(body)),
		"data with EOF":  iotest.DataErrReader(strings.NewReader(body)),
	} {
		s := new(bodyScanner)
		if err := s.readFrom(r); err != nil || s.model != "m" || s.tokens() != (Tokens{13_751, 5}) {
			t.Errorf("%s: %v, %q, %+v", name, err, s.model, s.tokens())
		}
	}
}

// reference is what the scanner should find, by encoding/json's own tokens.
func reference(body []byte) (model string, ceiling, choices float64) {
	dec := json.NewDecoder(bytes.NewReader(body))
	type level struct {
		object, value bool // a value is due, not a name
		name          string
	}
	var stack []level
	for {
		token, err := dec.Token()
		if err != nil {
			return model, ceiling, choices
		}
		top := len(stack) - 1
		if d, ok := token.(json.Delim); ok {
			if d == '{' || d == '[' {
				stack = append(stack, level{object: d == '{'})
				continue
			}
			if stack = stack[:top]; top == 0 {
				return model, ceiling, choices
			}
			stack[top-1].value = false
			continue
		}
		if !stack[top].object {
			continue
		}
		if !stack[top].value {
			stack[top].name, stack[top].value = token.(string), true
			continue
		}
		stack[top].value = false
		f := fieldOf([]byte(stack[top].name))
		if top > 1 || top == 1 && (!stack[0].object || fieldOf([]byte(stack[0].name)) != fieldConfig) {
			continue
		}
		switch v := token.(type) {
		case string:
			if f == fieldModel && top == 0 && model == "" {
				model = v
			}
		case float64:
			if f == fieldMax {
				ceiling = max(ceiling, v)
			} else if f == fieldChoices {
				choices = max(choices, v)
			}
		}
	}
}

func FuzzScannerAgreesWithEncodingJSON(f *testing.F) {
	for _, seed := range []string{
		`{"model":"gpt-5","messages":[{"role":"user","content":"a \"b\" \\"}],"max_tokens":5,"n":2}`,
		`{"generationConfig":{"maxOutputTokens":64,"x":[{"maxTokens":3}]},"contents":[]}`,
		`{"mod\u0065l":"\ud83d\ude00","parameters":[{"max_new_tokens":1}],"input":[1,-2.5e3,[3]]}`,
		`{"a":{},"b":[],"c":"","":{"":""},"model":null,"max_tokens":true}`,
		"\t{ \"n\" : 1 , \"max_tokens\"\n:1e3}",
	} {
		f.Add([]byte(seed), uint8(3))
	}
	f.Fuzz(func(t *testing.T, body []byte, size uint8) {
		whole := scanOf(string(body))
		parts := new(bodyScanner)
		for chunk := range chunks(string(body), int(size)+1) {
			parts.Write([]byte(chunk))
		}
		if whole.model != parts.model || whole.tokens() != parts.tokens() {
			t.Errorf("whole: %q, %+v; in chunks: %q, %+v", whole.model, whole.tokens(), parts.model, parts.tokens())
		}
		brief := &bodyScanner{brief: true}
		brief.Write(body)
		leading := leadingModel(bytes.NewReader(body))
		if brief.model != whole.model || leading != "" && leading != whole.model {
			t.Errorf("model %q; to a brief look %q, %q", whole.model, brief.model, leading)
		}
		if got := whole.tokens(); got.Input < 0 || got.Output < 0 || got.Input > int64(len(body))+1 {
			t.Errorf("absurd: %+v", got)
		}
		if !json.Valid(body) || bytes.TrimSpace(body)[0] != '{' {
			return
		}
		model, ceiling, choices := reference(body)
		if len(model) < 100 && whole.model != model {
			t.Errorf("model %q, want %q", whole.model, model)
		}
		clamp := func(f float64) int64 { return int64(min(max(f, 0), maxTokens)) }
		if digits := len(body); digits < 32 || !math.IsInf(ceiling, 0) {
			if want := clamp(ceiling); digits < 32 && whole.max != want {
				t.Errorf("ceiling %d, want %d", whole.max, want)
			}
			if want := clamp(choices); digits < 32 && whole.choices != want {
				t.Errorf("choices %d, want %d", whole.choices, want)
			}
		}
	})
}

func chatBody(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"model":"gpt-5-mini","messages":[{"role":"system","content":"You are helpful."}`)
	for b.Len() < size-900 {
		fmt.Fprintf(&b, `,{"role":"user","content":"%s"}`, strings.Repeat(`The quick brown fox jumps over the lazy dog.\nThen it said \"no\", and slept until the sun was up again.\n`, 6))
	}
	b.WriteString(`],"temperature":0.2,"max_tokens":256,"user":"someone"}`)
	return b.Bytes()
}

func BenchmarkScan(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			body := chatBody(size)
			b.SetBytes(int64(len(body)))
			s := new(bodyScanner)
			for b.Loop() {
				s.reset()
				s.Write(body)
			}
		})
	}
	b.Run("prose", func(b *testing.B) {
		body := []byte(`{"model":"m","prompt":"` + strings.Repeat("lorem ipsum dolor sit amet, ", 1<<20/28) + `"}`)
		b.SetBytes(int64(len(body)))
		s := new(bodyScanner)
		for b.Loop() {
			s.reset()
			s.Write(body)
		}
	})
}
