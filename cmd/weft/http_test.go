package main

import (
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What a broker prints of HTTP answers, and says which program it is; off is off.
func TestBrokerServesHTTP(t *testing.T) {
	built, from := version, commit
	version, commit = "v1.2.3-test", "abcdef"
	t.Cleanup(func() { version, commit = built, from })
	client := http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	look := func(url string) (status int, text string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(res.Body)
		if err := errors.Join(err, res.Body.Close()); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(all)
	}
	out, _ := daemon(t, "broker", "--listen", "tcp://127.0.0.1:0", "--http", "localhost:0", "--log-level", "error")
	at := out.find(t, `HTTP for operators at (http://127\.0\.0\.1:\d+)\n`)
	for began := time.Now(); ; {
		status, text := look(at + "/readyz")
		if status == http.StatusOK {
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("not ready: status %d, %s", status, text)
		}
	}
	if _, text := look(at + "/version"); !strings.Contains(text, `"version":"v1.2.3-test","commit":"abcdef"`) {
		t.Errorf("version %s", text)
	}

	dev, _ := daemon(t, "dev", "--listen", "tcp://127.0.0.1:0", "--capacity", "cpu=1000,memory=1GiB", "--log-level", "error",
		"--dir", filepath.Join(t.TempDir(), "agent"))
	if status, text := look(dev.find(t, `curl (http://\S+/v1/nodes) `)); status != http.StatusOK || !strings.Contains(text, `"name":`) {
		t.Errorf("what the banner says: status %d, %s", status, text)
	}

	off, _ := daemon(t, "broker", "--listen", "tcp://127.0.0.1:0", "--http", "off", "--log-level", "error")
	off.find(t, `(listening at)`)
	if text := off.String(); strings.Contains(text, "HTTP") {
		t.Errorf("off: %s", text)
	}
	_, errOut, code := ask(t, "", "broker", "--check", "--http", "0.0.0.0:80")
	if code != exitUsage || !strings.Contains(errOut, `http "0.0.0.0:80"`) || !strings.Contains(errOut, "--insecure") {
		t.Errorf("an address that others reach: exit %d, %q", code, errOut)
	}
}
