package serve

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook/hub"
)

// amazon answers as AWS KMS and Secrets Manager, which have one key.
func amazon(t *testing.T, pem string) *AWS {
	t.Helper()
	key, err := hub.ParseKey([]byte(pem))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			KeyId, SecretId string
			Message         []byte
		}
		answer := map[string]any{}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		err := json.NewDecoder(r.Body).Decode(&in)
		switch target := r.Header.Get("X-Amz-Target"); {
		case err == nil && target == "TrentService.Sign" && in.KeyId == "alias/clipper":
			answer["Signature"], err = key.Sign(r.Context(), in.Message)
		case err == nil && target == "secretsmanager.GetSecretValue" && in.SecretId == "clipper/key":
			answer["SecretString"] = pem
		default:
			w.WriteHeader(http.StatusBadRequest)
			answer["__type"] = "ResourceNotFoundException"
		}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
		_ = json.NewEncoder(w).Encode(answer) // the caller may have gone
	}))
	t.Cleanup(server.Close)
	return &AWS{Config: aws.Config{
		Region: "eu-central-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
	}}
}

// TestSigner: wherever the key is, GitHub knows the App by it, and the key is
// told where logs could have it.
func TestSigner(t *testing.T) {
	github := fakehub.New(t, fakehub.Config{})
	app := github.App(fakehub.AppConfig{})
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, []byte(app.PrivateKey), 0o600); err != nil {
		t.Fatal(err)
	}
	cloud := amazon(t, app.PrivateKey)
	for name, tt := range map[string]struct {
		key Key
		pem string
	}{
		"the key itself": {Key{PEM: app.PrivateKey}, app.PrivateKey},
		"a file":         {Key{File: file}, app.PrivateKey},
		"KMS":            {Key{KMS: "alias/clipper"}, ""},
		"a secret":       {Key{Secret: "clipper/key"}, ""},
	} {
		signer, pem, err := tt.key.Signer(t.Context(), cloud)
		if err != nil || pem != tt.pem {
			t.Errorf("%s: the key is told as %.20q, %v", name, pem, err)
			continue
		}
		h, err := hub.New(hub.Config{App: app.ID, Signer: signer, URL: github.APIURL})
		if err != nil {
			t.Fatal(err)
		}
		if self, err := h.App(t.Context()); err != nil || self.ID != app.ID {
			t.Errorf("%s: GitHub knows %+v, %v", name, self, err)
		}
	}
	if _, _, err := (Key{Secret: "clipper/none"}).Signer(t.Context(), cloud); err == nil || !strings.Contains(err.Error(), "ResourceNotFound") {
		t.Errorf("of a secret that is not there: %v", err)
	}
	unknown, _, err := Key{KMS: "alias/none"}.Signer(t.Context(), cloud)
	if err != nil {
		t.Fatal(err) // nobody has been asked
	}
	if _, err := unknown.Sign(context.Background(), make([]byte, 32)); err == nil {
		t.Error("a key that is not there signs")
	}
}

// TestExposed: a key's file that others can get at is warned of, where its mode
// says anything.
func TestExposed(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"own.pem": 0o600, "read-only.pem": 0o400, "group.pem": 0o640, "all.pem": 0o644} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(privateKey()), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
		if how := (Key{File: file}).Exposed(); (how != "") != (mode&0o077 != 0) {
			t.Errorf("%s, with mode %o: %q", name, mode, how)
		}
	}
	for _, k := range []Key{{}, {PEM: privateKey()}, {File: filepath.Join(dir, "none.pem")}} {
		if how := k.Exposed(); how != "" {
			t.Errorf("what is no file is exposed: %q", how)
		}
	}
	if how := exposed("/run/secrets/key", 0o444); how != "" {
		t.Errorf("a secret of Docker's is exposed: %q", how)
	}
	s := settings(t)
	s.Apps[0].Key = Key{File: filepath.Join(dir, "all.pem")}
	if log := start(t, s).log.String(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "all.pem has mode 0644") {
		t.Errorf("the log is\n%s", log)
	}
	s = settings(t)
	s.Apps[0].Key = Key{File: filepath.Join(dir, "own.pem")}
	if log := start(t, s).log.String(); strings.Contains(log, "own.pem") {
		t.Errorf("the log is\n%s", log)
	}
}
