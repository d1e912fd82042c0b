package verify

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/rules"
)

// reference is one place of the definition that names a parameter or secret.
type reference struct {
	path string
	from string // as it is written
	rules.ValueFrom
	region, arn string
	// credentials: the runner pulls with it.
	credentials bool
	// key encrypts the value; "" is a key of AWS, which all may use.
	key string
	// missing: it is not there, so that nothing else is to be asked about it.
	missing bool
}

// references lists them. What cannot be read is told by the offline rules.
func (v *verification) references() []*reference {
	var list []*reference
	add := func(path, name, from string) {
		parsed, err := rules.ParseValueFrom(from)
		if err != nil {
			return
		}
		r := &reference{path: path, from: from, ValueFrom: parsed, region: parsed.Region, credentials: name == ecs.EnvCredentials}
		if r.region == "" {
			r.region = v.AWS.Region
		}
		r.arn = parsed.ARN(v.caller.partition, v.AWS.Region, v.caller.account)
		list = append(list, r)
	}
	rules.EachSecret(v.def, func(path, name, from string) { add(path+".valueFrom", name, from) })
	for _, c := range v.def.Containers() {
		if arn := c.Object.Object("repositoryCredentials").Text("credentialsParameter"); strings.HasPrefix(arn, "arn:") {
			add(c.Path+".repositoryCredentials.credentialsParameter", "", arn)
		}
	}
	return list
}

// describe asks whether they exist. Their values stay where they are.
func (v *verification) describe(ctx context.Context, list []*reference) {
	parameters := map[string][]*reference{} // by region
	secrets := map[string][]*reference{}    // by ARN
	for _, r := range list {
		switch {
		case r.Service == rules.SecretsManager:
			secrets[r.arn] = append(secrets[r.arn], r)
		case r.Account != "" && r.Account != v.caller.account:
			v.unchecked(parameterRule, r.path, "it belongs to the account %s, and not to the caller's", r.Account)
		default:
			parameters[r.region] = append(parameters[r.region], r)
		}
	}
	for _, region := range slices.Sorted(maps.Keys(parameters)) {
		v.describeParameters(ctx, region, parameters[region])
	}
	for _, arn := range slices.Sorted(maps.Keys(secrets)) {
		v.describeSecret(ctx, arn, secrets[arn])
	}
}

// parameterNames are the names that SSM may list a parameter under, and its
// version. With a slash in it, a name begins with one; an ARN has it neither
// then nor where it is the name's only slash.
func (r *reference) parameterNames() (names []string, version string) {
	name, version, _ := strings.Cut(r.Name, ":")
	switch {
	case strings.HasPrefix(name, "/"):
		return []string{name}, version
	case strings.Contains(name, "/"):
		return []string{"/" + name}, version
	case r.Account != "":
		return []string{name, "/" + name}, version
	}
	return []string{name}, version
}

// describeParameters asks about the parameters of a region.
func (v *verification) describeParameters(ctx context.Context, region string, list []*reference) {
	var all []string
	for _, r := range list {
		names, _ := r.parameterNames()
		all = append(all, names...)
	}
	known, err := v.parameters(ctx, region, slices.Compact(slices.Sorted(slices.Values(all))))
	for _, r := range list {
		if err != nil {
			v.unchecked(parameterRule, r.path, "SSM did not say whether the parameter exists: %s", cause(err))
			continue
		}
		names, version := r.parameterNames()
		i := slices.IndexFunc(names, func(name string) bool { _, ok := known[name]; return ok })
		if i < 0 {
			r.missing = true
			v.tell(parameterRule, r.path, "there is no parameter %s in %s", strings.Join(names, " or "), region)
			continue
		}
		p := known[names[i]]
		r.key = customersKey(aws.ToString(p.KeyId))
		if n, err := strconv.ParseInt(version, 10, 64); err == nil && (n < 1 || n > p.Version) {
			v.tell(versionRule, r.path, "the parameter %s has no version %d: the newest is %d", names[i], n, p.Version)
		}
	}
}

// parameters are those of the names that there are. At most 50 are asked for
// at once
// (https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ParameterStringFilter.html).
func (v *verification) parameters(ctx context.Context, region string, names []string) (map[string]types.ParameterMetadata, error) {
	known := map[string]types.ParameterMetadata{}
	for some := range slices.Chunk(names, 50) {
		in := &ssm.DescribeParametersInput{MaxResults: aws.Int32(50), ParameterFilters: []types.ParameterStringFilter{{Key: aws.String("Name"), Option: aws.String("Equals"), Values: some}}}
		for more := true; more; more = aws.ToString(in.NextToken) != "" {
			out, err := v.AWS.Parameters(region).DescribeParameters(ctx, in)
			if err != nil {
				return nil, err
			}
			for _, p := range out.Parameters {
				known[aws.ToString(p.Name)] = p
			}
			in.NextToken = out.NextToken
		}
	}
	return known, nil
}

// describeSecret asks about one secret, and for whatever refers to it whether
// its version is there.
func (v *verification) describeSecret(ctx context.Context, arn string, list []*reference) {
	out, err := v.AWS.Secrets(list[0].region).DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &arn})
	for _, r := range list {
		switch {
		case isCode(err, "ResourceNotFoundException"):
			r.missing = true
			v.tell(secretRule, r.path, "there is no secret %s", arn)
		case err != nil:
			v.unchecked(secretRule, r.path, "Secrets Manager did not say whether the secret exists: %s", cause(err))
		case out.DeletedDate != nil:
			r.missing = true
			v.tell(secretRule, r.path, "the secret is marked for deletion")
		default:
			r.key = customersKey(aws.ToString(out.KmsKeyId))
			v.needVersion(r, out.VersionIdsToStages)
		}
	}
}

func (v *verification) needVersion(r *reference, stages map[string][]string) {
	if r.Version != "" {
		if _, ok := stages[r.Version]; !ok {
			v.tell(versionRule, r.path, "the secret has no version %s", r.Version)
		}
		return
	}
	stage := r.Stage
	if stage == "" {
		stage = "AWSCURRENT"
	}
	for _, labels := range stages {
		if slices.Contains(labels, stage) {
			return
		}
	}
	v.tell(versionRule, r.path, "no version of the secret is staged as %s", stage)
}

// customersKey leaves out AWS's own keys, which whoever may read may use.
func customersKey(key string) string {
	if strings.Contains(key, "alias/aws/") {
		return ""
	}
	return key
}
