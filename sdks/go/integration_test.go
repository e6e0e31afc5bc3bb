package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	readyWithin = 30 * time.Second
	endWithin   = 10 * time.Second
	email       = "alice@example.com"
	password    = "correct horse battery staple"
)

// TestTheWalkAgainstTheRealBinary does with the SDK what the README does with curl.
func TestTheWalkAgainstTheRealBinary(t *testing.T) {
	binary := os.Getenv("FLAGBASE_BIN")
	if binary == "" {
		t.Skip("FLAGBASE_BIN is not set: run `cargo xtask test --only go`, or name a flagbase binary")
	}
	server := start(t, binary)
	token := server.developer(t)
	client := NewClient(server.base, token)

	t.Run("a flag is on for a developer", func(t *testing.T) {
		server.createFlag(t, token, "new-checkout")
		on, err := client.EvaluateFlag("new-checkout")
		if err != nil || !on {
			t.Errorf("%v, %v", on, err)
		}
	})
	t.Run("the answer names variant and reason", func(t *testing.T) {
		evaluation, err := client.Evaluate(context.Background(), "new-checkout")
		if err != nil || evaluation.Variant == "" || evaluation.Reason == "" {
			t.Errorf("%+v, %v", evaluation, err)
		}
	})
	t.Run("events are recorded", func(t *testing.T) {
		if err := client.RecordEvent("new-checkout", "true", "conversion", 19.9); err != nil {
			t.Error(err)
		}
		event := Event{
			FlagKey: "new-checkout", Variant: "true", Type: "latency", Value: 12,
			Unit: "alice", Time: time.Now(), ID: "walk-1",
		}
		for range 2 {
			if err := client.Record(context.Background(), event); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("a flag that does not exist is never on", func(t *testing.T) {
		on, err := client.EvaluateFlag("no-such-flag")
		if on {
			t.Errorf("%v, %v", on, err)
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
	t.Run("a forged token is refused", func(t *testing.T) {
		_, err := NewClient(server.base, token+"x").EvaluateFlag("new-checkout")
		if !errors.Is(err, ErrUnauthorized) {
			t.Errorf("%v", err)
		}
	})
	t.Run("an environment that does not exist is refused", func(t *testing.T) {
		_, err := NewClient(server.base, token, WithEnvironment("no-such-place")).EvaluateFlag("new-checkout")
		if refused := (*Error)(nil); !errors.As(err, &refused) || refused.Status >= 500 {
			t.Errorf("%v", err)
		}
	})
}

// server is a running flagbase with an empty database.
type server struct {
	base string
}

func start(t *testing.T, binary string) *server {
	t.Helper()
	home := t.TempDir()
	port := freePort(t)
	output := &log{}
	command := exec.Command(binary, "start")
	command.Dir = home
	command.Env = append(os.Environ(),
		"HOME="+home,
		"FLAGBASE_SERVER__HOST=127.0.0.1",
		fmt.Sprintf("FLAGBASE_SERVER__PORT=%d", port),
		"FLAGBASE_EVENTS__NATS_PORT=0",
		"FLAGBASE_DATABASE__PATH="+filepath.Join(home, "flagbase.db"),
		"FLAGBASE_STORAGE__BASE_PATH="+filepath.Join(home, "storage"),
	)
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() {
		stop(t, command.Process, ended)
		if t.Failed() {
			t.Logf("the server said:\n%s", output)
		}
	})
	running := &server{base: fmt.Sprintf("http://127.0.0.1:%d", port)}
	running.awaitReady(t, ended)
	return running
}

// stop ends the server as an operator would, and by force when that does not work.
func stop(t *testing.T, process *os.Process, ended chan error) {
	_ = process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the server did not end well: %v", err)
		}
	case <-time.After(endWithin):
		t.Errorf("the server did not end within %v", endWithin)
		_ = process.Kill()
		<-ended
	}
}

func (s *server) awaitReady(t *testing.T, ended chan error) {
	t.Helper()
	deadline := time.Now().Add(readyWithin)
	for time.Now().Before(deadline) {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the server ended before it was ready: %v", err)
		default:
		}
		response, err := http.Get(s.base + "/health/ready")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("the server was not ready within %v", readyWithin)
}

// developer registers a developer and returns the token of their session.
func (s *server) developer(t *testing.T) string {
	t.Helper()
	s.post(t, "", "/auth/register", map[string]any{"email": email, "password": password, "role": "developer"})
	body := s.post(t, "", "/auth/login", map[string]any{"email": email, "password": password})
	var login struct{ Token string }
	if err := json.Unmarshal(body, &login); err != nil || login.Token == "" {
		t.Fatalf("login answered %s, %v", body, err)
	}
	return login.Token
}

// createFlag makes a flag that is on for developers and off for everyone else.
func (s *server) createFlag(t *testing.T, token, key string) {
	t.Helper()
	rule := map[string]any{
		"attribute": "role", "operator": "equals", "value": "developer", "variant": true, "priority": 1,
	}
	s.post(t, token, "/api/v1/flags", map[string]any{
		"key": key, "name": key, "enabled": true, "default_value": false, "rules": []any{rule},
	})
}

func (s *server) post(t *testing.T, token, path string, document any) []byte {
	t.Helper()
	encoded, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPost, s.base+path, bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode > 299 {
		t.Fatalf("POST %s: %d %s, %v", path, response.StatusCode, body, err)
	}
	return body
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// log collects what the server prints, from two pipes at once.
type log struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (l *log) Write(bytes []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.Write(bytes)
}

func (l *log) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.String()
}
