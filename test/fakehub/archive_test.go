package fakehub_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"testing"
)

// checkArchive reads what a repository's archive has.
func checkArchive(ctx context.Context, t *testing.T, url, sha string) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	unzipped, err := gzip.NewReader(response.Body)
	if err != nil {
		t.Fatal(response.Status, err)
	}
	files, of := map[string]string{}, ""
	for r := tar.NewReader(unzipped); ; {
		header, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if of += header.PAXRecords["comment"]; header.Typeflag == tar.TypeReg {
			files[header.Name] = string(content)
		}
	}
	if dir := "acme-app-" + sha[:7] + "/"; of != sha || files[dir+"main.go"] != "package main\n" {
		t.Errorf("the archive of %s has %q", of, files)
	}
}
