package sdk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	defaultTimeout = 10 * time.Second
	defaultRetries = 2
	// largestAnswer bounds what is read of one answer, in bytes.
	largestAnswer = 1 << 20
)

// Client talks to one Flagbase server with one token. Make it with [NewClient].
type Client struct {
	base        string
	token       string
	environment string
	http        *http.Client
	timeout     time.Duration
	retries     int
	pause       func(ctx context.Context, attempt int, asked time.Duration) error
}

// Option changes how a [Client] works.
type Option func(*Client)

// WithHTTPClient sends requests through client, for a proxy, a certificate or a transport of your own.
func WithHTTPClient(client *http.Client) Option {
	return func(c *Client) { c.http = client }
}

// WithEnvironment asks about, and records for, the environment with this key. Without it the server's
// default environment is meant.
func WithEnvironment(key string) Option {
	return func(c *Client) { c.environment = key }
}

// WithTimeout bounds each call, all its attempts together. The default is 10 seconds; zero leaves only the
// deadline of the context.
func WithTimeout(timeout time.Duration) Option {
	return func(c *Client) { c.timeout = timeout }
}

// WithRetries sets how often a request is repeated after its first attempt failed. The default is 2.
func WithRetries(retries int) Option {
	return func(c *Client) { c.retries = max(retries, 0) }
}

// NewClient makes a client of the server at baseURL, such as "http://127.0.0.1:8080". The token is the one
// that login returned, or an API key. A baseURL that makes no sense is reported by the first call.
func NewClient(baseURL, token string, options ...Option) *Client {
	client := &Client{
		base:    strings.TrimRight(baseURL, "/"),
		token:   token,
		http:    &http.Client{},
		timeout: defaultTimeout,
		retries: defaultRetries,
		pause:   pause,
	}
	for _, option := range options {
		option(client)
	}
	return client
}

// call is one request, as often as it must be sent.
type call struct {
	method string
	// path is escaped already.
	path  string
	query url.Values
	body  []byte
}

// do sends the call until it succeeds, is refused, or may not be tried again, and returns the body.
func (c *Client) do(ctx context.Context, call call) ([]byte, error) {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	for attempt := 0; ; attempt++ {
		body, err := c.once(ctx, call)
		if err == nil {
			return body, nil
		}
		if attempt >= c.retries || !worthRepeating(ctx, err) {
			return nil, err
		}
		if c.pause(ctx, attempt, askedPause(err)) != nil {
			// The failure says more than the deadline that cut the waiting short.
			return nil, err
		}
	}
}

// once sends the call one time.
func (c *Client) once(ctx context.Context, call call) ([]byte, error) {
	request, err := c.request(ctx, call)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("flagbase: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, largestAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("flagbase: read the answer: %w", err)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return nil, problem(response, body)
	}
	if len(body) > largestAnswer {
		return nil, &permanentError{fmt.Errorf("flagbase: the answer is longer than %d bytes", largestAnswer)}
	}
	return body, nil
}

func (c *Client) request(ctx context.Context, call call) (*http.Request, error) {
	target, err := url.Parse(c.base)
	if err != nil || target.Host == "" || (target.Scheme != "http" && target.Scheme != "https") {
		return nil, &permanentError{fmt.Errorf("flagbase: base URL `%s` must look like `http://host:8080`", c.base)}
	}
	query := url.Values{}
	for name, values := range call.query {
		query[name] = values
	}
	if c.environment != "" {
		query.Set("environment", c.environment)
	}
	address := c.base + call.path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, call.method, address, bytes.NewReader(call.body))
	if err != nil {
		return nil, &permanentError{fmt.Errorf("flagbase: %w", err)}
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "flagbase-go")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	if call.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return request, nil
}

// permanentError is a failure that sending again cannot mend.
type permanentError struct{ error }

func (e *permanentError) Unwrap() error { return e.error }

func worthRepeating(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if permanent := (*permanentError)(nil); errors.As(err, &permanent) {
		return false
	}
	if refused := (*Error)(nil); errors.As(err, &refused) {
		return refused.temporary()
	}
	return true
}
