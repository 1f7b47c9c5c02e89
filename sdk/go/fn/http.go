package fn

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// HTTP sends requests into the world, where `egress` in function.yaml allows it.
type HTTP struct{}

// Header maps a name to its values.
type Header map[string][]string

// Get is the first value of a name, in any case; empty when there is none.
func (h Header) Get(name string) string {
	for key, values := range h {
		if len(values) > 0 && strings.EqualFold(key, name) {
			return values[0]
		}
	}
	return ""
}

// FetchRequest is a request to be sent.
type FetchRequest struct {
	Method string
	URL    string
	Header map[string]string
	Body   []byte
}

// FetchResponse is what came back.
type FetchResponse struct {
	Status int
	Header Header
	Body   []byte
}

// Fetch sends a request; it fails when there is no response, not when the status says so.
func (HTTP) Fetch(request FetchRequest) (FetchResponse, error) {
	var headers []byte
	if len(request.Header) > 0 {
		// A map of texts always encodes.
		headers, _ = json.Marshal(request.Header)
	}
	method := request.Method
	if method == "" {
		method = "GET"
	}
	var answer struct {
		Status     int     `json:"status"`
		Headers    Header  `json:"headers"`
		Body       string  `json:"body"`
		BodyBase64 *string `json:"body_base64"`
		Error      string  `json:"error"`
	}
	if err := decode(hostFetch(method, request.URL, headers, request.Body), &answer); err != nil {
		return FetchResponse{}, err
	}
	if answer.Status == 0 {
		return FetchResponse{}, &Error{Code: "FETCH_FAILED", Message: answer.Error}
	}
	body := []byte(answer.Body)
	if answer.BodyBase64 != nil {
		decoded, err := base64.StdEncoding.DecodeString(*answer.BodyBase64)
		if err != nil {
			return FetchResponse{}, err
		}
		body = decoded
	}
	return FetchResponse{Status: answer.Status, Header: answer.Headers, Body: body}, nil
}

// Request is the HTTP request of a call to a function with `http: true`.
type Request struct {
	Method string
	// Path below the function's own.
	Path   string
	Query  string
	Header Header
	Body   []byte
}

// Response is an HTTP reply that the function composes itself.
type Response struct {
	// Status is 200 when it is 0.
	Status int
	Header Header
	Body   []byte
}

// requestOf reads the variables of RFC 3875 that such a function finds.
func requestOf(environment []string, body []byte) Request {
	request := Request{Header: Header{}, Body: body}
	for _, variable := range environment {
		name, value, _ := strings.Cut(variable, "=")
		switch {
		case name == "REQUEST_METHOD":
			request.Method = value
		case name == "PATH_INFO":
			request.Path = value
		case name == "QUERY_STRING":
			request.Query = value
		case name == "CONTENT_TYPE" && value != "":
			request.Header["Content-Type"] = []string{value}
		case strings.HasPrefix(name, "HTTP_"):
			header := strings.ReplaceAll(strings.TrimPrefix(name, "HTTP_"), "_", "-")
			request.Header[header] = append(request.Header[header], value)
		}
	}
	return request
}

func respond(response Response) error {
	status := response.Status
	if status == 0 {
		status = 200
	}
	headers, err := json.Marshal(response.Header)
	if err != nil || len(response.Header) == 0 {
		headers = nil
	}
	if !hostRespond(status, headers, response.Body) {
		return &Error{Code: "VALIDATION_FAILED", Message: "the platform refused the response; see the log of the call"}
	}
	return nil
}
