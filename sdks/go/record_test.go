package sdk

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"regexp"
	"testing"
	"time"
)

// recorder keeps what is posted and answers 204 from the nth attempt on.
type recorder struct {
	from   int
	bodies []map[string]any
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var body map[string]any
	_ = json.NewDecoder(request.Body).Decode(&body)
	r.bodies = append(r.bodies, body)
	if request.Method != http.MethodPost || request.URL.Path != "/api/v1/metrics" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if len(r.bodies) < r.from {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func TestAnEventIsSentAsItAlwaysWas(t *testing.T) {
	recorder := &recorder{}
	client := serve(t, recorder.ServeHTTP)
	if err := client.RecordEvent("checkout", "true", "error", 1.5); err != nil {
		t.Fatal(err)
	}
	body := recorder.bodies[0]
	if body["flag_key"] != "checkout" || body["variant"] != "true" || body["event_type"] != "error" || body["value"] != 1.5 {
		t.Errorf("%v", body)
	}
	for _, absent := range []string{"unit", "time"} {
		if _, sent := body[absent]; sent {
			t.Errorf("%s was sent", absent)
		}
	}
}

func TestARepeatedEventKeepsItsID(t *testing.T) {
	recorder := &recorder{from: 3}
	client := serve(t, recorder.ServeHTTP)
	if err := client.RecordEvent("checkout", "true", "error", 1); err != nil {
		t.Fatal(err)
	}
	first := recorder.bodies[0]["event_id"]
	for _, body := range recorder.bodies {
		if body["event_id"] != first || first == "" {
			t.Errorf("%v, first %v", body["event_id"], first)
		}
	}
	if len(recorder.bodies) != 3 {
		t.Errorf("%d attempts", len(recorder.bodies))
	}
}

func TestTwoEventsHaveTwoIDs(t *testing.T) {
	recorder := &recorder{}
	client := serve(t, recorder.ServeHTTP)
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for range 2 {
		if err := client.RecordEvent("checkout", "true", "error", 1); err != nil {
			t.Fatal(err)
		}
	}
	first, second := recorder.bodies[0]["event_id"].(string), recorder.bodies[1]["event_id"].(string)
	if first == second || !uuid.MatchString(first) || !uuid.MatchString(second) {
		t.Errorf("%q, %q", first, second)
	}
}

func TestUnitTimeAndIDAreYoursToChoose(t *testing.T) {
	recorder := &recorder{}
	client := serve(t, recorder.ServeHTTP)
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	event := Event{FlagKey: "f", Variant: "v", Type: "t", Unit: "u1", Time: when, ID: "e1"}
	if err := client.Record(context.Background(), event); err != nil {
		t.Fatal(err)
	}
	body := recorder.bodies[0]
	if body["unit"] != "u1" || body["time"] != "2026-01-02T02:04:05Z" || body["event_id"] != "e1" {
		t.Errorf("%v", body)
	}
}

func TestAnEventThatMakesNoSenseIsNotSent(t *testing.T) {
	client := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	for _, event := range []Event{
		{Variant: "v", Type: "t"},
		{FlagKey: "f", Type: "t"},
		{FlagKey: "f", Variant: "v"},
		{FlagKey: "f", Variant: "v", Type: "t", Value: math.NaN()},
		{FlagKey: "f", Variant: "v", Type: "t", Value: math.Inf(1)},
	} {
		if err := client.Record(context.Background(), event); err == nil {
			t.Errorf("%+v was accepted", event)
		}
	}
}
