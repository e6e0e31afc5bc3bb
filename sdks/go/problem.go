package sdk

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What an [*Error] may be, for [errors.Is].
var (
	// ErrUnauthorized means that the token is missing, expired or withdrawn (401).
	ErrUnauthorized = errors.New("flagbase: unauthorized")
	// ErrForbidden means that the caller is known but may not do this (403).
	ErrForbidden = errors.New("flagbase: forbidden")
	// ErrNotFound means that the flag or the environment does not exist (404).
	ErrNotFound = errors.New("flagbase: not found")
	// ErrRateLimited means that the caller asked too often; see [Error.RetryAfter] (429).
	ErrRateLimited = errors.New("flagbase: rate limited")
)

// Error is an answer of the server that is not a success: an RFC 9457 problem.
type Error struct {
	// Status is the HTTP status code.
	Status int
	// Code names the problem for programs, such as `flag_not_found`. Empty when the answer had none.
	Code string
	// Title names the problem for people.
	Title string
	// Detail says what was wrong this time, and what to do.
	Detail string
	// RetryAfter is how long the server asked to wait; zero when it did not say.
	RetryAfter time.Duration
}

// Error is one line with all that is known.
func (e *Error) Error() string {
	parts := []string{"flagbase: " + strconv.Itoa(e.Status)}
	if e.Code != "" {
		parts[0] += " " + e.Code
	}
	switch {
	case e.Detail != "":
		parts = append(parts, e.Detail)
	case e.Title != "":
		parts = append(parts, e.Title)
	default:
		parts = append(parts, strings.ToLower(http.StatusText(e.Status)))
	}
	return strings.Join(parts, ": ")
}

// Is lets [errors.Is] recognize the kinds that programs act on.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrUnauthorized:
		return e.Status == http.StatusUnauthorized
	case ErrForbidden:
		return e.Status == http.StatusForbidden
	case ErrNotFound:
		return e.Status == http.StatusNotFound
	case ErrRateLimited:
		return e.Status == http.StatusTooManyRequests
	}
	return false
}

// temporary tells whether the same request may succeed a moment later.
func (e *Error) temporary() bool {
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// problem reads what it can of a refusal; a body that is no problem leaves only the status.
func problem(response *http.Response, body []byte) *Error {
	var document struct {
		Type   string `json:"type"`
		Code   string `json:"code"`
		Title  string `json:"title"`
		Detail string `json:"detail"`
		Error  string `json:"error"`
	}
	refused := &Error{Status: response.StatusCode, RetryAfter: retryAfter(response.Header)}
	if json.Unmarshal(body, &document) != nil {
		return refused
	}
	refused.Code = document.Code
	if refused.Code == "" && document.Type != "about:blank" {
		refused.Code = document.Type[strings.LastIndexAny(document.Type, "/:#")+1:]
	}
	refused.Title = document.Title
	refused.Detail = document.Detail
	if refused.Detail == "" {
		refused.Detail = document.Error
	}
	return refused
}

// retryAfter reads the form in seconds, the only one the server sends.
func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.ParseUint(header.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
