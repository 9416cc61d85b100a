//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// get fetches a URL and fails on every status but 200.
func get(url string, accept ...string) ([]byte, error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	for _, kind := range accept {
		request.Header.Add("Accept", kind)
	}
	return do(request)
}

// post sends a body, which may be nil, and fails on every status that does not say success.
func post(url string, body any) ([]byte, error) {
	var text io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		text = bytes.NewReader(encoded)
	}
	request, err := http.NewRequest(http.MethodPost, url, text)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	return do(request)
}

func do(request *http.Request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(request.Context(), 10*time.Second)
	defer cancel()
	response, err := http.DefaultClient.Do(request.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", request.URL, err)
	}
	if response.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s: %s: %.200s", request.URL, response.Status, body)
	}
	return body, nil
}

// getJSON fetches a URL and decodes what it answers.
func getJSON(url string, into any) error {
	body, err := get(url, "application/json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s: %w: %.200s", url, err, body)
	}
	return nil
}

// beaconData fetches a Beacon API route and decodes its data member.
func beaconData(base, route string, into any) error {
	return getJSON(base+route, &struct {
		Data any `json:"data"`
	}{into})
}

// rpc calls an execution client and decodes its result.
func rpc(url, method string, into any) error {
	body, err := post(url, map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": []any{}})
	if err != nil {
		return err
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
		Error  *struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("%s: %s", method, answer.Error.Message)
	}
	return json.Unmarshal(answer.Result, into)
}

// freePort finds a port on 127.0.0.1 that nobody listens on, for TCP and UDP.
func freePort(tb testing.TB) int {
	tb.Helper()
	for range 20 {
		stream, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		port := stream.Addr().(*net.TCPAddr).Port
		packets, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port))
		stream.Close()
		if err == nil {
			packets.Close()
			return port
		}
	}
	tb.Fatal("no free port on 127.0.0.1")
	return 0
}

// local is a base URL on this machine.
func local(port int) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }

// hostPort is what a flag or a scrape target calls a base URL.
func hostPort(url string) string { return strings.TrimPrefix(url, "http://") }

// portOf is the port of a base URL.
func portOf(url string) string { return url[strings.LastIndexByte(url, ':')+1:] }
