package sdk_test

import (
	"context"
	"errors"
	"log"
	"time"

	sdk "github.com/flagbase/flagbase/sdks/go"
)

func Example() {
	client := sdk.NewClient("http://127.0.0.1:8080", "the token that login returned")

	on, err := client.EvaluateFlag("new-checkout")
	if err != nil {
		log.Printf("the old checkout it is: %v", err)
	}
	if on {
		err = client.RecordEvent("new-checkout", "true", "conversion", 19.9)
	}
	if err != nil {
		log.Print(err)
	}
}

func ExampleClient_Evaluate() {
	client := sdk.NewClient("http://127.0.0.1:8080", "an API key",
		sdk.WithEnvironment("production"), sdk.WithTimeout(500*time.Millisecond))

	evaluation, err := client.Evaluate(context.Background(), "page-size")
	if errors.Is(err, sdk.ErrNotFound) {
		log.Print("nobody has created this flag yet")
	}
	size := 20
	if err == nil {
		err = evaluation.Decode(&size)
	}
	log.Printf("%d rows because of %s, %v", size, evaluation.Reason, err)
}
