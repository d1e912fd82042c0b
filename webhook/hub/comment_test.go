package hub_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook/hub"
)

func TestCommentOnce(t *testing.T) {
	for name, fault := range late {
		t.Run(name, func(t *testing.T) {
			w := start(t, fakehub.Config{})
			p := w.pull()
			h := w.hub()
			c := hub.Comment{PullRequest: int(p.Number), Marker: "7/bench", Body: "12 ms"}
			p.Comment("eve", "<!-- clipper:7/bench -->\nmine")
			if _, err := h.PutComment(t.Context(), w.at, hub.Comment{PullRequest: int(p.Number), Marker: "7/bench-more", Body: "1 ms"}); err != nil {
				t.Fatal(err)
			}
			w.Fail("issues/create-comment", fault, 1)
			if _, err := h.PutComment(t.Context(), w.at, c); !errors.Is(err, hub.ErrLost) {
				t.Fatalf("%v, want ErrLost", err)
			}
			c.Body = "11 ms"
			id, err := w.hub().PutComment(t.Context(), w.at, c)
			if err != nil {
				t.Fatal(err)
			}
			comments := w.repo.Comments(p.Number)
			if len(comments) != 3 || comments[2].ID != id || !strings.HasSuffix(comments[2].Body, "11 ms") || !comments[2].Edited {
				t.Errorf("%+v", comments)
			}
		})
	}
}

// TestCommentMarkers: each name that a rule may have is found again, and is
// nobody else's.
func TestCommentMarkers(t *testing.T) {
	w := start(t, fakehub.Config{})
	p := w.pull()
	first := map[string]string{
		"7/a-b_c": "<!-- clipper:7/a-b_c -->", "7/a--b": "<!-- clipper:7/a-%2Db -->", "7/a---b": "<!-- clipper:7/a-%2D-b -->", "7/a-": "<!-- clipper:7/a- -->", "7/a--": "<!-- clipper:7/a-%2D -->",
	}
	for _, body := range []string{"12 ms", "11 ms"} {
		for marker := range first {
			if _, err := w.hub().PutComment(t.Context(), w.at, hub.Comment{PullRequest: int(p.Number), Marker: marker, Body: body}); err != nil {
				t.Errorf("%s: %v", marker, err)
			}
		}
	}
	var lines []string
	for _, c := range w.repo.Comments(p.Number) {
		line, body, _ := strings.Cut(c.Body, "\n")
		if lines = append(lines, line); body != "11 ms" {
			t.Errorf("%s has %q", line, body)
		}
	}
	if want := slices.Sorted(maps.Values(first)); !slices.Equal(slices.Sorted(slices.Values(lines)), want) {
		t.Errorf("the comments are %q, want %q", lines, want)
	}
}

// TestCommentGone: what a person deleted stays deleted.
func TestCommentGone(t *testing.T) {
	w := start(t, fakehub.Config{})
	if _, err := w.hub().PutComment(t.Context(), w.at, hub.Comment{ID: 1, PullRequest: int(w.pull().Number), Marker: "bench", Body: "12 ms"}); !errors.Is(err, hub.ErrGone) {
		t.Errorf("%v, want ErrGone", err)
	}
	for _, marker := range []string{"", "a b", "a-->", "a-%2Db"} {
		if _, err := w.hub().PutComment(t.Context(), w.at, hub.Comment{PullRequest: 1, Marker: marker}); !errors.Is(err, hub.ErrInvalid) {
			t.Errorf("marker %q: %v, want ErrInvalid", marker, err)
		}
	}
}
