package steadyhttp

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash/maphash"
	"net/http"
	"strings"
)

// credentialHeaders are the headers whose whole value is a credential, or for
// the first a scheme and what it asks for.
var credentialHeaders = [...]string{"Authorization", "Api-Key", "X-Api-Key", "X-Goog-Api-Key"}

// credentialQueries are the parameters of a URL that are credentials or, with an
// end, the id of one up to there.
var credentialQueries = map[string]string{
	"key":                "",
	"api_key":            "",
	"access_token":       "",
	"oauth_consumer_key": "",
	"oauth_token":        "",
	"AWSAccessKeyId":     "",
	"X-Amz-Credential":   "/",
	"X-Goog-Credential":  "/",
}

// signingSchemes are the schemes of Authorization whose value changes with each
// request, with the parameters that do not. The name "" is the value itself, up
// to the first colon.
var signingSchemes = map[string][]string{
	"aws":           {""},
	"sharedkey":     {""},
	"sharedkeylite": {""},
	"oauth":         {"oauth_consumer_key", "oauth_token"},
	"digest":        {"username", "realm"},
	"hawk":          {"id"},
	"mac":           {"id"},
	"signature":     {"keyid"},
}

// appendCredential appends the digest of the credentials of req, if any.
func appendCredential(b []byte, req *http.Request) []byte {
	var buf [512]byte
	secret := buf[:0]
	for _, name := range credentialHeaders {
		for _, value := range req.Header[name] {
			if value == "" {
				continue
			}
			secret = append(append(secret, name...), 0)
			if name == "Authorization" {
				secret = appendStable(secret, value)
			} else {
				secret = append(secret, value...)
			}
			secret = append(secret, 0)
		}
	}
	if u := req.URL; u != nil && u.User != nil && len(req.Header["Authorization"]) == 0 {
		password, _ := u.User.Password()
		secret = append(secret, "Authorization\x00basic "...)
		secret = base64.StdEncoding.AppendEncode(secret, []byte(u.User.Username()+":"+password))
		secret = append(secret, 0)
	}
	if req.URL != nil && req.URL.RawQuery != "" {
		secret = appendQuery(secret, req.URL.RawQuery)
	}
	if len(secret) == 0 {
		return b
	}
	return appendDigest(b, secret)
}

// appendStable appends what of an Authorization stays the same from request to
// request.
func appendStable(b []byte, value string) []byte {
	const bearer = "Bearer "
	if strings.HasPrefix(value, bearer) && len(value) > len(bearer) && value[len(bearer)] != ' ' && !strings.Contains(value, "redential=") {
		return append(append(b, "bearer "...), value[len(bearer):]...) // most are
	}
	scheme, rest, _ := strings.Cut(strings.TrimLeft(value, " "), " ")
	rest = strings.TrimLeft(rest, " ")
	start := len(b)
	for i := 0; i < len(scheme); i++ {
		b = append(b, lower(scheme[i]))
	}
	stable := signingSchemes[string(b[start:])]
	b = append(b, ' ')
	if stable == nil {
		if strings.Contains(rest, "redential=") {
			id, _ := parameter(rest, "credential")
			rest, _, _ = strings.Cut(id, "/") // behind it comes the date
		}
		return append(b, rest...)
	}
	n := len(b)
	for _, name := range stable {
		id, ok := "", true
		if name == "" {
			id, _, ok = strings.Cut(rest, ":")
		} else {
			id, ok = parameter(rest, name)
		}
		if ok {
			b = append(append(append(b, name...), '='), id...)
		}
	}
	if len(b) == n {
		return append(b, rest...) // not what the scheme's name promises
	}
	return b
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// parameter finds name="value" in a list as Authorization has them, whatever the
// case of the name.
func parameter(list, name string) (value string, ok bool) {
	for list != "" {
		var item string
		item, list, _ = strings.Cut(list, ",")
		for _, word := range strings.Fields(item) {
			if key, value, ok := strings.Cut(word, "="); ok && strings.EqualFold(key, name) {
				return strings.Trim(value, `"`), true
			}
		}
	}
	return "", false
}

// appendQuery appends the credentials among the parameters of a URL.
func appendQuery(b []byte, query string) []byte {
	for query != "" {
		var item string
		item, query, _ = strings.Cut(query, "&")
		name, value, _ := strings.Cut(item, "=")
		end, ok := credentialQueries[name]
		if !ok || value == "" {
			continue
		}
		if end != "" {
			value = strings.Replace(strings.Replace(value, "%2F", end, 1), "%2f", end, 1)
			value, _, _ = strings.Cut(value, end)
		}
		b = append(append(append(append(b, name...), 0), value...), 0)
	}
	return b
}

const digestLen = 16 // in a key, in hexadecimal digits

var digestSeed = maphash.MakeSeed()

// appendDigest appends a digest of secret that holds for this process only: who
// does not know the seed can neither invert nor repeat it.
func appendDigest(b, secret []byte) []byte {
	var sum [digestLen / 2]byte
	binary.BigEndian.PutUint64(sum[:], maphash.Bytes(digestSeed, secret))
	return hex.AppendEncode(b, sum[:])
}
