package batch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/desk"
)

// maxUpload bounds a file that is sent, in bytes.
const maxUpload = 64 << 20

// file is one as it is told, and kept.
type file struct {
	ID      string `json:"id"`
	Object  string `json:"object"` // "file"
	Bytes   int64  `json:"bytes"`
	Created int64  `json:"created_at"` // Unix seconds
	Expires int64  `json:"expires_at"`
	Name    string `json:"filename"`
	Purpose string `json:"purpose"` // "batch" or "batch_output"
	Status  string `json:"status"`  // "processed"
	Owner   string `json:"owner,omitempty"`
}

func (f file) told() file { f.Owner = ""; return f }

// file finds a key's file.
//
// Errors: CodeNotFound.
func (api *API) file(owner, id string) (*file, error) {
	api.mu.Lock()
	defer api.mu.Unlock()
	f := api.files[id]
	if f == nil || f.Owner != owner {
		return nil, essaim.Errorf(essaim.CodeNotFound, "a file is kept for a week", "there is no file %.100q", id)
	}
	return f, nil
}

// upload keeps a file, sealed line by line.
func (api *API) upload(w http.ResponseWriter, r *http.Request) {
	key, err := api.cfg.Desk.Authenticate(r)
	if err != nil {
		api.fail(w, err)
		return
	}
	desk.SetReadDeadline(w, time.Now().Add(5*time.Minute))
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload)
	parts, err := r.MultipartReader()
	if err != nil {
		api.fail(w, desk.Unread(err, "send purpose and file as multipart/form-data"))
		return
	}
	now := time.Now()
	f := &file{ID: newID("file-"), Object: "file", Created: now.Unix(), Expires: now.Add(keep).Unix(), Status: "processed", Owner: key.ID}
	if err := api.receive(f, parts.NextPart); err != nil {
		err = errors.Join(err, api.store.remove(f.ID))
		api.fail(w, err)
		return
	}
	desk.SetReadDeadline(w, time.Time{})
	desk.WriteJSON(w, http.StatusOK, f.told())
}

// receive reads the parts of an upload and keeps the file.
//
// Errors: CodeBadInput, CodeUnavailable if the key has too many.
func (api *API) receive(f *file, next func() (*multipart.Part, error)) error {
	for {
		p, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return desk.Unread(err, "send at most 64 MiB, whole")
		}
		switch p.FormName() {
		case "purpose":
			b, _ := io.ReadAll(io.LimitReader(p, 100)) // what is cut is no purpose
			f.Purpose = string(b)
		case "file":
			f.Name = filepath.Base(p.FileName())[:min(len(filepath.Base(p.FileName())), 200)]
			if f.Bytes, err = api.seal(f.ID, p); err != nil {
				return err
			}
		}
	}
	switch {
	case f.Purpose != "batch":
		return essaim.Errorf(essaim.CodeBadInput, "batch", "files are not kept for the purpose %.20q", f.Purpose)
	case f.Bytes == 0:
		return essaim.Errorf(essaim.CodeBadInput, "send it as the part called file", "the file is empty")
	}
	api.mu.Lock()
	defer api.mu.Unlock()
	api.forget()
	own := 0
	for _, o := range api.files {
		if o.Owner == f.Owner {
			own++
		}
	}
	if own >= maxFiles {
		return essaim.Errorf(essaim.CodeConflict, "delete some", "this key has %d files", own)
	}
	if err := api.store.describe(f.ID, f.Owner, false, f); err != nil {
		return essaim.Errorf(essaim.CodeInternal, "", "keep a file: %w", err)
	}
	api.files[f.ID] = f
	return nil
}

// seal keeps the lines of a file, and returns how many bytes it has.
func (api *API) seal(id string, from io.Reader) (size int64, err error) {
	w, err := api.store.append(id, func([]byte) error { return errors.New("the file is there already") })
	if err != nil {
		return 0, essaim.Errorf(essaim.CodeInternal, "", "keep a file: %w", err)
	}
	defer func() { err = errors.Join(err, w.close()) }()
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxLine/2)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		if err := w.put(lines.Bytes()); err != nil {
			return size, essaim.Errorf(essaim.CodeInternal, "", "keep a file: %w", err)
		}
		size += int64(len(lines.Bytes())) + 1
	}
	if err := lines.Err(); err != nil {
		return size, desk.Unread(err, "send at most 64 MiB of lines of at most 12 MiB")
	}
	return size, nil
}

func (api *API) showFile(w http.ResponseWriter, r *http.Request) {
	key, err := api.cfg.Desk.Authenticate(r)
	var f *file
	if err == nil {
		f, err = api.file(key.ID, r.PathValue("id"))
	}
	if err != nil {
		api.fail(w, err)
		return
	}
	desk.WriteJSON(w, http.StatusOK, f.told())
}

func (api *API) content(w http.ResponseWriter, r *http.Request) {
	key, err := api.cfg.Desk.Authenticate(r)
	var f *file
	if err == nil {
		f, err = api.file(key.ID, r.PathValue("id"))
	}
	if err != nil {
		api.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/jsonl")
	rc := http.NewResponseController(w)
	err = api.store.lines(f.ID, func(line []byte) error {
		_ = rc.SetWriteDeadline(time.Now().Add(desk.WriteTime)) // httptest's recorder has none
		_, err := w.Write(append(line, '\n'))
		return err
	})
	if err != nil && r.Context().Err() == nil {
		api.cfg.Log.Error("a file of a batch cannot be read", "file", f.ID, "err", err)
		panic(http.ErrAbortHandler) // half a file must not look whole
	}
}

func (api *API) deleteFile(w http.ResponseWriter, r *http.Request) {
	key, err := api.cfg.Desk.Authenticate(r)
	var f *file
	if err == nil {
		f, err = api.file(key.ID, r.PathValue("id"))
	}
	if err == nil {
		err = api.drop(f)
	}
	if err != nil {
		api.fail(w, err)
		return
	}
	desk.WriteJSON(w, http.StatusOK, map[string]any{"id": f.ID, "object": "file", "deleted": true})
}

// drop deletes a file, unless a batch works with it.
func (api *API) drop(f *file) error {
	api.mu.Lock()
	defer api.mu.Unlock()
	for _, b := range api.batches {
		if b.leave != nil && (b.Input == f.ID || slices.Contains(b.Out[:], f.ID)) {
			return essaim.Errorf(essaim.CodeConflict, "cancel it first", "batch %s works with the file", b.ID)
		}
	}
	delete(api.files, f.ID)
	if err := api.store.remove(f.ID); err != nil {
		return essaim.Errorf(essaim.CodeInternal, "", "delete a file: %w", err)
	}
	return nil
}

func (api *API) listFiles(w http.ResponseWriter, r *http.Request) {
	key, err := api.cfg.Desk.Authenticate(r)
	if err != nil {
		api.fail(w, err)
		return
	}
	api.mu.Lock()
	defer api.mu.Unlock()
	out := []file{}
	for _, f := range api.files {
		if purpose := r.URL.Query().Get("purpose"); f.Owner == key.ID && (purpose == "" || purpose == f.Purpose) {
			out = append(out, f.told())
		}
	}
	slices.SortFunc(out, func(a, b file) int {
		if a.Created != b.Created {
			return int(b.Created - a.Created)
		}
		return strings.Compare(a.ID, b.ID)
	})
	page, more := cutPage(out, r, func(f file) string { return f.ID })
	desk.WriteJSON(w, http.StatusOK, listed(page, more, func(f file) string { return f.ID }))
}

// cutPage is the part of a list that a request asks for.
func cutPage[T any](all []T, r *http.Request, id func(T) string) (page []T, more bool) {
	if after := r.URL.Query().Get("after"); after != "" {
		if i := slices.IndexFunc(all, func(t T) bool { return id(t) == after }); i >= 0 {
			all = all[i+1:]
		}
	}
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit < 1 || limit > 100 {
		limit = 100
	}
	return all[:min(limit, len(all))], len(all) > limit
}

func listed[T any](page []T, more bool, id func(T) string) map[string]any {
	out := map[string]any{"object": "list", "data": page, "has_more": more}
	if len(page) > 0 {
		out["first_id"], out["last_id"] = id(page[0]), id(page[len(page)-1])
	}
	return out
}

// forget deletes what is too old, and files that no description names. The lock is held.
func (api *API) forget() {
	old := time.Now().Add(-keep).Unix()
	for id, f := range api.files {
		if f.Created < old {
			delete(api.files, id)
			api.lost(api.store.remove(id))
		}
	}
	for id, b := range api.batches {
		if b.leave == nil && b.Created < old {
			delete(api.batches, id)
			for _, out := range b.Out {
				api.lost(api.store.remove(out))
			}
			api.lost(api.store.remove(id))
		}
	}
}

func (api *API) lost(err error) {
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		api.cfg.Log.Error("an old batch cannot be deleted", "err", fmt.Sprint(err))
	}
}
