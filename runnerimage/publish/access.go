package publish

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	ggcr "github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// access speaks to registries: clients read, and go-containerregistry writes.
type access struct {
	// sources reads through mirrors, targets does not: what a tag of ours
	// holds now only its own registry knows.
	sources, targets *registry.Client

	pusher   *ggcr.Pusher
	keychain *keychain
	insecure []string
	wire     *http.Transport
}

func newAccess(o Options) (*access, error) {
	read := registry.Options{Keychain: o.Keychain, Insecure: o.Insecure, Roots: o.Roots, UserAgent: o.UserAgent}
	mirrored := read
	mirrored.Mirrors = o.Mirrors
	a := &access{
		sources: registry.New(mirrored), targets: registry.New(read),
		keychain: &keychain{inner: o.Keychain},
		insecure: o.Insecure,
		wire: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:     &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 10 * time.Second,
			// Some registries move a large blob to its place before they answer.
			ResponseHeaderTimeout: 5 * time.Minute,
			DisableCompression:    true,
			ForceAttemptHTTP2:     true,
		},
	}
	var err error
	a.pusher, err = ggcr.NewPusher(ggcr.WithTransport(door{a.wire, a.plainAllowed}), ggcr.WithAuthFromKeychain(a.keychain), ggcr.WithUserAgent(o.UserAgent))
	return a, err
}

func (a *access) close() {
	a.sources.Close()
	a.targets.Close()
	a.wire.CloseIdleConnections()
}

// plainAllowed says whether a host may be spoken to over plain HTTP: loopback
// and those listed.
func (a *access) plainAllowed(host string) bool {
	hostname := (&url.URL{Host: host}).Hostname()
	return slices.Contains(a.insecure, host) || hostname == "localhost" || net.ParseIP(hostname).IsLoopback()
}

// door keeps plain HTTP to where it is allowed. go-containerregistry would try
// it with every private address.
type door struct {
	inner http.RoundTripper
	plain func(host string) bool
}

func (d door) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !d.plain(req.URL.Host) {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, errPlain
	}
	return d.inner.RoundTrip(req)
}

// repository is ref's, in the form that go-containerregistry wants.
func (a *access) repository(ref oci.Reference) (name.Repository, error) {
	var options []name.Option
	if a.plainAllowed(ref.Host()) {
		options = append(options, name.Insecure)
	}
	return name.NewRepository(ref.Name(), options...)
}

// reference is what ref names: its digest if it has one, else its tag.
func (a *access) reference(ref oci.Reference) (name.Reference, error) {
	repository, err := a.repository(ref)
	if err != nil {
		return nil, err
	}
	if digest, ok := ref.Digest(); ok {
		return repository.Digest(digest.String()), nil
	}
	return repository.Tag(ref.Tag()), nil
}

// put stores the document under ref, unless it is there already.
func (a *access) put(ctx context.Context, ref oci.Reference, d document) error {
	named, err := a.reference(ref)
	if err != nil {
		return err
	}
	if err := a.pusher.Push(ctx, named, d); err != nil {
		return fmt.Errorf("manifest: %w", a.explain(ctx, ref, err))
	}
	return nil
}

// upload is a blob on its way into a repository. It is opened only if the
// repository has it neither already nor can mount it.
type upload struct {
	desc oci.Descriptor
	open func() (io.ReadCloser, error)
	// from is a repository that has the blob, or the zero Reference.
	from oci.Reference
	sent atomic.Bool
}

func (u *upload) Digest() (v1.Hash, error) { return u.desc.Digest, nil }
func (u *upload) Size() (int64, error)     { return u.desc.Size, nil }

// MediaType is always that of a layer: others may be passed over.
func (u *upload) MediaType() (types.MediaType, error) { return types.OCILayerZStd, nil }

func (u *upload) Compressed() (io.ReadCloser, error) {
	u.sent.Store(true)
	return u.open()
}

// upload brings a blob into ref's repository. It tells how many bytes had to be
// sent.
func (a *access) upload(ctx context.Context, ref oci.Reference, u *upload) (sent int64, err error) {
	repository, err := a.repository(ref)
	if err != nil {
		return 0, err
	}
	blob, err := partial.CompressedToLayer(u)
	if err != nil {
		return 0, err
	}
	if u.from != (oci.Reference{}) && u.from.Host() == ref.Host() && u.from.Repository() != ref.Repository() {
		from, err := a.repository(u.from)
		if err != nil {
			return 0, err
		}
		blob = &ggcr.MountableLayer{Layer: blob, Reference: from.Digest(u.desc.Digest.String())}
	}
	if err := a.pusher.Upload(ctx, repository, blob); err != nil {
		return 0, fmt.Errorf("blob %s: %w", u.desc.Digest, a.explain(ctx, ref, err))
	}
	if u.sent.Load() {
		return u.desc.Size, nil
	}
	return 0, nil
}

// remote is an image in a registry.
type remote struct {
	client *registry.Client
	ref    oci.Reference
}

func (r remote) root(ctx context.Context) (document, error) {
	return r.document(ctx, r.ref)
}

func (r remote) child(ctx context.Context, desc oci.Descriptor) (document, error) {
	d, err := r.document(ctx, r.ref.WithDigest(desc.Digest))
	if err == nil && int64(len(d.raw)) != desc.Size {
		return document{}, fmt.Errorf("%s: %w: manifest %s has %d bytes, its descriptor says %d", r.ref, registry.ErrMismatch, desc.Digest, len(d.raw), desc.Size)
	}
	return d, err
}

func (r remote) document(ctx context.Context, ref oci.Reference) (document, error) {
	raw, mediaType, err := r.client.Document(ctx, ref)
	return document{raw, mediaType}, err
}

func (r remote) blob(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	// A descriptor's URLs are somebody else's: who published the blob has it.
	desc.URLs = nil
	return r.client.Blob(ctx, r.ref, desc)
}

// span reads size bytes of a blob, from the offset on, which are not verified.
func (r remote) span(ctx context.Context, desc oci.Descriptor, offset, size int64) ([]byte, error) {
	desc.URLs = nil
	ranges := r.client.Ranges(r.ref, desc)
	defer ranges.Close()
	return ranges.Read(ctx, registry.Span{Offset: offset, Length: size})
}

func (r remote) repository() oci.Reference { return r.ref }
func (remote) close() error                { return nil }
