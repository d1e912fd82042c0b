package ecsfake

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/clipperregistry/runner/test/ecsfake/wire"
)

// parameter is one of SSM's Parameter Store.
type parameter struct {
	name, arn, value, key string
	kind                  types.ParameterType
	tier                  types.ParameterTier
	description           string
	version               int64
	changed               time.Time
}

func (f *Fake) registerSSM() {
	handle(f, "ssm:PutParameter", func(c *caller, in *ssm.PutParameterInput) []string {
		return []string{f.parameterARN(c.region, aws.ToString(in.Name))}
	}, f.putParameter)
	handle(f, "ssm:GetParameter", func(c *caller, in *ssm.GetParameterInput) []string {
		return []string{f.parameterARN(c.region, aws.ToString(in.Name))}
	}, f.getParameter)
	handle(f, "ssm:GetParameters", func(c *caller, in *ssm.GetParametersInput) []string {
		var arns []string
		for _, name := range in.Names {
			arns = append(arns, f.parameterARN(c.region, name))
		}
		return arns
	}, f.getParameters)
	handle(f, "ssm:DeleteParameter", func(c *caller, in *ssm.DeleteParameterInput) []string {
		return []string{f.parameterARN(c.region, aws.ToString(in.Name))}
	}, f.deleteParameter)
	handle(f, "ssm:DescribeParameters", nil, f.describeParameters)
}

// parameterARN is a parameter's ARN, from its name or ARN, without a version.
func (f *Fake) parameterARN(region, name string) string {
	if strings.HasPrefix(name, "arn:") {
		return name
	}
	name, _, _ = strings.Cut(name, ":")
	return "arn:aws:ssm:" + region + ":" + f.config.Account + ":parameter/" + strings.TrimPrefix(name, "/")
}

func (f *Fake) putParameter(c *caller, in *ssm.PutParameterInput) (*ssm.PutParameterOutput, error) {
	name, value := aws.ToString(in.Name), aws.ToString(in.Value)
	tier := in.Tier
	if tier == "" {
		tier = types.ParameterTierStandard
	}
	// https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html:
	// "Maximum size of a parameter value: 4 KB" (standard), "8 KB" (advanced).
	limit := map[types.ParameterTier]int{types.ParameterTierStandard: 4096}[tier]
	if limit == 0 {
		limit = 8192
	}
	switch {
	case value == "":
		return nil, wire.Errorf("ValidationException", "1 validation error detected: Value at 'value' failed to satisfy constraint: Member must have length greater than or equal to 1.")
	case len(value) > limit && tier == types.ParameterTierStandard:
		return nil, wire.Errorf("ValidationException", "Standard tier parameters support a maximum parameter value of %d characters. To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier.", limit)
	case len(value) > limit:
		return nil, wire.Errorf("ValidationException", "Advanced tier parameters support a maximum parameter value of %d characters.", limit)
	}
	arn := f.parameterARN(c.region, name)
	p := f.parameters[arn]
	switch {
	case p == nil:
		if in.Type == "" {
			return nil, wire.Errorf("ValidationException", "A parameter type is required when you create a parameter.")
		}
		p = &parameter{name: name, arn: arn, kind: in.Type}
		f.parameters[arn] = p
	case !aws.ToBool(in.Overwrite):
		return nil, wire.Errorf("ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
	}
	if p.key = aws.ToString(in.KeyId); p.key == "" && p.kind == types.ParameterTypeSecureString {
		p.key = "alias/aws/ssm"
	}
	p.value, p.tier, p.description, p.changed = value, tier, aws.ToString(in.Description), time.Now()
	p.version++
	return &ssm.PutParameterOutput{Version: p.version, Tier: tier}, nil
}

// parameterFor finds a parameter by name or ARN, name:version too.
func (f *Fake) parameterFor(region, name string) *parameter {
	selector := ""
	if !strings.HasPrefix(name, "arn:") {
		name, selector, _ = strings.Cut(name, ":")
	}
	p := f.parameters[f.parameterARN(region, name)]
	if p == nil || selector != "" && selector != strconv.FormatInt(p.version, 10) {
		return nil
	}
	return p
}

// read hands out a parameter. Secure strings that are decrypted with a key of
// the customer's own need that key, too
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-ssm-paramstore.html:
// "kms:Decrypt – Required only if your secret uses a customer managed key and not the default key").
func (f *Fake) read(who *principal, p *parameter, decrypt bool) (types.Parameter, error) {
	value := p.value
	if p.kind == types.ParameterTypeSecureString {
		if !decrypt {
			value = "AQICAH" + strings.Repeat("x", 64)
		} else if err := f.decrypt(who, p.key); err != nil {
			return types.Parameter{}, err
		}
	}
	return types.Parameter{
		Name: &p.name, ARN: &p.arn, Type: p.kind, Value: &value, Version: p.version, LastModifiedDate: &p.changed, DataType: aws.String("text"),
	}, nil
}

// decrypt refuses who may not use a key. AWS's own may be used by all who may
// read what it protects.
func (f *Fake) decrypt(who *principal, key string) error {
	if key == "" || strings.HasPrefix(key, "alias/aws/") {
		return nil
	}
	if !strings.HasPrefix(key, "arn:") {
		key = f.arn("kms", "key/"+strings.TrimPrefix(key, "key/"))
	}
	return f.authorize(who, "kms:Decrypt", key, nil)
}

func (f *Fake) getParameter(c *caller, in *ssm.GetParameterInput) (*ssm.GetParameterOutput, error) {
	p := f.parameterFor(c.region, aws.ToString(in.Name))
	if p == nil {
		return nil, wire.Errorf("ParameterNotFound", "")
	}
	read, err := f.read(c.principal, p, aws.ToBool(in.WithDecryption))
	return &ssm.GetParameterOutput{Parameter: &read}, err
}

func (f *Fake) getParameters(c *caller, in *ssm.GetParametersInput) (*ssm.GetParametersOutput, error) {
	if len(in.Names) > 10 {
		return nil, wire.Errorf("ValidationException", "1 validation error detected: Value at 'names' failed to satisfy constraint: Member must have length less than or equal to 10.")
	}
	out := &ssm.GetParametersOutput{Parameters: []types.Parameter{}, InvalidParameters: []string{}}
	for _, name := range in.Names {
		p := f.parameterFor(c.region, name)
		if p == nil {
			out.InvalidParameters = append(out.InvalidParameters, name)
			continue
		}
		read, err := f.read(c.principal, p, aws.ToBool(in.WithDecryption))
		if err != nil {
			return nil, err
		}
		out.Parameters = append(out.Parameters, read)
	}
	return out, nil
}

func (f *Fake) deleteParameter(c *caller, in *ssm.DeleteParameterInput) (*ssm.DeleteParameterOutput, error) {
	arn := f.parameterARN(c.region, aws.ToString(in.Name))
	if f.parameters[arn] == nil {
		return nil, wire.Errorf("ParameterNotFound", "")
	}
	delete(f.parameters, arn)
	return &ssm.DeleteParameterOutput{}, nil
}

// describeParameters tells all of parameters but their values.
func (f *Fake) describeParameters(c *caller, in *ssm.DescribeParametersInput) (*ssm.DescribeParametersOutput, error) {
	for _, filter := range in.ParameterFilters {
		if aws.ToString(filter.Key) != "Name" {
			return nil, wire.Errorf("InvalidFilterKey", "ecsfake filters by Name only, not by %s", aws.ToString(filter.Key))
		}
	}
	var found []types.ParameterMetadata
	for _, arn := range slices.Sorted(maps.Keys(f.parameters)) {
		p := f.parameters[arn]
		if !strings.HasPrefix(arn, "arn:aws:ssm:"+c.region+":") || !p.passes(in.ParameterFilters) {
			continue
		}
		m := types.ParameterMetadata{
			ARN: &p.arn, Name: &p.name, Type: p.kind, Tier: p.tier, Version: p.version, LastModifiedDate: &p.changed, DataType: aws.String("text"), Description: &p.description,
		}
		if p.key != "" {
			m.KeyId = &p.key
		}
		found = append(found, m)
	}
	page, next, err := paged(found, in.NextToken, in.MaxResults, 50)
	return &ssm.DescribeParametersOutput{Parameters: page, NextToken: next}, err
}

// passes reports whether a parameter's name passes all filters.
func (p *parameter) passes(filters []types.ParameterStringFilter) bool {
	for _, filter := range filters {
		if !slices.ContainsFunc(filter.Values, func(value string) bool {
			switch aws.ToString(filter.Option) {
			case "BeginsWith":
				return strings.HasPrefix(p.name, value)
			case "Contains":
				return strings.Contains(p.name, value)
			}
			return p.name == value
		}) {
			return false
		}
	}
	return true
}
