// Package sdk asks a Flagbase server about feature flags and tells it what happened.
//
//	client := sdk.NewClient("http://127.0.0.1:8080", token)
//	on, err := client.EvaluateFlag("new-checkout")
//	if err != nil {
//		on = false // decide what your program does without an answer
//	}
//	err = client.RecordEvent("new-checkout", "true", "conversion", 1)
//
// Every call has a variant that takes a context, and [Client.Evaluate] answers for flags of any type
// together with the variant and the reason. A [Client] is safe for concurrent use; make one and keep it,
// because it pools connections.
//
// Requests that failed on the way, or that the server refused for the moment (429, 502, 503, 504), are
// repeated a few times with growing, random pauses. An event carries an id chosen before the first attempt,
// so it is counted once however often it is sent. Refusals are returned as [*Error], which [errors.Is]
// compares with [ErrUnauthorized], [ErrForbidden], [ErrNotFound] and [ErrRateLimited].
package sdk
