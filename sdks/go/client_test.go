package sdk

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// serve starts a server that answers with handler and a client of it that does not wait between attempts.
func serve(t *testing.T, handler http.HandlerFunc, options ...Option) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	client := NewClient(server.URL, "the-token", options...)
	client.pause = func(context.Context, int, time.Duration) error { return nil }
	return client
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func TestEveryRequestCarriesTheTokenAndTheEnvironment(t *testing.T) {
	var got *http.Request
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		_, _ = w.Write([]byte(`{"value":true}`))
	}, WithEnvironment("a b"))
	if _, err := client.EvaluateFlag("x"); err != nil {
		t.Fatal(err)
	}
	if header := got.Header.Get("Authorization"); header != "Bearer the-token" {
		t.Errorf("Authorization is %q", header)
	}
	if environment := got.URL.Query().Get("environment"); environment != "a b" {
		t.Errorf("environment is %q", environment)
	}
}

func TestATokenThatIsEmptyIsNotSent(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, sent := r.Header["Authorization"]; sent {
			t.Error("an empty token was sent")
		}
		_, _ = w.Write([]byte(`{"value":true}`))
	})
	client.token = ""
	if _, err := client.EvaluateFlag("x"); err != nil {
		t.Fatal(err)
	}
}

func TestASlashAfterTheBaseURLDoesNotMatter(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/flags/x/evaluate" {
			t.Errorf("path is %q", r.URL.Path)
		}
		_, _ = w.Write([]byte(`{"value":true}`))
	})
	client = NewClient(client.base+"/", "the-token")
	if _, err := client.EvaluateFlag("x"); err != nil {
		t.Fatal(err)
	}
}

func TestABaseURLThatMakesNoSenseIsReportedByTheCall(t *testing.T) {
	for _, base := range []string{"", "localhost:8080", "ftp://host", "http://"} {
		if _, err := NewClient(base, "").EvaluateFlag("x"); err == nil || !strings.Contains(err.Error(), "base URL") {
			t.Errorf("%q: %v", base, err)
		}
	}
}

func TestAPassingFailureIsTriedAgain(t *testing.T) {
	for _, status := range []int{429, 502, 503, 504} {
		attempts := 0
		client := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if attempts++; attempts < 3 {
				w.WriteHeader(status)
				return
			}
			_, _ = w.Write([]byte(`{"value":true}`))
		})
		if on, err := client.EvaluateFlag("x"); err != nil || !on {
			t.Errorf("%d: %v, %v", status, on, err)
		}
		if attempts != 3 {
			t.Errorf("%d: %d attempts", status, attempts)
		}
	}
}

func TestTheNumberOfAttemptsIsBounded(t *testing.T) {
	attempts := 0
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		attempts++
		w.WriteHeader(http.StatusServiceUnavailable)
	}, WithRetries(4))
	_, err := client.EvaluateFlag("x")
	if attempts != 5 || err == nil {
		t.Errorf("%d attempts, %v", attempts, err)
	}
}

func TestARefusalIsFinal(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 409, 422, 500} {
		attempts := 0
		client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			attempts++
			w.WriteHeader(status)
		})
		_, err := client.EvaluateFlag("x")
		if refused := (*Error)(nil); !errors.As(err, &refused) || refused.Status != status || attempts != 1 {
			t.Errorf("%d: %d attempts, %v", status, attempts, err)
		}
	}
}

func TestABrokenConnectionIsTriedAgain(t *testing.T) {
	attempts := 0
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if attempts++; attempts == 1 {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write([]byte(`{"value":true}`))
	})
	if on, err := client.EvaluateFlag("x"); err != nil || !on || attempts != 2 {
		t.Errorf("%v, %v after %d attempts", on, err, attempts)
	}
}

func TestACancelledContextEndsTheCallAtOnce(t *testing.T) {
	attempts := 0
	ctx, cancel := context.WithCancel(context.Background())
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		attempts++
		cancel()
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	if _, err := client.EvaluateFlagContext(ctx, "x"); err == nil || attempts != 1 {
		t.Errorf("%d attempts, %v", attempts, err)
	}
}

func TestATimeoutEndsACallThatNobodyAnswers(t *testing.T) {
	release := make(chan struct{})
	client := serve(t, func(http.ResponseWriter, *http.Request) { <-release }, WithTimeout(20*time.Millisecond))
	defer close(release)
	if _, err := client.EvaluateFlag("x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestAnAnswerWithoutEndIsCutOff(t *testing.T) {
	client := serve(t, answer(200, strings.Repeat(" ", largestAnswer+1)))
	if _, err := client.EvaluateFlag("x"); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("%v", err)
	}
}

func TestYourOwnHTTPClientIsUsed(t *testing.T) {
	used := errors.New("used")
	transport := roundTripper(func(*http.Request) (*http.Response, error) { return nil, used })
	client := NewClient("http://flagbase.invalid", "", WithHTTPClient(&http.Client{Transport: transport}), WithRetries(0))
	if _, err := client.EvaluateFlag("x"); !errors.Is(err, used) {
		t.Errorf("%v", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestPausesGrowAndStayBounded(t *testing.T) {
	if bound(0) != firstPause || bound(1) != 2*firstPause || bound(1000) != longestPause {
		t.Errorf("%v, %v, %v", bound(0), bound(1), bound(1000))
	}
}

func TestAPauseEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := pause(ctx, 1000, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
