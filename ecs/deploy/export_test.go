package deploy

import awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"

// Input is what a definition is registered as.
var Input = input

// Update is what settings update a service with.
func Update(s *Settings) *awsecs.UpdateServiceInput {
	count := int32(1)
	return newDeployment(nil, Request{Cluster: "c", Service: "s", Revision: Revision{ARN: "arn"}, Settings: s, Count: &count, Force: true}).update()
}
