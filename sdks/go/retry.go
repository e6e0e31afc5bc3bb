package sdk

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	firstPause   = 100 * time.Millisecond
	longestPause = 2 * time.Second
)

// pause waits before the attempt after this one: a random part of a bound that doubles, so that clients that
// failed together do not come back together, or what the server asked for when that is longer.
func pause(ctx context.Context, attempt int, asked time.Duration) error {
	timer := time.NewTimer(max(rand.N(bound(attempt)), min(asked, longestPause)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func bound(attempt int) time.Duration {
	return min(firstPause<<min(attempt, 10), longestPause)
}

func askedPause(err error) time.Duration {
	if refused := (*Error)(nil); errors.As(err, &refused) {
		return refused.RetryAfter
	}
	return 0
}
