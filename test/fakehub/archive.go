package fakehub

import (
	"archive/tar"
	"compress/gzip"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// archives are at a host of their own, which nobody's token is for: a key in
// the address opens one of them
// (https://docs.github.com/rest/repos/contents#download-a-repository-archive-tar).
const archives = "/codeload/"

// getArchive answers where a commit's archive is.
func (c *call) getArchive() (any, error) {
	at := c.repo.resolve(c.path("ref"))
	if at == nil {
		return nil, errNotFound
	}
	key := strings.ToLower(rand.Text())
	c.hub.archives[key] = archive{c.repo, at}
	// Another name of this machine is another host.
	host := strings.Replace(c.hub.URL, "127.0.0.1", "localhost", 1)
	c.header.Set("Location", host+archives+c.repo.FullName+"/legacy.tar.gz/"+at.sha+"?"+url.Values{"token": {key}}.Encode())
	return nil, nil
}

// archive is a commit of a repository.
type archive struct {
	repo *Repo
	at   *commit
}

// archivePage sends one, as git makes it.
func (h *Hub) archivePage(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	found, ok := h.archives[r.FormValue("token")]
	if r.Header.Get("Authorization") != "" {
		h.problem("repos/download-tarball-archive", false, "the host of the archives was shown a token")
	}
	h.mu.Unlock()
	if !ok || !strings.HasSuffix(r.URL.Path, "/"+found.at.sha) {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/x-gzip")
	zipped := gzip.NewWriter(w)
	defer zipped.Close()
	out := tar.NewWriter(zipped)
	defer out.Close()
	dir := fmt.Sprintf("%s-%s/", strings.ReplaceAll(found.repo.FullName, "/", "-"), found.at.sha[:7])
	write := func(header tar.Header, content string) {
		header.Size, header.ModTime = int64(len(content)), found.at.at
		if err := out.WriteHeader(&header); err == nil {
			_, _ = out.Write([]byte(content)) // who does not wait for it does not get it
		}
	}
	_ = out.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": found.at.sha}})
	write(tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o775}, "")
	made := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(found.at.files)) {
		for i, c := range name {
			if parent := name[:i] + "/"; c == '/' && !made[parent] {
				made[parent] = true
				write(tar.Header{Typeflag: tar.TypeDir, Name: dir + parent, Mode: 0o775}, "")
			}
		}
		write(tar.Header{Typeflag: tar.TypeReg, Name: dir + name, Mode: 0o664}, found.at.files[name])
	}
}
