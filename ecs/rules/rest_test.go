package rules_test

// secret is a container with one.
func secret(valueFrom string) string {
	return `{"secrets": [{"name": "A", "valueFrom": "` + valueFrom + `"}]}`
}

func volume(members string) edit { return task(`{"volumes": [{"name": "v", ` + members + `}]}`) }

func logs(driver, options string) string {
	return `{"logConfiguration": {"logDriver": "` + driver + `", "options": {` + options + `}}}`
}

const (
	secretARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:registry-AbCdEf"
	awslogs   = `"awslogs-group": "g", "awslogs-region": "eu-west-1"`
)

var restBreaches = []breach{
	{"environment-name", "containerDefinitions[web].environment[0].name", fargate(`{"environment": [{"value": "b"}]}`), fargate(`{"environment": [{"name": "A"}]}`)},
	{"environment-name", "containerDefinitions[web].environment[A=B].name", fargate(`{"environment": [{"name": "A=B"}]}`), fargate(`{"environment": [{"name": "A.B"}]}`)},
	{"environment-twice", "containerDefinitions[web].environment[A]", fargate(`{"environment": [{"name": "A", "value": "b"}, {"name": "A", "value": "c"}]}`), fargate(`{"environment": [{"name": "A"}, {"name": "a"}]}`)},
	{"environment-file", "containerDefinitions[web].environmentFiles[0].value", fargate(`{"environmentFiles": [{"type": "s3", "value": "arn:aws:s3:::b/a.txt"}]}`), fargate(`{"environmentFiles": [{"type": "s3", "value": "arn:aws:s3:::b/a.env"}]}`)},
	{"environment-file", "containerDefinitions[web].environmentFiles[0].value", fargate(`{"environmentFiles": [{"type": "s3", "value": "s3://b/a.env"}]}`), fargate(`{}`)},
	{"environment-file", "containerDefinitions[web].environmentFiles[0].type", fargate(`{"environmentFiles": [{"type": "S3", "value": "arn:aws:s3:::b/a.env"}]}`), fargate(`{}`)},
	{"environment-file", "containerDefinitions[web].environmentFiles", fargate(`{"environmentFiles": ` + repeat(11, `{"type": "s3", "value": "arn:aws:s3:::b/%d.env"}`) + `}`),
		fargate(`{"environmentFiles": ` + repeat(10, `{"type": "s3", "value": "arn:aws:s3:::b/%d.env"}`) + `}`)},
	{"secret-name", "containerDefinitions[web].secrets[A].name", fargate(`{"environment": [{"name": "A", "value": ""}], "secrets": [{"name": "A", "valueFrom": "a"}]}`), fargate(`{"environment": [{"name": "B", "value": ""}], "secrets": [{"name": "A", "valueFrom": "a"}]}`)},
	{"secret-name", "containerDefinitions[web].secrets[A].name", fargate(`{"secrets": [{"name": "A", "valueFrom": "a"}, {"name": "A", "valueFrom": "b"}]}`), fargate(secret("a"))},
	{"secret-name", "containerDefinitions[web].secrets[0].name", fargate(`{"secrets": [{"valueFrom": "a"}]}`), fargate(secret("/a/b"))},
	{"secret-reference", "containerDefinitions[web].secrets[A].valueFrom", fargate(secret(secretARN + ":username")), fargate(secret(secretARN + ":username::"))},
	{"secret-reference", "containerDefinitions[web].secrets[A].valueFrom", fargate(secret(secretARN + "::AWSCURRENT:v1")), fargate(secret(secretARN + "::AWSPREVIOUS:"))},
	{"secret-reference", "containerDefinitions[web].secrets[A].valueFrom", fargate(secret("arn:aws:s3:::b/a")), fargate(secret("arn:aws-us-gov:ssm:us-gov-west-1:111122223333:parameter/a/b"))},
	{"secret-reference", "containerDefinitions[web].secrets[A].valueFrom", fargate(secret("arn:aws:ssm:eu-west-1:111122223333:document/a")), fargate(secret(secretARN))},
	{"secret-reference", "containerDefinitions[web].secrets[A].valueFrom", fargate(secret("a b")), fargate(secret("a.b"))},
	{"secret-reference", "containerDefinitions[web].logConfiguration.secretOptions[t].valueFrom",
		fargate(`{"logConfiguration": {"logDriver": "splunk", "secretOptions": [{"name": "t", "valueFrom": "arn:x"}]}}`),
		fargate(`{"logConfiguration": {"logDriver": "splunk", "secretOptions": [{"name": "t", "valueFrom": "x"}]}}`)},
	{"repository-credentials", "containerDefinitions[web].repositoryCredentials.credentialsParameter", fargate(`{"repositoryCredentials": {"credentialsParameter": "arn:aws:ssm:eu-west-1:111122223333:parameter/a"}}`),
		fargate(`{"repositoryCredentials": {"credentialsParameter": "` + secretARN + `"}}`)},
	{"execution-role", "executionRoleArn", edit{onFargate, `{"executionRoleArn": null}`, secret("a")}, edit{onFargate, `{"executionRoleArn": null}`, ""}},
	{"execution-role", "executionRoleArn", edit{onEC2, "", `{"repositoryCredentials": {"credentialsParameter": "a"}}`}, edit{onEC2, "", `{"image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/a"}`}},
	{"execution-role", "executionRoleArn", edit{onFargate, `{"executionRoleArn": null}`, `{"image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/a"}`}, fargate(`{"image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/a"}`)},
	{"execution-role", "executionRoleArn", edit{onFargate, `{"executionRoleArn": null}`, logs("awslogs", awslogs+`, "awslogs-stream-prefix": "p"`)}, ec2(logs("awslogs", awslogs+`, "awslogs-stream-prefix": "p"`))},

	{"volume-name", "volumes[0].name", task(`{"volumes": [{"host": {}}]}`), task(`{"volumes": [{"name": "v"}]}`)},
	{"volume-name", "volumes[v].name", task(`{"volumes": [{"name": "v"}, {"name": "v"}]}`), task(`{"volumes": [{"name": "v"}, {"name": "w"}]}`)},
	{"volume-kind", "volumes[v]", volume(`"configuredAtLaunch": true, "efsVolumeConfiguration": {"fileSystemId": "fs-1"}`), volume(`"efsVolumeConfiguration": {"fileSystemId": "fs-1"}, "host": {}`)},
	{"volume-at-launch", "volumes[w]", task(`{"volumes": [{"name": "v", "configuredAtLaunch": true}, {"name": "w", "configuredAtLaunch": true}]}`), volume(`"configuredAtLaunch": true`)},
	{"mount-volume", "containerDefinitions[web].mountPoints[0].sourceVolume", fargate(`{"mountPoints": [{"sourceVolume": "v", "containerPath": "/a"}]}`), edit{onFargate, `{"volumes": [{"name": "v"}]}`, `{"mountPoints": [{"sourceVolume": "v", "containerPath": "/a"}]}`}},
	{"mount-path", "containerDefinitions[web].mountPoints[0].containerPath", edit{onFargate, `{"volumes": [{"name": "v"}]}`, `{"mountPoints": [{"sourceVolume": "v", "containerPath": "a"}]}`},
		edit{onFargate, `{"volumes": [{"name": "v"}]}`, `{"mountPoints": [{"sourceVolume": "v", "containerPath": "/a"}]}`}},
	{"mount-path", "containerDefinitions[web].mountPoints[1].containerPath", edit{onFargate, `{"volumes": [{"name": "v"}]}`, `{"mountPoints": [{"sourceVolume": "v", "containerPath": "/a"}, {"sourceVolume": "v", "containerPath": "/a/"}]}`},
		edit{onFargate, `{"volumes": [{"name": "v"}]}`, `{"mountPoints": [{"sourceVolume": "v", "containerPath": "/a"}, {"sourceVolume": "v", "containerPath": "/a/b"}]}`}},
	{"volumes-from-container", "containerDefinitions[b].volumesFrom[0].sourceContainer", task(containers(`{"name": "b", "image": "b", "volumesFrom": [{"sourceContainer": "b"}]}`)), task(containers(`{"name": "b", "image": "b", "volumesFrom": [{"sourceContainer": "web"}]}`))},
	{"efs-access-point", "volumes[v]", volume(`"efsVolumeConfiguration": {"fileSystemId": "fs-1", "rootDirectory": "/a", "transitEncryption": "ENABLED", "authorizationConfig": {"accessPointId": "fsap-1"}}`),
		volume(`"efsVolumeConfiguration": {"fileSystemId": "fs-1", "rootDirectory": "/", "transitEncryption": "ENABLED", "authorizationConfig": {"accessPointId": "fsap-1"}}`)},
	{"efs-encryption", "volumes[v].efsVolumeConfiguration.transitEncryption", volume(`"efsVolumeConfiguration": {"fileSystemId": "fs-1", "authorizationConfig": {"iam": "ENABLED"}}`),
		volume(`"efsVolumeConfiguration": {"fileSystemId": "fs-1", "transitEncryption": "ENABLED", "authorizationConfig": {"iam": "ENABLED"}}`)},

	{"log-driver", "containerDefinitions[web].logConfiguration.logDriver", fargate(logs("json-file", "")), ec2(logs("json-file", ""))},
	{"log-driver", "containerDefinitions[web].logConfiguration.logDriver", ec2(logs("none", "")), ec2(logs("journald", ""))},
	{"log-options", "containerDefinitions[web].logConfiguration.options", fargate(logs("awslogs", awslogs)), fargate(logs("awslogs", awslogs+`, "awslogs-stream-prefix": "p"`))},
	{"log-options", "containerDefinitions[web].logConfiguration.options", ec2(logs("awslogs", `"awslogs-group": "g"`)), ec2(logs("awslogs", awslogs+`, "awslogs-stream-prefix": "p"`))},
	{"log-prefix", "containerDefinitions[web].logConfiguration.options", ec2(logs("awslogs", awslogs)), ec2(logs("awslogs", awslogs+`, "awslogs-stream-prefix": "p"`))},
	{"log-router", "containerDefinitions[web].logConfiguration", fargate(logs("awsfirelens", "")), task(containers(`{"name": "r", "image": "r", "firelensConfiguration": {"type": "fluentbit"}}, {"name": "c", "image": "c", "logConfiguration": {"logDriver": "awsfirelens"}}`))},
	{"log-router", "containerDefinitions[web].firelensConfiguration.type", fargate(`{"firelensConfiguration": {"type": "fluent-bit"}}`), fargate(`{"firelensConfiguration": {"type": "fluentbit"}}`)},
}
