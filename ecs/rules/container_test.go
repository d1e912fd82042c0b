package rules_test

import "strings"

var containerBreaches = []breach{
	{"container-name", "containerDefinitions[0].name", fargate(`{"name": ""}`), fargate(`{"name": "a-b_C9"}`)},
	{"container-name", "containerDefinitions[web:1].name", fargate(`{"name": "web:1"}`), fargate(`{"name": "web-1"}`)},
	{"container-name", "containerDefinitions[web].name", task(containers(`{"name": "web", "image": "b"}`)), task(containers(`{"name": "Web", "image": "b"}`))},
	{"container-image", "containerDefinitions[web].image", fargate(`{"image": null}`), fargate(`{"image": "debian"}`)},
	{"container-image", "containerDefinitions[web].image", fargate(`{"image": "acme/Web:1"}`), fargate(`{"image": "ghcr.io/acme/web@sha256:` + strings.Repeat("0", 64) + `"}`)},
	{"essential-container", "containerDefinitions", fargate(`{"essential": false}`), task(containers(`{"name": "b", "image": "b", "essential": false}`))},
	{"container-memory", "containerDefinitions[web].memory", ec2(`{"memory": null}`), ec2(`{"memory": null, "memoryReservation": 64}`)},
	{"container-memory", "containerDefinitions[web].memory", ec2(`{"memory": 0}`), edit{onEC2, `{"memory": "512"}`, `{"memory": null}`}},
	{"container-memory", "containerDefinitions[web].memoryReservation", ec2(`{"memoryReservation": 129}`), ec2(`{"memoryReservation": 64}`)},
	{"memory-minimum", "containerDefinitions[web].memory", ec2(`{"memory": 5}`), ec2(`{"memory": 6}`)},
	{"task-memory", "memory", task(containers(`{"name": "b", "image": "b", "memory": 500}, {"name": "c", "image": "c", "memoryReservation": 13}`)),
		task(containers(`{"name": "b", "image": "b", "memory": 500}, {"name": "c", "image": "c", "memoryReservation": 12}`))},
	{"task-memory", "containerDefinitions[web].memory", fargate(`{"memory": 600, "memoryReservation": 100}`), fargate(`{"memory": 512}`)},
	{"task-cpu", "cpu", task(containers(`{"name": "b", "image": "b", "cpu": 257}`)), task(containers(`{"name": "b", "image": "b", "cpu": 256}`))},
	{"capability-name", "containerDefinitions[web].linuxParameters.capabilities.drop[0]", ec2(`{"linuxParameters": {"capabilities": {"drop": ["CAP_CHOWN"]}}}`), ec2(`{"linuxParameters": {"capabilities": {"drop": ["CHOWN", "setuid"]}}}`)},
	{"swappiness", "containerDefinitions[web].linuxParameters.swappiness", ec2(`{"linuxParameters": {"swappiness": 101}}`), ec2(`{"linuxParameters": {"swappiness": 100}}`)},
	{"restart-period", "containerDefinitions[web].restartPolicy.restartAttemptPeriod", fargate(`{"restartPolicy": {"enabled": true, "restartAttemptPeriod": 59}}`), fargate(`{"restartPolicy": {"enabled": true, "restartAttemptPeriod": 1800}}`)},
	{"restart-exit-codes", "containerDefinitions[web].restartPolicy.ignoredExitCodes", fargate(`{"restartPolicy": {"ignoredExitCodes": ` + repeat(51, "%d") + `}}`), fargate(`{"restartPolicy": {"ignoredExitCodes": ` + repeat(50, "%d") + `}}`)},
	{"resource", "containerDefinitions[web].resourceRequirements[0].type", ec2(`{"resourceRequirements": [{"type": "gpu", "value": "1"}]}`), ec2(`{"resourceRequirements": [{"type": "GPU", "value": "1"}]}`)},

	{"ports-without-network", "containerDefinitions[web].portMappings", edit{onEC2, `{"networkMode": "none"}`, `{"portMappings": [{"containerPort": 80}]}`}, edit{onEC2, `{"networkMode": "none"}`, ""}},
	{"host-port", "containerDefinitions[web].portMappings[0].hostPort", fargate(`{"portMappings": [{"containerPort": 80, "hostPort": 8080}]}`), fargate(`{"portMappings": [{"containerPort": 80, "hostPort": 80}, {"containerPort": 81}]}`)},
	{"host-port", "containerDefinitions[web].portMappings[0].hostPort", edit{onEC2, `{"networkMode": "host"}`, `{"portMappings": [{"containerPort": 80, "hostPort": 8080}]}`}, ec2(`{"portMappings": [{"containerPort": 80, "hostPort": 8080}]}`)},
	{"port-number", "containerDefinitions[web].portMappings[0].containerPort", fargate(`{"portMappings": [{"containerPort": 65536}]}`), fargate(`{"portMappings": [{"containerPort": 65535}]}`)},
	{"port-number", "containerDefinitions[web].portMappings[0].hostPort", ec2(`{"portMappings": [{"containerPort": 1, "hostPort": -1}]}`), ec2(`{"portMappings": [{"containerPort": 1, "hostPort": 0}]}`)},
	{"port-number", "containerDefinitions[web].portMappings[0].containerPortRange", fargate(`{"portMappings": [{"containerPortRange": "90-80"}]}`), fargate(`{"portMappings": [{"containerPortRange": "80-90"}]}`)},
	{"port-name", "containerDefinitions[web].portMappings[Web].name", fargate(`{"portMappings": [{"containerPort": 80, "name": "Web"}]}`), fargate(`{"portMappings": [{"containerPort": 80, "name": "web-80_tcp"}]}`)},
	{"port-name", "containerDefinitions[web].portMappings[a].name", fargate(`{"portMappings": [{"containerPort": 80, "name": "a"}, {"containerPort": 81, "name": "a"}]}`), fargate(`{"portMappings": [{"containerPort": 80, "name": "a"}, {"containerPort": 81, "name": "b"}]}`)},
	{"links", "containerDefinitions[web].links", edit{onEC2, `{"networkMode": "host"}`, `{"links": ["web"]}`}, edit{onEC2, `{"networkMode": "host"}`, ""}},
	{"hostname", "containerDefinitions[web].hostname", fargate(`{"hostname": "a"}`), ec2(`{"hostname": "a"}`)},
	{"extra-hosts", "containerDefinitions[web].extraHosts", fargate(`{"extraHosts": [{"hostname": "a", "ipAddress": "1.1.1.1"}]}`), ec2(`{"extraHosts": [{"hostname": "a", "ipAddress": "1.1.1.1"}]}`)},

	{"health-check-command", "containerDefinitions[web].healthCheck.command", fargate(`{"healthCheck": {"command": ["curl", "localhost"]}}`), fargate(`{"healthCheck": {"command": ["CMD", "curl", "localhost"]}}`)},
	{"health-check-command", "containerDefinitions[web].healthCheck.command", fargate(`{"healthCheck": {"command": ["CMD-SHELL"]}}`), fargate(`{"healthCheck": {"command": ["CMD-SHELL", "true"]}}`)},
	{"health-check-command", "containerDefinitions[web].healthCheck.command", fargate(`{"healthCheck": {"command": []}}`), fargate(`{"healthCheck": {"command": ["NONE"]}}`)},
	{"health-check-interval", "containerDefinitions[web].healthCheck.interval", fargate(health("interval", "4")), fargate(health("interval", "5"))},
	{"health-check-timeout", "containerDefinitions[web].healthCheck.timeout", fargate(health("timeout", "61")), fargate(health("timeout", "60"))},
	{"health-check-retries", "containerDefinitions[web].healthCheck.retries", fargate(health("retries", "11")), fargate(health("retries", "10"))},
	{"health-check-start", "containerDefinitions[web].healthCheck.startPeriod", fargate(health("startPeriod", "900")), fargate(health("startPeriod", "300"))},

	{"dependency-condition", "containerDefinitions[b].dependsOn[0].condition", task(containers(waiting("web", "WHATEVER"))), task(containers(waiting("web", "START")))},
	{"dependency-container", "containerDefinitions[b].dependsOn[0].containerName", task(containers(waiting("c", "START"))), task(containers(waiting("web", "START")))},
	{"dependency-container", "containerDefinitions[b].dependsOn[0].containerName", task(containers(waiting("b", "START"))), task(containers(waiting("web", "START")))},
	{"dependency-essential", "containerDefinitions[b].dependsOn[0].condition", task(containers(waiting("web", "SUCCESS"))),
		task(containers(`{"name": "init", "image": "a", "essential": false}, ` + waiting("init", "SUCCESS")))},
	{"dependency-health", "containerDefinitions[b].dependsOn[0].condition", task(containers(waiting("web", "HEALTHY"))),
		task(containers(`{"name": "db", "image": "a", "healthCheck": {"command": ["CMD", "true"]}}, ` + waiting("db", "HEALTHY")))},
	{"dependency-cycle", "containerDefinitions[b].dependsOn",
		task(containers(waiting("c", "START") + `, {"name": "c", "image": "a", "dependsOn": [{"containerName": "b", "condition": "START"}]}`)),
		task(containers(waiting("c", "START") + `, {"name": "c", "image": "a", "dependsOn": [{"containerName": "web", "condition": "START"}]}`))},
	{"link-cycle", "containerDefinitions[web].links",
		edit{onEC2, `{"memory": "512", "containerDefinitions": [{"name": "web", "image": "a", "links": ["b:c"]}, {"name": "b", "image": "a", "links": ["web"]}]}`, ""},
		edit{onEC2, `{"memory": "512", "containerDefinitions": [{"name": "web", "image": "a", "links": ["b:c"]}, {"name": "b", "image": "a"}]}`, ""}},
	{"link-cycle", "containerDefinitions[web].links", ec2(`{"links": ["nobody"]}`), ec2(`{}`)},
}

func health(member, value string) string {
	return `{"healthCheck": {"command": ["CMD", "true"], "` + member + `": ` + value + `}}`
}

// waiting is a container b that waits for another.
func waiting(on, condition string) string {
	return `{"name": "b", "image": "b", "dependsOn": [{"containerName": "` + on + `", "condition": "` + condition + `"}]}`
}
