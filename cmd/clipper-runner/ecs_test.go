package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// describing is an ECS that knows one revision, live:3, and nothing but
// DescribeTaskDefinition. The revision has a member that no SDK knows.
func describing(t *testing.T) string {
	const revision = `{"taskDefinition": {"taskDefinitionArn": "arn:aws:ecs:eu-west-1:1:task-definition/live:3", "family": "live", "revision": 3,
		"status": "ACTIVE", "registeredAt": 1.7e9, "compatibilities": ["EC2"], "volumes": [], "future": {"kept": true},
		"containerDefinitions": [{"name": "app", "image": "acme/app:1", "cpu": 0, "memory": 64, "essential": true, "environment": [], "mountPoints": []}]},
		"tags": [{"key": "team", "value": "live"}]}`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		var in struct{ TaskDefinition string }
		err := json.NewDecoder(r.Body).Decode(&in)
		if target := r.Header.Get("X-Amz-Target"); err != nil || target != "AmazonEC2ContainerServiceV20141113.DescribeTaskDefinition" {
			t.Errorf("%s: %v", target, err)
		}
		if in.TaskDefinition != "live" && in.TaskDefinition != "live:3" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"__type":"ClientException","message":"Unable to describe task definition."}`)
			return
		}
		fmt.Fprint(w, revision)
	}))
	t.Cleanup(s.Close)
	return s.URL
}
