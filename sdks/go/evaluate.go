package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// Evaluation is what a flag is for the caller, and why.
type Evaluation struct {
	// Key is the key of the flag.
	Key string `json:"key"`
	// Value is the JSON value of the chosen variant.
	Value json.RawMessage `json:"value"`
	// Variant is the name of the chosen variant; pass it on to [Client.RecordEvent].
	Variant string `json:"variant"`
	// Reason says how it was chosen, in OpenFeature's words, such as `TARGETING_MATCH` or `DISABLED`.
	Reason string `json:"reason"`
}

// Bool is the value of a boolean flag. It fails for flags of another type.
func (e Evaluation) Bool() (bool, error) {
	var value bool
	err := e.Decode(&value)
	return value, err
}

// Decode stores the value in what target points to, as [json.Unmarshal] does.
func (e Evaluation) Decode(target any) error {
	if string(e.Value) == "null" {
		return fmt.Errorf("flagbase: flag `%s` has no value", e.Key)
	}
	if err := json.Unmarshal(e.Value, target); err != nil {
		return fmt.Errorf("flagbase: flag `%s` is `%s`, not a %T: %w", e.Key, e.Value, deref(target), err)
	}
	return nil
}

// EvaluateFlag tells whether a boolean flag is on for the holder of the client's token.
func (c *Client) EvaluateFlag(key string) (bool, error) {
	return c.EvaluateFlagContext(context.Background(), key)
}

// EvaluateFlagContext is [Client.EvaluateFlag] with a context.
func (c *Client) EvaluateFlagContext(ctx context.Context, key string) (bool, error) {
	evaluation, err := c.Evaluate(ctx, key)
	if err != nil {
		return false, err
	}
	return evaluation.Bool()
}

// Evaluate asks for the value of a flag of any type, its variant and the reason.
func (c *Client) Evaluate(ctx context.Context, key string) (Evaluation, error) {
	path, err := flagPath(key)
	if err != nil {
		return Evaluation{}, err
	}
	body, err := c.do(ctx, call{method: http.MethodGet, path: path + "/evaluate"})
	if err != nil {
		return Evaluation{}, err
	}
	evaluation := Evaluation{Key: key}
	if err := json.Unmarshal(body, &evaluation); err != nil {
		return Evaluation{}, fmt.Errorf("flagbase: read the evaluation of `%s`: %w", key, err)
	}
	if evaluation.Value == nil {
		return Evaluation{}, fmt.Errorf("flagbase: the evaluation of `%s` has no value", key)
	}
	return evaluation, nil
}

// flagPath escapes the key, so that one with a slash cannot lead elsewhere.
func flagPath(key string) (string, error) {
	if key == "" || key == "." || key == ".." {
		return "", fmt.Errorf("flagbase: `%s` is not the key of a flag", key)
	}
	return "/api/v1/flags/" + url.PathEscape(key), nil
}

func deref(target any) any {
	switch pointer := target.(type) {
	case *bool:
		return *pointer
	case *string:
		return *pointer
	case *float64:
		return *pointer
	case *int:
		return *pointer
	}
	return target
}
