package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/essaim/essaim/cmd/essaim/term"
)

// panel is a part of the ready dashboard.
type panel struct {
	Title   string
	Targets []struct{ Expr string }
}

func panels(t *testing.T) []panel {
	t.Helper()
	file, err := os.ReadFile("../../docs/operate/grafana.json")
	var board struct{ Panels []panel }
	if err == nil {
		err = json.Unmarshal(file, &board)
	}
	if err != nil || len(board.Panels) == 0 {
		t.Fatalf("%d panels, %v", len(board.Panels), err)
	}
	return board.Panels
}

// moving are the numbers that are not zero on a network at work; the others have a value at least.
var moving = regexp.MustCompile(`requests_total|request_seconds|delivered|coordinator_miners|spent`)

// prometheus has a real one read what the gateway measures while work is done there, some of which fails, and evaluates each
// expression of the ready dashboard.
func prometheus(ctx context.Context, t *testing.T, gateway string, work func()) {
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not on this machine, so the dashboard's expressions are not evaluated")
	}
	at := startPrometheus(t, program, gateway)
	until := func(what string, ok func() bool) {
		if err := term.Until(ctx, func() (bool, error) { return ok(), nil }); err != nil {
			t.Fatalf("did not happen: %s: %v", what, err)
		}
	}
	until("the gateway is read", func() bool { v, err := at.ask(ctx, "min(up)"); return err == nil && len(v) == 1 && v[0] == 1 })
	for _, p := range panels(t) {
		for _, target := range p.Targets {
			expr := target.Expr
			if _, err := at.ask(ctx, expr); err != nil {
				t.Errorf("panel %q: %s: %v", p.Title, expr, err)
				continue
			}
			until(p.Title+" shows "+expr, func() bool {
				v, err := at.ask(ctx, expr)
				if err == nil && len(v) > 0 && (sum(v) > 0 || !moving.MatchString(expr)) {
					return true
				}
				work()
				return false
			})
		}
	}
}

// sum is that of what is shown; not more than 0 where a value is not a number.
func sum(values []float64) (out float64) {
	for _, v := range values {
		out += v
	}
	return out
}

// prom is the address of a Prometheus.
type prom string

func startPrometheus(t *testing.T, program, gateway string) prom {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 250ms, scrape_timeout: 250ms}\nscrape_configs: [{job_name: essaim, static_configs: [{targets: [%q]}]}]\n", strings.TrimPrefix(gateway, "http://"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := freePort(t)
	var log bytes.Buffer
	cmd := exec.Command(program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s", &log)
		}
	})
	return prom("http://" + addr)
}

// ask evaluates an expression now.
func (p prom) ask(ctx context.Context, expr string) (values []float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, string(p)+"/api/v1/query?query="+url.QueryEscape(expr), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var got struct {
		Status, Error string
		Warnings      []string
		Data          struct{ Result []struct{ Value [2]any } }
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		return nil, err
	}
	if got.Status != "success" || len(got.Warnings) > 0 {
		return nil, fmt.Errorf("%s: %s %v", got.Status, got.Error, got.Warnings)
	}
	for _, r := range got.Data.Result {
		text, _ := r.Value[1].(string)
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}
