package fakehub

import (
	"maps"
	"slices"
)

// operation is an operation of GitHub's API that the hub has.
type operation struct {
	// id is GitHub's name for it; its place, its request and its answers are in
	// GitHub's description.
	id string
	by access
	// needs is the permission that an installation's token must have, as
	// https://docs.github.com/rest/authentication/permissions-required-for-github-apps
	// lists it.
	needs string
	// content: it counts as the creation of content.
	content bool
	do      func(*call) (any, error)
}

// operations are all. To add one, add its id to spec/operations.txt, too.
var operations = []operation{
	{id: "meta/get", by: anybody, do: (*call).getMeta},
	{id: "rate-limit/get", by: anybody, do: (*call).getLimits},

	{id: "apps/get-authenticated", by: asApp, do: (*call).getApp},
	{id: "apps/create-from-manifest", by: anybody, do: (*call).convert},
	{id: "apps/list-installations", by: asApp, do: (*call).listInstallations},
	{id: "apps/get-installation", by: asApp, do: (*call).getInstallation},
	{id: "apps/get-repo-installation", by: asApp, do: (*call).findInstallation},
	{id: "apps/get-org-installation", by: asApp, do: (*call).findInstallation},
	{id: "apps/create-installation-access-token", by: asApp, do: (*call).createToken},
	{id: "apps/get-webhook-config-for-app", by: asApp, do: (*call).getHook},
	{id: "apps/update-webhook-config-for-app", by: asApp, do: (*call).updateHook},
	{id: "apps/list-webhook-deliveries", by: asApp, do: (*call).listDeliveries},
	{id: "apps/get-webhook-delivery", by: asApp, do: (*call).getDelivery},
	{id: "apps/redeliver-webhook-delivery", by: asApp, do: (*call).redeliver},

	{id: "apps/revoke-installation-access-token", by: asInstallation, do: (*call).revokeToken},
	{id: "apps/list-repos-accessible-to-installation", by: asInstallation, needs: "metadata:read", do: (*call).listRepos},

	{id: "users/get-authenticated", by: asUser, do: (*call).getUser},
	{id: "apps/list-installations-for-authenticated-user", by: asUser, do: (*call).listUserInstallations},
	{id: "apps/list-installation-repos-for-authenticated-user", by: asUser, do: (*call).listUserRepos},

	{id: "repos/get", by: asInstallation, needs: "metadata:read", do: (*call).getRepo},
	{id: "repos/get-collaborator-permission-level", by: asInstallation, needs: "metadata:read", do: (*call).getLevel},
	{id: "repos/get-content", by: asInstallation, needs: "contents:read", do: (*call).getContent},
	{id: "repos/get-commit", by: asInstallation, needs: "contents:read", do: (*call).getCommit},
	{id: "repos/get-branch", by: asInstallation, needs: "contents:read", do: (*call).getBranch},
	{id: "repos/compare-commits-with-basehead", by: asInstallation, needs: "contents:read", do: (*call).compare},
	{id: "git/get-commit", by: asInstallation, needs: "contents:read", do: (*call).getGitCommit},
	{id: "git/get-ref", by: asInstallation, needs: "contents:read", do: (*call).getRef},
	{id: "repos/download-tarball-archive", by: asInstallation, needs: "contents:read", do: (*call).getArchive},
	{id: "repos/create-dispatch-event", by: asInstallation, needs: "contents:write", do: (*call).dispatchEvent},

	{id: "pulls/list", by: asInstallation, needs: "pull_requests:read", do: (*call).listPulls},
	{id: "pulls/get", by: asInstallation, needs: "pull_requests:read|contents:read", do: (*call).getPull},
	{id: "pulls/list-files", by: asInstallation, needs: "pull_requests:read", do: (*call).listPullFiles},

	{id: "issues/create-comment", by: asInstallation, needs: "issues:write|pull_requests:write", content: true, do: (*call).createComment},
	{id: "issues/update-comment", by: asInstallation, needs: "issues:write|pull_requests:write", do: (*call).updateComment},
	{id: "issues/get-comment", by: asInstallation, needs: "issues:read|pull_requests:read", do: (*call).getComment},
	{id: "issues/list-comments", by: asInstallation, needs: "issues:read|pull_requests:read", do: (*call).listComments},

	{id: "checks/create", by: asInstallation, needs: "checks:write", do: (*call).createCheck},
	{id: "checks/update", by: asInstallation, needs: "checks:write", do: (*call).updateCheck},
	{id: "checks/get", by: asInstallation, needs: "checks:read", do: (*call).getCheck},
	{id: "checks/list-annotations", by: asInstallation, needs: "checks:read", do: (*call).listAnnotations},
	{id: "checks/list-for-ref", by: asInstallation, needs: "checks:read", do: (*call).listChecks},
	{id: "checks/get-suite", by: asInstallation, needs: "checks:read", do: (*call).getSuite},
	{id: "checks/create-suite", by: asInstallation, needs: "checks:write", do: (*call).createSuite},

	{id: "repos/create-commit-status", by: asInstallation, needs: "statuses:write", content: true, do: (*call).createStatus},
	{id: "repos/list-commit-statuses-for-ref", by: asInstallation, needs: "statuses:read", do: (*call).listStatuses},
	{id: "repos/get-combined-status-for-ref", by: asInstallation, needs: "statuses:read", do: (*call).combinedStatus},

	{id: "repos/create-deployment", by: asInstallation, needs: "deployments:write", do: (*call).createDeployment},
	{id: "repos/get-deployment", by: asInstallation, needs: "deployments:read", do: (*call).getDeployment},
	{id: "repos/list-deployments", by: asInstallation, needs: "deployments:read", do: (*call).listDeployments},
	{id: "repos/create-deployment-status", by: asInstallation, needs: "deployments:write", do: (*call).createDeploymentStatus},
	{id: "repos/list-deployment-statuses", by: asInstallation, needs: "deployments:read", do: (*call).listDeploymentStatuses},

	{id: "actions/list-repo-workflows", by: asInstallation, needs: "actions:read", do: (*call).listWorkflows},
	{id: "actions/get-workflow", by: asInstallation, needs: "actions:read", do: (*call).getWorkflow},
	{id: "actions/create-workflow-dispatch", by: asInstallation, needs: "actions:write", do: (*call).dispatchWorkflow},
	{id: "actions/list-workflow-runs", by: asInstallation, needs: "actions:read", do: (*call).listRuns},
	{id: "actions/list-workflow-runs-for-repo", by: asInstallation, needs: "actions:read", do: (*call).listRuns},
	{id: "actions/get-workflow-run", by: asInstallation, needs: "actions:read", do: (*call).getRun},
	{id: "actions/cancel-workflow-run", by: asInstallation, needs: "actions:write", do: (*call).cancelRun},
	{id: "actions/re-run-workflow", by: asInstallation, needs: "actions:write", do: (*call).rerun},
	{id: "actions/re-run-workflow-failed-jobs", by: asInstallation, needs: "actions:write", do: (*call).rerun},
	{id: "actions/list-jobs-for-workflow-run", by: asInstallation, needs: "actions:read", do: (*call).listJobs},
	{id: "actions/get-job-for-workflow-run", by: asInstallation, needs: "actions:read", do: (*call).getJob},

	{id: "actions/create-registration-token-for-repo", by: asInstallation, needs: "administration:write", do: (*call).createRegistration},
	{id: "actions/create-registration-token-for-org", by: asInstallation, needs: "organization_self_hosted_runners:write", do: (*call).createRegistration},
	{id: "actions/list-self-hosted-runner-groups-for-org", by: asInstallation, needs: "organization_self_hosted_runners:read", do: (*call).listGroups},
	{id: "actions/generate-runner-jitconfig-for-repo", by: asInstallation, needs: "administration:write", do: (*call).createJIT},
	{id: "actions/list-self-hosted-runners-for-repo", by: asInstallation, needs: "administration:read", do: (*call).listRunners},
	{id: "actions/get-self-hosted-runner-for-repo", by: asInstallation, needs: "administration:read", do: (*call).getRunner},
	{id: "actions/delete-self-hosted-runner-from-repo", by: asInstallation, needs: "administration:write", do: (*call).deleteRunner},
	{id: "actions/generate-runner-jitconfig-for-org", by: asInstallation, needs: "organization_self_hosted_runners:write", do: (*call).createJIT},
	{id: "actions/list-self-hosted-runners-for-org", by: asInstallation, needs: "organization_self_hosted_runners:read", do: (*call).listRunners},
	{id: "actions/get-self-hosted-runner-for-org", by: asInstallation, needs: "organization_self_hosted_runners:read", do: (*call).getRunner},
	{id: "actions/delete-self-hosted-runner-from-org", by: asInstallation, needs: "organization_self_hosted_runners:write", do: (*call).deleteRunner},
}

// Operations lists what the hub has by GitHub's names.
func (h *Hub) Operations() []string { return slices.Sorted(maps.Keys(h.operations)) }
