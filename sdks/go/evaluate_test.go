package sdk

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

func TestABooleanFlagIsOnOrOff(t *testing.T) {
	for body, want := range map[string]bool{`{"value":true}`: true, `{"value":false}`: false} {
		if on, err := serve(t, answer(200, body)).EvaluateFlag("x"); err != nil || on != want {
			t.Errorf("%s: %v, %v", body, on, err)
		}
	}
}

func TestAFlagOfAnotherTypeIsAnErrorAndNotAGuess(t *testing.T) {
	for _, body := range []string{`{"value":"on"}`, `{"value":1}`, `{"value":null}`, `{}`, `[]`, `not json`} {
		on, err := serve(t, answer(200, body)).EvaluateFlag("x")
		if err == nil || on {
			t.Errorf("%s: %v, %v", body, on, err)
		}
	}
}

func TestAnEvaluationTellsValueVariantAndReason(t *testing.T) {
	client := serve(t, answer(200, `{"key":"size","value":{"px":12},"variant":"large","reason":"SPLIT"}`))
	evaluation, err := client.Evaluate(context.Background(), "size")
	if err != nil {
		t.Fatal(err)
	}
	if evaluation.Key != "size" || evaluation.Variant != "large" || evaluation.Reason != "SPLIT" {
		t.Errorf("%+v", evaluation)
	}
	var size struct{ Px int }
	if err := evaluation.Decode(&size); err != nil || size.Px != 12 {
		t.Errorf("%+v, %v", size, err)
	}
	if _, err := evaluation.Bool(); err == nil || !strings.Contains(err.Error(), "`size`") {
		t.Errorf("%v", err)
	}
}

func TestAKeyIsEscaped(t *testing.T) {
	for key, want := range map[string]string{
		"a/b":           "/api/v1/flags/a%2Fb/evaluate",
		"a b?c#d":       "/api/v1/flags/a%20b%3Fc%23d/evaluate",
		"../auth/me":    "/api/v1/flags/..%2Fauth%2Fme/evaluate",
		"new-checkout1": "/api/v1/flags/new-checkout1/evaluate",
	} {
		var got string
		client := serve(t, func(w http.ResponseWriter, r *http.Request) {
			got = r.URL.EscapedPath()
			_, _ = w.Write([]byte(`{"value":true}`))
		})
		if _, err := client.EvaluateFlag(key); err != nil || got != want {
			t.Errorf("%q: %q, %v", key, got, err)
		}
	}
}

func TestAKeyThatCannotBeOneIsNotSent(t *testing.T) {
	client := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	for _, key := range []string{"", ".", ".."} {
		if _, err := client.EvaluateFlag(key); err == nil {
			t.Errorf("%q was accepted", key)
		}
	}
}
