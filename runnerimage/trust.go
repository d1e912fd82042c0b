package runnerimage

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// systemCACerts is where Debian's family, and so most derived images, put
// certificates of their own.
const systemCACerts = "/usr/local/share/ca-certificates"

// TrustedRoots are the certificates that a registry's may be signed with:
// Mozilla's, which are built in, because the bare image has none and the
// magic image's must not decide whom its own registry is; and those of extra,
// a file or a directory of PEM files, and of systemCACerts. Reading through
// files lets the caller decide with whose rights.
func TrustedRoots(extra string, files fs.FS) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	for root := range bundle.Roots() {
		cert, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			return nil, fmt.Errorf("built-in CA certificates: %w", err)
		}
		if root.Constraint == nil {
			pool.AddCert(cert)
		} else {
			pool.AddCertWithConstraint(cert, root.Constraint)
		}
	}
	if err := addCerts(pool, files, systemCACerts); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if extra == "" {
		return pool, nil
	}
	if err := addCerts(pool, files, extra); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrSettings, envCACerts, err)
	}
	return pool, nil
}

// addCerts adds the PEM certificates of the file or the directory path. A
// directory may hold other things; a file that was named must hold at least
// one certificate.
func addCerts(pool *x509.CertPool, files fs.FS, path string) error {
	path = fsPath(path)
	info, err := fs.Stat(files, path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		data, err := fs.ReadFile(files, path)
		if err == nil && !pool.AppendCertsFromPEM(data) {
			err = fmt.Errorf("%s holds no PEM certificate", path)
		}
		return err
	}
	return fs.WalkDir(files, path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		// A mounted Kubernetes secret has links to directories among its files.
		if info, err := fs.Stat(files, name); err != nil || !info.Mode().IsRegular() {
			return nil
		}
		data, err := fs.ReadFile(files, name)
		if err == nil {
			pool.AppendCertsFromPEM(data)
		}
		return err
	})
}

// fsPath is an absolute or relative path in the form that fs.FS of the root
// directory wants.
func fsPath(path string) string {
	return filepath.Clean("/" + path)[1:]
}
