package accept

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
)

var (
	errUnsigned = errors.New("it has no signature")
	errForged   = errors.New("no secret of an App makes its signature")
)

// keys are all secrets of all Apps. The one that signs a delivery tells whose
// it is: what the headers say of that is not signed.
type keys []key

type key struct {
	app    int64
	secret []byte
}

func newKeys(apps []App) (keys, error) {
	if len(apps) == 0 {
		return nil, errors.New("no App")
	}
	var all keys
	owner := map[string]int64{}
	for _, app := range apps {
		if len(app.Secrets) == 0 {
			return nil, fmt.Errorf("the App %d has no webhook secret, and everybody could deliver in GitHub's name", app.ID)
		}
		for _, secret := range app.Secrets {
			if secret == "" {
				return nil, fmt.Errorf("the App %d has an empty webhook secret", app.ID)
			}
			if other, taken := owner[secret]; taken {
				return nil, fmt.Errorf("the Apps %d and %d have one webhook secret: it could not be told who delivers", other, app.ID)
			}
			owner[secret] = app.ID
			all = append(all, key{app.ID, []byte(secret)})
		}
	}
	return all, nil
}

// sums are the signatures that each of the keys makes of what is written to
// them.
type sums []hash.Hash

func (k keys) sums() sums {
	s := make(sums, len(k))
	for i := range k {
		s[i] = hmac.New(sha256.New, k[i].secret)
	}
	return s
}

func (s sums) write(b []byte) {
	for _, h := range s {
		h.Write(b)
	}
}

// signer is the App whose secret made a signature. It takes the same time
// whichever it was, and if none did.
func (k keys) signer(s sums, signature []byte) (app int64, err error) {
	found := -1
	for i := range k {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(s[i].Sum(nil), signature), i, found)
	}
	if found < 0 {
		return 0, errForged
	}
	return k[found].app, nil
}
