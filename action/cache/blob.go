package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
)

// An entry's bytes are a blob of Azure, at a URL whose signature lets its
// holder read or write it for some minutes.

const (
	// blockSize is that of an upload's blocks; a smaller entry goes in one
	// request.
	blockSize    = 16 << 20
	blocksAtOnce = 4
	// headBytes is what the first request reads of an entry.
	headBytes = 1 << 20
)

var errEvicted = errors.New("the entry was evicted meanwhile")

// blob is an entry that can be read. After open it is safe for concurrent use.
type blob struct {
	service *Service
	key     string

	size    int64
	head    []byte // how it begins
	fetched atomic.Int64

	mu  sync.Mutex
	url string
}

// open reads how the blob begins, which tells its size.
func (b *blob) open(ctx context.Context) error {
	resp, err := b.get(ctx, 0, headBytes)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.ContentRange == nil {
		return errors.New("the blob service does not read ranges")
	}
	_, total, _ := strings.Cut(*resp.ContentRange, "/")
	if b.size, err = strconv.ParseInt(total, 10, 64); err != nil || b.size < 0 {
		return fmt.Errorf("the blob service tells no size: %.80q", *resp.ContentRange)
	}
	b.head = make([]byte, min(headBytes, b.size))
	return b.fill(ctx, resp, b.head)
}

// read reads len(p) bytes from an offset.
func (b *blob) read(ctx context.Context, p []byte, offset int64) error {
	if offset+int64(len(p)) <= int64(len(b.head)) {
		copy(p, b.head[offset:])
		return nil
	}
	resp, err := b.get(ctx, offset, int64(len(p)))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return b.fill(ctx, resp, p)
}

// fill reads all of an answer, and again from where it breaks off.
func (b *blob) fill(ctx context.Context, resp *azblob.DownloadStreamResponse, p []byte) error {
	body := resp.NewRetryReader(ctx, &azblob.RetryReaderOptions{MaxRetries: tries})
	defer body.Close()
	n, err := io.ReadFull(body, p)
	b.fetched.Add(int64(n))
	if err != nil {
		return fmt.Errorf("read entry %s: %w", b.key, told(err))
	}
	return nil
}

// get asks for a range, and for another URL if the one there is has expired.
func (b *blob) get(ctx context.Context, offset, length int64) (*azblob.DownloadStreamResponse, error) {
	for renewed := false; ; renewed = true {
		address := b.address()
		client, err := b.service.blobClient(address)
		if err != nil {
			return nil, err
		}
		resp, err := client.DownloadStream(ctx, &azblob.DownloadStreamOptions{Range: azblob.HTTPRange{Offset: offset, Count: length}})
		if err == nil {
			return &resp, nil
		}
		refused, ok := errors.AsType[*azcore.ResponseError](err)
		if !ok || renewed || refused.StatusCode != http.StatusForbidden && refused.StatusCode != http.StatusUnauthorized {
			return nil, fmt.Errorf("read entry %s: %w", b.key, told(err))
		}
		if err := b.renew(ctx, address); err != nil {
			return nil, err
		}
	}
}

func (b *blob) address() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.url
}

// renew asks for another URL in place of an expired one, unless another reader
// has.
func (b *blob) renew(ctx context.Context, expired string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.url != expired {
		return nil
	}
	again, err := b.service.find(ctx, b.key)
	if err != nil {
		return err
	}
	if again == nil || again.key != b.key {
		return fmt.Errorf("read entry %s: %w", b.key, errEvicted)
	}
	b.url = again.url
	return nil
}

// upload writes what a reads to a signed URL.
func (s *Service) upload(ctx context.Context, signed string, a *archive) error {
	client, err := s.blobClient(signed)
	if err != nil {
		return err
	}
	_, err = client.UploadStream(ctx, io.LimitReader(a, a.size), &blockblob.UploadStreamOptions{BlockSize: blockSize, Concurrency: blocksAtOnce})
	if err != nil {
		return fmt.Errorf("upload: %w", told(err))
	}
	return nil
}

func (s *Service) blobClient(signed string) (*blockblob.Client, error) {
	options := &blockblob.ClientOptions{ClientOptions: azcore.ClientOptions{
		Retry:     policy.RetryOptions{MaxRetries: tries - 1, RetryDelay: firstPause, MaxRetryDelay: longestPause, TryTimeout: 2 * time.Minute},
		Telemetry: policy.TelemetryOptions{ApplicationID: "clipper-runner"},
	}}
	if s.HTTP != nil {
		options.Transport = s.HTTP
	}
	client, err := blockblob.NewClientWithNoCredential(signed, options)
	if err != nil {
		return nil, plain(err)
	}
	return client, nil
}

// told is an error of Azure's library in one line and without a signed URL.
func told(err error) error {
	if refused, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return fmt.Errorf("the blob service answers with status %d %s", refused.StatusCode, refused.ErrorCode)
	}
	return plain(err)
}
