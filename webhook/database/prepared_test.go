package database

import (
	"fmt"
	"path/filepath"
	"testing"
)

// TestPrepared runs a statement within itself, and more than are kept.
func TestPrepared(t *testing.T) {
	pool, err := openPrepared(dsn(filepath.Join(t.TempDir(), "a.db")))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	c, err := pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := c.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	exec(`CREATE TABLE t (n INTEGER PRIMARY KEY)`)
	for n := range 5 {
		exec(`INSERT INTO t (n) VALUES ($1)`, n+1)
	}
	const query = `SELECT n FROM t WHERE n >= $1 ORDER BY n`
	var got []string
	var list func(least, depth int)
	list = func(least, depth int) {
		rows, err := c.QueryContext(t.Context(), query, least)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var n int
			if err := rows.Scan(&n); err != nil {
				t.Fatal(err)
			}
			if got = append(got, fmt.Sprint(depth, ":", n)); depth < 2 && n == 4 {
				for i := range maxPrepared { // forget those that are being read
					exec(fmt.Sprintf(`UPDATE t SET n = n WHERE n = %d`, i))
				}
				list(n, depth+1)
			}
		}
	}
	list(3, 0)
	if want := "[0:3 0:4 1:4 2:4 2:5 1:5 0:5]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	if _, err := c.ExecContext(t.Context(), `INSERT INTO t (n) VALUES ($1)`, 1); err == nil {
		t.Error("a row is there twice")
	}
	exec(`INSERT INTO t (n) VALUES ($1)`, 6)
	exec(`ALTER TABLE t ADD COLUMN m INTEGER`)
	exec(`INSERT INTO t (n) VALUES ($1)`, 7)
	if _, err := c.ExecContext(t.Context(), `nonsense`); err == nil {
		t.Error("nonsense is run")
	}
}
