package steadytest

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
)

//lint:file-ignore SA1019 Request.Cancel is deprecated, but http.Client closes it at its Timeout

// snapshotReq is a request as it stood at one moment.
type snapshotReq struct {
	req     http.Request
	header  http.Header
	trailer http.Header
	url     *url.URL
}

func snapshotRequest(req *http.Request) snapshotReq {
	s := snapshotReq{req: *req, header: req.Header.Clone(), trailer: req.Trailer.Clone()}
	if req.URL != nil {
		u := *req.URL
		s.url = &u
	}
	return s
}

// difference says which field of req is no longer what it was, or "".
func (s snapshotReq) difference(req *http.Request) string {
	was := &s.req
	switch {
	case req.Method != was.Method:
		return "Method"
	case req.URL != was.URL || req.URL != nil && *req.URL != *s.url:
		return "URL"
	case req.Proto != was.Proto || req.ProtoMajor != was.ProtoMajor || req.ProtoMinor != was.ProtoMinor:
		return "Proto"
	case !sameHeader(req.Header, s.header):
		return "Header"
	case !sameHeader(req.Trailer, s.trailer):
		return "Trailer"
	case !sameBody(req.Body, was.Body):
		return "Body"
	case (req.GetBody == nil) != (was.GetBody == nil):
		return "GetBody"
	case req.ContentLength != was.ContentLength:
		return "ContentLength"
	case !slices.Equal(req.TransferEncoding, was.TransferEncoding):
		return "TransferEncoding"
	case req.Close != was.Close:
		return "Close"
	case req.Host != was.Host:
		return "Host"
	case req.RequestURI != was.RequestURI:
		return "RequestURI"
	case req.Cancel != was.Cancel:
		return "Cancel"
	case req.Pattern != was.Pattern:
		return "Pattern"
	case text(req.Form) != text(was.Form) || text(req.PostForm) != text(was.PostForm) || req.MultipartForm != was.MultipartForm:
		return "a form"
	case req.RemoteAddr != was.RemoteAddr:
		return "RemoteAddr"
	case req.Response != was.Response:
		return "Response"
	case req.Context() != was.Context():
		return "its context"
	}
	return ""
}

// sameHeader is equality that tells a missing name from one without values, and
// nil from empty.
func sameHeader(a, b http.Header) bool {
	return (a == nil) == (b == nil) && maps.EqualFunc(a, b, func(x, y []string) bool {
		return (x == nil) == (y == nil) && slices.Equal(x, y)
	})
}

func sameBody(a, b io.ReadCloser) (same bool) {
	defer func() {
		if recover() != nil { // of a type that cannot be compared: then by type alone
			same = true
		}
	}()
	return a == b
}

// snapshotResp is a response as the base gave it.
type snapshotResp struct {
	resp   http.Response
	header http.Header
}

func snapshotOf(resp *http.Response) snapshotResp {
	return snapshotResp{resp: *resp, header: resp.Header.Clone()}
}

// difference says which field of resp is not what the base gave, or "".
func (s snapshotResp) difference(resp *http.Response) string {
	was := &s.resp
	switch {
	case resp.Status != was.Status || resp.StatusCode != was.StatusCode:
		return "Status"
	case resp.Proto != was.Proto || resp.ProtoMajor != was.ProtoMajor || resp.ProtoMinor != was.ProtoMinor:
		return "Proto"
	case resp.ContentLength != was.ContentLength:
		return "ContentLength"
	case !slices.Equal(resp.TransferEncoding, was.TransferEncoding):
		return "TransferEncoding"
	case resp.Uncompressed != was.Uncompressed:
		return "Uncompressed"
	case resp.Close != was.Close:
		return "Close"
	case resp.TLS != was.TLS:
		return "TLS"
	}
	for name, values := range s.header {
		if !slices.Equal(resp.Header[name], values) {
			return "Header " + name
		}
	}
	return ""
}
