package sdk

import (
	"errors"
	"net/http"
	"testing"
	"time"
)

func TestAProblemIsReadWithAllItsParts(t *testing.T) {
	body := `{"type":"https://example.com/problems/flag_not_found","title":"Not Found","status":404,
		"detail":"flag ` + "`x`" + ` does not exist","error":"flag not found"}`
	_, err := serve(t, answer(404, body)).EvaluateFlag("x")
	refused := (*Error)(nil)
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	want := Error{Status: 404, Code: "flag_not_found", Title: "Not Found", Detail: "flag `x` does not exist"}
	if *refused != want {
		t.Errorf("%+v", *refused)
	}
	if text := err.Error(); text != "flagbase: 404 flag_not_found: flag `x` does not exist" {
		t.Errorf("%q", text)
	}
}

func TestWhatIsMissingInAProblemIsMadeUpFor(t *testing.T) {
	for body, want := range map[string]string{
		`{"error":"flag not found"}`:               "flagbase: 404: flag not found",
		`{"type":"about:blank","title":"Nowhere"}`: "flagbase: 404: Nowhere",
		`{"code":"flag_not_found"}`:                "flagbase: 404 flag_not_found: not found",
		`<html>`:                                   "flagbase: 404: not found",
		``:                                         "flagbase: 404: not found",
	} {
		if _, err := serve(t, answer(404, body)).EvaluateFlag("x"); err == nil || err.Error() != want {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestTheKindsOfRefusalAreTold(t *testing.T) {
	kinds := map[int]error{401: ErrUnauthorized, 403: ErrForbidden, 404: ErrNotFound, 429: ErrRateLimited}
	for status := range kinds {
		_, err := serve(t, answer(status, "")).EvaluateFlag("x")
		for other, kind := range kinds {
			if errors.Is(err, kind) != (other == status) {
				t.Errorf("%d is %v: %v", status, kind, errors.Is(err, kind))
			}
		}
	}
}

func TestTheServerSaysHowLongToWait(t *testing.T) {
	for header, want := range map[string]time.Duration{"3": 3 * time.Second, "": 0, "soon": 0, "-1": 0} {
		client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		_, err := client.EvaluateFlag("x")
		if refused := (*Error)(nil); !errors.As(err, &refused) || refused.RetryAfter != want {
			t.Errorf("%q: %v", header, err)
		}
	}
}
