package ecsfake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/clipperregistry/runner/test/ecsfake/policy"
	"github.com/clipperregistry/runner/test/ecsfake/wire"
)

// principal is somebody with an access key: the administrator, or a session
// of a role.
type principal struct {
	arn, userID                 string
	accessKey, secretKey, token string
	expires                     time.Time
	// role, if not nil, is the role whose policies decide; without, all is allowed.
	role *role
}

// role is a role of IAM.
type role struct {
	name, path, id, arn string
	description         string
	created             time.Time
	trust               string
	inline              map[string]string // policies by name
	attached            []string          // ARNs of managed policies
}

// identities is who there is.
type identities struct {
	admin *principal
	keys  map[string]*principal // by access key
	roles map[string]*role      // by name
	// taskCredentials are the sessions of tasks' roles, by the id in the URL.
	taskCredentials map[string]*principal
}

func newIdentities(account string) identities {
	admin := &principal{arn: "arn:aws:iam::" + account + ":user/admin", userID: "AIDAADMIN", accessKey: "AKIAADMIN", secretKey: "admin"}
	return identities{admin: admin, keys: map[string]*principal{admin.accessKey: admin}, roles: map[string]*role{}, taskCredentials: map[string]*principal{}}
}

// session makes a principal of a role.
func (i *identities) session(f *Fake, r *role, name string) *principal {
	id := strings.ToUpper(f.hex(16))
	p := &principal{
		arn:       "arn:aws:sts::" + f.config.Account + ":assumed-role/" + r.name + "/" + name,
		userID:    r.id + ":" + name,
		accessKey: "ASIA" + id, secretKey: f.hex(40), token: f.hex(64),
		expires: time.Now().Add(time.Hour), role: r,
	}
	i.keys[p.accessKey] = p
	return p
}

// roleOf finds a role by its ARN or name.
func (f *Fake) roleOf(arn string) (*role, error) {
	r := f.roles[arn[strings.LastIndexByte(arn, '/')+1:]]
	if r == nil || strings.HasPrefix(arn, "arn:") && r.arn != arn {
		return nil, fmt.Errorf("there is no role %s", arn)
	}
	return r, nil
}

// authenticate finds out who calls, by the access key of the signature
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-authentication-methods.html).
// The signature itself is the SDK's and taken as right.
func (f *Fake) authenticate(r *http.Request, service string) (*caller, error) {
	refuse := func(jsonCode, queryCode, message string) error {
		if protocol[service] != nil {
			return &wire.Error{Code: jsonCode, Message: message}
		}
		return &wire.Error{Code: queryCode, Message: message, Status: http.StatusForbidden}
	}
	_, credential, ok := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	scope := strings.Split(strings.SplitN(credential, ",", 2)[0], "/")
	if !ok || len(scope) != 5 {
		return nil, refuse("MissingAuthenticationTokenException", "MissingAuthenticationToken", "Missing Authentication Token")
	}
	p := f.keys[scope[0]]
	if p == nil || p.token != r.Header.Get("X-Amz-Security-Token") {
		return nil, refuse("UnrecognizedClientException", "InvalidClientTokenId", "The security token included in the request is invalid.")
	}
	if !p.expires.IsZero() && time.Now().After(p.expires) {
		return nil, refuse("ExpiredTokenException", "ExpiredToken", "The security token included in the request is expired")
	}
	return &caller{principal: p, region: scope[2]}, nil
}

// authorize refuses what a principal's policies do not allow.
func (f *Fake) authorize(p *principal, action, arn string, context map[string]string) error {
	if p.role == nil || action == "sts:GetCallerIdentity" {
		// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html:
		// "No permissions are required to perform this operation."
		return nil
	}
	decision, err := f.decide(p.role, policy.Request{Action: action, Resource: arn, Context: context})
	if err != nil || decision == policy.Allowed {
		return err
	}
	because := "because no identity-based policy allows the " + action + " action"
	if decision == policy.ExplicitDeny {
		because = "with an explicit deny in an identity-based policy"
	}
	return wire.Errorf(denied, "User: %s is not authorized to perform: %s on resource: %s %s", p.arn, action, arn, because)
}

// denied is the code of what may not be done; services of the Query protocol
// have another for it.
const denied = "AccessDeniedException"

// decide evaluates a role's policies.
func (f *Fake) decide(r *role, request policy.Request) (policy.Decision, error) {
	var documents []*policy.Document
	texts := make([]string, 0, len(r.inline)+len(r.attached))
	for _, text := range r.inline {
		texts = append(texts, text)
	}
	for _, arn := range r.attached {
		texts = append(texts, managed[arn])
	}
	for _, text := range texts {
		d, err := policy.Parse(text)
		if err != nil {
			return "", err
		}
		documents = append(documents, d)
	}
	return policy.Evaluate(documents, request), nil
}

// tasksService is who assumes the roles of tasks
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html).
const tasksService = "ecs-tasks.amazonaws.com"

// assumable reports whether ECS may assume a role for a task.
func assumable(r *role) bool {
	trust, err := policy.Parse(r.trust)
	return err == nil && policy.Trusts(trust, "Service", tasksService, policy.Request{Action: "sts:AssumeRole"})
}

// pass refuses callers that may not hand a role to ECS
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html: "To pass a
// role … to an AWS service, a user must have permissions to pass the role to the service").
func (f *Fake) pass(c *caller, roleARN *string) error {
	if roleARN == nil || *roleARN == "" {
		return nil
	}
	arn := *roleARN
	if !strings.HasPrefix(arn, "arn:") {
		arn = "arn:aws:iam::" + f.config.Account + ":role/" + arn
	}
	return f.authorize(c.principal, "iam:PassRole", arn, map[string]string{"iam:PassedToService": tasksService})
}

// serveContainer answers what a container asks: for its task role's
// credentials (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html),
// GET 169.254.170.2/v2/credentials/ID, and for what it is (metadata.go).
func (f *Fake) serveContainer(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.serveMetadata(w, r.URL.Path) {
		return
	}
	id, ok := strings.CutPrefix(r.URL.Path, "/v2/credentials/")
	p := f.taskCredentials[id]
	if !ok || p == nil {
		http.NotFound(w, r)
		return
	}
	f.traffic.counts["task:GetCredentials"]++
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{
		"RoleArn": p.role.arn, "AccessKeyId": p.accessKey, "SecretAccessKey": p.secretKey, "Token": p.token,
		"Expiration": p.expires.UTC().Format(time.RFC3339),
	})
}
