package registry_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
)

// markAt makes a mark by reading the blob up to the offset.
func markAt(t *testing.T, client *registry.Client, ref oci.Reference, desc oci.Descriptor, offset int64) registry.Mark {
	t.Helper()
	blob, err := client.Blob(t.Context(), ref, desc)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	if _, err := io.CopyN(io.Discard, blob, offset); err != nil {
		t.Fatal(err)
	}
	mark, err := blob.Mark()
	if err != nil || mark.Offset != offset {
		t.Fatalf("the mark at %d: %+v, %v", offset, mark, err)
	}
	return mark
}

func readFrom(t *testing.T, client *registry.Client, ref oci.Reference, desc oci.Descriptor, mark registry.Mark) ([]byte, error) {
	t.Helper()
	blob, err := client.BlobFrom(t.Context(), ref, desc, mark)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	return io.ReadAll(blob)
}

func TestBlobFromMark(t *testing.T) {
	for name, fault := range map[string]fault{"": nil, ", 200 to a range": withoutRanges, ", 416 to a range": refuseRanges(416)} {
		for _, size := range []int{small, large} {
			for _, offset := range []int{0, 1, size / 3, size - 1, size} {
				t.Run(fmt.Sprintf("%d of %d%s", offset, size, name), func(t *testing.T) {
					inBubble(t, size, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
						ref := reference(t, host+"/acme/app")
						mark := markAt(t, client, ref, desc, int64(offset))
						synctest.Wait() // the server has seen what was broken off
						asks, bytesBefore := repo.asks, client.Stats().Bytes
						repo.blob = fault
						got, err := readFrom(t, client, ref, desc, mark)
						if err != nil || !bytes.Equal(got, noise(size)[offset:]) {
							t.Fatalf("got %d bytes, %v", len(got), err)
						}
						if offset == size && repo.asks != asks {
							t.Errorf("%d requests for nothing", repo.asks-asks)
						}
						if fault == nil && client.Stats().Bytes-bytesBefore != int64(size-offset) {
							t.Errorf("%d bytes over the wire", client.Stats().Bytes-bytesBefore)
						}
					})
				})
			}
		}
	}
}

// What came before the mark is verified as well.
func TestBlobFromMarkIsVerifiedWhole(t *testing.T) {
	for _, size := range []int{small, large} {
		inBubble(t, size, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
			ref := reference(t, host+"/acme/app")
			half := int64(size / 2)
			for name, wrong := range map[string]int64{"before the mark": half - 1, "behind it": half} {
				raw := noise(size)
				raw[wrong] ^= 1
				hasher := sha256.New()
				hasher.Write(raw[:half])
				repo.blobs[desc.Digest.String()] = raw
				if got, err := readFrom(t, client, ref, desc, registry.Mark{Offset: half, State: state(t, hasher)}); !errors.Is(err, registry.ErrMismatch) || int64(len(got)) >= int64(size)-half {
					t.Errorf("wrong %s: got %d bytes, %v", name, len(got), err)
				}
			}
			repo.blobs[desc.Digest.String()] = noise(size)
			mark := markAt(t, client, ref, desc, half)
			synctest.Wait()
			mark.Offset++
			if _, err := readFrom(t, client, ref, desc, mark); !errors.Is(err, registry.ErrMismatch) {
				t.Errorf("a mark at another offset: %v", err)
			}
		})
	}
}

func state(t *testing.T, h hash.Hash) []byte {
	t.Helper()
	raw, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestMarkThatDoesNotFit(t *testing.T) {
	good := state(t, sha256.New())
	inBubble(t, small, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
		ref := reference(t, host+"/acme/app")
		for name, mark := range map[string]registry.Mark{
			"beyond the end":       {Offset: small + 1, State: good},
			"before the beginning": {Offset: -1, State: good},
			"no state":             {Offset: 10},
			"garbage":              {Offset: 10, State: []byte("sha\x03 and so on")},
			"cut short":            {Offset: 10, State: good[:len(good)-1]},
			"another algorithm":    {Offset: 10, State: state(t, sha512.New())},
		} {
			if _, err := readFrom(t, client, ref, desc, mark); !errors.Is(err, registry.ErrMismatch) {
				t.Errorf("%s: got %v", name, err)
			}
		}
		if len(repo.log) > 0 {
			t.Errorf("asked %q", repo.log)
		}
	})
}

// A transfer that broke off is gone on with by another client.
func TestMarkAfterAnError(t *testing.T) {
	inBubble(t, small, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
		ref := reference(t, host+"/acme/app")
		repo.blob = func(n int, w http.ResponseWriter, r *http.Request, serve func()) {
			if n == 0 {
				halfway(w, r, noise(small))
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(http.StatusNotFound)
		}
		blob, err := client.Blob(t.Context(), ref, desc)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(blob)
		if !errors.Is(err, registry.ErrNotFound) || len(got) != small/2 {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
		blob.Close()
		mark, err := blob.Mark()
		if err != nil || mark.Offset != small/2 {
			t.Fatalf("got %+v, %v", mark, err)
		}
		synctest.Wait()
		repo.blob = nil
		if rest, err := readFrom(t, client, ref, desc, mark); err != nil || !bytes.Equal(append(got, rest...), noise(small)) {
			t.Fatalf("got %d bytes more, %v", len(rest), err)
		}

		wrong := noise(small)
		wrong[0] ^= 1
		repo.blobs[desc.Digest.String()] = wrong
		if blob, err = client.Blob(t.Context(), ref, desc); err != nil {
			t.Fatal(err)
		}
		defer blob.Close()
		if _, err := io.ReadAll(blob); !errors.Is(err, registry.ErrMismatch) {
			t.Fatalf("got %v", err)
		}
		if mark, err := blob.Mark(); !errors.Is(err, registry.ErrMismatch) {
			t.Errorf("a wrong blob has the mark %+v, %v", mark, err)
		}
	})
}

func TestMarkOfSHA512(t *testing.T) {
	inBubble(t, small, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
		ref := reference(t, host+"/acme/app")
		raw := noise(small)
		desc.Digest = oci.Digest{Algorithm: "sha512", Hex: fmt.Sprintf("%x", sha512.Sum512(raw))}
		repo.blobs[desc.Digest.String()] = raw
		if got, err := readFrom(t, client, ref, desc, markAt(t, client, ref, desc, 777)); err != nil || !bytes.Equal(got, raw[777:]) {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
	})
}

// FuzzMark reads on from whatever mark: only from a right one to the end.
func FuzzMark(f *testing.F) {
	hasher := sha256.New()
	f.Add(int64(0), []byte{})
	raw, _ := hasher.(encoding.BinaryMarshaler).MarshalBinary()
	f.Add(int64(0), raw)
	f.Add(int64(5), raw)
	hasher.Write(noise(small)[:5])
	raw, _ = hasher.(encoding.BinaryMarshaler).MarshalBinary()
	f.Add(int64(5), raw)
	f.Fuzz(func(t *testing.T, offset int64, state []byte) {
		inBubble(t, small, func(t *testing.T, client *registry.Client, _ *repository, _ *network, desc oci.Descriptor) {
			ref := reference(t, host+"/acme/app")
			got, err := readFrom(t, client, ref, desc, registry.Mark{Offset: offset, State: state})
			if err == nil && !bytes.Equal(got, noise(small)[offset:]) {
				t.Fatalf("from %d on it reads %d bytes, which are wrong", offset, len(got))
			}
			if err != nil && !errors.Is(err, registry.ErrMismatch) {
				t.Fatalf("got %v", err)
			}
		})
	})
}
