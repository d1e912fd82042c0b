package ecs

// The names of the rules: what Options.Allow takes and Change.Rule says.
const (
	ruleAppMesh         = "app-mesh"
	ruleCapabilities    = "capabilities"
	ruleCredentialSpecs = "credential-specs"
	ruleCredentials     = "credentials"
	ruleDependsOn       = "depends-on"
	ruleEntrypoint      = "entrypoint"
	ruleEnvironment     = "environment"
	ruleGPU             = "gpu"
	ruleHealthCheck     = "health-check"
	ruleImage           = "image"
	ruleLabels          = "labels"
	ruleMountPoints     = "mount-points"
	ruleNative          = "native"
	ruleNetwork         = "network"
	ruleReadonlyRoot    = "readonly-root"
	ruleRestart         = "restart"
	ruleSize            = "size"
	ruleStartTimeout    = "start-timeout"
	ruleStorage         = "storage"
	ruleStore           = "store"
	ruleUnknown         = "unknown"
	ruleUser            = "user"
	ruleVolumesFrom     = "volumes-from"
	ruleWindows         = "windows"
	ruleWorkDir         = "workdir"
)

// allowable are the rules whose refusal is about what will probably fail, not
// about what cannot work.
var allowable = []string{ruleAppMesh, ruleHealthCheck, ruleReadonlyRoot, ruleStartTimeout, ruleStorage}

// rule is what is done to the task, or to every container that is moved.
type rule struct {
	name      string
	task      func(*rendering)
	container func(*move)
}

// beforeImages are the rules that need to know nothing of the images. What
// they refuse, no registry is asked about.
var beforeImages = []rule{
	{name: ruleUnknown, task: (*rendering).tellUnknown},
	{name: ruleNative, task: (*rendering).needMoves},
	{name: ruleWindows, task: (*rendering).refuseWindows},
	{name: ruleAppMesh, task: (*rendering).refuseAppMesh},
	{name: ruleNetwork, task: (*rendering).needNetwork, container: (*move).needNetwork},
	{name: ruleReadonlyRoot, container: (*move).needWritableRoot},
	{name: ruleMountPoints, container: (*move).needFreePaths},
	{name: ruleImage, container: (*move).readImage},
	{name: ruleEnvironment, container: (*move).needFreeNames},
	{name: ruleEntrypoint, container: (*move).moveEntrypoint},
	{name: ruleUser, container: (*move).moveUser},
	{name: ruleWorkDir, container: (*move).moveWorkDir},
	{name: ruleCapabilities, container: (*move).moveCapabilities},
	{name: ruleCredentials, task: (*rendering).needOneRegistry, container: (*move).moveCredentials},
	{name: ruleCredentialSpecs, container: (*move).tellCredentialSpecs},
	{name: ruleRestart, container: (*move).tellRestart},
	{name: ruleDependsOn, task: (*rendering).tellDependsOn},
	{name: ruleStore, task: (*rendering).addStore, container: (*move).mountStore},
}

// withImages are the rules that go by what the registries say, and those that
// look at the result.
var withImages = []rule{
	{name: ruleImage, container: (*move).moveImage},
	{name: ruleHealthCheck, container: (*move).wrapHealthCheck},
	{name: ruleStartTimeout, container: (*move).raiseStartTimeout},
	{name: ruleGPU, container: (*move).copyNVIDIA},
	{name: ruleVolumesFrom, task: (*rendering).tellVolumesFrom},
	{name: ruleStorage, task: (*rendering).raiseStorage},
	{name: ruleCredentials, task: (*rendering).tellExecutionRole},
	{name: ruleLabels, task: (*rendering).labelSource},
	{name: ruleSize, task: (*rendering).needSize},
}
