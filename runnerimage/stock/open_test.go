package stock_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/chunk"
	"github.com/clipperregistry/runner/runnerimage/stock"
	"github.com/clipperregistry/runner/runnerimage/store"
)

// TestOpenSalvages: what a killed run has put is there for the next one.
func TestOpenSalvages(t *testing.T) {
	dir := t.TempDir()
	d, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	pack, err := d.NewPack()
	if err != nil {
		t.Fatal(err)
	}
	c := content(1, 1000)
	if err := pack.Put(chunk.IDOf(c), chunk.Encode(nil, c), len(c)); err != nil {
		t.Fatal(err)
	}
	lacks(t, open(t, dir, stock.Options{}), c, store.ErrNotFound) // its writer lives

	unfinished, err := filepath.Glob(filepath.Join(dir, "tmp", "*"))
	if err != nil || len(unfinished) != 1 {
		t.Fatal(unfinished, err)
	}
	b, err := os.ReadFile(unfinished[0])
	if err != nil {
		t.Fatal(err)
	}
	pack.Abort()
	if err := os.WriteFile(unfinished[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	has(t, open(t, dir, stock.Options{}), c)
}

func TestOpenFails(t *testing.T) {
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := stock.Open(context.Background(), foreign, stock.Options{}); !errors.Is(err, store.ErrForeign) {
		t.Errorf("%v, want ErrForeign", err)
	}
	dir := t.TempDir()
	open(t, dir, stock.Options{})
	if err := os.WriteFile(filepath.Join(dir, "tmp", "left"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := stock.Open(ctx, dir, stock.Options{Warn: func(text string) { t.Error(text) }}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want Canceled", err)
	}
}
