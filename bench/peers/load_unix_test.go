//go:build unix

package peers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// target is what the clients ask.
type target struct {
	url     string
	model   string
	header  http.Header
	secrets []string // of API keys, one for each sixteen clients; nil: the header has what is needed
}

// tally is what the clients have seen.
type tally struct {
	took     []time.Duration // of answers with status 200, sorted
	statuses map[int]int
	failed   map[string]int // connections cut and answers cut short, by error
	advised  int            // refusals with Retry-After
	why      map[string]int // what refusals say
	lasted   time.Duration
}

func newTally() *tally {
	return &tally{statuses: map[int]int{}, failed: map[string]int{}, why: map[string]int{}}
}

func (t *tally) percentile(p int) time.Duration {
	if len(t.took) == 0 {
		return 0
	}
	return t.took[min(len(t.took)*p/100, len(t.took)-1)]
}

// answer is one request's.
type answer struct {
	status  int
	advised bool
	why     string
	took    time.Duration
	err     error
}

func (t *tally) add(a answer) {
	switch {
	case a.err != nil:
		t.failed[cause(a.err)]++
	case a.status == http.StatusOK:
		t.took = append(t.took, a.took)
		t.statuses[a.status]++
	default:
		t.statuses[a.status]++
		t.why[a.why]++
		if a.advised {
			t.advised++
		}
	}
}

func cause(err error) string {
	s := err.Error()
	return s[strings.LastIndex(s, ": ")+1:]
}

// asker asks as OpenAI's clients do.
type asker struct {
	target
	client *http.Client
}

func newAsker(t target, connections int) *asker {
	return &asker{t, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}}}
}

func (a *asker) request(ctx context.Context, who, most int, stream bool) (*http.Request, error) {
	body := fmt.Appendf(nil, `{"model":%q,"messages":[{"role":"user","content":"of stones"}],"max_tokens":%d`, a.model, most)
	if stream {
		body = append(body, `,"stream":true`...)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+"/v1/chat/completions", bytes.NewReader(append(body, '}')))
	if err != nil {
		return nil, err
	}
	for k, v := range a.header {
		req.Header[k] = v
	}
	req.Header.Set("Content-Type", "application/json")
	secret := "sk-none"
	if len(a.secrets) > 0 {
		secret = a.secrets[who/busy%len(a.secrets)]
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	return req, nil
}

func (a *asker) ask(ctx context.Context, who int) (out answer) {
	began := time.Now()
	req, err := a.request(ctx, who, answerTokens, false)
	if err != nil {
		return answer{err: err}
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == http.StatusOK && !bytes.Contains(b, []byte("stone stone")) {
		err = errors.New("no answer in it")
	}
	return answer{status: resp.StatusCode, advised: inTime(resp.Header.Get("Retry-After")), why: cut(b), took: time.Since(began), err: err}
}

// inTime reports whether a Retry-After is of some use: in a second or later, and within a minute.
func inTime(header string) bool {
	seconds, err := strconv.Atoi(header)
	return err == nil && seconds >= 1 && seconds <= 60
}

func cut(b []byte) string { return strings.ToValidUTF8(string(b[:min(len(b), 160)]), "") }

// closed asks for a while with so many clients, each of which waits for its answer.
func (a *asker) closed(ctx context.Context, clients int, last time.Duration) *tally {
	ctx, cancel := context.WithTimeout(ctx, 10*last+time.Minute)
	defer cancel()
	out, began := newTally(), time.Now()
	var mu sync.Mutex
	var g sync.WaitGroup
	for c := range clients {
		g.Go(func() {
			for time.Since(began) < last {
				got := a.ask(ctx, c)
				mu.Lock()
				out.add(got)
				mu.Unlock()
			}
		})
	}
	g.Wait()
	out.lasted = time.Since(began)
	slices.Sort(out.took)
	return out
}

// streamed asks for streams, so many at a time, and returns how old each token was when it came.
func (a *asker) streamed(ctx context.Context, clients, each int) (ages []time.Duration, err error) {
	var mu sync.Mutex
	var g sync.WaitGroup
	for c := range clients {
		g.Go(func() {
			for range each {
				got, fail := a.stream(ctx, c)
				mu.Lock()
				ages = append(ages, got...)
				if fail != nil {
					err = fail
				}
				mu.Unlock()
			}
		})
	}
	g.Wait()
	slices.Sort(ages)
	return ages, err
}

func (a *asker) stream(ctx context.Context, who int) ([]time.Duration, error) {
	req, err := a.request(ctx, who, streamTokens, true)
	if err != nil {
		return nil, err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return nil, fmt.Errorf("%s: %s", resp.Status, b)
	}
	var ages []time.Duration
	for lines := bufio.NewReader(resp.Body); ; {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		now := time.Now().UnixNano()
		for _, at := range stamps(line) {
			ages = append(ages, time.Duration(now-at))
		}
	}
	if len(ages) != streamTokens {
		err = fmt.Errorf("%d tokens of a stream, want %d", len(ages), streamTokens)
	}
	return ages, err
}

// stamps are the times that the engine has written into a line.
func stamps(line string) (out []int64) {
	_, text, ok := strings.Cut(line, `"content":"`)
	if !ok {
		return nil
	}
	text, _, _ = strings.Cut(text, `"`)
	for _, word := range strings.Fields(text) {
		if n, err := strconv.ParseInt(word, 10, 64); err == nil {
			out = append(out, n)
		}
	}
	return out
}
