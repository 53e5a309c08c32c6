package steadyhttp

import (
	"encoding/base64"
	"hash/maphash"
	"math/bits"
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
	var d digest
	for _, name := range credentialHeaders {
		for _, value := range req.Header[name] {
			switch {
			case value == "":
			case name == "Authorization":
				d = d.withAuthorization(value)
			default:
				d = d.with(name).with(value)
			}
		}
	}
	if u := req.URL; u != nil {
		if u.User != nil && len(req.Header["Authorization"]) == 0 {
			password, _ := u.User.Password()
			basic := base64.StdEncoding.EncodeToString([]byte(u.User.Username() + ":" + password))
			d = d.with("Authorization").with("basic").with(basic)
		}
		if u.RawQuery != "" {
			d = d.withQuery(u.RawQuery)
		}
	}
	if d == 0 {
		return b
	}
	return d.append(b)
}

// bearerDigest is that of a bearer token's name, which most credentials begin with.
var bearerDigest = digest(0).with("Authorization").with("bearer")

// withAuthorization is d with what of an Authorization stays the same from request to
// request.
func (d digest) withAuthorization(value string) digest {
	scheme, rest, _ := strings.Cut(strings.TrimLeft(value, " "), " ")
	if rest = strings.TrimLeft(rest, " "); d == 0 && scheme == "Bearer" {
		return bearerDigest.with(rest)
	}
	scheme = strings.ToLower(scheme)
	d = d.with("Authorization").with(scheme)
	stable := signingSchemes[scheme]
	if stable == nil {
		if strings.Contains(rest, "redential=") {
			id, _ := parameter(rest, "credential")
			rest, _, _ = strings.Cut(id, "/") // behind it comes the date
		}
		return d.with(rest)
	}
	found := false
	for _, name := range stable {
		id, ok := "", true
		if name == "" {
			id, _, ok = strings.Cut(rest, ":")
		} else {
			id, ok = parameter(rest, name)
		}
		if ok {
			d, found = d.with(name).with(id), true
		}
	}
	if !found {
		return d.with(rest) // not what the scheme's name promises
	}
	return d
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

// withQuery is d with the credentials among the parameters of a URL.
func (d digest) withQuery(query string) digest {
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
		d = d.with(name).with(value)
	}
	return d
}

// digest is one of secrets that holds for this process only: who does not know the
// seed can neither invert nor repeat it. Zero is that of none.
type digest uint64

var digestSeed = maphash.MakeSeed()

// with is d with another part, in this order.
func (d digest) with(part string) digest {
	const odd = 0x9e3779b97f4a7c15 // spreads what was there before over all bits
	return digest((bits.RotateLeft64(uint64(d), 31)^maphash.String(digestSeed, part))*odd | 1)
}

const digestLen = 16 // in a key, in hexadecimal digits

// append appends the digits of d, the last first.
func (d digest) append(b []byte) []byte {
	var digits [digestLen]byte
	for i := range digits {
		digits[i] = "0123456789abcdef"[d&15]
		d >>= 4
	}
	return append(b, digits[:]...)
}
