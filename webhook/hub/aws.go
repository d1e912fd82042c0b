package hub

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// KMS is what is asked of AWS KMS: kms:Sign on the one key.
type KMS interface {
	Sign(ctx context.Context, in *kms.SignInput, options ...func(*kms.Options)) (*kms.SignOutput, error)
}

// KMSKey signs with a key that does not leave AWS KMS: an RSA key of 2048 bits
// for SIGN_VERIFY, into which the App's was imported. id is its ARN, or that of
// an alias.
func KMSKey(client KMS, id string) Signer { return kmsKey{client, id} }

type kmsKey struct {
	client KMS
	id     string
}

// Sign has KMS sign.
func (k kmsKey) Sign(ctx context.Context, digest []byte) ([]byte, error) {
	out, err := k.client.Sign(ctx, &kms.SignInput{
		KeyId: aws.String(k.id), Message: digest, MessageType: types.MessageTypeDigest,
		SigningAlgorithm: types.SigningAlgorithmSpecRsassaPkcs1V15Sha256,
	})
	if err != nil {
		return nil, fmt.Errorf("with the key %s of AWS KMS: %w", k.id, err)
	}
	if len(out.Signature) == 0 {
		return nil, fmt.Errorf("with the key %s of AWS KMS: there is no signature", k.id)
	}
	return out.Signature, nil
}

// Secrets is what is asked of AWS Secrets Manager.
type Secrets interface {
	GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, options ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// SecretKey reads the App's private key from a secret of AWS Secrets Manager,
// whose value is the PEM.
func SecretKey(ctx context.Context, client Secrets, id string) (Signer, error) {
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(id)})
	if err != nil {
		return nil, fmt.Errorf("read the App's private key: %w", err)
	}
	text := out.SecretBinary
	if out.SecretString != nil {
		text = []byte(*out.SecretString)
	}
	if len(text) == 0 {
		return nil, errors.New("read the App's private key: the secret " + id + " is empty")
	}
	return ParseKey(text)
}
