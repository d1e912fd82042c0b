package rules_test

import (
	"fmt"
	"strings"
)

// repeat is a list of n such entries, %d being their numbers.
func repeat(n int, entry string) string {
	list := make([]string, n)
	for i := range list {
		list[i] = strings.ReplaceAll(entry, "%d", fmt.Sprint(i))
	}
	return "[" + strings.Join(list, ",") + "]"
}

// container is a second one beside web.
func containers(members string) string {
	return `{"containerDefinitions": [{"name": "web", "image": "acme/web:1"}, ` + members + `]}`
}

var taskBreaches = []breach{
	{"unknown-member", "containerDefinitions[web].imgae", fargate(`{"imgae": "x"}`), fargate(`{"image": "x"}`)},
	{"member-type", "containerDefinitions[web].cpu", fargate(`{"cpu": "1"}`), fargate(`{"cpu": 1}`)},
	{"definition-size", "", fargate(`{"environment": [{"name": "A", "value": "` + strings.Repeat("x", 64<<10) + `"}]}`), fargate(`{"environment": [{"name": "A", "value": "` + strings.Repeat("x", 60<<10) + `"}]}`)},
	{"family", "family", task(`{"family": "shop.web"}`), task(`{"family": "shop-web_2"}`)},
	{"family", "family", task(`{"family": null}`), task(`{"family": "` + strings.Repeat("x", 255) + `"}`)},
	{"family", "family", task(`{"family": "` + strings.Repeat("x", 256) + `"}`), task(`{}`)},
	{"network-mode", "networkMode", edit{onEC2, `{"networkMode": "AWSVPC"}`, ""}, edit{onEC2, `{"networkMode": "awsvpc"}`, ""}},
	{"pid-mode", "pidMode", task(`{"pidMode": "container"}`), task(`{"pidMode": "task"}`)},
	{"ipc-mode", "ipcMode", edit{onEC2, `{"ipcMode": "shareable"}`, ""}, edit{onEC2, `{"ipcMode": "none"}`, ""}},
	{"compatibility", "requiresCompatibilities[0]", task(`{"requiresCompatibilities": ["fargate"]}`), task(`{"requiresCompatibilities": ["EC2", "FARGATE"]}`)},
	{"cpu-architecture", "runtimePlatform.cpuArchitecture", task(`{"runtimePlatform": {"cpuArchitecture": "arm64"}}`), task(`{"runtimePlatform": {"cpuArchitecture": "ARM64"}}`)},
	{"operating-system", "runtimePlatform.operatingSystemFamily", task(`{"runtimePlatform": {"operatingSystemFamily": "linux"}}`), task(`{"runtimePlatform": {"operatingSystemFamily": "LINUX"}}`)},
	{"role-arn", "executionRoleArn", task(`{"executionRoleArn": "arn:aws:iam::111122223333:user/me"}`), task(`{"executionRoleArn": "arn:aws-cn:iam::111122223333:role/path/ecs"}`)},
	{"role-arn", "taskRoleArn", task(`{"taskRoleArn": "my role"}`), task(`{"taskRoleArn": "my-role"}`)},
	{"container-count", "containerDefinitions", task(`{"containerDefinitions": ` + repeat(11, `{"name": "c%d", "image": "a"}`) + `}`), task(`{"containerDefinitions": ` + repeat(10, `{"name": "c%d", "image": "a"}`) + `}`)},
	{"container-count", "containerDefinitions", task(`{"containerDefinitions": []}`), task(`{}`)},
	{"placement-constraints", "placementConstraints", edit{onEC2, `{"placementConstraints": ` + repeat(11, `{"type": "memberOf", "expression": "%d"}`) + `}`, ""},
		edit{onEC2, `{"placementConstraints": ` + repeat(10, `{"type": "memberOf", "expression": "%d"}`) + `}`, ""}},
	{"tags", "tags", task(`{"tags": ` + repeat(51, `{"key": "k%d"}`) + `}`), task(`{"tags": ` + repeat(50, `{"key": "k%d"}`) + `}`)},
	{"tags", "tags[1]", task(`{"tags": [{"key": "a"}, {"key": "a"}]}`), task(`{"tags": [{"key": "a"}, {"key": "A"}]}`)},
	{"tags", "tags[0].key", task(`{"tags": [{"key": ""}]}`), task(`{"tags": [{"key": "aws:cloudformation:stack-name"}]}`)},
	{"tags", "tags[0].value", task(`{"tags": [{"key": "a", "value": "` + strings.Repeat("ä", 257) + `"}]}`), task(`{"tags": [{"key": "a", "value": "` + strings.Repeat("ä", 256) + `"}]}`)},
	{"proxy-container", "proxyConfiguration.containerName", task(`{"proxyConfiguration": {"containerName": "envoy"}}`), task(`{"proxyConfiguration": {"containerName": "web"}}`)},

	{"fargate-network", "networkMode", task(`{"networkMode": "bridge"}`), edit{onEC2, `{"networkMode": "bridge"}`, ""}},
	{"fargate-network", "networkMode", task(`{"networkMode": null}`), task(`{}`)},
	{"fargate-size", "memory", task(`{"memory": "30 GB"}`), task(`{"memory": "2 GB"}`)},
	{"fargate-size", "memory", task(`{"cpu": "8192", "memory": "18 GB"}`), task(`{"cpu": "8 vCPU", "memory": "20 GB"}`)},
	{"fargate-size", "memory", task(`{"cpu": "4096", "memory": "31 GB"}`), task(`{"cpu": "4096", "memory": "30720"}`)},
	{"fargate-size", "memory", task(`{"cpu": "300"}`), task(`{"cpu": "0.25 vCPU", "memory": "0.5GB"}`)},
	{"fargate-size", "cpu", task(`{"cpu": null}`), edit{onEC2, `{"cpu": "300"}`, ""}},
	{"fargate-size", "memory", task(`{"memory": null}`), task(`{}`)},
	{"fargate-capability", "containerDefinitions[web].linuxParameters.capabilities.add[0]", fargate(`{"linuxParameters": {"capabilities": {"add": ["SYS_ADMIN"]}}}`),
		fargate(`{"linuxParameters": {"capabilities": {"add": ["SYS_PTRACE"], "drop": ["ALL"]}}}`)},
	{"fargate-pid-mode", "pidMode", task(`{"pidMode": "host"}`), edit{onEC2, `{"pidMode": "host"}`, ""}},
	{"stop-timeout", "containerDefinitions[web].stopTimeout", fargate(`{"stopTimeout": 121}`), ec2(`{"stopTimeout": 600}`)},
	{"start-timeout-range", "containerDefinitions[web].startTimeout", fargate(`{"startTimeout": 121}`), fargate(`{"startTimeout": 120}`)},
	{"ephemeral-storage", "ephemeralStorage.sizeInGiB", task(`{"ephemeralStorage": {"sizeInGiB": 20}}`), task(`{"ephemeralStorage": {"sizeInGiB": 21}}`)},
	{"ephemeral-storage", "ephemeralStorage.sizeInGiB", task(`{"ephemeralStorage": {"sizeInGiB": 201}}`), task(`{"ephemeralStorage": {"sizeInGiB": 200}}`)},

	{"fargate-parameter", "ipcMode", task(`{"ipcMode": "task"}`), edit{onEC2, `{"ipcMode": "task"}`, ""}},
	{"fargate-parameter", "placementConstraints[0]", task(`{"placementConstraints": [{"type": "memberOf"}]}`), task(`{"placementConstraints": []}`)},
	{"fargate-parameter", "containerDefinitions[web].disableNetworking", fargate(`{"disableNetworking": true}`), fargate(`{"disableNetworking": false}`)},
	{"fargate-parameter", "containerDefinitions[web].dnsSearchDomains[0]", fargate(`{"dnsSearchDomains": ["a"]}`), ec2(`{"dnsSearchDomains": ["a"]}`)},
	{"fargate-parameter", "containerDefinitions[web].dnsServers[0]", fargate(`{"dnsServers": ["1.1.1.1"]}`), ec2(`{"dnsServers": ["1.1.1.1"]}`)},
	{"fargate-parameter", "containerDefinitions[web].dockerSecurityOptions[0]", fargate(`{"dockerSecurityOptions": ["no-new-privileges"]}`), ec2(`{"dockerSecurityOptions": ["no-new-privileges"]}`)},
	{"fargate-parameter", "containerDefinitions[web].extraHosts[0]", fargate(`{"extraHosts": [{"hostname": "a", "ipAddress": "1.1.1.1"}]}`), fargate(`{"extraHosts": []}`)},
	{"fargate-parameter", "containerDefinitions[web].links[0]", fargate(`{"links": ["web"]}`), fargate(`{"links": []}`)},
	{"fargate-parameter", "containerDefinitions[web].privileged", fargate(`{"privileged": true}`), fargate(`{"privileged": false}`)},
	{"fargate-parameter", "containerDefinitions[web].resourceRequirements[0]", fargate(`{"resourceRequirements": [{"type": "GPU", "value": "1"}]}`), ec2(`{"resourceRequirements": [{"type": "GPU", "value": "1"}]}`)},
	{"fargate-parameter", "containerDefinitions[web].linuxParameters.devices[0]", fargate(`{"linuxParameters": {"devices": [{"hostPath": "/dev/kvm"}]}}`), fargate(`{"linuxParameters": {"initProcessEnabled": true}}`)},
	{"fargate-parameter", "containerDefinitions[web].linuxParameters.maxSwap", fargate(`{"linuxParameters": {"maxSwap": 0}}`), ec2(`{"linuxParameters": {"maxSwap": 0}}`)},
	{"fargate-parameter", "containerDefinitions[web].linuxParameters.sharedMemorySize", fargate(`{"linuxParameters": {"sharedMemorySize": 64}}`), ec2(`{"linuxParameters": {"sharedMemorySize": 64}}`)},
	{"fargate-parameter", "containerDefinitions[web].linuxParameters.swappiness", fargate(`{"linuxParameters": {"swappiness": 1}}`), ec2(`{"linuxParameters": {"swappiness": 1}}`)},
	{"fargate-parameter", "containerDefinitions[web].linuxParameters.tmpfs[0]", fargate(`{"linuxParameters": {"tmpfs": [{"containerPath": "/t", "size": 1}]}}`), ec2(`{"linuxParameters": {"tmpfs": [{"containerPath": "/t", "size": 1}]}}`)},
	{"fargate-parameter", "volumes[v].dockerVolumeConfiguration", task(`{"volumes": [{"name": "v", "dockerVolumeConfiguration": {"scope": "task"}}]}`), edit{onEC2, `{"volumes": [{"name": "v", "dockerVolumeConfiguration": {"scope": "task"}}]}`, ""}},
	{"fargate-parameter", "volumes[v].host.sourcePath", task(`{"volumes": [{"name": "v", "host": {"sourcePath": "/srv"}}]}`), task(`{"volumes": [{"name": "v", "host": {}}]}`)},
	{"fargate-parameter", "volumes[v].fsxWindowsFileServerVolumeConfiguration", task(`{"volumes": [{"name": "v", "fsxWindowsFileServerVolumeConfiguration": {"fileSystemId": "fs-1"}}]}`), task(`{"volumes": [{"name": "v"}]}`)},
}
