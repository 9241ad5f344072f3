package durable_test

import (
	"path/filepath"
	"testing"

	"github.com/essaim/essaim/internal/durable"
	"github.com/essaim/essaim/internal/durable/durabletest"
)

// file is a place of the suite.
type file string

func (f file) Where() string { return string(f) }

func (f file) Open(schema string) (durable.DB, error) { return durable.Open(string(f), schema) }

func (f file) Kill(t testing.TB) durabletest.Place { return file(kill(t, string(f))) }

func newFile(t testing.TB) durabletest.Place { return file(filepath.Join(t.TempDir(), "t.db")) }

func TestSuite(t *testing.T) { durabletest.Run(t, 100, newFile) }

func TestSuiteKillNine(t *testing.T) {
	durabletest.KillNine(t, newFile, func(where string) durabletest.Place { return file(where) })
}
