package sdk

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"
)

// Event is something that happened to somebody who was given a variant.
type Event struct {
	// FlagKey is the key of the flag. Required.
	FlagKey string `json:"flag_key"`
	// Variant is the variant that was given, see [Evaluation.Variant]. Required.
	Variant string `json:"variant"`
	// Type is the kind of event: `error` is what the guard counts, others are yours. Required.
	Type string `json:"event_type"`
	// Value is a number to be summed and averaged per variant: an amount, a duration, or 1.
	Value float64 `json:"value"`
	// Unit is whom it happened to, such as a user's id. The guard counts one unit once.
	Unit string `json:"unit,omitempty"`
	// Time is when it happened; now when zero.
	Time time.Time `json:"-"`
	// ID makes the event count once however often it arrives; chosen at random when empty.
	ID string `json:"event_id"`
}

// RecordEvent tells the server that eventType happened to somebody who was given variant of the flag.
func (c *Client) RecordEvent(flagKey, variant, eventType string, value float64) error {
	return c.RecordEventContext(context.Background(), flagKey, variant, eventType, value)
}

// RecordEventContext is [Client.RecordEvent] with a context.
func (c *Client) RecordEventContext(
	ctx context.Context, flagKey, variant, eventType string, value float64,
) error {
	return c.Record(ctx, Event{FlagKey: flagKey, Variant: variant, Type: eventType, Value: value})
}

// Record sends an event with its unit, time and id.
func (c *Client) Record(ctx context.Context, event Event) error {
	body, err := event.encode()
	if err != nil {
		return err
	}
	_, err = c.do(ctx, call{method: http.MethodPost, path: "/api/v1/metrics", body: body})
	return err
}

func (e Event) encode() ([]byte, error) {
	if e.FlagKey == "" || e.Variant == "" || e.Type == "" {
		return nil, errors.New("flagbase: an event needs a flag key, a variant and a type")
	}
	if math.IsNaN(e.Value) || math.IsInf(e.Value, 0) {
		return nil, fmt.Errorf("flagbase: the value of an event must be a finite number, not %v", e.Value)
	}
	if e.ID == "" {
		id, err := newID()
		if err != nil {
			return nil, err
		}
		e.ID = id
	}
	document := struct {
		Event
		Time string `json:"time,omitempty"`
	}{Event: e}
	if !e.Time.IsZero() {
		document.Time = e.Time.UTC().Format(time.RFC3339Nano)
	}
	return json.Marshal(document)
}

// newID is a random UUID (version 4).
func newID() (string, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", fmt.Errorf("flagbase: choose an event id: %w", err)
	}
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]), nil
}
