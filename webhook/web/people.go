package web

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Bounds of what is asked and kept.
const (
	remembered = time.Minute // how long an answer of GitHub's counts
	mostPeople = 1_000       // whose answers are kept at once
	mostPages  = 100         // of 100 installations or repositories each
	maxAnswer  = 8 << 20
)

// repo is a repository that a person can read.
type repo struct {
	ID           int64
	FullName     string
	Installation int64
	Write        bool
}

// view is what a person can read, by the repositories' IDs.
type view map[int64]repo

func (v view) ids() []int64 { return slices.AppendSeq(make([]int64, 0, len(v)), maps.Keys(v)) }

// people asks GitHub what persons may read, with their own tokens, so that the
// answer is GitHub's alone.
type people struct {
	client *http.Client
	api    string
	now    func() time.Time

	mu    sync.Mutex
	views map[[32]byte]answer // by the token's digest
}

type answer struct {
	view view
	at   time.Time
}

func newPeople(c Config) *people {
	return &people{client: c.Client, api: c.APIURL, now: c.Now, views: map[[32]byte]answer{}}
}

// view is what the token's owner can read now, or could within the last
// minute, unless it is to be fresh.
func (p *people) view(ctx context.Context, token string, fresh bool) (view, error) {
	key := sha256.Sum256([]byte(token))
	p.mu.Lock()
	known, ok := p.views[key]
	p.mu.Unlock()
	if ok && !fresh && p.now().Sub(known.at) < remembered {
		return known.view, nil
	}
	v, err := p.ask(ctx, token)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.views) >= mostPeople {
		maps.DeleteFunc(p.views, func(_ [32]byte, a answer) bool { return p.now().Sub(a.at) >= remembered })
	}
	if len(p.views) >= mostPeople {
		clear(p.views)
	}
	p.views[key] = answer{v, p.now()}
	return v, nil
}

func (p *people) forget(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.views, sha256.Sum256([]byte(token)))
}

// ask lists the repositories of all installations that the person has a part
// in.
func (p *people) ask(ctx context.Context, token string) (view, error) {
	v := view{}
	pages := 0
	for page, more := 1, true; more; page++ {
		var got struct {
			Installations []struct {
				ID int64 `json:"id"`
			} `json:"installations"`
		}
		if pages++; pages > mostPages {
			return nil, errTooMany
		}
		if err := p.get(ctx, token, fmt.Sprintf("/user/installations?per_page=100&page=%d", page), &got); err != nil {
			return nil, err
		}
		for _, i := range got.Installations {
			if err := p.askOne(ctx, token, i.ID, v, &pages); err != nil {
				return nil, err
			}
		}
		more = len(got.Installations) == 100
	}
	return v, nil
}

func (p *people) askOne(ctx context.Context, token string, installation int64, v view, pages *int) error {
	for page, more := 1, true; more; page++ {
		var got struct {
			Repositories []struct {
				ID          int64  `json:"id"`
				FullName    string `json:"full_name"`
				Permissions struct {
					Pull bool `json:"pull"`
					Push bool `json:"push"`
				} `json:"permissions"`
			} `json:"repositories"`
		}
		if *pages++; *pages > mostPages {
			return errTooMany
		}
		if err := p.get(ctx, token, fmt.Sprintf("/user/installations/%d/repositories?per_page=100&page=%d", installation, page), &got); err != nil {
			return err
		}
		for _, r := range got.Repositories {
			if r.Permissions.Pull {
				v[r.ID] = repo{r.ID, r.FullName, installation, r.Permissions.Push}
			}
		}
		more = len(got.Repositories) == 100
	}
	return nil
}

// login is the token's owner.
func (p *people) login(ctx context.Context, token string) (string, error) {
	var got struct {
		Login string `json:"login"`
	}
	if err := p.get(ctx, token, "/user", &got); err != nil {
		return "", err
	}
	if got.Login == "" {
		return "", fmt.Errorf("%w: its answer names nobody", errGitHub)
	}
	return got.Login, nil
}

// get asks GitHub for JSON. A token that is no longer good is errSession.
func (p *people) get(ctx context.Context, token, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.api+path, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", errGitHub, err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	req.Header.Set("User-Agent", "clipper-runner")
	resp, err := p.client.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", errGitHub, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return errSession
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%w: %s", errGitHub, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(into); err != nil {
		return errors.Join(errGitHub, err)
	}
	return nil
}
