// Writes what the cache service of this job is, and the token for it, to a file
// that its owner alone may read, and sets the output "file" to its path. The
// path is kept as the state "file": the same script runs again when the job
// ends, and removes what nobody has read.
//
// There is nothing to build: this is the source. It takes no input and uses
// Node.js alone.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const path = require('path');

function add(variable, name, value) {
  fs.appendFileSync(process.env[variable], `${name}=${value}\n`);
}

function handOver(env) {
  // Version 2 of the service is what clipper-runner speaks. GitHub Enterprise
  // Server has another one.
  if (!env.ACTIONS_RUNTIME_TOKEN || !env.ACTIONS_RESULTS_URL || !env.ACTIONS_CACHE_SERVICE_V2) {
    console.log('This job has no Actions cache of version 2.');
    return;
  }
  const file = path.join(env.RUNNER_TEMP, `clipper-cache-${crypto.randomUUID()}`);
  const text = JSON.stringify({
    url: env.ACTIONS_RESULTS_URL,
    token: env.ACTIONS_RUNTIME_TOKEN,
    mode: env.ACTIONS_CACHE_MODE || '',
  });
  // It is made here: one that is there already is somebody else's.
  fs.writeFileSync(file, text, { mode: 0o600, flag: 'wx' });
  add('GITHUB_STATE', 'file', file);
  add('GITHUB_OUTPUT', 'file', file);
}

try {
  if (process.env.STATE_file) {
    fs.rmSync(process.env.STATE_file, { force: true });
  } else {
    handOver(process.env);
  }
} catch (error) {
  // Without a cache the job is slower, and no more than that.
  console.log(`::warning title=Clipper Runner::The Actions cache is not used: ${error.message}`);
}
